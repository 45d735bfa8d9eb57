rule score:
    input:
        dataset="<results>/data/{dataset}.nc",
        fits=of_conditions("fits/{fit.condition_path}/fits.pt"),
        selection="<results>/selection/{experiment}/{dataset}/{model}.csv",
    output:
        scores="<results>/scores/{experiment}/{dataset}/{model}.csv",
        summary="<results>/summaries/{experiment}/{dataset}/{model}.csv",
        predictions="<results>/predictions/{experiment}/{dataset}/{model}.nc",
    log:
        "<logs>/score/{experiment}/{dataset}/{model}.log",
    benchmark:
        "<benchmarks>/score/{experiment}/{dataset}/{model}.tsv"
    group:
        "evaluate"
    conda:
        "../envs/whatwhere.yaml"
    threads: config["threads_per_fit"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        conditions=lookup(OF_FIT, within=CONDITIONS, cols="condition"),
        code=code_of("score"),
    message:
        "Score {wildcards.model} on the test images of {wildcards.dataset}"
    script:
        "../workflow_scripts/score.py"


rule cluster_barcodes:
    input:
        dataset="<results>/data/{dataset}.nc",
        averages=of_conditions("sta/{fit.sta}.nc", "last"),
        fits=of_conditions("fits/{fit.condition_path}/fits.pt"),
        selection="<results>/selection/{experiment}/{dataset}/{model}.csv",
    output:
        barcodes="<results>/barcodes/{experiment}/{dataset}/{model}.csv",
        scores="<results>/barcodes/{experiment}/{dataset}/{model}_scores.csv",
        fields="<results>/barcodes/{experiment}/{dataset}/{model}_fields.nc",
    log:
        "<logs>/cluster_barcodes/{experiment}/{dataset}/{model}.log",
    benchmark:
        "<benchmarks>/cluster_barcodes/{experiment}/{dataset}/{model}.tsv"
    group:
        "evaluate"
    conda:
        "../envs/whatwhere.yaml"
    params:
        conditions=lookup(OF_FIT, within=CONDITIONS, cols="condition"),
        code=code_of("cluster_barcodes"),
    message:
        "Cluster the feature weights of {wildcards.model} on {wildcards.dataset}"
    script:
        "../workflow_scripts/cluster_barcodes.py"


rule describe_fits:
    input:
        dataset="<results>/data/{dataset}.nc",
        averages=of_conditions("sta/{fit.sta}.nc", "masks"),
        fits=of_conditions("fits/{fit.condition_path}/fits.pt"),
        selection="<results>/selection/{experiment}/{dataset}/{model}.csv",
    output:
        parameters="<results>/parameters/{experiment}/{dataset}/{model}.nc",
        locations="<results>/locations/{experiment}/{dataset}/{model}.csv",
    log:
        "<logs>/describe_fits/{experiment}/{dataset}/{model}.log",
    benchmark:
        "<benchmarks>/describe_fits/{experiment}/{dataset}/{model}.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        conditions=lookup(OF_FIT, within=CONDITIONS, cols="condition"),
        code=code_of("describe_fits"),
    message:
        "Describe the fits of {wildcards.model} on {wildcards.dataset}"
    script:
        "../workflow_scripts/describe_fits.py"
