"""Validating configurations before anything runs: schemas, and what they cannot say."""

from __future__ import annotations

from whatwhere.config.files import SIMULATED, Config
from whatwhere.config.schema import Sources, check_schema, fail
from whatwhere.config.traits import families_that, n_features, traits_of

FIGURES: dict[str, tuple[tuple[str, ...], int | None]] = {
    "fig2": (SIMULATED, None),
    "fig3": (("simulated_dog",), 1),
    "fig4": (("simulated_dog",), 2),
    "fig5": (SIMULATED, 2),
    "data_efficiency": (SIMULATED, None),
}
"""What figures need: kinds of datasets, and the fewest features of a factorised model (None: no model)."""

MAX_PHOTOGRAPH_CROPS = 1024
"""Most training and validation crops of two photographs; more would show the same pixels over and over."""


def validate(config: Config, sources: Sources) -> None:
    """Refuse a configuration that does not fulfil the schemas or contradicts itself.

    Parameters
    ----------
    config
        The merged configuration.
    sources
        Name and content of what was merged, in order, to name the culprit in messages.

    Raises
    ------
    UserError
        With one line that names file and key, what is wrong and what is allowed.
    """
    check_schema(config, "config", (), sources)
    if config["sta_smoothing"] % 2 == 0:
        raise fail(("sta_smoothing",), f"{config['sta_smoothing']} must be odd", sources)
    for section in ("datasets", "models"):
        # What others are like comes first, so that a mistake is found where it was made.
        for name in _bases_first(section, sources, list(config[section])):
            check_schema(config[section][name], section, (section, name), sources)
    for name, definition in config["models"].items():
        _check_cores(definition, ("models", name, "cores"), sources)
        _check_training(definition, ("models", name, "training"), sources)
        _check_bank(definition, ("models", name), sources)
        _check_localizer(config, name, sources)
        _check_members(config, name, sources)
        _check_core_from(config, name, sources)
    for name, definition in config["datasets"].items():
        if definition["kind"] in SIMULATED:
            _check_simulation(definition, ("datasets", name), sources)
        for key in ("images", "responses", "splits_from", "path"):
            if {"{", "}"} & set(str(definition.get(key, ""))):
                message = f"'{definition[key]}': Snakemake reads braces as wildcards: rename file or folder"
                raise fail(("datasets", name, key), message, sources)
        if "stimuli" in definition:
            _check_stimuli(config, name, sources)
        if definition["kind"] == "pooled":
            _check_pool(config, name, sources)
    _check_experiments(config, sources)
    for figure in FIGURES:
        _check_figure(config, figure, sources)


def _bases_first(section: str, sources: Sources, names: list[str]) -> list[str]:
    """Names of a section, those that others are ``like`` before these."""
    like: dict[str, str] = {}
    for _, content in sources:
        for name, entry in (content.get(section) or {}).items():
            if isinstance(entry, dict) and "like" in entry:
                like[name] = entry["like"]

    def n_bases(name: str) -> int:
        return 1 + n_bases(like[name]) if name in like else 0

    return sorted(names, key=n_bases)


def validate_model(definition: Config) -> None:
    """Refuse a model that does not fulfil its schema; errors as in :func:`validate`."""
    sources: Sources = [("definition", {"models": {"model": definition}})]
    check_schema(definition, "models", ("models", "model"), sources)
    _check_cores(definition, ("models", "model", "cores"), sources)
    _check_training(definition, ("models", "model", "training"), sources)
    _check_bank(definition, ("models", "model"), sources)


