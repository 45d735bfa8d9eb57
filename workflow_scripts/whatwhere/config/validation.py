"""Validating configurations before anything runs: schemas, and what they cannot say."""

from __future__ import annotations

from whatwhere.config.dataset_checks import check_dataset, smaller_side
from whatwhere.config.files import SIMULATED, Config
from whatwhere.config.model_checks import check_model, check_size
from whatwhere.config.schema import Sources, check_schema, fail
from whatwhere.config.traits import n_features, traits_of
from whatwhere.config.ways import OWN_RIDGE, target_of, way_of

FIGURES: dict[str, tuple[tuple[str, ...], int | None]] = {
    "fig2": (SIMULATED, None),
    "fig3": (("simulated_dog",), 1),
    "fig4": (("simulated_dog",), 2),
    "fig5": (SIMULATED, 2),
    "data_efficiency": (SIMULATED, None),
}
"""What figures need: kinds of datasets, and the fewest features of a factorised model (None: no model)."""


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
    for name in config["models"]:
        check_model(config, name, sources)
    for name in config["datasets"]:
        check_dataset(config, name, sources)
    _check_experiments(config, sources)
    for figure in FIGURES:
        _check_figure(config, figure, sources)
    _check_transfer(config, sources)


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
        check_size(config, model, smaller_side(definition), n_neurons, sources)


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


def _drawn(config: Config, figure: str) -> list[tuple[int, Config]]:
    """Experiments that ask for a figure, with their places in the list."""
    return [(index, one) for index, one in enumerate(config["experiments"]) if one["figure"] == figure]


def _check_transfer(config: Config, sources: Sources) -> None:
    """Refuse targets that have no ridge of their own, at two sizes or more, to hold other ways against."""
    drawn = _drawn(config, "transfer")
    held = {
        dataset
        for _, experiment in drawn
        for dataset in experiment["datasets"]
        for model in experiment["models"]
        if way_of(config, dataset, model) == OWN_RIDGE and len(experiment["n_images"]) > 1
    }
    for index, experiment in drawn:
        for target in (target_of(config, dataset) for dataset in experiment["datasets"]):
            if target not in held:
                message = f"transfer needs a ridge on a bank fitted to '{target}' alone, at several n_images"
                raise fail(("experiments", index, "figure"), message, sources)
