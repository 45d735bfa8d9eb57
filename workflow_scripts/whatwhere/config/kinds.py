"""Kinds of datasets: which rule makes one, from which files, and by which module of the library."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Kind:
    """Traits of a kind of dataset.

    Attributes
    ----------
    rule
        Rule that makes the dataset: ``simulate`` or ``load_recording``.
    module
        Import path of the module whose function ``simulate``, ``load`` or ``pool`` makes the dataset. It is
        imported when it is needed.
    files
        Keys of the definition, with dots inside of mappings, that name files or folders of the user.
    takes
        What a simulation takes besides the keys of its definition: ``recording``, the file of a recorded
        dataset that lends its images, and ``downloads``, the folder of downloaded files.
    pooled
        Whether the dataset is made of other recordings.
    downloaded
        Whether the files are published and downloaded.
    known_fields
        Whether the receptive fields of all neurons are known, as differences of Gaussians on a patch.
    tables
        Whether the responses may be a text table, of which other keys name columns.
    """

    rule: str
    module: str
    files: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    pooled: bool = False
    downloaded: bool = False
    known_fields: bool = False
    tables: bool = False

    @property
    def simulated(self) -> bool:
        """Whether the dataset is simulated; all others are recordings."""
        return self.rule == "simulate"

    def load_module(self) -> ModuleType:
        """Imports the module that makes the dataset; some need torch, which takes seconds."""
        return importlib.import_module(self.module)


_ARRAYS = ("images", "responses", "image_of_presentation", "splits_from", "groups_from")


def _recording(module: str, *files: str, downloaded: bool = False, tables: bool = False) -> Kind:
    path = f"whatwhere.recordings.{module}"
    return Kind("load_recording", path, files, downloaded=downloaded, tables=tables)


def _simulation(module: str, *takes: str, known_fields: bool = False) -> Kind:
    files = ("stimuli.path", "feature_space.weights")
    return Kind("simulate", f"whatwhere.simulations.{module}", files, takes, known_fields=known_fields)


KINDS: dict[str, Kind] = {
    "simulated_dog": _simulation("difference_of_gaussians", known_fields=True),
    "simulated_v1": _simulation("v1_cells", "recording"),
    "simulated_features": _simulation("feature_units", "recording", "downloads"),
    "cowley2023": _recording("cowley2023", downloaded=True),
    "antolik2016": _recording("antolik2016", downloaded=True),
    "arrays": _recording("arrays", *_ARRAYS, "covariates", "test_set"),
    "images": _recording("images", *_ARRAYS, tables=True),
    "nwb": _recording("nwb", "path"),
    "sensorium": _recording("sensorium", "path"),
    "lurz2020": _recording("sensorium", "path"),
    "pooled": Kind("load_recording", "whatwhere.recordings.pooled", pooled=True),
}
"""Kind to traits; the schema and this table name the same kinds."""


def kind_of(dataset: dict[str, Any]) -> Kind:
    """Returns the traits of a dataset of the configuration."""
    return KINDS[dataset["kind"]]


def kinds_that(trait: str) -> list[str]:
    """Returns the kinds that have a trait."""
    return [name for name, kind in KINDS.items() if getattr(kind, trait)]


def is_recording(dataset: dict[str, Any] | None) -> bool:
    """Whether a dataset of the configuration, None if it is not defined, is a single recording."""
    return dataset is not None and not (kind_of(dataset).simulated or kind_of(dataset).pooled)
