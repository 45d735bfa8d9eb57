"""Images and responses in array files (kind ``arrays``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.array_files import NamedArray, as_list, read_array
from whatwhere.recordings.labels import groups_of, image_labels, read_labels, tiers_of
from whatwhere.recordings.layouts import (
    IMAGE_AXES,
    PRESENTATION_AXES,
    RESPONSE_AXES,
    arrange,
    check_order,
    image_axes,
    response_axes,
)
from whatwhere.recordings.presentations import (
    BLANK,
    Presentations,
    by_image,
    index_numbers,
    shown_images,
)
from whatwhere.recordings.recording import Recording, to_float32


def shape_images(
    array: NamedArray, layout: str | Sequence[str] | None, key: str, label: str
) -> tuple[np.ndarray, str, np.ndarray | None]:
    """Images as (image, channel, y, x), how their axes were read, and what their file calls the images.

    Parameters
    ----------
    array, layout, key, label
        As for :func:`whatwhere.recordings.layouts.image_axes`.
    """
    axes = image_axes(array.values.shape, array.axes, layout, key, label)
    images = arrange(array.values, axes, IMAGE_AXES[len(axes)])
    images = images[:, None] if images.ndim == 3 else images
    count, *shape = images.shape
    reading = f"{count} images of {' x '.join(map(str, shape))} (channel, y, x)"
    return images, reading, _labels(array, axes)


def shape_responses(
    array: NamedArray, n_images: int, layout: Sequence[str] | None, key: str, label: str
) -> tuple[np.ndarray, str, np.ndarray | None]:
    """Responses as (repeat, image, neuron) float32, how they were read, and what their file calls images.

    Parameters
    ----------
    array
        (image, neuron), or three axes that ``layout`` or their names tell.
    n_images
        How many images there are.
    layout, key, label
        As for :func:`whatwhere.recordings.layouts.response_axes`.

    Raises
    ------
    UserError
        If the shape does not fit, or allows two readings.
    """
    values = array.values
    axes = response_axes(values.shape, array.axes, layout, ("image", n_images), key, label)
    shaped = arrange(values, axes, RESPONSE_AXES[len(axes)])
    shaped = shaped[None] if shaped.ndim == 2 else shaped
    repeats, images, neurons = shaped.shape
    reading = f"{neurons} neurons, {repeats} repeats, {images} images"
    return to_float32(shaped), reading, _labels(array, axes)


def _labels(array: NamedArray, axes: Sequence[str]) -> np.ndarray | None:
    return None if array.labels is None else array.labels[list(axes).index("image")]


def indexed_responses(
    array: NamedArray,
    image_of_row: np.ndarray,
    layout: Sequence[str] | None,
    key: str,
    label: str,
) -> tuple[np.ndarray, np.ndarray, str]:
    """Responses by presentation: (row, neuron), the image of every row, and how the axes were read.

    Parameters
    ----------
    array
        (presentation, neuron), or (image, repeat, neuron) in any order that ``layout`` or names tell.
    image_of_row
        Index of the image for every entry of the first axis.
    layout, key, label
        As for :func:`whatwhere.recordings.layouts.response_axes`.
    """
    values = array.values
    counted = ("presentation", len(image_of_row))
    axes = response_axes(values.shape, array.axes, layout, counted, key, label)
    shaped = arrange(values, axes, PRESENTATION_AXES[len(axes)])
    neurons = shaped.shape[-1]
    if shaped.ndim == 2:
        return shaped, image_of_row, f"{neurons} neurons, {len(shaped)} presentations"
    rows = np.repeat(image_of_row, shaped.shape[1])
    return (
        shaped.reshape(-1, neurons),
        rows,
        f"{neurons} neurons, {shaped.shape[1]} repeats, {len(shaped)} images",
    )


def read_index(definition: dict[str, Any], n_images: int, name: str) -> tuple[np.ndarray, str]:
    """Index of the image of every presentation from the file ``image_of_presentation`` names."""
    location = definition["image_of_presentation"]
    numbers = as_list(read_array(location).values, location, "one number of an image per presentation")
    return index_numbers(numbers, n_images, definition.get("index_base"), f"{name}.index_base", location)


def load(definition: dict[str, Any], name: str) -> Recording:
    """Load arrays of images and responses.

    Parameters
    ----------
    definition
        ``images``: (image, y, x), or as ``layout`` says. ``responses``: (image, neuron), or as
        ``responses_layout`` says; with ``image_of_presentation`` (presentation, neuron). ``test_set``:
        the same keys for test data in arrays of their own. ``splits_from`` and ``tiers``, ``groups_from``,
        ``covariates``, ``repeat_averages``: optional.
    name
        The dataset's key, for messages.

    Raises
    ------
    UserError
        If a file is unreadable or the shapes do not belong together.
    """
    images, reading = _read_images(definition, name)
    source = f"files {definition['images']} and {definition['responses']}"
    if "test_set" in definition:
        return _with_test_set(definition, name, images, reading, source)
    responses: np.ndarray | Presentations
    image_of_row, n_images = None, len(images.values)
    if "image_of_presentation" in definition:
        values, image_of_row, read = _read_rows(definition, images, name)
        shown, local = shown_images(image_of_row)
        responses = by_image(local, values)
        stimuli, read = _keep(images.values, shown, read)
    else:
        responses, read = _read_dense(definition, images, name)
        stimuli, shown = images.values, np.arange(n_images)
    labels = None
    if "splits_from" in definition:
        labels = read_labels(definition["splits_from"])
        labels = image_labels(labels, n_images, image_of_row, shown, definition["splits_from"])
    return Recording(
        images=stimuli,
        responses=responses,
        split=tiers_of(labels, definition.get("tiers"), f"{name}.tiers"),
        neurons=None,
        source=source,
        citation="",
        repeat_averages=definition.get("repeat_averages", False),
        groups=groups_of(definition, n_images, image_of_row, shown),
        covariates=_covariates(definition, responses, image_of_row),
        reading=[reading, read],
        image_names=shown.astype(str).tolist(),
    )


class _Images(NamedTuple):
    """Images (image, channel, y, x), what their file calls them, and the file."""

    values: np.ndarray
    labels: np.ndarray | None
    location: str


def _read_images(definition: dict[str, Any], name: str) -> tuple[_Images, str]:
    location = definition["images"]
    values, reading, labels = shape_images(
        read_array(location), definition.get("layout"), f"{name}.layout", location
    )
    return _Images(values, labels, location), reading


def _read_dense(definition: dict[str, Any], images: _Images, name: str) -> tuple[np.ndarray, str]:
    """Responses (repeat, image, neuron), and how they were read."""
    location, layout = definition["responses"], definition.get("responses_layout")
    stored = read_array(location)
    _check_last_axis(definition, images.values, stored, name)
    key = f"{name}.responses_layout"
    responses, read, labels = shape_responses(stored, len(images.values), layout, key, location)
    check_order(images.labels, labels, location, images.location)
    return responses, read


def _check_last_axis(
    definition: dict[str, Any], images: np.ndarray, responses: NamedArray, name: str
) -> None:
    """Refuse three axes of images of which the last counts them, as MATLAB stores them."""
    lengths = responses.values.shape
    if "layout" in definition or images.shape[1] > 1 or len(images) in lengths:
        return
    if images.shape[3] in lengths:
        shape = (len(images), *images.shape[2:])
        raise UserError(
            f"{definition['images']}: its axes {shape} can be read in two ways: set {name}.layout to "
            "[image, y, x] or to [y, x, image]"
        )


def _keep(images: np.ndarray, shown: np.ndarray, read: str) -> tuple[np.ndarray, str]:
    """The images that were shown, and a phrase on the others."""
    if len(shown) == len(images):
        return images, read
    return images[shown], f"{read}, {len(images) - len(shown)} images were never shown and are left out"


def _read_rows(definition: dict[str, Any], images: _Images, name: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Responses (row, neuron), the image of every row, and how they were read."""
    location, layout = definition["responses"], definition.get("responses_layout")
    n_images = len(images.values)
    if "image_of_presentation" in definition:
        index, read_as = read_index(definition, n_images, name)
        values, rows, read = indexed_responses(
            read_array(location), index, layout, f"{name}.responses_layout", location
        )
        return values, rows, f"{read}, {read_as}"
    dense, read = _read_dense(definition, images, name)
    rows = np.tile(np.arange(n_images), len(dense))
    flat = dense.reshape(len(rows), -1)
    return flat, np.where(np.isnan(flat).all(1), BLANK, rows), read