def check_size(config: Config, model: str, image: int, n_neurons: int, sources: Sources) -> None:
    """Refuse a model whose kernels do not fit into images of ``image`` px, or outnumber the neurons.

    Parameters
    ----------
    config
        The merged configuration.
    model
        A name under ``models``.
    image
        Height or width of the images, the smaller one.
    n_neurons
        Size of the population.
    sources
        As for :func:`validate`.
    """
    definition, path = config["models"][model], ("models", model)
    if "bank" in definition:
        pool = definition["bank"]["pool"]
        if pool > image:
            message = f"squares of {pool} px do not fit into images of {image} px"
            raise fail((*path, "bank", "pool"), message, sources)
        # Layers see the maps of the bank.
        image = -(-image // pool)
    for index, core in enumerate(definition.get("cores", [])):
        _check_kernels(core, image, (*path, "cores", index), sources)
    if traits_of(definition).rule == "localize":
        kernel = definition["kernel"]
        if kernel > image:
            raise fail((*path, "kernel"), f"{kernel} px do not fit into images of {image} px", sources)
        for index, block in enumerate(definition["grid"]):
            if max(block["n_kernels"]) > n_neurons:
                message = f"{max(block['n_kernels'])} kernels are more than the {n_neurons} neurons"
                raise fail((*path, "grid", index, "n_kernels"), message, sources)


def _check_kernels(core: Config, image: int, path: tuple[str | int, ...], sources: Sources) -> None:
    size = image
    for kernel, padding in zip(core["kernels"], core["padding"], strict=True):
        if kernel > size:
            message = f"a kernel of {kernel} px does not fit into {size} px (images of {image} px)"
            raise fail((*path, "kernels"), message, sources)
        size -= (kernel - 1) * (padding == "valid")


def _check_cores(definition: Config, path: tuple[str, ...], sources: Sources) -> None:
    for index, core in enumerate(definition.get("cores", [])):
        n_layers = len(core["channels"])
        for key in ("kernels", "padding", "smooth_layers", "sparse_layers"):
            if len(core[key]) != n_layers:
                message = f"has {len(core[key])} elements but 'channels' has {n_layers}: one per layer"
                raise fail((*path, index, key), message, sources)
        if core.get("side_by_side") and "valid" in core["padding"]:
            message = "maps side by side must have one size: set padding to same"
            raise fail((*path, index, "padding"), message, sources)


def _check_bank(definition: Config, path: tuple[str, ...], sources: Sources) -> None:
    """What stands on a bank, and what cannot."""
    if definition["family"] == "factorized_ridge" and not {"bank", "core_from"} & set(definition):
        raise fail(path, "key 'bank' is missing", sources)
    if "bank" not in definition:
        if definition.get("input") == "features" and "core_from" not in definition:
            raise fail((*path, "input"), "features needs the key 'bank' or 'core_from'", sources)
        return
    bank = definition["bank"]
    if not bank["wavelengths"] and not bank["means"]:
        message = "holds no maps: name wavelengths, or set means to true"
        raise fail((*path, "bank", "wavelengths"), message, sources)
    if definition.get("input", "features") != "features":
        message = f"is not seen by a model with 'input: {definition['input']}': set input to features"
        raise fail((*path, "bank"), message, sources)
    readout = definition.get("readout", {})
    start = readout.get("mask_start", readout)
    if start.get("position", "random") not in ("random", "uniform"):
        message = f"'{start['position']}' is a place in the image, not in the maps of a bank: use random"
        raise fail((*path, "readout"), message, sources)
    if "localizer" in definition or definition["family"] == "cnn_known_kernel":
        raise fail((*path, "bank"), "a model that is given its kernels cannot stand on a bank", sources)


def _check_training(definition: Config, path: tuple[str, ...], sources: Sources) -> None:
    training = definition.get("training")
    if training is None:
        return
    cycle = training.get("schedule") == "one_cycle"
    for key in ("patience", "burn_in", "n_stages", "factor", "restore"):
        if cycle and key in training:
            message = "belongs to learning-rate stages: leave it out with 'schedule: one_cycle'"
            raise fail((*path, key), message, sources)
        if not cycle and key not in training:
            raise fail(path, f"key '{key}' is missing", sources)
    if "weight_decay" in training and "readout" not in definition:
        message = f"a {definition['family']} has no readout whose weights could decay: leave it out"
        raise fail((*path, "weight_decay"), message, sources)
    if training["max_steps"] < training["evaluate_every"]:
        message = (
            f"{training['max_steps']} steps end before the first evaluation, after "
            f"'evaluate_every' {training['evaluate_every']}"
        )
        raise fail((*path, "max_steps"), message, sources)


def _check_localizer(config: Config, name: str, sources: Sources) -> None:
    """What starts from inferred locations needs a localizer that fits it."""
    definition, path = config["models"][name], ("models", name)
    readout = definition.get("readout", {})
    mask_start = readout.get("mask_start", {})
    wanted = {
        "readout.mask_start.position": mask_start.get("position") == "posterior",
        "readout.position": readout.get("position") == "posterior",
        "readout.feature_start.mean": readout.get("feature_start", {}).get("mean") == "posterior",
        "cores": any(core.get("kernel_start") == "posterior" for core in definition.get("cores", [])),
    }
    if mask_start.get("height") == "amplitude" and mask_start["position"] != "posterior":
        message = "amplitude needs 'position: posterior'"
        raise fail((*path, "readout", "mask_start", "height"), message, sources)
    if "relocation" in definition and not traits_of(definition).moves:
        able = " and ".join(families_that("moves"))
        message = f"neurons of a {definition['family']} cannot move: only {able} can"
        raise fail((*path, "relocation"), message, sources)
    if "localizer" not in definition:
        for key, needs in wanted.items():
            if needs:
                raise fail((*path, *key.split(".")), "posterior needs the key 'localizer'", sources)
        return
    known = [n for n, model in config["models"].items() if traits_of(model).rule == "localize"]
    localizer = config["models"].get(definition["localizer"], {})
    if definition["localizer"] not in known:
        message = f"'{definition['localizer']}' is no model of family localization; there are {known}"
        raise fail((*path, "localizer"), message, sources)
    counts = {count for block in localizer["grid"] for count in block["n_kernels"]}
    for index, core in enumerate(definition["cores"]):
        if core.get("kernel_start") != "posterior":
            continue
        here = (*path, "cores", index)
        if len(core["channels"]) != 1 or core["channels"] != definition["cores"][0]["channels"]:
            message = "kernel_start: posterior is for single layers of the same number of channels"
            raise fail((*here, "channels"), message, sources)
        if core["channels"][0] not in counts:
            message = f"{core['channels'][0]} is not among the n_kernels of '{definition['localizer']}'"
            raise fail((*here, "channels", 0), message, sources)
        if core["kernels"][0] != localizer["kernel"]:
            message = f"{core['kernels'][0]} px, but '{definition['localizer']}' has {localizer['kernel']} px"
            raise fail((*here, "kernels", 0), message, sources)


def _check_members(config: Config, name: str, sources: Sources) -> None:
    """A combination is made from models that are fitted, not from other combinations."""
    for position, member in enumerate(config["models"][name].get("members", [])):
        path = ("models", name, "members", position)
        if member not in config["models"]:
            defined = ", ".join(sorted(config["models"]))
            raise fail(path, f"'{member}' is not defined under 'models'; defined are {defined}", sources)
        if traits_of(config["models"][member]).rule == "combine":
            raise fail(path, f"'{member}' is itself combined: name its members", sources)


def _check_core_from(config: Config, name: str, sources: Sources) -> None:
    """A core is taken from a network that is fitted, with the same seeds."""
    definition, path = config["models"][name], ("models", name, "core_from")
    if "core_from" not in definition:
        return
    source = definition["core_from"]
    if ("model" in source) == ("file" in source):
        raise fail(path, "name either a model of this run or a file of another", sources)
    if (source["mode"] == "trained") != ("rate" in source):
        raise fail((*path, "rate"), "belongs to 'mode: trained', which needs it", sources)
    if "bank" in definition and "cores" not in definition:
        raise fail((*path[:2], "bank"), "a closed form on a carried core has no bank: leave it out", sources)
    if source.get("mode") == "trained" and "cores" not in definition:
        raise fail((*path, "mode"), "closed forms stand on a core as it is: set frozen", sources)
    if "model" not in source:
        return
    networks = [one for one, model in config["models"].items() if "cores" in model and one != name]
    if source["model"] not in networks:
        message = f"'{source['model']}' is no other network of this config; there are {networks}"
        raise fail((*path, "model"), message, sources)
    users = [one for one in config["experiments"] if name in one["models"]]
    for user in users:
        experiment = source.get("experiment", user["name"])
        fitted = [
            one
            for one in config["experiments"]
            if one["name"] == experiment
            and source["model"] in one["models"]
            and source.get("dataset", one["datasets"][0]) in one["datasets"]
            and set(user["seeds"]) <= set(one["seeds"])
            and ("dataset" not in source or ("all" in one["n_neurons"] and "all" in one["n_images"]))
        ]
        if not fitted:
            message = (
                f"no experiment '{experiment}' fits '{source['model']}' to what is asked for with all seeds "
                f"of '{user['name']}': add it to an experiment"
            )
            raise fail((*path, "model"), message, sources)


def _check_simulation(definition: Config, path: tuple[str, ...], sources: Sources) -> None:
    n_neurons, image = definition["n_neurons"], definition["image_size"]
    if definition["kind"] == "simulated_features":
        _check_types(n_neurons, definition["n_types"], "types", path, sources)
        units, places = n_neurons // definition["n_types"], (image - 12) ** 2
        if units > places:
            message = f"{units} units per type are more than the {places} locations in {image} px"
            raise fail((*path, "n_neurons"), message, sources)
        if definition["feature_space"]["name"] == "vgg19" and definition["color"] != "rgb":
            raise fail((*path, "color"), "must be rgb for feature_space vgg19", sources)
        return
    if definition["kind"] == "simulated_dog":
        _check_types(n_neurons, len(definition["scales"]), "scales", path, sources)
    elif definition["n_simple_types"] + definition["n_complex_types"] == 0:
        raise fail((*path, "n_simple_types"), "there must be a simple or a complex type", sources)
    patch = definition["patch"]
    if patch > image:
        message = f"a receptive field of {patch} px does not fit into {image} px"
        raise fail((*path, "patch"), message, sources)
    if patch % 2 == 0:
        raise fail((*path, "patch"), f"{patch} must be odd", sources)


def _check_types(n_neurons: int, n_types: int, what: str, path: tuple[str, ...], sources: Sources) -> None:
    if n_neurons % n_types:
        raise fail((*path, "n_neurons"), f"{n_neurons} is no multiple of the {n_types} {what}", sources)


def _check_stimuli(config: Config, name: str, sources: Sources) -> None:
    definition, path = config["datasets"][name], ("datasets", name, "stimuli")
    stimuli = definition["stimuli"]
    if stimuli.get("validation", 0) + stimuli.get("test", 0) >= 1:
        message = "validation and test add up to 1 or more: leave images to train on"
        raise fail(path, message, sources)
    if stimuli["source"] == "photographs" and definition["n_images"] > MAX_PHOTOGRAPH_CROPS:
        message = (
            f"two photographs give at most {MAX_PHOTOGRAPH_CROPS} images but n_images is "
            f"{definition['n_images']}: use source generated, images or recording"
        )
        raise fail((*path, "source"), message, sources)
    if stimuli["source"] == "recording":
        other = config["datasets"].get(stimuli["dataset"])
        if other is None or other["kind"] in SIMULATED:
            message = f"'{stimuli['dataset']}' is no recorded dataset of this config"
            raise fail((*path, "dataset"), message, sources)


def _check_pool(config: Config, name: str, sources: Sources) -> None:
    """A pool is made of recordings."""
    for position, recording in enumerate(config["datasets"][name]["recordings"]):
        kind = config["datasets"].get(recording, {}).get("kind")
        if kind is None or kind == "pooled" or kind in SIMULATED:
            message = f"'{recording}' is no recorded dataset of this config"
            raise fail(("datasets", name, "recordings", position), message, sources)


def _check_sizes(config: Config, index: int, dataset: str, sources: Sources) -> None:
    """What can be said of the cells of a simulation before it exists."""
    experiment, definition = config["experiments"][index], config["datasets"][dataset]
    for key, what in (("n_neurons", "neurons"), ("n_images", "images")):
        for position, value in enumerate(experiment[key]):
            if value != "all" and value > definition[key]:
                message = f"{value} is more than the {definition[key]} {what} of '{dataset}'"
                raise fail(("experiments", index, key, position), message, sources)
    for position, value in enumerate(experiment["n_images"]):
        if value != "all" and int(value * definition["validation_fraction"]) < 1:
            message = f"{value} leaves no image to validate on"
            raise fail(("experiments", index, "n_images", position), message, sources)
    n_neurons = min(definition["n_neurons"] if n == "all" else n for n in experiment["n_neurons"])
    for model in experiment["models"]:
        check_size(config, model, definition["image_size"], n_neurons, sources)


def _check_known_patches(config: Config, index: int, dataset: str, sources: Sources) -> None:
    if config["datasets"][dataset]["kind"] == "simulated_dog":
        return
    for position, model in enumerate(config["experiments"][index]["models"]):
        definition = config["models"][model]
        if definition.get("input") == "known_patch":
            message = (
                f"a known patch needs a dataset of kind simulated_dog, which '{dataset}' is not: set image"
            )
            raise fail(("models", model, "input"), message, sources)
        if traits_of(definition).known_field:
            message = (
                f"'{model}' needs to know receptive fields, and '{dataset}' is not of kind simulated_dog"
            )
            raise fail(("experiments", index, "models", position), message, sources)


def _check_experiments(config: Config, sources: Sources) -> None:
    names: set[str] = set()
    for index, experiment in enumerate(config["experiments"]):
        path = ("experiments", index)
        for section in ("datasets", "models"):
            for position, name in enumerate(experiment[section]):
                if name not in config[section]:
                    defined = ", ".join(sorted(config[section]))
                    message = f"'{name}' is not defined under '{section}'; defined are {defined}"
                    raise fail((*path, section, position), message, sources)
        for dataset in experiment["datasets"]:
            if config["datasets"][dataset]["kind"] in SIMULATED:
                _check_sizes(config, index, dataset, sources)
            _check_known_patches(config, index, dataset, sources)
        for key in ("n_neurons", "n_images"):
            sizes = [float("inf") if size == "all" else size for size in experiment[key]]
            if sizes != sorted(sizes):
                message = f"{experiment[key]} must rise, 'all' last: figures show the last, largest size"
                raise fail((*path, key), message, sources)
        name = experiment["name"]
        if name in names:
            raise fail((*path, "name"), f"'{name}' is used by an earlier experiment", sources)
        names.add(name)


def _check_figure(config: Config, figure: str, sources: Sources) -> None:
    """Refuse experiments from which a figure cannot be drawn."""
    kinds, fewest = FIGURES[figure]
    drawn = [index for index, one in enumerate(config["experiments"]) if one["figure"] == figure]
    features = []
    for index in drawn:
        experiment = config["experiments"][index]
        for dataset in experiment["datasets"]:
            if config["datasets"][dataset]["kind"] not in kinds:
                message = f"{figure} needs datasets of kind {' or '.join(kinds)}, which '{dataset}' is not"
                raise fail(("experiments", index, "figure"), message, sources)
        models = [config["models"][name] for name in experiment["models"]]
        features += [n_features(model) for model in models if traits_of(model).factorized]
    if drawn and fewest is not None and max(features, default=0) < fewest:
        message = f"{figure} needs a model of family cnn_factorized with {fewest} features or more"
        raise fail(("experiments", drawn[0], "figure"), message, sources)
