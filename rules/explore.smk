rule synthesize_images:
    input:
        dataset=f"{RUN}/data/{{dataset}}.nc",
        fits=last_cell_file(f"{RUN}/fits/{FIT}/fits.pt"),
        selection=f"{RUN}/selection/{{experiment}}/{{dataset}}/{{model}}.csv",
        scores=f"{RUN}/scores/{{experiment}}/{{dataset}}/{{model}}.csv",
    output:
        images=f"{RUN}/most_exciting/{{experiment}}/{{dataset}}/{{model}}.nc",
    log:
        f"{RUN}/logs/synthesize_images/{{experiment}}/{{dataset}}/{{model}}.log",
    benchmark:
        f"{RUN}/benchmarks/synthesize_images/{{experiment}}/{{dataset}}/{{model}}.tsv"
    conda:
        "../envs/whatwhere.yaml"
    threads: config["threads_per_fit"]
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        code=code_of("synthesize_images"),
    message:
        "Find the images that excite the neurons of {wildcards.model} on {wildcards.dataset} most"
    script:
        "../workflow_scripts/synthesize_images.py"


rule plot_most_exciting:
    input:
        neurons=f"{RUN}/neurons/{{experiment}}/{{dataset}}/{{model}}.nc",
    output:
        svg=report(
            f"{RUN}/figures/most_exciting/{{experiment}}/{{dataset}}/{{model}}.svg",
            caption="captions/most_exciting.rst",
            category="Most exciting images",
            labels={
                "experiment": "{experiment}",
                "dataset": "{dataset}",
                "model": "{model}",
            },
        ),
        png=f"{RUN}/figures/most_exciting/{{experiment}}/{{dataset}}/{{model}}.png",
    log:
        f"{RUN}/logs/plot_most_exciting/{{experiment}}/{{dataset}}/{{model}}.log",
    benchmark:
        f"{RUN}/benchmarks/plot_most_exciting/{{experiment}}/{{dataset}}/{{model}}.tsv"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_most_exciting"),
    message:
        "Draw the images that excite the neurons of {wildcards.model} on {wildcards.dataset} most"
    script:
        "../workflow_scripts/plot_most_exciting.py"


rule describe_neurons:
    input:
        dataset=f"{RUN}/data/{{dataset}}.nc",
        fits=last_cell_file(f"{RUN}/fits/{FIT}/fits.pt"),
        selection=f"{RUN}/selection/{{experiment}}/{{dataset}}/{{model}}.csv",
        scores=f"{RUN}/scores/{{experiment}}/{{dataset}}/{{model}}.csv",
        predictions=f"{RUN}/predictions/{{experiment}}/{{dataset}}/{{model}}.nc",
        averages=if_barcodes(last_cell_file(f"{RUN}/sta/{CELL}.nc")),
        images=if_barcodes(
            f"{RUN}/most_exciting/{{experiment}}/{{dataset}}/{{model}}.nc"
        ),
        barcodes=if_barcodes(f"{RUN}/barcodes/{{experiment}}/{{dataset}}/{{model}}.csv"),
    output:
        neurons=f"{RUN}/neurons/{{experiment}}/{{dataset}}/{{model}}.nc",
    log:
        f"{RUN}/logs/describe_neurons/{{experiment}}/{{dataset}}/{{model}}.log",
    benchmark:
        f"{RUN}/benchmarks/describe_neurons/{{experiment}}/{{dataset}}/{{model}}.tsv"
    conda:
        "../envs/whatwhere.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        code=code_of("describe_neurons"),
    message:
        "Describe the neurons of {wildcards.dataset} as {wildcards.model} sees them"
    script:
        "../workflow_scripts/describe_neurons.py"


rule build_explorer:
    input:
        neurons=explored(f"{RUN}/neurons/{{experiment}}/{{dataset}}/{{model}}.nc"),
        # No module of Python, so that `code` does not know it.
        script=SCRIPTS / "whatwhere" / "explorer.js",
    output:
        page=f"{RUN}/explore.html",
    log:
        f"{RUN}/logs/build_explorer.log",
    benchmark:
        f"{RUN}/benchmarks/build_explorer.tsv"
    conda:
        "../envs/whatwhere.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        names=explored_fits(),
        run=config["run"],
        code=code_of("build_explorer"),
    message:
        "Build the explorer of all neurons"
    script:
        "../workflow_scripts/build_explorer.py"
