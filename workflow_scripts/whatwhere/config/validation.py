"""From a configuration as it is written to the one that runs, refused before any work if it is wrong."""

import itertools
import math

from whatwhere.config.files import Config
from whatwhere.config.kinds import is_recording, kind_of, kinds_that
from whatwhere.config.model_checks import Mistakes, check_model, check_size, mistakes_on
from whatwhere.config.resolve import resolve
from whatwhere.config.schema import Sources, check_schema, fail, undefined
from whatwhere.config.strategies import OWN_RIDGE, strategy_of, target_of
from whatwhere.config.traits import n_features, traits_of

FIGURES: dict[str, tuple[str, int]] = {
    "fig2": ("simulated", 0),
    "fig3": ("known_fields", 1),
    "fig4": ("known_fields", 2),
    "fig5": ("simulated", 2),
    "data_efficiency": ("simulated", 0),
}
"""Needs of figures: a trait of datasets, and the fewest features of a factorized model (0: no such model)."""


def validate(written: Config, sources: Sources) -> Config:
    """Returns the resolved configuration, which fulfils the schemas and does not contradict itself.

    ``sources`` are name and content of what was merged to ``written``, in order. UserError with one line that
    names file and key, what is wrong and what is allowed.
    """
    check_schema(written, "config", (), sources)
    config = resolve(written, sources)
    for section in ("datasets", "models"):
        # Resolving has put bases before their variants: a mistake is found where it was made.
        for name, definition in config[section].items():
            check_schema(definition, section, (section, name), sources)
    for name in config["models"]:
        check_model(config, name, sources)
    checks = [_dataset_problems(config, name) for name in config["datasets"]]
    checks += [_experiment_problems(config, index) for index in range(len(config["experiments"]))]
    for path, message in itertools.chain(*checks, _label_problems(config), _figure_problems(config)):
        raise fail(path, message, sources)
    for experiment in config["experiments"]:
        for dataset, model in itertools.product(experiment["datasets"], experiment["models"]):
            definition = config["datasets"][dataset]
            if kind_of(definition).simulated:
                n_neurons = min(definition["n_neurons"] if n == "all" else n for n in experiment["n_neurons"])
                check_size(config, model, _smaller_side(definition), n_neurons, sources)
    return config


def _smaller_side(simulation: Config) -> int:
    size: int | list[int] = simulation["image_size"]
    return size if isinstance(size, int) else min(size)


def _dataset_problems(config: Config, name: str) -> Mistakes:
    """Sizes of a simulation that do not fit together, and datasets that do not exist."""
    definition, path = config["datasets"][name], ("datasets", name)
    if kind_of(definition).simulated:
        n_neurons, image = definition["n_neurons"], _smaller_side(definition)
        named = definition.get("types") or definition.get("scales", [None])
        n_types = definition.get("n_types", len(named))
        if n_neurons % n_types != 0:
            yield (*path, "n_neurons"), f"{n_neurons} is no multiple of the {n_types} types or scales"
        units, places = n_neurons // n_types, (image - 12) ** 2
        if definition["kind"] == "simulated_features" and units > places:
            message = f"{units} units per type are more than the {places} locations in {image} px"
            yield (*path, "n_neurons"), message
        if definition.get("patch", 0) > image:
            message = f"a receptive field of {definition['patch']} px does not fit into {image} px"
            yield (*path, "patch"), message
    for key in ("recordings", "without_images_of"):
        for position, recording in enumerate(definition.get(key, [])):
            if not is_recording(config["datasets"].get(recording)):
                yield (*path, key, position), f"'{recording}' is no recorded dataset of this config"


