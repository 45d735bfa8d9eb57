rule train:
    input:
        dataset=f"{RUN}/data/{{dataset}}.nc",
        sta=f"{RUN}/sta/{CELL}.nc",
        localizer=localizer_files(
            f"{RUN}/fits/{FIT}/starts.pt", f"{RUN}/fits/{FIT}/validation.nc"
        ),
    output:
        fits=f"{RUN}/fits/{FIT}/fits.pt",
        validation=f"{RUN}/fits/{FIT}/validation.nc",
    log:
        f"{RUN}/logs/train/{FIT}.log",
    benchmark:
        f"{RUN}/benchmarks/train/{FIT}.tsv"
    wildcard_constraints:
        model=models_of("train"),
    conda:
        "../envs/whatwhere.yaml"
    threads: config["threads_per_fit"]
    resources:
        gpu=int(config["device"] != "cpu"),
        mem_mb=growing(16000),
        runtime=growing(480),
    params:
        definition=lambda wildcards: config["models"][wildcards.model],
        seeds=lambda wildcards: EXPERIMENTS[wildcards.experiment]["seeds"],
        device=config["device"],
        code=code_of("train"),
    message:
        "Train {wildcards.model} on {wildcards.dataset}, {wildcards.n_neurons} neurons, {wildcards.n_images} images"
    script:
        "../workflow_scripts/train.py"


rule fit_baseline:
    input:
        dataset=f"{RUN}/data/{{dataset}}.nc",
    output:
        fits=f"{RUN}/fits/{FIT}/fits.pt",
        validation=f"{RUN}/fits/{FIT}/validation.nc",
    log:
        f"{RUN}/logs/fit_baseline/{FIT}.log",
    benchmark:
        f"{RUN}/benchmarks/fit_baseline/{FIT}.tsv"
    wildcard_constraints:
        model=models_of("fit_baseline"),
    conda:
        "../envs/whatwhere.yaml"
    threads: 1
    resources:
        mem_mb=growing(16000),
        runtime=growing(120),
    params:
        definition=lambda wildcards: config["models"][wildcards.model],
        seeds=lambda wildcards: EXPERIMENTS[wildcards.experiment]["seeds"],
        code=code_of("fit_baseline"),
    message:
        "Fit {wildcards.model} to {wildcards.dataset}, {wildcards.n_neurons} neurons, {wildcards.n_images} images"
    script:
        "../workflow_scripts/fit_baseline.py"


rule localize:
    input:
        dataset=f"{RUN}/data/{{dataset}}.nc",
    output:
        fits=f"{RUN}/fits/{FIT}/fits.pt",
        validation=f"{RUN}/fits/{FIT}/validation.nc",
        starts=f"{RUN}/fits/{FIT}/starts.pt",
    log:
        f"{RUN}/logs/localize/{FIT}.log",
    benchmark:
        f"{RUN}/benchmarks/localize/{FIT}.tsv"
    wildcard_constraints:
        model=models_of("localize"),
    conda:
        "../envs/whatwhere.yaml"
    threads: 1
    resources:
        mem_mb=growing(16000),
        runtime=growing(120),
    params:
        definition=lambda wildcards: config["models"][wildcards.model],
        seeds=lambda wildcards: EXPERIMENTS[wildcards.experiment]["seeds"],
        code=code_of("localize"),
    message:
        "Locate the receptive fields of {wildcards.dataset}, {wildcards.n_neurons} neurons, {wildcards.n_images} images"
    script:
        "../workflow_scripts/localize.py"


rule select_fits:
    input:
        validation=cell_files(f"{RUN}/fits/{FIT}/validation.nc"),
    output:
        selection=f"{RUN}/selection/{{experiment}}/{{dataset}}/{{model}}.csv",
    log:
        f"{RUN}/logs/select_fits/{{experiment}}/{{dataset}}/{{model}}.log",
    benchmark:
        f"{RUN}/benchmarks/select_fits/{{experiment}}/{{dataset}}/{{model}}.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        cells=lambda wildcards: cells(EXPERIMENTS[wildcards.experiment]),
        rules=lambda wildcards: EXPERIMENTS[wildcards.experiment]["selection"],
        code=code_of("select_fits"),
    message:
        "Select fits of {wildcards.model} on {wildcards.dataset} by validation"
    script:
        "../workflow_scripts/select_fits.py"
