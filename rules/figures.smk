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
        mem_mb=8000,
        runtime="30m",
    params:
        cells=lambda wildcards: cells(EXPERIMENTS[wildcards.experiment]),
        code=code_of("describe_fits"),
    message:
        "Describe the fits of {wildcards.model} on {wildcards.dataset}"
    script:
        "../workflow_scripts/describe_fits.py"


rule plot_fig1:
    input:
        parameters=example_file(
            f"{RUN}/parameters/{{experiment}}/{{dataset}}/{{model}}.nc"
        ),
    output:
        svg=report(
            f"{RUN}/figures/fig1.svg",
            caption="captions/fig1.rst",
            category="Figure 1",
            labels={"figure": "the model"},
        ),
        png=f"{RUN}/figures/fig1.png",
    log:
        f"{RUN}/logs/plot_fig1.log",
    benchmark:
        f"{RUN}/benchmarks/plot_fig1.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_fig1"),
    message:
        "Draw Figure 1"
    script:
        "../workflow_scripts/plot_fig1.py"


rule plot_fig2:
    input:
        scores=figure_files(
            "fig2", f"{RUN}/scores/{{experiment}}/{{dataset}}/{{model}}.csv"
        ),
    output:
        svg=report(
            f"{RUN}/figures/fig2.svg",
            caption="captions/fig2.rst",
            category="Figure 2",
            labels={"figure": "sharing features"},
        ),
        png=f"{RUN}/figures/fig2.png",
    log:
        f"{RUN}/logs/plot_fig2.log",
    benchmark:
        f"{RUN}/benchmarks/plot_fig2.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        families={
            name: config["models"][name]["family"]
            for name in figure_files("fig2", "{model}")
        },
        code=code_of("plot_fig2"),
    message:
        "Draw Figure 2"
    script:
        "../workflow_scripts/plot_fig2.py"


rule plot_fig3:
    input:
        scores=figure_files(
            "fig3", f"{RUN}/scores/{{experiment}}/{{dataset}}/{{model}}.csv"
        ),
        parameters=figure_files(
            "fig3", f"{RUN}/parameters/{{experiment}}/{{dataset}}/{{model}}.nc"
        ),
        locations=figure_files(
            "fig3", f"{RUN}/locations/{{experiment}}/{{dataset}}/{{model}}.csv"
        ),
        reference=f"{workflow.basedir}/config/reference/fig3.csv",
    output:
        svg=report(
            f"{RUN}/figures/fig3.svg",
            caption="captions/fig3.rst",
            category="Figure 3",
            labels={"figure": "models over data sizes"},
        ),
        png=f"{RUN}/figures/fig3.png",
    log:
        f"{RUN}/logs/plot_fig3.log",
    benchmark:
        f"{RUN}/benchmarks/plot_fig3.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_fig3"),
    message:
        "Draw Figure 3"
    script:
        "../workflow_scripts/plot_fig3.py"


rule plot_fig4:
    input:
        parameters=figure_file(
            "fig4", f"{RUN}/parameters/{{experiment}}/{{dataset}}/{{model}}.nc"
        ),
        scores=figure_file(
            "fig4", f"{RUN}/scores/{{experiment}}/{{dataset}}/{{model}}.csv"
        ),
        barcodes=figure_file(
            "fig4", f"{RUN}/barcodes/{{experiment}}/{{dataset}}/{{model}}.csv"
        ),
        barcode_scores=figure_file(
            "fig4", f"{RUN}/barcodes/{{experiment}}/{{dataset}}/{{model}}_scores.csv"
        ),
        reference=f"{workflow.basedir}/config/reference/fig4.csv",
    output:
        svg=report(
            f"{RUN}/figures/fig4.svg",
            caption="captions/fig4.rst",
            category="Figure 4",
            labels={"figure": "two cell types"},
        ),
        png=f"{RUN}/figures/fig4.png",
    log:
        f"{RUN}/logs/plot_fig4.log",
    benchmark:
        f"{RUN}/benchmarks/plot_fig4.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_fig4"),
    message:
        "Draw Figure 4"
    script:
        "../workflow_scripts/plot_fig4.py"


rule plot_fig5:
    input:
        scores=figure_files(
            "fig5", f"{RUN}/scores/{{experiment}}/{{dataset}}/{{model}}.csv"
        ),
        barcodes=figure_files(
            "fig5",
            f"{RUN}/barcodes/{{experiment}}/{{dataset}}/{{model}}.csv",
            has_barcodes,
        ),
        barcode_scores=figure_files(
            "fig5",
            f"{RUN}/barcodes/{{experiment}}/{{dataset}}/{{model}}_scores.csv",
            has_barcodes,
        ),
        reference=f"{workflow.basedir}/config/reference/fig5.csv",
    output:
        svg=report(
            f"{RUN}/figures/fig5.svg",
            caption="captions/fig5.rst",
            category="Figure 5",
            labels={"figure": "nonlinear feature spaces"},
        ),
        png=f"{RUN}/figures/fig5.png",
    log:
        f"{RUN}/logs/plot_fig5.log",
    benchmark:
        f"{RUN}/benchmarks/plot_fig5.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_fig5"),
    message:
        "Draw Figure 5"
    script:
        "../workflow_scripts/plot_fig5.py"


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
