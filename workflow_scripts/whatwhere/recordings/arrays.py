"""Images and responses in array files (kind ``arrays``)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.array_files import NamedArray, as_list, read_array
from whatwhere.recordings.labels import read_labels, tiers_of
from whatwhere.recordings.layouts import (
    IMAGE_AXES,
    PRESENTATION_AXES,
    RESPONSE_AXES,
    arrange,
    count_images,
    image_axes,
    response_axes,
)
from whatwhere.recordings.matching import names_of, order_by_name
from whatwhere.recordings.presentations import (
    BLANK,
    Presentations,
    by_image,
    index_numbers,
    shown_images,
)
from whatwhere.recordings.recording import Recording, to_float32

Layout = Sequence[str] | None


def shape_images(
    array: NamedArray, layout: str | Layout, key: str, label: str, count: int | None = None
) -> tuple[np.ndarray, str, np.ndarray | None]:
    """Images as (image, channel, y, x), how their axes were read, and the names of the images in their file.

    Parameters
    ----------
    array, layout, key, label, count
        As for :func:`whatwhere.recordings.layouts.image_axes`.
    """
    axes = image_axes(array.values.shape, array.axes, layout, count, key, label)
    images = arrange(array.values, axes, IMAGE_AXES[len(axes)])
    images = images[:, None] if images.ndim == 3 else images
    number, *shape = images.shape
    reading = f"{number} images of {' x '.join(map(str, shape))} (channel, y, x)"
    return images, reading, array.names_along("image", axes)


def shape_responses(
    array: NamedArray, n_images: int, layout: Layout, key: str, label: str
) -> tuple[np.ndarray, str, np.ndarray | None]:
    """Responses as (repeat, image, neuron) float32, how they were read, and names of images in their file.

    Parameters
    ----------
    array
        (image, neuron), or axes that ``layout`` or their names state.
    n_images
        Number of images.
    layout, key, label
        As for :func:`whatwhere.recordings.layouts.response_axes`.

    Raises
    ------
    UserError
        If the shape does not fit, or does not tell the axes.
    """
    axes = response_axes(array.values.shape, array.axes, layout, ("image", n_images), key, label)
    shaped = arrange(array.values, axes, RESPONSE_AXES[len(axes)])
    shaped = shaped[None] if shaped.ndim == 2 else shaped
    repeats, images, neurons = shaped.shape
    reading = f"{neurons} neurons, {repeats} repeats, {images} images"
    return to_float32(shaped), reading, array.names_along("image", axes)


class Pair(NamedTuple):
    """Images and the responses to them.

    Attributes
    ----------
    images, responses
        (image, channel, y, x) and (repeat, image, neuron) float32.
    reading
        A phrase on each.
    names
        (image,) text, or None if the images have no names.
    order
        (image,) position of every image in the stored responses, or a slice for all in order.
    """

    images: np.ndarray
    responses: np.ndarray
    reading: list[str]
    names: list[str] | None
    order: np.ndarray | slice


def pair(
    images: NamedArray,
    responses: NamedArray,
    layouts: tuple[str | Layout, Layout],
    keys: tuple[str, str],
    labels: tuple[str, str],
) -> Pair:
    """Images and the responses to them, matched by name where both sides name images.

    Parameters
    ----------
    images, responses
        As stored.
    layouts, keys, labels
        Of images and of responses, as for :func:`whatwhere.recordings.layouts.stated_axes`.

    Raises
    ------
    UserError
        If the axes are not stated and can be misread, or names of images disagree.
    """
    shape = responses.values.shape
    count = count_images(shape, responses.axes, layouts[1], len(images.values), keys[1], labels[1])
    stimuli, reading, names = shape_images(images, layouts[0], keys[0], labels[0], count)
    dense, read, theirs = shape_responses(responses, len(stimuli), layouts[1], keys[1], labels[1])
    order = order_by_name(names, theirs, labels[1], labels[0])
    known = None if names is None else names_of(names)
    return Pair(stimuli, dense[:, order], [reading, read], known, order)


def indexed_responses(
    array: NamedArray,
    image_of_row: np.ndarray,
    names: np.ndarray | None,
    layout: Layout,
    key: str,
    label: str,
) -> tuple[np.ndarray, np.ndarray, str]:
    """Responses by presentation: (row, neuron), the image of every row, and how the axes were read.

    Parameters
    ----------
    array
        (presentation, neuron), or (image, repeat, neuron) in any order that ``layout`` or names state.
    image_of_row
        Index of the image for every entry of the first axis.
    names
        (presentation,) names that the index has; responses that name presentations, too, are matched to them.
    layout, key, label
        As for :func:`whatwhere.recordings.layouts.response_axes`.
    """
    counted = ("presentation", len(image_of_row))
    axes = response_axes(array.values.shape, array.axes, layout, counted, key, label)
    shaped = arrange(array.values, axes, PRESENTATION_AXES[len(axes)])
    if names is not None:
        shaped = shaped[order_by_name(names, array.names_along("presentation", axes), label, "the index")]
    neurons = shaped.shape[-1]
    if shaped.ndim == 2:
        return shaped, image_of_row, f"{neurons} neurons, {len(shaped)} presentations"
    rows = np.repeat(image_of_row, shaped.shape[1])
    reading = f"{neurons} neurons, {shaped.shape[1]} repeats, {len(shaped)} images"
    return shaped.reshape(-1, neurons), rows, reading


def load(definition: dict[str, Any], name: str) -> Recording:
    """Load arrays of images and responses.

    Parameters
    ----------
    definition
        ``images``: (image, y, x), or as ``layout`` says. ``responses``: (image, neuron), or as
        ``responses_layout`` says; with ``image_of_presentation`` and ``index_base`` (presentation, neuron).
        ``test_set``: the same keys for test data in arrays of their own. ``splits_from`` and ``tiers``,
        ``groups_from``, ``covariates``, ``blanks``, ``repeat_averages``: optional.
    name
        The dataset's key, for messages.

    Raises
    ------
    UserError
        If a file is unreadable, or does not say how images and responses belong together.
    """
    if "test_set" in definition:
        return _with_test_set(definition, name)
    responses: np.ndarray | Presentations
    order: np.ndarray | slice = slice(None)
    image_of_row = names = None
    if "image_of_presentation" in definition:
        rows = _read_rows(definition, None, name)
        image_of_row, reading = rows.image_of_row, rows.reading
        shown, local = shown_images(image_of_row)
        responses = by_image(local, rows.values)
        stimuli, n_images = rows.images[shown], len(rows.images)
        if len(shown) < n_images:
            reading.append(f"{n_images - len(shown)} images were never shown and are left out")
    else:
        stimuli, responses, reading, names, order = _read_pair(definition, definition, name, name)
        n_images, shown = len(stimuli), np.arange(len(stimuli))
    labels, groups = (
        read_labels(definition, key, names, n_images, image_of_row, shown)
        for key in ("splits_from", "groups_from")
    )
    return Recording(
        images=stimuli,
        responses=responses,
        split=tiers_of(labels, definition.get("tiers"), f"{name}.tiers"),
        neurons=None,
        source=f"files {definition['images']} and {definition['responses']}",
        citation="",
        repeat_averages=definition.get("repeat_averages", False),
        groups=groups,
        covariates=_covariates(definition, responses, order),
        reading=reading,
        image_names=names or shown.astype(str).tolist(),
    )


def _read_pair(of_images: dict[str, Any], definition: dict[str, Any], key: str, name: str) -> Pair:
    """Images of one definition, whose key is ``key``, and dense responses of another."""
    places = of_images["images"], definition["responses"]
    layouts = of_images.get("layout"), definition.get("responses_layout")
    keys = f"{key}.layout", f"{name}.responses_layout"
    return pair(read_array(places[0]), read_array(places[1]), layouts, keys, places)


class _Rows(NamedTuple):
    """Images (image, channel, y, x), values (row, neuron), the image of every row, and phrases on them."""

    images: np.ndarray
    values: np.ndarray
    image_of_row: np.ndarray
    reading: list[str]


def _read_rows(definition: dict[str, Any], others: tuple[dict[str, Any], str] | None, name: str) -> _Rows:
    """Images and presentations.

    Parameters
    ----------
    definition
        With responses.
    others
        Definition with the images and its key; None if ``definition`` has them.
    name
        Key of ``definition``.
    """
    of_images, key = others or (definition, name)
    if "image_of_presentation" not in definition:
        images, dense, reading, *_ = _read_pair(of_images, definition, key, name)
        rows = np.tile(np.arange(len(images)), len(dense))
        flat = dense.reshape(len(rows), -1)
        return _Rows(images, flat, np.where(np.isnan(flat).all(1), BLANK, rows), reading)
    location, index_from = definition["responses"], definition["image_of_presentation"]
    listed = read_array(index_from)
    numbers = as_list(listed.values, index_from, "one number of an image per presentation")
    base, blanks = definition.get("index_base"), definition.get("blanks", [])
    place = of_images["images"]
    stored = read_array(place)
    if base is None:  # says which one to set
        index_numbers(numbers, len(stored.values), None, f"{name}.index_base", index_from)
    rows = np.arange(len(stored.values))
    count = len(rows) if any(np.isin(rows + one, numbers).all() for one in (0, 1)) else None
    images, read, _ = shape_images(stored, of_images.get("layout"), f"{key}.layout", place, count)
    index, how = index_numbers(numbers, len(images), base, f"{name}.index_base", index_from, blanks)
    layout = definition.get("responses_layout")
    names = listed.names_along("presentation", ["presentation"])
    values, image, kind = indexed_responses(
        read_array(location), index, names, layout, f"{name}.responses_layout", location
    )
    return _Rows(images, values, image, [read, f"{kind}, {how}"])


def _with_test_set(definition: dict[str, Any], name: str) -> Recording:
    test, test_key = definition["test_set"], f"{name}.test_set"
    first = _read_rows(definition, None, name)
    own = "images" in test
    second = _read_rows(test, None if own else (definition, name), test_key)
    pooled, offset = first.images, 0
    if own:
        if second.images.shape[1:] != pooled.shape[1:]:
            raise UserError(
                f"{test['images']}: has images of {second.images.shape[1:]} (channel, y, x) but those of "
                f"{definition['images']} are {pooled.shape[1:]}"
            )
        pooled, offset = np.concatenate([pooled, second.images]), len(pooled)
    if second.values.shape[1] != first.values.shape[1]:
        raise UserError(
            f"{test['responses']}: has {second.values.shape[1]} neurons but {definition['responses']} has "
            f"{first.values.shape[1]}"
        )
    rows = first.image_of_row
    test_rows = np.where(second.image_of_row == BLANK, BLANK, second.image_of_row + offset)
    twice = np.intersect1d(rows[rows != BLANK], test_rows)
    if len(twice):
        raise UserError(
            f"{test_key}: image {twice[0]} is also in {definition['responses']}: leave it out of one"
        )
    shown, local = shown_images(np.concatenate([rows, test_rows]))
    never = len(pooled) - len(shown)
    return Recording(
        images=pooled[shown],
        responses=by_image(local, np.concatenate([first.values, second.values])),
        split=np.where(np.isin(shown, test_rows), "test", ""),
        neurons=None,
        source=f"files {definition['images']} and {definition['responses']}",
        citation="",
        repeat_averages=definition.get("repeat_averages", False),
        groups=read_labels(definition, "groups_from", None, len(pooled), None, shown),
        reading=[
            *first.reading,
            *(f"test: {phrase}" for phrase in second.reading[0 if own else 1 :]),
            *([f"{never} images were never shown and are left out"] if never else []),
        ],
        image_names=[f"test {i - offset}" if i >= offset > 0 else str(i) for i in shown],
    )


def _covariates(
    definition: dict[str, Any],
    responses: np.ndarray | Presentations,
    order_of_images: np.ndarray | slice,
) -> tuple[list[str], np.ndarray | Presentations] | None:
    """Files of running speed and the like, whose axes are those of the responses without the neurons."""
    files = definition.get("covariates")
    if not files:
        return None
    layout = [word for word in definition.get("responses_layout", []) if word != "neuron"]
    order = layout if len(layout) == 2 else ["repeat", "image"]
    if isinstance(responses, np.ndarray):
        wanted, sizes = ("repeat", "image"), {"repeat": responses.shape[0], "image": responses.shape[1]}
    else:
        listed = read_array(definition["image_of_presentation"]).values.size
        wanted, sizes = ("image", "repeat"), {"image": listed, "repeat": len(responses.values) // listed}
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
    return list(files), to_float32(stacked[:, order_of_images])
