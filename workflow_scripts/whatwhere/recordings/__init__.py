"""Recorded data: from a dataset of the config to the data contract."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from whatwhere.dataset import check, duplicate_groups
from whatwhere.recordings import arrays, cowley2023
from whatwhere.recordings.preprocess import preprocess
from whatwhere.recordings.recording import Recording
from whatwhere.recordings.splits import assign

logger = logging.getLogger(__name__)


def input_files(definition: dict[str, Any]) -> list[str]:
    """Files of the user that a dataset is made from; changing one remakes it."""
    if definition["kind"] != "arrays":
        return []
    locations = (definition["images"], definition["responses"])
    return [str(arrays.split_location(location)[0]) for location in locations]


def read(name: str, definition: dict[str, Any], downloads: Path, mirror: str | None) -> Recording:
    """Load a recording as it is stored; parameters as in :func:`load`."""
    if definition["kind"] == "cowley2023":
        return cowley2023.load(definition, downloads, mirror)
    return arrays.load(definition, f"datasets.{name}")


def load(name: str, definition: dict[str, Any], downloads: Path, mirror: str | None) -> xr.Dataset:
    """Load a recording and bring it into the form of :mod:`whatwhere.dataset`.

    Parameters
    ----------
    name, definition
        A recorded dataset of the config.
    downloads
        Folder that keeps downloaded files.
    mirror
        Folder or URL to take published files from, or None for their public address.

    Raises
    ------
    UserError
        If anything about the files or the definition is wrong.
    """
    key = f"datasets.{name}"
    recording = read(name, definition, downloads, mirror)
    groups = duplicate_groups(recording.images)
    images = preprocess(recording.images, definition["image"], key)
    split = assign(groups, recording.given_split, definition["split"], key)
    _warn(key, groups, recording.responses)
    shares = definition["split"]
    dataset = xr.Dataset(
        {
            "images": (
                ("image", "channel", "y", "x"),
                images,
                {"units": "as stored, after colour, crop and size"},
            ),
            "responses": (("repeat", "image", "neuron"), recording.responses, {"units": "as stored"}),
            "split": (("fold", "image"), split, {"meaning": "0 train, 1 validation, 2 test"}),
        },
        attrs={
            "name": name,
            "kind": "recorded",
            "source": recording.source,
            "normalize": definition["image"]["normalize"],
            "noise_free_test": 0,
            "repeat_averages": int(recording.repeat_averages),
            "validation_fraction": shares["validation"] / (1 - shares["test"]),
            "validation_max": 0,
        },
    )
    check(dataset, key)
    return dataset


def _warn(key: str, groups: np.ndarray, responses: np.ndarray) -> None:
    copies = len(groups) - len(np.unique(groups))
    if copies:
        logger.warning("%s: %d images repeat earlier ones; copies share a split", key, copies)
    dead = np.flatnonzero(np.nanmax(np.abs(responses), axis=(0, 1)) == 0)
    if len(dead):
        logger.warning("%s: %d neurons never respond: %s", key, len(dead), dead.tolist())
    negative = int((responses < 0).any((0, 1)).sum())
    if negative:
        logger.warning(
            "%s: %d neurons have negative responses, which a poisson loss cannot fit", key, negative
        )
