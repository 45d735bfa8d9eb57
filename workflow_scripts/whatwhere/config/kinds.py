"""Kinds of datasets: the module that makes each, the files it reads, and what a run may ask of it."""

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Kind:
    """Traits of a kind of dataset."""

    module: str  # module below `whatwhere` whose function `simulate`, `load` or `pool` makes the dataset
    # Keys of the definition, with dots inside of mappings, that name files or folders of the user.
    files: tuple[str, ...] = ()
    pooled: bool = False  # whether the dataset is made of other recordings
    downloaded: bool = False  # whether the files are published and downloaded
    # Whether the receptive fields of all neurons are known, as differences of Gaussians on a patch.
    known_fields: bool = False
    tables: bool = False  # whether the responses may be a text table, of which other keys name columns

    @property
    def simulated(self) -> bool:
        """Whether the dataset is simulated; all others are recordings."""
        return self.module.startswith("simulations.")

    def load_module(self) -> ModuleType:
        """Imports the module that makes the dataset; some need torch, which takes seconds."""
        return importlib.import_module(f"whatwhere.{self.module}")


_ARRAYS = ("images", "responses", "image_of_presentation", "splits_from", "groups_from")
_SPIKES = ("spike_times", "spike_clusters", "onsets")
_CLIPS = tuple(
    f"clips.{one}"
    for one in (
        *("frames", "responses", "spike_times", "spike_clusters", "frame_times", "repeat_starts"),
        "covariates",
    )
)

KINDS: dict[str, Kind] = {
    "simulated_dog": Kind("simulations.difference_of_gaussians", known_fields=True),
    "simulated_v1": Kind("simulations.v1_cells"),
    "simulated_features": Kind("simulations.feature_units"),
    "simulated_movie": Kind("simulations.movie_cells"),
    "cowley2023": Kind("recordings.cowley2023", downloaded=True),
    "antolik2016": Kind("recordings.antolik2016", downloaded=True),
    "arrays": Kind("recordings.arrays", (*_ARRAYS, *_SPIKES, "covariates", "test_set")),
    "images": Kind("recordings.images", _ARRAYS, tables=True),
    "movie": Kind("recordings.movies", _CLIPS),
    "nwb": Kind("recordings.nwb", ("path",)),
    "sensorium": Kind("recordings.sensorium", ("path",)),
    "lurz2020": Kind("recordings.sensorium", ("path",)),
    "pooled": Kind("recordings.pooled", pooled=True),
}
"""Traits by kind; the schema names the same kinds."""


def kind_of(dataset: dict[str, Any]) -> Kind:
    """Returns the traits of a dataset of the configuration."""
    return KINDS[dataset["kind"]]


def sessions_of(dataset: dict[str, Any]) -> list[str]:
    """Returns the recordings that a pooled dataset is made of or leaves images out of; none for others."""
    return [*dataset.get("recordings", []), *dataset.get("without_images_of", [])]


def kinds_that(trait: str) -> list[str]:
    """Returns the kinds that have a trait."""
    return [name for name, kind in KINDS.items() if getattr(kind, trait)]


def is_recording(dataset: dict[str, Any] | None) -> bool:
    """Whether a dataset of the configuration, None if it is not defined, is a single recording."""
    return dataset is not None and not (kind_of(dataset).simulated or kind_of(dataset).pooled)
