"""Recorded data: from a dataset of the config to the data contract."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from whatwhere.dataset import check, duplicate_groups
from whatwhere.description import findings
from whatwhere.recordings import antolik2016, arrays, cowley2023, images, sensorium
from whatwhere.recordings.array_files import split_location
from whatwhere.recordings.preprocess import PREPARATION, preparation, preprocess
from whatwhere.recordings.recording import Recording
from whatwhere.recordings.splits import assign, validation_share

logger = logging.getLogger(__name__)

PUBLISHED = ("cowley2023", "antolik2016")
"""Kinds whose files are downloaded."""


def input_files(definition: dict[str, Any]) -> list[str]:
    """Files of the user that a dataset is made from; changing one remakes it.

    Image files of a folder are listed one by one. Of a Sensorium folder, the list of trials and the two
    folders of trials stand for thousands of files. A missing folder is listed itself, so that Snakemake
    names it.
    """
    kind = definition["kind"]
    if kind == "arrays":
        keys = [key for key in ("images", "responses", "splits_from") if key in definition]
        return [str(split_location(definition[key])[0]) for key in keys]
    if kind == "images":
        folder = Path(definition["images"])
        found = sorted(
            str(path) for path in folder.rglob("*") if path.is_file() and images.is_image(path.name)
        )
        return [*(found or [str(folder)]), str(split_location(definition["responses"])[0])]
    if kind in sensorium.CITATIONS:
        path = Path(definition["path"])
        tracked = [part for name in sensorium.TRACKED for part in sorted(path.rglob(name))]
        return [str(part) for part in tracked or [path]]
    return []


def read(name: str, definition: dict[str, Any], downloads: Path, mirror: str | None) -> Recording:
    """Load a recording as it is stored; parameters as in :func:`load`."""
    key = f"datasets.{name}"
    kind = definition["kind"]
    if kind == "cowley2023":
        return cowley2023.load(definition, downloads, mirror)
    if kind == "antolik2016":
        return antolik2016.load(definition, downloads, mirror)
    if kind in sensorium.CITATIONS:
        return sensorium.load(definition)
    if kind == "images":
        return images.load(definition, key)
    return arrays.load(definition, key)


def load(name: str, definition: dict[str, Any], downloads: Path, mirror: str | None) -> xr.Dataset:
    """Load a recording and bring it into the form of :mod:`whatwhere.dataset`.

    Neurons that the publisher or owner names carry these names in the coordinate ``neuron_id``, and the
    attribute ``citation`` says what to cite.

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
    prepared = preprocess(recording.images, definition["image"], key)
    kept = preparation(recording.images, definition["image"])
    recording = dataclasses.replace(recording, images=prepared)
    dataset = to_contract(recording, name, key, definition["image"]["normalize"], definition.get("split"))
    return dataset.assign_attrs({PREPARATION: kept})


def to_contract(
    recording: Recording, name: str, key: str, normalize: str, shares: dict[str, Any] | None
) -> xr.Dataset:
    """Bring a recording into the form of :mod:`whatwhere.dataset`.

    Parameters
    ----------
    recording
        With prepared images, (image, channel, y, x) float32.
    name
        Of the dataset.
    key
        What to call it in messages.
    normalize
        One of :data:`whatwhere.dataset.NORMALIZATIONS`.
    shares
        How open images are divided, see :func:`whatwhere.recordings.splits.assign`.

    Raises
    ------
    UserError
        If the recording breaks the contract.
    """
    prepared = np.asarray(recording.images)
    groups = duplicate_groups(prepared)
    split = assign(groups, recording.split, shares, key)
    dataset = xr.Dataset(
        {
            "images": (
                ("image", "channel", "y", "x"),
                prepared,
                {"units": "as stored, after colour, crop and size"},
            ),
            "responses": (("repeat", "image", "neuron"), recording.responses, {"units": "as stored"}),
            "split": (("fold", "image"), split, {"meaning": "0 train, 1 validation, 2 test"}),
        },
        attrs={
            "name": name,
            "kind": "recorded",
            "source": recording.source,
            "citation": recording.citation,
            "normalize": normalize,
            "noise_free_test": 0,
            "repeat_averages": int(recording.repeat_averages),
            "validation_fraction": validation_share(split, recording.split, shares),
            "validation_max": 0,
        },
    )
    if recording.neurons is not None:
        dataset = dataset.assign_coords(neuron_id=("neuron", recording.neurons))
    check(dataset, key)
    for finding in findings(dataset):
        logger.warning("%s: %s", key, finding)
    return dataset
