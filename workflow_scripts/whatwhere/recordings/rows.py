"""Responses by row, from which the loaders of users' files make a recording."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.labels import LEFT_OUT, given_splits, has_one_of, labels_of_rows, read_labels
from whatwhere.recordings.matching import match
from whatwhere.recordings.presentations import BLANK, Presentations, by_image, index_numbers, shown_images
from whatwhere.recordings.recording import Images, Recording, select_images
from whatwhere.recordings.tables import Table, columns_of, to_numbers

logger = logging.getLogger(__name__)

LABELS = ("splits_from", "groups_from")
"""Keys that name files or columns of labels."""


class Rows(NamedTuple):
    """Responses by row.

    Attributes
    ----------
    values, image
        (row, neuron), and (row,) index of the image, -1 for blanks.
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
        (row,) splits or groups by the keys of :data:`LABELS`, if the responses hold them.
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


def image_index(
    values: np.ndarray,
    names: list[str] | None,
    n_images: int,
    definition: dict[str, Any],
    name: str,
    label: str,
) -> tuple[np.ndarray, str]:
    """Index of the image of every presentation, (row,), :data:`BLANK` for none, and a phrase on it.

    ``values`` (row,) are numbers, or text: names of images, or numbers if ``index_base`` is set. ``names``
    are those of the images, or None if they have none. UserError as for
    :func:`whatwhere.recordings.matching.match` and :func:`whatwhere.recordings.presentations.index_numbers`.
    """
    if values.dtype.kind in "OU":
        blanks = definition.get("blanks", [])
        if names is not None and "index_base" not in definition:
            return match(values.tolist(), names, label, blanks)
        words = [blank for blank in blanks if isinstance(blank, str)]
        values = to_numbers(np.where(np.isin(values, words), "", values.astype(str)), label)
    return index_numbers(values, n_images, definition, name, label)


def with_columns(rows: Rows, table: Table, definition: dict[str, Any], name: str) -> Rows:
    """Rows with the covariates and labels that columns of a table hold, without those to be left out.

    The table has the same rows. Labels in a text file are left to :func:`recording_of`. UserError if a column
    is not there, or holds none of the values that ``leave_out`` lists.
    """
    image, reading = rows.image, list(rows.reading)
    for column, values in definition.get("leave_out", {}).items():
        key = f"{name}.leave_out"
        left = has_one_of(table.text(column, key).tolist(), values, f"{key}.{column}")
        reading.append(f"{left.sum()} rows of {column} {', '.join(map(str, values))} are left out")
        image = np.where(left, BLANK, image)
    key = f"{name}.covariates"
    names = columns_of(table, definition.get("covariates", []), key)
    return rows._replace(
        image=image,
        given=image,
        reading=reading,
        covariates=(names, np.stack([table.numbers(one, key) for one in names], 1)) if names else None,
        labels={
            key: table.text(definition[key], f"{name}.{key}")
            for key in LABELS
            if key in definition and (definition[key] in table.header or "." not in definition[key])
        },
    )


def recording_of(
    definition: dict[str, Any],
    name: str,
    images: Images,
    known: list[str] | None,
    rows: Rows,
    names: list[str] | None = None,
    split: np.ndarray | None = None,
) -> Recording:
    """A recording of the images that were shown, of kind ``arrays``, ``images`` or ``nwb``.

    ``images`` are all images, those that were never shown, too; ``known`` (image,) names by which labels that
    have names are matched, or None; ``names`` (image,) names for the reader, by default ``known``, or numbers
    from 0; ``split`` (image,) splits, by default those of ``splits_from``. UserError if nothing was shown, or
    ``splits_from`` or ``groups_from`` is refused.
    """
    location = next(definition[key] for key in ("path", "responses", "spike_times") if key in definition)
    n_images = len(images)
    shown, local = shown_images(rows.image)
    if not len(shown):
        raise UserError(f"{location}: no row is left that shows an image")
    reading = rows.reading
    if len(shown) < n_images:
        reading = [*reading, f"{n_images - len(shown)} images were never shown and are left out"]
        logger.warning("%s: %s", location, reading[-1])
    labels: dict[str, np.ndarray | None] = {}
    for key in LABELS:
        if key in rows.labels:
            label = f"{location}, column '{definition[key]}'"
            labels[key] = labels_of_rows(rows.labels[key], rows.image, label)
        else:
            labels[key] = read_labels(definition, key, known, n_images, rows.given, shown)
    split = given_splits(labels["splits_from"], definition, name) if split is None else split[shown]
    kept = np.full(len(shown), True) if split is None else split != LEFT_OUT
    if not kept.all():
        logger.warning("%s: %d images whose tier is not listed are left out", name, (~kept).sum())
    local = np.where(local == BLANK, BLANK, np.where(kept, np.cumsum(kept) - 1, BLANK)[local])
    shown, responses = shown[kept], by_image(local, rows.values)
    names = names or known or [str(image) for image in range(n_images)]
    covariates = rows.covariates and (rows.covariates[0], Presentations(rows.covariates[1], responses.rows))
    if rows.given is None and "hold_last" in definition.get("missing", {}).values():
        raise UserError(
            f"{name}.missing: hold_last needs the order of presentations in time, which rows without "
            "image_of_presentation do not have: set leave_out"
        )
    split, groups = (one if one is None else one[kept] for one in (split, labels["groups_from"]))
    files = f"file {location}" if "path" in definition else f"files {definition['images']} and {location}"
    return Recording(
        images=select_images(images, shown),
        responses=responses,
        split=split,
        neurons=rows.neurons,
        source=files,
        repeat_averages=definition.get("repeat_averages", False),
        groups=groups,
        covariates=covariates,
        reading=reading,
        image_names=[names[image] for image in shown],
    )