def _experiment_problems(config: Config, index: int) -> Mistakes:
    """Names that are used twice or not defined, and sizes and models that a dataset cannot give."""
    experiment, path = config["experiments"][index], ("experiments", index)
    if experiment["name"] in [one["name"] for one in config["experiments"][:index]]:
        yield (*path, "name"), f"'{experiment['name']}' is used by an earlier experiment"
    for section in ("datasets", "models"):
        for position, name in enumerate(experiment[section]):
            if name not in config[section]:
                yield (*path, section, position), undefined(name, section, config[section])
    for key in ("n_neurons", "n_images"):
        sizes = [math.inf if size == "all" else size for size in experiment[key]]
        if sizes != sorted(sizes):
            message = f"{experiment[key]} must rise, 'all' last: figures show the last, largest size"
            yield (*path, key), message
    for dataset in experiment["datasets"]:
        definition = config["datasets"][dataset]
        kind = kind_of(definition)
        for key in ("n_neurons", "n_images") if kind.simulated else ():
            for position, size in enumerate(experiment[key]):
                if size != "all" and size > definition[key]:
                    message = f"{size} is more than the {definition[key]} {key[2:]} of '{dataset}'"
                    yield (*path, key, position), message
                if key == "n_images" and size != "all" and int(size * definition["validation_fraction"]) < 1:
                    yield (*path, key, position), f"{size} leaves no image to validate on"
        needed = " or ".join(kinds_that("known_fields"))
        for name in experiment["models"]:
            for place, message in mistakes_on(
                config["models"][name], "lags" in definition.get("movie", definition)
            ):
                yield ("models", name, *place), f"{message} (dataset '{dataset}')"
        for position, name in enumerate(() if kind.known_fields else experiment["models"]):
            model = config["models"][name]
            if model.get("input") == "known_patch":
                message = (
                    f"a known patch needs a dataset of kind {needed}, which '{dataset}' is not: set image"
                )
                yield ("models", name, "input"), message
            if traits_of(model).known_field:
                message = f"'{name}' needs to know receptive fields, and '{dataset}' is not of kind {needed}"
                yield (*path, "models", position), message


def _label_problems(config: Config) -> Mistakes:
    """Datasets of the run, and models of one dataset, that figures could not tell apart."""
    shown: dict[tuple[str, str], str] = {}
    for experiment in config["experiments"]:
        for dataset, model in itertools.product(experiment["datasets"], experiment["models"]):
            for section, name, place, where in (
                ("datasets", dataset, "", "in this run"),
                ("models", model, dataset, f"on dataset '{dataset}'"),
            ):
                label = config[section][name].get("label", name)
                other = shown.setdefault((place, label), name)
                if other != name:
                    message = f"'{label}' is the label of '{other}' {where}, too: change one"
                    yield (section, name, "label"), message


def _figure_problems(config: Config) -> Mistakes:
    """Experiments from which the figure that they ask for cannot be drawn."""
    drawn: dict[str | None, list[tuple[int, Config]]] = {}
    for index, experiment in enumerate(config["experiments"]):
        drawn.setdefault(experiment["figure"], []).append((index, experiment))
    for figure, (trait, fewest) in FIGURES.items():
        features = [0]
        for index, experiment in drawn.get(figure, []):
            for dataset in experiment["datasets"]:
                if not getattr(kind_of(config["datasets"][dataset]), trait):
                    kinds = " or ".join(kinds_that(trait))
                    message = f"{figure} needs datasets of kind {kinds}, which '{dataset}' is not"
                    yield ("experiments", index, "figure"), message
            models = [config["models"][name] for name in experiment["models"]]
            features += [n_features(model) for model in models if traits_of(model).factorized]
        if figure in drawn and max(features) < fewest:
            message = f"{figure} needs a model of family cnn_factorized with {fewest} features or more"
            yield ("experiments", drawn[figure][0][0], "figure"), message
    baselines = {
        dataset
        for _, experiment in drawn.get("transfer", [])
        for dataset, model in itertools.product(experiment["datasets"], experiment["models"])
        if strategy_of(config, dataset, model) == OWN_RIDGE and len(experiment["n_images"]) > 1
    }
    for index, experiment in drawn.get("transfer", []):
        for target in (target_of(config, dataset) for dataset in experiment["datasets"]):
            if target not in baselines:
                message = f"transfer needs a ridge on a feature bank of '{target}' alone, at several n_images"
                yield ("experiments", index, "figure"), message