def _with_test_set(
    definition: dict[str, Any], name: str, images: _Images, reading: str, source: str
) -> Recording:
    test, test_key = definition["test_set"], f"{name}.test_set"
    values, rows, read = _read_rows(definition, images, name)
    readings = [reading, read]
    pool, offset, tested = images.values, 0, images
    if "images" in test:
        tested, read = _read_images(test, test_key)
        readings.append(f"test: {read}")
        if tested.values.shape[1:] != pool.shape[1:]:
            raise UserError(
                f"{test['images']}: has images of {tested.values.shape[1:]} (channel, y, x) but those of "
                f"{definition['images']} are {pool.shape[1:]}"
            )
        pool, offset = np.concatenate([pool, tested.values]), len(pool)
    test_values, test_rows, read = _read_rows(test, tested, test_key)
    readings.append(f"test: {read}")
    if test_values.shape[1] != values.shape[1]:
        raise UserError(
            f"{test['responses']}: has {test_values.shape[1]} neurons but {definition['responses']} has "
            f"{values.shape[1]}"
        )
    test_rows = np.where(test_rows == BLANK, BLANK, test_rows + offset)
    twice = np.intersect1d(rows[rows != BLANK], test_rows)
    if len(twice):
        raise UserError(
            f"{test_key}: image {twice[0]} is also in {definition['responses']}: leave it out of one"
        )
    shown, local = shown_images(np.concatenate([rows, test_rows]))
    stimuli, readings[-1] = _keep(pool, shown, readings[-1])
    return Recording(
        images=stimuli,
        responses=by_image(local, np.concatenate([values, test_values])),
        split=np.where(np.isin(shown, test_rows), "test", ""),
        neurons=None,
        source=source,
        citation="",
        repeat_averages=definition.get("repeat_averages", False),
        groups=groups_of(definition, len(pool), None, shown),
        reading=readings,
        image_names=[f"test {i - offset}" if i >= offset > 0 else str(i) for i in shown],
    )


