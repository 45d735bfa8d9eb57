"""Validating configurations before anything runs: schemas, and what they cannot say."""

import itertools

from whatwhere.config.dataset_checks import check_dataset, smaller_side
from whatwhere.config.files import Config
from whatwhere.config.kinds import kind_of, kinds_that
from whatwhere.config.model_checks import check_model, check_size
from whatwhere.config.schema import Sources, check_schema, fail
from whatwhere.config.strategies import OWN_RIDGE, strategy_of, target_of
from whatwhere.config.traits import n_features, traits_of

FIGURES: dict[str, tuple[str, int | None]] = {
    "fig2": ("simulated", None),
    "fig3": ("known_fields", 1),
    "fig4": ("known_fields", 2),
    "fig5": ("simulated", 2),
    "data_efficiency": ("simulated", None),
}
"""Needs of figures: a trait of datasets, and the fewest features of a factorized model (None: no model)."""


def validate(config: Config, sources: Sources) -> None:
    """Refuses a configuration that does not fulfil the schemas or contradicts itself.

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
        # Resolving has put bases before their variants: a mistake is found where it was made.
        for name, definition in config[section].items():
            check_schema(definition, section, (section, name), sources)
    for name in config["models"]:
        check_model(config, name, sources)
    for name in config["datasets"]:
        check_dataset(config, name, sources)
    _check_experiments(config, sources)
    _check_labels(config, sources)
    for figure in FIGURES:
        _check_figure(config, figure, sources)
    _check_transfer(config, sources)


def _check_sizes(config: Config, index: int, dataset: str, sources: Sources) -> None:
    """Refuses sizes that a simulation cannot give, which is known before it exists."""
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
        check_size(config, model, smaller_side(definition), n_neurons, sources)


def _check_known_patches(config: Config, index: int, dataset: str, sources: Sources) -> None:
    if kind_of(config["datasets"][dataset]).known_fields:
        return
    needed = " or ".join(kinds_that("known_fields"))
    for position, model in enumerate(config["experiments"][index]["models"]):
        definition = config["models"][model]
        if definition.get("input") == "known_patch":
            message = f"a known patch needs a dataset of kind {needed}, which '{dataset}' is not: set image"
            raise fail(("models", model, "input"), message, sources)
        if traits_of(definition).known_field:
            message = f"'{model}' needs to know receptive fields, and '{dataset}' is not of kind {needed}"
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
            if kind_of(config["datasets"][dataset]).simulated:
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


def _check_labels(config: Config, sources: Sources) -> None:
    """Refuses models of one dataset that figures could not tell apart."""
    shown: dict[tuple[str, str], str] = {}
    for experiment in config["experiments"]:
        for dataset, model in itertools.product(experiment["datasets"], experiment["models"]):
            label = config["models"][model].get("label", model)
            other = shown.setdefault((dataset, label), model)
            if other != model:
                message = f"'{label}' is the label of '{other}' on dataset '{dataset}', too: change one"
                raise fail(("models", model), message, sources, ["label"])


def _check_figure(config: Config, figure: str, sources: Sources) -> None:
    """Refuses experiments from which a figure cannot be drawn."""
    trait, fewest = FIGURES[figure]
    drawn = _drawn(config, figure)
    features = []
    for index, experiment in drawn:
        for dataset in experiment["datasets"]:
            if not getattr(kind_of(config["datasets"][dataset]), trait):
                kinds = " or ".join(kinds_that(trait))
                message = f"{figure} needs datasets of kind {kinds}, which '{dataset}' is not"
                raise fail(("experiments", index, "figure"), message, sources)
        models = [config["models"][name] for name in experiment["models"]]
        features += [n_features(model) for model in models if traits_of(model).factorized]
    if drawn and fewest is not None and max(features, default=0) < fewest:
        message = f"{figure} needs a model of family cnn_factorized with {fewest} features or more"
        raise fail(("experiments", drawn[0][0], "figure"), message, sources)


def _drawn(config: Config, figure: str) -> list[tuple[int, Config]]:
    """Experiments that ask for a figure, with their places in the list."""
    return [(index, one) for index, one in enumerate(config["experiments"]) if one["figure"] == figure]


def _check_transfer(config: Config, sources: Sources) -> None:
    """Refuses targets that have no ridge of their own, at two sizes or more, to hold other ways against."""
    drawn = _drawn(config, "transfer")
    held = {
        dataset
        for _, experiment in drawn
        for dataset in experiment["datasets"]
        for model in experiment["models"]
        if strategy_of(config, dataset, model) == OWN_RIDGE and len(experiment["n_images"]) > 1
    }
    for index, experiment in drawn:
        for target in (target_of(config, dataset) for dataset in experiment["datasets"]):
            if target not in held:
                message = f"transfer needs a ridge on a feature bank fitted to '{target}' alone, at several n_images"
                raise fail(("experiments", index, "figure"), message, sources)
