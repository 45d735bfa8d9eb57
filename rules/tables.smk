rule collect_table1:
    input:
        scores=figure_files(
            "table1", f"{RUN}/scores/{{experiment}}/{{dataset}}/{{model}}.csv"
        ),
        selection=figure_files(
            "table1", f"{RUN}/selection/{{experiment}}/{{dataset}}/{{model}}.csv"
        ),
        reference=f"{workflow.basedir}/config/reference/table1.csv",
    output:
        table=f"{RUN}/tables/table1.csv",
    log:
        f"{RUN}/logs/collect_table1.log",
    benchmark:
        f"{RUN}/benchmarks/collect_table1.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        regions=lambda wildcards: {
            name: str(config["datasets"][name].get("region", name))
            for name in table1_names("datasets")
        },
        losses=lambda wildcards: {
            name: config["models"][name]["loss"] for name in table1_names("models")
        },
        code=code_of("collect_table1"),
    message:
        "Collect Table 1"
    script:
        "../workflow_scripts/collect_table1.py"


rule plot_table1:
    input:
        table=f"{RUN}/tables/table1.csv",
    output:
        svg=report(
            f"{RUN}/figures/table1.svg",
            caption="captions/table1.rst",
            category="Table 1",
            labels={"figure": "mouse V1"},
        ),
        png=f"{RUN}/figures/table1.png",
    log:
        f"{RUN}/logs/plot_table1.log",
    benchmark:
        f"{RUN}/benchmarks/plot_table1.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_table1"),
    message:
        "Draw Table 1"
    script:
        "../workflow_scripts/plot_table1.py"