def _covariates(
    definition: dict[str, Any], responses: np.ndarray | Presentations, image_of_row: np.ndarray | None
) -> tuple[list[str], np.ndarray | Presentations] | None:
    """Files of running speed and the like, whose axes are those of the responses without the neurons."""
    files = definition.get("covariates")
    if not files:
        return None
    layout = [word for word in definition.get("responses_layout", []) if word != "neuron"]
    order = layout if len(layout) == 2 else ["repeat", "image"]
    if image_of_row is None:
        sizes = dict(zip(("repeat", "image"), responses.shape, strict=False))
        wanted = ("repeat", "image")
    else:
        listed = read_array(definition["image_of_presentation"]).values.size
        sizes = {"image": listed, "repeat": len(image_of_row) // listed}
        wanted = ("image", "repeat")
    shape = tuple(sizes[word] for word in order)
    columns = []
    for location in files.values():
        values = read_array(location).values
        # A list will do where there is only one repeat.
        if values.shape != shape and not (1 in shape and values.size == max(values.shape) == max(shape)):
            raise UserError(
                f"{location}: has shape {values.shape}, expected {shape} ({', '.join(order)}): one value per "
                "presentation"
            )
        columns.append(arrange(values.reshape(shape), order, wanted))
    stacked = np.stack(columns, -1)
    if isinstance(responses, Presentations):
        rows = stacked.reshape(-1, stacked.shape[-1])
        return list(files), Presentations(rows, responses.row, responses.image, responses.repeat)
    return list(files), to_float32(stacked)
