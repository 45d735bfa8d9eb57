"""Responses by row, from which the loaders of users' files make a recording."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.labels import given_splits, labels_of_rows, read_labels
from whatwhere.recordings.presentations import Presentations, by_image, shown_images
from whatwhere.recordings.recording import Images, Recording, select_images

logger = logging.getLogger(__name__)


class Rows(NamedTuple):
    """Responses by row.

    Attributes
    ----------
    values
        (row, neuron).
    image
        (row,) index of the image, -1 for blanks.
    given
        (presentation,) index of the image as a file gives it, for one row or for the rows of all repeats;
        None if no file gives it.
    reading
        Phrases on how they were read.
    neurons
        (neuron,) names, or None.
    covariates
        Names, and (row, covariate); None if there are none.
    labels
        (row,) splits or groups by the keys ``splits_from`` and ``groups_from``, if the responses hold them.
    """

    values: np.ndarray
    image: np.ndarray
    given: np.ndarray | None
    reading: list[str]
    neurons: np.ndarray | None = None
    covariates: tuple[list[str], np.ndarray] | None = None
    labels: Mapping[str, np.ndarray] = {}


def rows_of(values: np.ndarray, index: np.ndarray, given: np.ndarray | None, reading: list[str]) -> Rows:
    """Rows of responses (index, repeat, neuron); ``index`` has the images along their first axis."""
    length, n_repeats, n_neurons = values.shape
    return Rows(values.reshape(length * n_repeats, n_neurons), np.repeat(index, n_repeats), given, reading)


def recording_of(
    definition: dict[str, Any],
    name: str,
    images: Images,
    known: list[str] | None,
    rows: Rows,
    names: list[str] | None = None,
    split: np.ndarray | None = None,
) -> Recording:
    """A recording of the images that were shown.

    Parameters
    ----------
    definition, name
        Dataset of kind ``arrays`` or ``images`` and its key.
    images
        All images, those that were never shown, too.
    known
        (image,) names by which labels that have names are matched; or None.
    rows
        Responses.
    names
        (image,) names for the reader; ``known``, or numbers from 0, if left out.
    split
        (image,) splits; those of ``splits_from`` if left out.

    Raises
    ------
    UserError
        If nothing was shown, or ``splits_from`` or ``groups_from`` is refused.
    """
    n_images, location = len(images), definition["responses"]
    shown, local = shown_images(rows.image)
    if not len(shown):
        raise UserError(f"{location}: no row is left that shows an image")
    responses = by_image(local, rows.values)
    reading = rows.reading
    if len(shown) < n_images:
        reading = [*reading, f"{n_images - len(shown)} images were never shown and are left out"]
        logger.warning("%s: %s", location, reading[-1])
    labels: dict[str, np.ndarray | None] = {}
    for key in ("splits_from", "groups_from"):
        if key in rows.labels:
            label = f"{location}, column '{definition[key]}'"
            labels[key] = labels_of_rows(rows.labels[key], rows.image, label)
        else:
            labels[key] = read_labels(definition, key, known, n_images, rows.given, shown)
    names = names or known or [str(image) for image in range(n_images)]
    covariates = rows.covariates and (
        rows.covariates[0],
        Presentations(rows.covariates[1], responses.row, responses.image, responses.repeat),
    )
    split = given_splits(labels["splits_from"], definition, name) if split is None else split[shown]
    return Recording(
        images=select_images(images, shown),
        responses=responses,
        split=split,
        neurons=rows.neurons,
        source=f"files {definition['images']} and {location}",
        citation="",
        repeat_averages=definition.get("repeat_averages", False),
        groups=labels["groups_from"],
        covariates=covariates,
        reading=reading,
        image_names=[names[image] for image in shown],
    )
