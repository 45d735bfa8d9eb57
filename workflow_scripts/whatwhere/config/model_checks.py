"""Checks of models beyond their schema: lengths that fit together, names that exist, sizes that fit."""

from whatwhere.config.files import Config
from whatwhere.config.resolve import STAGES
from whatwhere.config.schema import Sources, check_schema, fail
from whatwhere.config.traits import traits_of


def check_model(config: Config, name: str, sources: Sources) -> None:
    """Refuse a model that contradicts itself or names what there is not; errors as in ``validate``."""
    _check_definition(config["models"][name], ("models", name), sources)
    _check_localizer(config, name, sources)
    _check_members(config, name, sources)
    _check_core_from(config, name, sources)


def _check_definition(definition: Config, path: tuple[str, ...], sources: Sources) -> None:
    _check_cores(definition, (*path, "cores"), sources)
    _check_training(definition, (*path, "training"), sources)
    _check_feature_bank(definition, path, sources)


def validate_model(definition: Config) -> None:
    """Refuse a model that does not fulfil its schema; errors as in :func:`validate`."""
    sources: Sources = [("definition", {"models": {"model": definition}})]
    check_schema(definition, "models", ("models", "model"), sources)
    _check_definition(definition, ("models", "model"), sources)


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
    if "feature_bank" in definition:
        pooled = definition["feature_bank"]["average_pooling"]
        if pooled > image:
            message = f"squares of {pooled} px do not fit into images of {image} px"
            raise fail((*path, "feature_bank", "average_pooling"), message, sources)
        # Layers see the maps of the feature bank.
        image = -(-image // pooled)
    for index, core in enumerate(definition.get("cores", [])):
        _check_kernels(core, image, (*path, "cores", index), sources)
    if traits_of(definition).localizes:
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


def _check_feature_bank(definition: Config, path: tuple[str, ...], sources: Sources) -> None:
    """Refuse a feature bank below a model that cannot stand on it, or a missing one."""
    traits = traits_of(definition)
    # A closed form learns weights of features, not features.
    closed = traits.rule == "fit_baseline" and traits.feature_weights and not traits.localizes
    if closed and not {"feature_bank", "core_from"} & set(definition):
        raise fail(path, "key 'feature_bank' is missing", sources)
    if "feature_bank" not in definition:
        if definition.get("input") == "features" and "core_from" not in definition:
            raise fail((*path, "input"), "features needs the key 'feature_bank' or 'core_from'", sources)
        return
    if definition.get("input", "features") != "features":
        message = f"is not seen by a model with 'input: {definition['input']}': set input to features"
        raise fail((*path, "feature_bank"), message, sources)
    readout = definition.get("readout", {})
    start = readout.get("mask_start", readout)
    if start.get("position", "random") not in ("random", "uniform", "center"):
        message = (
            f"'{start['position']}' is a place in the image, not in the maps of a feature bank: use random"
        )
        raise fail((*path, "readout"), message, sources)
    if "localizer" in definition or traits_of(definition).known_field:
        raise fail(
            (*path, "feature_bank"),
            "a model that is given its kernels cannot stand on a feature bank",
            sources,
        )


def _check_training(definition: Config, path: tuple[str, ...], sources: Sources) -> None:
    training = definition.get("training")
    if training is None:
        return
    cycle = training.get("schedule") == "one_cycle"
    for key in STAGES:
        if cycle and key in training:
            message = "belongs to learning-rate stages: leave it out with 'schedule: one_cycle'"
            raise fail((*path, key), message, sources)
        if not cycle and key not in training:
            raise fail(path, f"key '{key}' is missing", sources)
    if definition.get("refit") and not cycle:
        message = (
            "stages end by validation, which a second fit to all images has not: set 'schedule: one_cycle'"
        )
        raise fail((*path[:-1], "refit"), message, sources)
    if "weight_decay" in training and "readout" not in definition:
        message = f"a {definition['family']} has no readout whose weights could decay: leave it out"
        raise fail((*path, "weight_decay"), message, sources)
    if ("max_steps" in training) == ("max_epochs" in training):
        raise fail(path, "needs either 'max_steps' or 'max_epochs'", sources)
    if training.get("max_steps", training["evaluate_every"]) < training["evaluate_every"]:
        message = (
            f"{training['max_steps']} steps end before the first evaluation, after "
            f"'evaluate_every' {training['evaluate_every']}"
        )
        raise fail((*path, "max_steps"), message, sources)


def _check_localizer(config: Config, name: str, sources: Sources) -> None:
    """Refuse a start from inferred locations without a localizer that fits."""
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
    if "localizer" not in definition:
        for key, needs in wanted.items():
            if needs:
                raise fail((*path, *key.split(".")), "posterior needs the key 'localizer'", sources)
        return
    known = [n for n, model in config["models"].items() if traits_of(model).localizes]
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
        if traits_of(config["models"][member]).rule == "fit_ensemble":
            raise fail(path, f"'{member}' is itself ensemble: name its members", sources)


def _check_core_from(config: Config, name: str, sources: Sources) -> None:
    """A core is taken from a network that is fitted, with the same seeds."""
    definition, path = config["models"][name], ("models", name, "core_from")
    source = definition.get("core_from")
    if source is None:
        return
    if ("model" in source) == ("file" in source):
        raise fail(path, "name either a model of this run or a file of another", sources)
    if "feature_bank" in definition and "cores" not in definition:
        message = "a closed form on a transferred core has no bank: leave it out"
        raise fail((*path[:2], "feature_bank"), message, sources)
    if source.get("mode") == "trained" and "cores" not in definition:
        raise fail((*path, "mode"), "closed forms stand on a core as it is: set frozen", sources)
    if "model" not in source:
        return
    networks = [one for one, model in config["models"].items() if "cores" in model and one != name]
    if source["model"] not in networks:
        message = f"'{source['model']}' is no other network of this config; there are {networks}"
        raise fail((*path, "model"), message, sources)
    if config["models"][source["model"]].get("refit"):
        message = (
            f"'{source['model']}' is fitted again with the validation images, by which this model is to be "
            "selected: set 'refit: false' there"
        )
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
