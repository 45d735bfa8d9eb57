rule build_explorer:
    input:
        neurons=of_fits("neurons/{fit.path}.nc", "explored"),
        # No module of Python, so that `code` does not know it.
        script=SCRIPTS / "whatwhere" / "explorer.js",
    output:
        page="<results>/explore.html",
    log:
        "<logs>/build_explorer.log",
    benchmark:
        "<benchmarks>/build_explorer.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        names=names_of("explored"),
        labels=LABELS,
        datasets=DATASET_LABELS,
        run=config["run"],
        code=code_of("build_explorer"),
    message:
        "Build the explorer of all neurons"
    script:
        "../workflow_scripts/build_explorer.py"
