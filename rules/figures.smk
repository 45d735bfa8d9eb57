rule fit_scaling:
    input:
        scores=scaling_files(f"{RUN}/scores/{{experiment}}/{{dataset}}/{{model}}.csv"),
    output:
        scaling=f"{RUN}/tables/scaling.csv",
        rates=f"{RUN}/tables/exchange_rates.csv",
    log:
        f"{RUN}/logs/fit_scaling.log",
    benchmark:
        f"{RUN}/benchmarks/fit_scaling.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("fit_scaling"),
    message:
        "Fit what neurons are worth in images"
    script:
        "../workflow_scripts/fit_scaling.py"


rule plot_scaling:
    input:
        scaling=f"{RUN}/tables/scaling.csv",
        rates=f"{RUN}/tables/exchange_rates.csv",
    output:
        svg=report(
            f"{RUN}/figures/scaling.svg",
            caption="captions/scaling.rst",
            category="Data scaling",
            labels={"figure": "neurons against images"},
        ),
        png=f"{RUN}/figures/scaling.png",
    log:
        f"{RUN}/logs/plot_scaling.log",
    benchmark:
        f"{RUN}/benchmarks/plot_scaling.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_scaling"),
    message:
        "Draw performance over neurons and images"
    script:
        "../workflow_scripts/plot_scaling.py"


rule plot_recording:
    input:
        dataset=f"{RUN}/data/{{dataset}}.nc",
        sta=recording_model(f"{RUN}/sta/{CELL}.nc"),
        fits=recording_model(f"{RUN}/fits/{FIT}/fits.pt"),
        selection=recording_model(
            f"{RUN}/selection/{{experiment}}/{{dataset}}/{{model}}.csv"
        ),
        scores=recording_files(f"{RUN}/scores/{{experiment}}/{{dataset}}/{{model}}.csv"),
        predictions=recording_files(
            f"{RUN}/predictions/{{experiment}}/{{dataset}}/{{model}}.nc"
        ),
    output:
        svg=report(
            f"{RUN}/figures/recording_{{dataset}}.svg",
            caption="captions/recording.rst",
            category="Recordings",
            labels={"dataset": "{dataset}"},
        ),
        png=f"{RUN}/figures/recording_{{dataset}}.png",
    log:
        f"{RUN}/logs/plot_recording/{{dataset}}.log",
    benchmark:
        f"{RUN}/benchmarks/plot_recording/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=datasets_of(simulated=False),
    conda:
        "../envs/whatwhere.yaml"
    params:
        model=lambda wildcards: shown_model(wildcards.dataset),
        code=code_of("plot_recording"),
    message:
        "Draw the recording {wildcards.dataset}"
    script:
        "../workflow_scripts/plot_recording.py"


rule plot_barcodes:
    input:
        barcodes=f"{RUN}/barcodes/{{experiment}}/{{dataset}}/{{model}}.csv",
        scores=f"{RUN}/barcodes/{{experiment}}/{{dataset}}/{{model}}_scores.csv",
        fields=f"{RUN}/barcodes/{{experiment}}/{{dataset}}/{{model}}_fields.nc",
    output:
        svg=report(
            f"{RUN}/figures/barcodes/{{experiment}}/{{dataset}}/{{model}}.svg",
            caption="captions/barcodes.rst",
            category="Barcodes",
            labels={
                "experiment": "{experiment}",
                "dataset": "{dataset}",
                "model": "{model}",
            },
        ),
        png=f"{RUN}/figures/barcodes/{{experiment}}/{{dataset}}/{{model}}.png",
    log:
        f"{RUN}/logs/plot_barcodes/{{experiment}}/{{dataset}}/{{model}}.log",
    benchmark:
        f"{RUN}/benchmarks/plot_barcodes/{{experiment}}/{{dataset}}/{{model}}.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_barcodes"),
    message:
        "Draw the barcodes of {wildcards.model} on {wildcards.dataset}"
    script:
        "../workflow_scripts/plot_barcodes.py"


rule plot_data_efficiency:
    input:
        table=f"{RUN}/tables/data_efficiency.csv",
        reference=PAPER_CURVES,
    output:
        svg=report(
            f"{RUN}/figures/data_efficiency.svg",
            caption="captions/data_efficiency.rst",
            category="Data efficiency",
        ),
        png=f"{RUN}/figures/data_efficiency.png",
    log:
        f"{RUN}/logs/plot_data_efficiency.log",
    benchmark:
        f"{RUN}/benchmarks/plot_data_efficiency.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_data_efficiency"),
    message:
        "Draw data efficiency"
    script:
        "../workflow_scripts/plot_data_efficiency.py"
