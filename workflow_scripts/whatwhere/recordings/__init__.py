"""Recordings: from a dataset of the configuration to the data contract.

In all modules, ``definition`` is a dataset of the configuration and ``name`` or ``key`` its key in messages,
``label`` is what messages call a file or an array, and ``reading`` holds phrases on what was taken for what.
Whatever a user can correct is a UserError of one line.
"""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from whatwhere.config.kinds import kind_of
from whatwhere.dataset import VARIABLES, check, duplicate_groups, presented
from whatwhere.description import findings
from whatwhere.errors import UserError
from whatwhere.recordings.copies import NEAR_COPIES, groups_of_copies, near_copy_counts
from whatwhere.recordings.covariates import coordinates, held
from whatwhere.recordings.inputs import input_files, stamp
from whatwhere.recordings.movies import Movie, dataset_of
from whatwhere.recordings.preprocess import PREPARATION, preparation, preprocess
from whatwhere.recordings.presentations import Presentations
from whatwhere.recordings.recording import Recording, clip_rounding
from whatwhere.recordings.splits import assign, joined_groups, repeated_images, validation_share

logger = logging.getLogger(__name__)

__all__ = ["input_files", "load", "read", "stamp", "to_contract"]


def read(name: str, definition: dict[str, Any], downloads: Path, mirror: str | None) -> Recording | Movie:
    """Loads a recording of images or of a movie as it is stored; parameters as for :func:`load`."""
    kind = kind_of(definition)
    where = (downloads, mirror) if kind.downloaded else (f"datasets.{name}",)
    recording: Recording | Movie = kind.load_module().load(definition, *where)
    return recording


def load(name: str, definition: dict[str, Any], downloads: Path, mirror: str | None) -> xr.Dataset:
    """Loads a recording and brings it into the form of :mod:`whatwhere.dataset`.

    ``downloads`` is the folder that keeps downloaded files, ``mirror`` a folder that holds published files,
    or None for their public address. The coordinate ``neuron_id`` holds the owner's names of neurons, and the
    attribute ``citation`` the paper to cite. UserError if anything about the files or the definition is
    wrong.
    """
    key = f"datasets.{name}"
    recording = read(name, definition, downloads, mirror)
    if isinstance(recording, Movie):
        dataset = dataset_of(recording, name, key, definition)
        _warn(dataset, key)
        return dataset
    prepared = preprocess(recording.images, definition["image"], key, recording.image_names)
    kept = preparation(recording.images, definition["image"])
    recording = dataclasses.replace(recording, images=prepared, missing=definition.get("missing", {}))
    dataset = to_contract(recording, name, key, definition["image"]["normalize"], definition.get("split"))
    return dataset.assign_attrs({PREPARATION: kept})


def to_contract(
    recording: Recording, name: str, key: str, normalize: str, shares: dict[str, Any] | None
) -> xr.Dataset:
    """Brings a recording with prepared images into the form of :mod:`whatwhere.dataset`.

    Images are (image, channel, y, x) float32. ``normalize`` is one of
    :data:`whatwhere.dataset.NORMALIZATIONS`, ``shares`` the ``config`` of
    :func:`whatwhere.recordings.splits.assign`. UserError if the recording breaks the contract.
    """
    images, stored = np.asarray(recording.images), recording.responses
    if isinstance(stored, Presentations):
        responses: Any = Presentations(clip_rounding(stored.values, key), stored.rows).dense()
    else:
        responses = clip_rounding(stored, key)
    threshold = (shares or {}).get("near_copies", NEAR_COPIES)
    copies, near = duplicate_groups(images), groups_of_copies(images, threshold)
    dataset = xr.Dataset(
        {
            "images": (VARIABLES["images"][0], images, {"units": "as stored, after colour, crop and size"}),
            "responses": xr.Variable(VARIABLES["responses"][0], responses, {"units": "as stored"}),
        },
        attrs={
            "name": name,
            "kind": "recorded",
            "source": recording.source,
            "citation": recording.citation,
            "normalize": normalize,
            "noise_free_test": 0,
            "repeat_averages": int(recording.repeat_averages),
            "validation_max": 0,
            "near_copies": threshold or 0.0,
            "reading": "; ".join(recording.reading),
        },
    )
    given, wanted = recording.split, (shares or {}).get("test_repeated")
    dataset.attrs["test_given"] = int(given is not None and bool((given == "test").any()))
    if given is None:
        given = repeated_images(presented(dataset).sum(0), wanted, key)
    elif wanted is not None:
        raise UserError(f"{key}.split.test_repeated: the recording gives a test set: remove the key")
    split = assign(
        *(joined_groups(copies, recording.groups), given, shares, key), joined_groups(near, recording.groups)
    )
    dataset.attrs |= near_copy_counts(near, copies, split)
    dataset["split"] = ("fold", "image"), split, {"meaning": "0 train, 1 validation, 2 test"}
    dataset.attrs["validation_fraction"] = validation_share(split, given, shares)
    if recording.neurons is not None:
        dataset = dataset.assign_coords(neuron_id=("neuron", recording.neurons))
    if recording.image_names is not None:
        dataset = dataset.assign_coords(image_name=("image", recording.image_names))
    if recording.covariates is not None:
        names, values = recording.covariates
        kept_rows = held(values.values, names, recording.missing, f"{key}.missing")
        dense = Presentations(kept_rows, values.rows).dense()
        dataset["covariates"] = ("repeat", "image", "covariate"), np.asarray(dense)
        dataset = dataset.assign_coords(coordinates(names, recording.missing))
    check(dataset, key)
    _warn(dataset, key)
    return dataset


def _warn(dataset: xr.Dataset, key: str) -> None:
    for finding in findings(dataset):
        logger.warning("%s: %s", key, finding)
