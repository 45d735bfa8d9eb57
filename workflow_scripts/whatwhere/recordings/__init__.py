"""Recorded data: from a dataset of the config to the data contract."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from whatwhere.config.kinds import kind_of
from whatwhere.dataset import check, duplicate_groups
from whatwhere.description import findings
from whatwhere.recordings.fetch import is_url
from whatwhere.recordings.inputs import input_files, stamp
from whatwhere.recordings.labels import LEFT_OUT
from whatwhere.recordings.preprocess import PREPARATION, preparation, preprocess
from whatwhere.recordings.presentations import Presentations
from whatwhere.recordings.recording import Recording, clip_rounding
from whatwhere.recordings.splits import assign, joined_groups, validation_share

logger = logging.getLogger(__name__)

__all__ = ["input_files", "load", "read", "stamp", "to_contract"]


def is_downloaded(definition: dict[str, Any]) -> bool:
    """Whether files of a dataset, simulated or recorded, come from the web, unless a mirror has them."""
    weights = definition.get("feature_space", {}).get("weights")
    return kind_of(definition).downloaded or (weights is not None and is_url(weights))


def read(name: str, definition: dict[str, Any], downloads: Path, mirror: str | None) -> Recording:
    """Load a recording as it is stored; parameters as in :func:`load`."""
    kind = kind_of(definition)
    where = (downloads, mirror) if kind.downloaded else (f"datasets.{name}",)
    recording: Recording = kind.load_module().load(definition, *where)
    return recording


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
    if recording.split is not None and (recording.split == LEFT_OUT).any():
        kept = recording.split != LEFT_OUT
        logger.warning("%s: %d images whose tier is not listed are left out", key, (~kept).sum())
        recording = recording.keep(kept)
    prepared = np.asarray(recording.images)
    groups = joined_groups(duplicate_groups(prepared), recording.groups)
    split = assign(groups, recording.split, shares, key)
    dataset = xr.Dataset(
        {
            "images": (
                ("image", "channel", "y", "x"),
                prepared,
                {"units": "as stored, after colour, crop and size"},
            ),
            "responses": xr.Variable(
                ("repeat", "image", "neuron"),
                _array(_clipped(recording.responses, key)),
                {"units": "as stored"},
            ),
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
            "reading": "; ".join(recording.reading),
        },
    )
    if recording.neurons is not None:
        dataset = dataset.assign_coords(neuron_id=("neuron", recording.neurons))
    if recording.image_names is not None:
        dataset = dataset.assign_coords(image_name=("image", recording.image_names))
    if recording.covariates is not None:
        names, values = recording.covariates
        dataset["covariates"] = ("repeat", "image", "covariate"), np.asarray(_array(values))
        dataset = dataset.assign_coords(covariate_name=("covariate", names))
    check(dataset, key)
    for finding in findings(dataset):
        logger.warning("%s: %s", key, finding)
    return dataset


def _clipped(values: np.ndarray | Presentations, key: str) -> np.ndarray | Presentations:
    """Responses without rounding noise below zero."""
    if isinstance(values, Presentations):
        return dataclasses.replace(values, values=clip_rounding(values.values, key))
    return clip_rounding(values, key)


def _array(values: np.ndarray | Presentations) -> Any:
    """A dense array, or one whose parts are made when they are asked for."""
    return values.dense() if isinstance(values, Presentations) else values
