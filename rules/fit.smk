FITTED = "{experiment}/{dataset}/{model}/n{n_neurons}-d{n_images}"
MEMBER = "<results>/fits/{{experiment}}/{{dataset}}/{member}/n{{n_neurons}}-d{{n_images}}"
MEMBERS = lookup(dpath="{model}/members", within=MODELS)


def files_of(folder, condition):
    """Fits and validation scores in a folder, which the condition that fulfills ``condition`` names."""
    files = [f"{folder}/fits.pt", f"{folder}/validation.nc"]
    found = lookup(f"{OF_CONDITION} and {condition}", within=CONDITIONS)
    return collect(files, condition=found)


# The fits of the network, if any, whose core a model takes.
CORE = files_of("{condition.core}", "core != ''")

# Rules that fit the models of a condition: inputs, outputs, hours, parameters and message.
FITTING = {
    "train": {
        "input": {
            "averages": "<results>/sta/{experiment}/{dataset}/n{n_neurons}-d{n_images}.nc",
            "localizer": files_of("<results>/fits/{condition.localizer}", "localizer != ''"),
            "core": CORE,
        },
        "resources": {"runtime": growing(480), "gpu": int(config["device"] != "cpu")},
        "params": {
            "device": config["device"],
            # How often progress is saved changes no result.
            "checkpoint_seconds": untracked(config["checkpoint_seconds"]),
        },
        "message": "Train {wildcards.model} on {wildcards.dataset}",
    },
    "fit_baseline": {
        "input": {"core": CORE},
        "resources": {"runtime": growing(120)},
        "message": "Fit {wildcards.model} to {wildcards.dataset}",
    },
    "fit_ensemble": {
        "input": {
            "member_fits": collect(f"{MEMBER}/fits.pt", member=MEMBERS),
            "member_validation": collect(f"{MEMBER}/validation.nc", member=MEMBERS),
        },
        "output": {"ranking": f"<results>/fits/{FITTED}/ranking.csv"},
        "resources": {"runtime": growing(60)},
        "params": {"members": MEMBERS},
        "message": "Combine fits to {wildcards.dataset} into {wildcards.model}",
    },
}

for name, one in FITTING.items():
    # A job evaluates the path of its script again, with its own params.
    params = one.get("params", {}) | {"script": name, "code": code_of(name)}

    rule:
        name:
            name
        input:
            **one["input"],
            dataset="<results>/data/{dataset}.nc",
        output:
            **one.get("output", {}),
            fits=f"<results>/fits/{FITTED}/fits.pt",
            validation=f"<results>/fits/{FITTED}/validation.nc",
        log:
            f"<logs>/{name}/{FITTED}.log",
        benchmark:
            f"<benchmarks>/{name}/{FITTED}.tsv"
        wildcard_constraints:
            model=fitted_by(name),
        priority: by_experiment
        conda:
            "../envs/whatwhere.yaml"
        threads: 1
        resources:
            **one["resources"],
            mem_mb=growing(16000),
        params:
            **params,
            definition=lookup(dpath="{model}", within=MODELS),
            seeds=lookup(dpath="{experiment}/seeds", within=EXPERIMENTS),
        message:
            one["message"] + ", {wildcards.n_neurons} neurons, {wildcards.n_images} images"
        script:
            f"../workflow_scripts/{params['script']}.py"
