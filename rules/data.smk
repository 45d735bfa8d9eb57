rule download:
    output:
        done="<results>/downloads/{dataset}.done",
    log:
        "<logs>/download/{dataset}.log",
    wildcard_constraints:
        dataset=any_of(DOWNLOADED),
    # Compute nodes of a cluster need no internet.
    localrule: True
    conda:
        "../envs/whatwhere.yaml"
    params:
        name="{dataset}",
        definition=lookup(dpath="{dataset}", within=DATASETS),
        downloads="results/downloads",
        # Files are checked: their origin changes nothing.
        mirror=untracked(config["mirror"]),
        code=code_of_kind("download"),
    message:
        "Download {wildcards.dataset}"
    script:
        "../workflow_scripts/download.py"


# Verbs of the rules that make datasets, and the datasets that each makes.
for name, (verb, datasets) in {
    "simulate": ("Simulate", SIMULATIONS),
    "load_recording": ("Load the recording", RECORDINGS),
}.items():
    # A job evaluates the path of its script again, with its own params.
    params = {"script": name, "code": code_of_kind(name)}

    rule:
        name:
            name
        input:
            # A simulation has none of these.
            files=lambda wildcards: input_files(config["datasets"][wildcards.dataset]),
            sessions=lambda wildcards: collect(
                "<results>/data/{session}.nc",
                session=sessions_of(config["datasets"][wildcards.dataset]),
            ),
            downloaded=downloads,
        output:
            dataset="<results>/data/{dataset}.nc",
        log:
            f"<logs>/{name}/{{dataset}}.log",
        benchmark:
            f"<benchmarks>/{name}/{{dataset}}.tsv"
        wildcard_constraints:
            dataset=any_of(datasets),
        priority: by_experiment
        conda:
            "../envs/whatwhere.yaml"
        resources:
            mem_mb=growing(8000),
            runtime=growing(60),
        params:
            **params,
            name="{dataset}",
            definition=lookup(dpath="{dataset}", within=DATASETS),
            downloads="results/downloads",
            files=lambda wildcards: stamp(config["datasets"][wildcards.dataset]),
            # Files are checked: their origin changes nothing.
            mirror=untracked(config["mirror"]),
        message:
            f"{verb} {{wildcards.dataset}}"
        script:
            f"../workflow_scripts/{params['script']}.py"


rule compute_sta:
    input:
        dataset="<results>/data/{dataset}.nc",
    output:
        sta="<results>/sta/{experiment}/{dataset}/n{n_neurons}-d{n_images}.nc",
    log:
        "<logs>/compute_sta/{experiment}/{dataset}/n{n_neurons}-d{n_images}.log",
    benchmark:
        "<benchmarks>/compute_sta/{experiment}/{dataset}/n{n_neurons}-d{n_images}.tsv"
    priority: by_experiment
    conda:
        "../envs/whatwhere.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(30),
    params:
        seeds=lookup(dpath="{experiment}/seeds", within=EXPERIMENTS),
        smoothing=lambda wildcards: config["datasets"][wildcards.dataset].get(
            "sta_smoothing", config["sta_smoothing"]
        ),
        code=code_of("compute_sta"),
    message:
        "Spike-triggered averages of {wildcards.dataset}, {wildcards.n_neurons} neurons, {wildcards.n_images} images"
    script:
        "../workflow_scripts/compute_sta.py"


rule describe_datasets:
    input:
        collect("<results>/datasets/{dataset}.html", dataset=FITS.dataset.unique()),
