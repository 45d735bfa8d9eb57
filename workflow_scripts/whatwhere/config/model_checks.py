"""Checks of models beyond their schema: lengths that fit together, names that exist, sizes that fit."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from whatwhere.bank_layout import BankLayout
from whatwhere.config.files import Config
from whatwhere.config.schema import Sources, fail, undefined
from whatwhere.config.traits import traits_of

_OF_STILLS = {"logarithm", "weights"}  # of a feature bank
_OF_MOVIES = {"temporal_basis", "motion", "temporal_rank", "temporal_l2", "temporal_smoothness", "window"}

Path = tuple[str | int, ...]
Mistakes = Iterator[tuple[Path, str]]
"""Place of a mistake, inside of the model in this module, and message; the first mistake is shown."""


def check_model(config: Config, name: str, sources: Sources) -> None:
    """Refuses a model that contradicts itself or names an undefined model; errors as in ``validate``."""
    models, definition = config["models"], config["models"][name]
    checks = [_mistakes(definition), _mistakes_of_localizer(models, definition)]
    checks += [_mistakes_of_members(models, definition), _mistakes_of_core_from(config, name)]
    _refuse(itertools.chain(*checks), name, sources)


def check_size(config: Config, model: str, image: int, n_neurons: int, sources: Sources) -> None:
    """Refuses a model whose kernels do not fit into images of ``image`` px, or outnumber the neurons.

    ``image`` is height or width of the images, the smaller one; the others are as for ``validate``.
    """
    _refuse(_mistakes_of_size(config["models"][model], image, n_neurons), model, sources)


def check_stimulus(config: Config, model: str, movie: bool, sources: Sources) -> None:
    """Refuses a model of movies on still images, and the reverse; parameters as for :func:`check_size`."""
    _refuse(mistakes_on(config["models"][model], movie), model, sources)


def mistakes_on(definition: Config, movie: bool) -> Mistakes:
    """Mistakes of a model on a movie, or on still images."""
    if not movie:
        for path in _places(definition, lambda key, _: key in _OF_MOVIES):
            yield path, "is for movies: leave it out for still images"
        if max(definition.get("state", {}).get("modulation", {}).get("lags", [0])):
            yield ("state", "modulation", "lags"), "are bins of a movie: leave them out for still images"
        return
    traits = traits_of(definition)
    for path in _places(definition.get("feature_bank"), lambda key, _: key in _OF_STILLS):
        yield ("feature_bank", *path), "is for still images: leave it out for movies"
    if "localizer" in definition:
        yield ("localizer",), "infers locations from still images, not from movies: leave it out"
    if traits.localizes or traits.known_field or definition["family"] in ("hsm", "window_ridge"):
        yield ("family",), f"a {definition['family']} reads still images, not movies: leave it out"
    if definition.get("input") == "known_patch":
        yield ("input",), "movies have no known patches: set image, and 'window' for a part of the frames"
    for index, block in enumerate(definition["grid"]):
        if definition["family"] == "factorized_ridge" and "temporal_l2" not in block:
            yield ("grid", index), "a movie needs the key 'temporal_l2', the penalty on temporal filters"


def _places(inside: Any, wanted: Callable[[Any, Any], bool], path: Path = ()) -> Iterator[Path]:
    """Yields the places inside of a definition whose key and value are wanted."""
    items = (
        inside.items() if isinstance(inside, dict) else enumerate(inside if isinstance(inside, list) else ())
    )
    for key, value in items:
        if wanted(key, value):
            yield (*path, key)
        yield from _places(value, wanted, (*path, key))


def _refuse(mistakes: Mistakes, name: str, sources: Sources) -> None:
    for path, message in mistakes:
        raise fail(("models", name, *path), message, sources)


def _mistakes_of_size(definition: Config, image: int, n_neurons: int) -> Mistakes:
    if "feature_bank" in definition:
        # Shares of the width are taken of the smaller side, which is the width of square images.
        side = BankLayout(definition["feature_bank"], 1, image).stride
        if side > image:
            message = f"squares of {side} px do not fit into images of {image} px"
            yield ("feature_bank", "average_pooling"), message
        # Layers see the maps of the feature bank.
        image = -(-image // side)
    for index, core in enumerate(definition.get("cores", [])):
        size = image
        for kernel, padding in zip(core["kernels"], core["padding"], strict=True):
            if kernel > size and padding == "valid":
                message = f"a kernel of {kernel} px does not fit into {size} px (images of {image} px)"
                yield ("cores", index, "kernels"), message
            size -= (kernel - 1) * (padding == "valid")
    if traits_of(definition).localizes:
        if definition["kernel"] > image:
            yield ("kernel",), f"{definition['kernel']} px do not fit into images of {image} px"
        for index, block in enumerate(definition["grid"]):
            if max(block["n_kernels"]) > n_neurons:
                message = f"{max(block['n_kernels'])} kernels are more than the {n_neurons} neurons"
                yield ("grid", index, "n_kernels"), message


def _mistakes(definition: Config) -> Mistakes:
    """Mistakes that are visible in the model alone."""
    for index, core in enumerate(definition.get("cores", [])):
        n_layers = len(core["channels"])
        for key in ("kernels", "padding", "smooth_layers", "sparse_layers"):
            if len(core[key]) != n_layers:
                message = f"has {len(core[key])} elements but 'channels' has {n_layers}: one per layer"
                yield ("cores", index, key), message
        if core.get("side_by_side") and "valid" in core["padding"]:
            yield ("cores", index, "padding"), "maps side by side must have one size: set padding to same"
    if "training" in definition:
        yield from _mistakes_of_training(definition)
    yield from _mistakes_of_state(definition)
    traits = traits_of(definition)
    # A closed form learns weights of features, not features.
    closed = traits.rule == "fit_baseline" and traits.feature_weights and not traits.localizes
    temporal = any("temporal_l2" in block for block in definition["grid"])
    if closed and not temporal and not {"feature_bank", "core_from"} & set(definition):
        yield (), "key 'feature_bank' is missing"
    if "feature_bank" not in definition:
        if definition.get("input") == "features" and "core_from" not in definition:
            yield ("input",), "features needs the key 'feature_bank' or 'core_from'"
        return
    if definition.get("input", "features") != "features":
        message = f"a model with 'input: {definition['input']}' does not use it: set input to features"
        yield ("feature_bank",), message
    readout = definition.get("readout", {})
    start = readout.get("mask_start", readout).get("position", "random")
    if start not in ("random", "uniform", "center"):
        message = f"'{start}' is a place in the image, not in the maps of a feature bank: use random"
        yield ("readout",), message
    if "localizer" in definition or traits.known_field:
        yield ("feature_bank",), "a model that is given its kernels cannot stand on a feature bank"


def _mistakes_of_state(definition: Config) -> Mistakes:
    state = definition.get("state")
    for index, block in enumerate(definition["grid"]):
        for key in ("modulation", "gaze"):
            if f"{key}_l2" in block and key not in (state or {}):
                yield ("grid", index, f"{key}_l2"), f"is a penalty of 'state.{key}', which this model lacks"
    if state is None:
        return
    if not {"modulation", "gaze"} & set(state):
        yield ("state",), "says nothing without 'modulation' or 'gaze': add one"
    if traits_of(definition).rule == "fit_baseline":
        closed = {
            ("gaze",): "gaze" in state,
            ("modulation", "hidden"): "hidden" in state.get("modulation", {}),
        }
        for path in (path for path, there in closed.items() if there):
            yield ("state", *path), "is for networks: covariates are further regressors of a closed form"
    gaze = state.get("gaze", {})
    if any(len(row) != len(gaze["covariates"]) for row in gaze.get("calibration", [])):
        message = f"needs {len(gaze['covariates'])} numbers in each row, one per covariate"
        yield ("state", "gaze", "calibration"), message


def _mistakes_of_members(models: Config, definition: Config) -> Mistakes:
    for position, member in enumerate(definition.get("members", [])):
        if member not in models:
            yield ("members", position), undefined(member, "models", models)
        elif traits_of(models[member]).rule == "fit_ensemble":
            yield ("members", position), f"'{member}' is an ensemble: name its members"


def _mistakes_of_training(definition: Config) -> Mistakes:
    training, path = definition["training"], ("training",)
    if definition.get("refit") and training.get("schedule") != "one_cycle":
        message = (
            "stages end by validation, which a second fit to all images lacks: set 'schedule: one_cycle'"
        )
        yield ("refit",), message
    if "weight_decay" in training and "readout" not in definition:
        message = f"a {definition['family']} has no readout whose weights could decay: leave it out"
        yield (*path, "weight_decay"), message
    if ("max_steps" in training) == ("max_epochs" in training):
        yield path, "needs either 'max_steps' or 'max_epochs'"
    every = training["evaluate_every"]
    if training.get("max_steps", every) < every:
        message = f"{training['max_steps']} steps end before the first evaluation, 'evaluate_every' {every}"
        yield (*path, "max_steps"), message


def _mistakes_of_localizer(models: Config, definition: Config) -> Mistakes:
    """Mistakes of a start from inferred locations."""
    mask_start = definition.get("readout", {}).get("mask_start", {})
    if mask_start.get("height") == "amplitude" and mask_start["position"] != "posterior":
        yield ("readout", "mask_start", "height"), "amplitude needs 'position: posterior'"
    name = definition.get("localizer")
    if name is None:
        starts = ("position", "mean", "kernel_start")
        for path in _places(definition, lambda key, value: key in starts and value == "posterior"):
            yield path, "posterior needs the key 'localizer'"
        return
    known = [one for one, model in models.items() if traits_of(model).localizes]
    if name not in known:
        yield ("localizer",), f"'{name}' is no model of family localization; there are {known}"
    localizer = models[name]
    counts = {count for block in localizer["grid"] for count in block["n_kernels"]}
    for index, core in enumerate(definition["cores"]):
        if core.get("kernel_start") != "posterior":
            continue
        path = ("cores", index)
        if len(core["channels"]) != 1 or core["channels"] != definition["cores"][0]["channels"]:
            message = "kernel_start: posterior is for single layers of the same number of channels"
            yield (*path, "channels"), message
        if core["channels"][0] not in counts:
            yield (*path, "channels", 0), f"{core['channels'][0]} is not among the n_kernels of '{name}'"
        if core["kernels"][0] != localizer["kernel"]:
            yield (*path, "kernels", 0), f"{core['kernels'][0]} px, but '{name}' has {localizer['kernel']} px"


def _mistakes_of_core_from(config: Config, name: str) -> Mistakes:
    """Mistakes of a core that is taken from a network: the network is fitted, with the same seeds."""
    models, definition = config["models"], config["models"][name]
    if "core_from" not in definition:
        return
    path, source = ("core_from",), definition["core_from"]
    if ("model" in source) == ("file" in source):
        yield path, "name either a model of this run or a file of another"
    if "feature_bank" in definition and "cores" not in definition:
        yield ("feature_bank",), "a closed form on a transferred core has no feature bank: leave it out"
    if source.get("mode") == "trained" and "cores" not in definition:
        yield (*path, "mode"), "a closed form does not fine-tune a core: set frozen"
    if "model" not in source:
        return
    networks = [one for one, model in models.items() if "cores" in model and one != name]
    if source["model"] not in networks:
        message = f"'{source['model']}' is no other network of this config; there are {networks}"
        yield (*path, "model"), message
    if models[source["model"]].get("refit"):
        message = f"'{source['model']}' is fitted again with the validation images, by which this model is"
        yield (*path, "model"), f"{message} to be selected: set 'refit: false' there"
    for user in config["experiments"]:
        experiment = source.get("experiment", user["name"])
        fitted = name not in user["models"] or any(
            one["name"] == experiment
            and source["model"] in one["models"]
            and source.get("dataset", one["datasets"][0]) in one["datasets"]
            and set(user["seeds"]) <= set(one["seeds"])
            and ("dataset" not in source or ("all" in one["n_neurons"] and "all" in one["n_images"]))
            for one in config["experiments"]
        )
        if not fitted:
            message = f"no experiment '{experiment}' fits '{source['model']}' to what is asked for with all"
            yield (*path, "model"), f"{message} seeds of '{user['name']}': add it to an experiment"
