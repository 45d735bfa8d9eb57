rule score:
    input:
        dataset=f"{RUN}/data/{{dataset}}.nc",
        fits=cell_files(f"{RUN}/fits/{FIT}/fits.pt"),
        selection=f"{RUN}/selection/{{experiment}}/{{dataset}}/{{model}}.csv",
    output:
        scores=f"{RUN}/scores/{{experiment}}/{{dataset}}/{{model}}.csv",
        summary=f"{RUN}/summaries/{{experiment}}/{{dataset}}/{{model}}.csv",
        predictions=f"{RUN}/predictions/{{experiment}}/{{dataset}}/{{model}}.nc",
    log:
        f"{RUN}/logs/score/{{experiment}}/{{dataset}}/{{model}}.log",
    benchmark:
        f"{RUN}/benchmarks/score/{{experiment}}/{{dataset}}/{{model}}.tsv"
    conda:
        "../envs/whatwhere.yaml"
    threads: config["threads_per_fit"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        cells=lambda wildcards: cells(EXPERIMENTS[wildcards.experiment]),
        code=code_of("score"),
    message:
        "Score {wildcards.model} on the test images of {wildcards.dataset}"
    script:
        "../workflow_scripts/score.py"


rule collect_scores:
    input:
        scores=fitted(f"{RUN}/scores/{{experiment}}/{{dataset}}/{{model}}.csv"),
        summaries=fitted(f"{RUN}/summaries/{{experiment}}/{{dataset}}/{{model}}.csv"),
    output:
        scores=f"{RUN}/tables/scores.csv",
        summary=f"{RUN}/tables/summary.csv",
    log:
        f"{RUN}/logs/collect_scores.log",
    benchmark:
        f"{RUN}/benchmarks/collect_scores.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("collect_scores"),
    message:
        "Collect all scores"
    script:
        "../workflow_scripts/collect_scores.py"


rule cluster_barcodes:
    input:
        dataset=f"{RUN}/data/{{dataset}}.nc",
        averages=last_cell_file(f"{RUN}/sta/{CELL}.nc"),
        fits=cell_files(f"{RUN}/fits/{FIT}/fits.pt"),
        selection=f"{RUN}/selection/{{experiment}}/{{dataset}}/{{model}}.csv",
    output:
        barcodes=f"{RUN}/barcodes/{{experiment}}/{{dataset}}/{{model}}.csv",
        scores=f"{RUN}/barcodes/{{experiment}}/{{dataset}}/{{model}}_scores.csv",
        fields=f"{RUN}/barcodes/{{experiment}}/{{dataset}}/{{model}}_fields.nc",
    log:
        f"{RUN}/logs/cluster_barcodes/{{experiment}}/{{dataset}}/{{model}}.log",
    benchmark:
        f"{RUN}/benchmarks/cluster_barcodes/{{experiment}}/{{dataset}}/{{model}}.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        cells=lambda wildcards: cells(EXPERIMENTS[wildcards.experiment]),
        code=code_of("cluster_barcodes"),
    message:
        "Cluster the feature weights of {wildcards.model} on {wildcards.dataset}"
    script:
        "../workflow_scripts/cluster_barcodes.py"


rule collect_barcodes:
    input:
        barcodes=fitted(
            f"{RUN}/barcodes/{{experiment}}/{{dataset}}/{{model}}.csv", has_barcodes
        ),
        scores=fitted(
            f"{RUN}/barcodes/{{experiment}}/{{dataset}}/{{model}}_scores.csv",
            has_barcodes,
        ),
    output:
        barcodes=f"{RUN}/tables/barcodes.csv",
        scores=f"{RUN}/tables/barcode_scores.csv",
    log:
        f"{RUN}/logs/collect_barcodes.log",
    benchmark:
        f"{RUN}/benchmarks/collect_barcodes.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("collect_barcodes"),
    message:
        "Collect all barcodes"
    script:
        "../workflow_scripts/collect_barcodes.py"


rule collect_data_efficiency:
    input:
        scores=figure_files(
            "data_efficiency", f"{RUN}/scores/{{experiment}}/{{dataset}}/{{model}}.csv"
        ),
        locations=figure_files(
            "data_efficiency",
            f"{RUN}/locations/{{experiment}}/{{dataset}}/{{model}}.csv",
        ),
        barcode_scores=figure_files(
            "data_efficiency",
            f"{RUN}/barcodes/{{experiment}}/{{dataset}}/{{model}}_scores.csv",
            has_barcodes,
        ),
        reference=PAPER_CURVES,
    output:
        table=f"{RUN}/tables/data_efficiency.csv",
    log:
        f"{RUN}/logs/collect_data_efficiency.log",
    benchmark:
        f"{RUN}/benchmarks/collect_data_efficiency.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("collect_data_efficiency"),
    message:
        "Collect data efficiency"
    script:
        "../workflow_scripts/collect_data_efficiency.py"


rule describe_fits:
    input:
        dataset=f"{RUN}/data/{{dataset}}.nc",
        averages=cell_files(f"{RUN}/sta/{CELL}.nc", has_masks),
        fits=cell_files(f"{RUN}/fits/{FIT}/fits.pt"),
        selection=f"{RUN}/selection/{{experiment}}/{{dataset}}/{{model}}.csv",
    output:
        parameters=f"{RUN}/parameters/{{experiment}}/{{dataset}}/{{model}}.nc",
        locations=f"{RUN}/locations/{{experiment}}/{{dataset}}/{{model}}.csv",
    log:
        f"{RUN}/logs/describe_fits/{{experiment}}/{{dataset}}/{{model}}.log",
    benchmark:
        f"{RUN}/benchmarks/describe_fits/{{experiment}}/{{dataset}}/{{model}}.tsv"
    conda:
        "../envs/whatwhere.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        cells=lambda wildcards: cells(EXPERIMENTS[wildcards.experiment]),
        code=code_of("describe_fits"),
    message:
        "Describe the fits of {wildcards.model} on {wildcards.dataset}"
    script:
        "../workflow_scripts/describe_fits.py"
