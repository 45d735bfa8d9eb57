rule plot_most_exciting:
    input:
        neurons="<results>/neurons/{experiment}/{dataset}/{model}.nc",
    output:
        svg=report(
            "<results>/figures/most_exciting/{experiment}/{dataset}/{model}.svg",
            caption="captions/most_exciting.rst",
            category="Most exciting images",
            labels=of_model,
        ),
        png="<results>/figures/most_exciting/{experiment}/{dataset}/{model}.png",
    log:
        "<logs>/plot_most_exciting/{experiment}/{dataset}/{model}.log",
    benchmark:
        "<benchmarks>/plot_most_exciting/{experiment}/{dataset}/{model}.tsv"
    priority: by_experiment
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        model=lambda wildcards: LABELS[wildcards.model],
        dataset=lambda wildcards: DATASET_LABELS[wildcards.dataset],
        code=code_of("plot_most_exciting"),
    message:
        "Draw the images that excite the neurons of {wildcards.model} on {wildcards.dataset} most"
    script:
        "../workflow_scripts/plot_most_exciting.py"


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
