rule simulate:
    input:
        unpack(stimulus_files),
    output:
        dataset=f"{RUN}/data/{{dataset}}.nc",
    log:
        f"{RUN}/logs/simulate/{{dataset}}.log",
    benchmark:
        f"{RUN}/benchmarks/simulate/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=datasets_of(simulated=True),
    conda:
        "../envs/whatwhere.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        definition=lambda wildcards: config["datasets"][wildcards.dataset],
        downloads="results/downloads",
        code=code_of("simulate"),
    message:
        "Simulate {wildcards.dataset}"
    script:
        "../workflow_scripts/simulate.py"


rule load_recording:
    input:
        files=lambda wildcards: input_files(config["datasets"][wildcards.dataset]),
    output:
        dataset=f"{RUN}/data/{{dataset}}.nc",
    log:
        f"{RUN}/logs/load_recording/{{dataset}}.log",
    benchmark:
        f"{RUN}/benchmarks/load_recording/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=datasets_of(simulated=False),
    conda:
        "../envs/whatwhere.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        definition=lambda wildcards: config["datasets"][wildcards.dataset],
        downloads="results/downloads",
        files=lambda wildcards: stamp(config["datasets"][wildcards.dataset]),
        code=code_of("load_recording"),
    message:
        "Load the recording {wildcards.dataset}"
    script:
        "../workflow_scripts/load_recording.py"


rule compute_sta:
    input:
        dataset=f"{RUN}/data/{{dataset}}.nc",
    output:
        sta=f"{RUN}/sta/{CELL}.nc",
    log:
        f"{RUN}/logs/compute_sta/{CELL}.log",
    benchmark:
        f"{RUN}/benchmarks/compute_sta/{CELL}.tsv"
    conda:
        "../envs/whatwhere.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        seeds=lambda wildcards: EXPERIMENTS[wildcards.experiment]["seeds"],
        smoothing=config["sta_smoothing"],
        whitening=config["sta_whitening"],
        code=code_of("compute_sta"),
    message:
        "Spike-triggered averages of {wildcards.dataset}, {wildcards.n_neurons} neurons, {wildcards.n_images} images"
    script:
        "../workflow_scripts/compute_sta.py"


rule describe_dataset:
    input:
        dataset=f"{RUN}/data/{{dataset}}.nc",
    output:
        page=report(
            f"{RUN}/datasets/{{dataset}}.html",
            caption="captions/dataset.rst",
            category="Datasets",
            labels={"dataset": "{dataset}"},
        ),
        neurons=f"{RUN}/datasets/{{dataset}}.csv",
        svg=f"{RUN}/datasets/{{dataset}}.svg",
        png=f"{RUN}/datasets/{{dataset}}.png",
    log:
        f"{RUN}/logs/describe_dataset/{{dataset}}.log",
    benchmark:
        f"{RUN}/benchmarks/describe_dataset/{{dataset}}.tsv"
    conda:
        "../envs/whatwhere.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        code=code_of("describe_dataset"),
    message:
        "Describe {wildcards.dataset}"
    script:
        "../workflow_scripts/describe_dataset.py"


rule describe_datasets:
    input:
        dataset_pages(),
