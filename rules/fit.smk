# The fits of the network, if any, whose core a model takes.
CORE = collect(
    ["{condition.core}/fits.pt", "{condition.core}/validation.nc"],
    condition=lookup(f"{OF_CONDITION} and core != ''", within=CONDITIONS),
)


rule train:
    input:
        dataset="<results>/data/{dataset}.nc",
        averages="<results>/sta/{experiment}/{dataset}/n{n_neurons}-d{n_images}.nc",
        localizer=collect(
            [
                "<results>/fits/{condition.localizer}/fits.pt",
                "<results>/fits/{condition.localizer}/validation.nc",
            ],
            condition=lookup(f"{OF_CONDITION} and localizer != ''", within=CONDITIONS),
        ),
        core=CORE,
    output:
        fits="<results>/fits/{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}/fits.pt",
        validation="<results>/fits/{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}/validation.nc",
    log:
        "<logs>/train/{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}.log",
    benchmark:
        "<benchmarks>/train/{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}.tsv"
    wildcard_constraints:
        model=fitted_by("train"),
    priority: by_experiment
    conda:
        "../envs/whatwhere.yaml"
    threads: 1
    resources:
        gpu=int(config["device"] != "cpu"),
        mem_mb=growing(16000),
        runtime=growing(480),
    params:
        definition=lookup(dpath="{model}", within=MODELS),
        seeds=lookup(dpath="{experiment}/seeds", within=EXPERIMENTS),
        device=config["device"],
        # How often progress is saved changes no result.
        checkpoint_seconds=untracked(config["checkpoint_seconds"]),
        code=code_of("train"),
    message:
        "Train {wildcards.model} on {wildcards.dataset}, {wildcards.n_neurons} neurons, {wildcards.n_images} images"
    script:
        "../workflow_scripts/train.py"


rule fit_baseline:
    input:
        dataset="<results>/data/{dataset}.nc",
        core=CORE,
    output:
        fits="<results>/fits/{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}/fits.pt",
        validation="<results>/fits/{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}/validation.nc",
    log:
        "<logs>/fit_baseline/{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}.log",
    benchmark:
        "<benchmarks>/fit_baseline/{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}.tsv"
    wildcard_constraints:
        model=fitted_by("fit_baseline"),
    priority: by_experiment
    conda:
        "../envs/whatwhere.yaml"
    threads: 1
    resources:
        mem_mb=growing(16000),
        runtime=growing(120),
    params:
        definition=lookup(dpath="{model}", within=MODELS),
        seeds=lookup(dpath="{experiment}/seeds", within=EXPERIMENTS),
        code=code_of("fit_baseline"),
    message:
        "Fit {wildcards.model} to {wildcards.dataset}, {wildcards.n_neurons} neurons, {wildcards.n_images} images"
    script:
        "../workflow_scripts/fit_baseline.py"


rule fit_ensemble:
    input:
        dataset="<results>/data/{dataset}.nc",
        member_fits=collect(
            "<results>/fits/{{experiment}}/{{dataset}}/{member}/n{{n_neurons}}-d{{n_images}}/fits.pt",
            member=lookup(dpath="{model}/members", within=MODELS),
        ),
        member_validation=collect(
            "<results>/fits/{{experiment}}/{{dataset}}/{member}/n{{n_neurons}}-d{{n_images}}/validation.nc",
            member=lookup(dpath="{model}/members", within=MODELS),
        ),
    output:
        fits="<results>/fits/{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}/fits.pt",
        validation="<results>/fits/{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}/validation.nc",
        ranking="<results>/fits/{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}/ranking.csv",
    log:
        "<logs>/fit_ensemble/{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}.log",
    benchmark:
        "<benchmarks>/fit_ensemble/{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}.tsv"
    wildcard_constraints:
        model=fitted_by("fit_ensemble"),
    priority: by_experiment
    conda:
        "../envs/whatwhere.yaml"
    threads: 1
    resources:
        mem_mb=growing(16000),
        runtime=growing(60),
    params:
        definition=lookup(dpath="{model}", within=MODELS),
        members=lookup(dpath="{model}/members", within=MODELS),
        seeds=lookup(dpath="{experiment}/seeds", within=EXPERIMENTS),
        code=code_of("fit_ensemble"),
    message:
        "Combine fits to {wildcards.dataset} into {wildcards.model}, {wildcards.n_neurons} neurons, {wildcards.n_images} images"
    script:
        "../workflow_scripts/fit_ensemble.py"
