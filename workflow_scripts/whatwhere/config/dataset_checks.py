"""What the schema of a dataset cannot say: simulations that can be made, recordings that can be pooled."""

from __future__ import annotations

from whatwhere.config.files import SIMULATED, Config
from whatwhere.config.schema import Sources, fail

MAX_PHOTOGRAPH_CROPS = 1024
"""Most training and validation crops of two photographs; more would show the same pixels over and over."""


TABLES = (".csv", ".tsv", ".txt")
"""Endings of text tables."""


def check_dataset(config: Config, name: str, sources: Sources) -> None:
    """Refuse a dataset that contradicts itself or names what there is not; errors as in ``validate``."""
    definition = config["datasets"][name]
    if definition["kind"] in SIMULATED:
        _check_simulation(definition, ("datasets", name), sources)
    for key in ("images", "responses", "splits_from", "path"):
        if {"{", "}"} & set(str(definition.get(key, ""))):
            message = f"'{definition[key]}': Snakemake reads braces as wildcards: rename file or folder"
            raise fail(("datasets", name, key), message, sources)
    _check_companions(definition, ("datasets", name), sources)
    if "stimuli" in definition:
        _check_stimuli(config, name, sources)
    if definition["kind"] == "pooled":
        _check_pool(config, name, sources)


def _check_companions(definition: Config, path: tuple[str, ...], sources: Sources) -> None:
    """Refuse keys that nothing would read."""
    kind = definition["kind"]
    needed = {
        "index_base": "image_of_presentation",
        "blanks": "image_of_presentation",
        "tiers": "splits_from",
    }
    for key, other in needed.items() if kind in ("arrays", "images") else ():
        if key in definition and other not in definition:
            raise fail((*path, key), f"says nothing without {other}: add that, or remove {key}", sources)
    for key in ("splits_from", "covariates") if "test_set" in definition else ():
        if key in definition:
            raise fail(
                (*path, key), "cannot stand beside test_set, which says what tests: remove one", sources
            )
    if kind == "images":
        table = definition["responses"].lower().endswith(TABLES)
        for key in ("responses_layout",) if table else ("neurons", "covariates", "leave_out"):
            if key in definition:
                what = "an array" if table else "a table"
                raise fail((*path, key), f"is for responses in {what}: remove it", sources)


def smaller_side(simulation: Config) -> int:
    """The shorter side of a simulation's images, px."""
    size: int | list[int] = simulation["image_size"]
    return size if isinstance(size, int) else min(size)


def _check_simulation(definition: Config, path: tuple[str, ...], sources: Sources) -> None:
    n_neurons, image = definition["n_neurons"], smaller_side(definition)
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
