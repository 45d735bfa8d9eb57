"""Checks of datasets that a schema cannot make: of simulations, and of names of files and other datasets."""

from whatwhere.config.files import Config
from whatwhere.config.kinds import is_recording, kind_of
from whatwhere.config.schema import Sources, fail

MAX_PHOTOGRAPH_CROPS = 1024
"""Most training and validation crops of two photographs; more would show the same pixels over and over."""

TABLES = (".csv", ".tsv", ".txt")
"""Endings of text tables."""


def check_dataset(config: Config, name: str, sources: Sources) -> None:
    """Refuses a dataset that contradicts itself or names an unknown dataset; errors as in ``validate``."""
    definition, path = config["datasets"][name], ("datasets", name)
    if kind_of(definition).simulated:
        _check_simulation(definition, path, sources)
    for key in ("images", "responses", "splits_from", "path"):
        if {"{", "}"} & set(str(definition.get(key, ""))):
            message = f"'{definition[key]}': Snakemake reads braces as wildcards: rename file or folder"
            raise fail((*path, key), message, sources)
    _check_companions(definition, path, sources)
    if "stimuli" in definition:
        _check_stimuli(config, name, sources)
    for position, recording in enumerate(definition.get("recordings", [])):
        if not is_recording(config["datasets"].get(recording)):
            message = f"'{recording}' is no recorded dataset of this config"
            raise fail((*path, "recordings", position), message, sources)


def _check_companions(definition: Config, path: tuple[str, ...], sources: Sources) -> None:
    """Refuses keys that nothing would read."""
    kind = kind_of(definition)
    needed = {
        "index_base": "image_of_presentation",
        "blanks": "image_of_presentation",
        "tiers": "splits_from",
    }
    for key, other in needed.items():
        if key in definition and other in kind.files and other not in definition:
            raise fail((*path, key), f"says nothing without {other}: add that, or remove {key}", sources)
    for key in ("splits_from", "covariates") if "test_set" in definition else ():
        if key in definition:
            raise fail(
                (*path, key), "cannot stand beside test_set, which says what tests: remove one", sources
            )
    if kind.tables:
        table = definition["responses"].lower().endswith(TABLES)
        for key in ("responses_layout",) if table else ("neurons", "covariates", "leave_out"):
            if key in definition:
                what = "an array" if table else "a table"
                raise fail((*path, key), f"is for responses in {what}: remove it", sources)


def smaller_side(simulation: Config) -> int:
    """Returns the shorter side of a simulation's images, px."""
    size: int | list[int] = simulation["image_size"]
    return size if isinstance(size, int) else min(size)


def _check_simulation(definition: Config, path: tuple[str, ...], sources: Sources) -> None:
    def refuse(key: str, message: str, wrong: bool) -> None:
        if wrong:
            raise fail((*path, key), message, sources)

    n_neurons, image = definition["n_neurons"], smaller_side(definition)
    for n_types, key in ((len(definition.get("scales", [])), "scales"), (definition.get("n_types"), "types")):
        message = f"{n_neurons} is no multiple of the {n_types} {key}"
        refuse("n_neurons", message, bool(n_types) and n_neurons % n_types != 0)
    if "feature_space" in definition:
        units, places = n_neurons // definition["n_types"], (image - 12) ** 2
        message = f"{units} units per type are more than the {places} locations in {image} px"
        refuse("n_neurons", message, units > places)
        grey_vgg = definition["feature_space"]["name"] == "vgg19" and definition["color"] != "rgb"
        refuse("color", "must be rgb for feature_space vgg19", grey_vgg)
    if "n_simple_types" in definition:
        no_types = definition["n_simple_types"] + definition["n_complex_types"] == 0
        refuse("n_simple_types", "there must be a simple or a complex type", no_types)
    if "patch" in definition:
        patch = definition["patch"]
        refuse("patch", f"a receptive field of {patch} px does not fit into {image} px", patch > image)
        refuse("patch", f"{patch} must be odd", patch % 2 == 0)


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
        if other is None or kind_of(other).simulated:
            message = f"'{stimuli['dataset']}' is no recorded dataset of this config"
            raise fail((*path, "dataset"), message, sources)
