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
