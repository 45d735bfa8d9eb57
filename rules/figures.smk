rule plot_fig4:
    input:
        dataset=figure_file("fig4", f"{RUN}/data/{{dataset}}.nc"),
        fits=figure_file("fig4", f"{RUN}/fits/{FIT}/fits.pt"),
        selection=figure_file(
            "fig4", f"{RUN}/selection/{{experiment}}/{{dataset}}/{{model}}.csv"
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
            f"{RUN}/figures/fig4.svg", caption="captions/fig4.rst", category="Figure 4"
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
