"""Images and responses in array files (kind ``arrays``)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.array_files import NamedArray, as_list, read_any_array, read_array
from whatwhere.recordings.layouts import (
    IMAGE_AXES,
    PRESENTATION_AXES,
    RESPONSE_AXES,
    arrange,
    axes_of,
    stated_axes,
)
from whatwhere.recordings.matching import names_of, order_by_name
from whatwhere.recordings.presentations import BLANK
from whatwhere.recordings.recording import Recording
from whatwhere.recordings.rows import Rows, image_index, recording_of, rows_of
from whatwhere.recordings.spike_trains import counts_after_onsets

Layout = Sequence[str] | None


def arrange_responses(
    array: NamedArray, counted: tuple[str, int], layout: Layout, key: str, label: str
) -> tuple[np.ndarray, dict[str, np.ndarray | None], str]:
    """Responses as (image or presentation, repeat, neuron), names along its axes, and their reading.

    ``counted`` is ``image`` or, if an index assigns responses to images, ``presentation``; and the number of
    these. Names of images or presentations are returned under ``first`` and of neurons under ``neuron``, None
    for those without. ``layout`` and ``key`` as for :func:`whatwhere.recordings.layouts.stated_axes`.
    """
    word, length = counted
    expected = RESPONSE_AXES if word == "image" else PRESENTATION_AXES
    axes = axes_of(array, layout, expected, counted, key, label)
    first = word if word in axes else "image"
    values = arrange(array.values, axes, [one for one in (first, "repeat", "neuron") if one in axes])
    if len(values) != length:
        fault = f"has {len(values)} along its axis '{first}' but there are {length} {word}s"
        raise UserError(f"{label}: {fault}: check {key}")
    values = values[:, None] if values.ndim == 2 else values
    repeats = f"{values.shape[1]} repeats, " if first == "image" else ""
    reading = f"{values.shape[2]} neurons, {repeats}{length} {first}s"
    names = {"first": array.names_along(first, axes), "neuron": array.names_along("neuron", axes)}
    return values, names, reading


def arrange_images(
    array: NamedArray, count: int | None, layout: Layout, key: str, label: str
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Images as (image, channel, y, x), their names or None, and how their axes were read.

    ``count`` is the number of images, None if it is not known; the others as for
    :func:`whatwhere.recordings.layouts.stated_axes`.
    """
    axes = axes_of(array, layout, IMAGE_AXES, ("image", count), key, label)
    if not array.values.size:
        raise UserError(f"{label}: is empty, shape {array.values.shape}")
    images = arrange(array.values, axes, IMAGE_AXES[len(axes)])
    images = images[:, None] if images.ndim == 3 else images
    number, *shape = images.shape
    reading = f"{number} images of {' x '.join(map(str, shape))} (channel, y, x)"
    return images, array.names_along("image", axes), reading


class Pair(NamedTuple):
    """Images (image, channel, y, x) and responses (image, repeat, neuron), with a phrase on each.

    ``names`` are (image,) text, None if the images have no names; ``order`` is the (image,) position of every
    image in the responses, or a slice for all in order; ``neurons`` are (neuron,) names in the responses,
    None if the neurons have none.
    """

    images: np.ndarray
    responses: np.ndarray
    reading: list[str]
    names: list[str] | None
    order: np.ndarray | slice
    neurons: np.ndarray | None


def pair(
    images: NamedArray,
    responses: NamedArray,
    layouts: tuple[Layout, Layout],
    keys: tuple[str, str],
    labels: tuple[str, str],
) -> Pair:
    """Images and the responses to them, matched by name where both sides name images.

    ``layouts``, ``keys`` and ``labels`` of images and of responses as for
    :func:`whatwhere.recordings.layouts.stated_axes`. UserError if the axes are not stated and can be misread,
    or names of images disagree.
    """
    stated = stated_axes(responses, layouts[1], RESPONSE_AXES, keys[1], labels[1])
    axis = stated.index("image") if stated else 0
    shape, last = images.values.shape, responses.values.shape[-1]
    is_open = not stated and not stated_axes(images, layouts[0], IMAGE_AXES, keys[0], labels[0])
    if is_open and len(shape) == 3 and shape[2] == last and max(shape[:2]) <= 4 * min(shape[:2]):
        fault = f"have shapes {shape} and {responses.values.shape}, with images first or last"
        raise UserError(f"{', '.join(labels)}: {fault}: set {keys[0]} to [image, y, x] or to [y, x, image]")
    # Axes of repeats that nothing states are refused below.
    count = responses.values.shape[axis] if stated or responses.values.ndim == 2 else len(images.values)
    stimuli, names, reading = arrange_images(images, count, layouts[0], keys[0], labels[0])
    counted = "image", len(stimuli)
    values, theirs, read = arrange_responses(responses, counted, layouts[1], keys[1], labels[1])
    order = order_by_name(names, theirs["first"], labels[1], labels[0])
    texts = None if names is None else names_of(names)
    return Pair(stimuli, values, [reading, read], texts, order, theirs["neuron"])


def load(definition: dict[str, Any], name: str) -> Recording:
    """Loads arrays of images and responses.

    ``images`` are (image, y, x), or as ``layout`` says; ``responses`` (image, neuron), or as
    ``responses_layout`` says, and with ``image_of_presentation`` (presentation, neuron), or spikes that are
    counted after the ``onsets`` of presentations. ``test_set`` has the
    same keys for test data in arrays of their own.
    """
    images, names, rows = _read(definition, name)
    if "test_set" not in definition:
        rows = rows._replace(covariates=_covariates(definition, rows, len(images)))
        return recording_of(definition, name, images, names, rows)
    test, test_key = definition["test_set"], f"{name}.test_set"
    own = "images" in test
    shared = {} if own else {key: definition[key] for key in ("images", "layout") if key in definition}
    test_images, _, others = _read(shared | test, test_key)
    shape = test_images.shape[1:]
    if shape != images.shape[1:]:
        raise UserError(f"{test['images']}: has images of {shape}, {definition['images']} {images.shape[1:]}")
    n_neurons, n_test = rows.values.shape[1], others.values.shape[1]
    if n_test != n_neurons:
        raise UserError(f"{test['responses']}: has {n_test} neurons, {definition['responses']} {n_neurons}")
    names = [str(image) for image in range(len(images))]
    if own:
        names += [f"test {image}" for image in range(len(test_images))]
        others = others._replace(image=np.where(others.image == BLANK, BLANK, others.image + len(images)))
        images = np.concatenate([images, test_images])
    first, second = (
        one.image if one.given is not None else np.where(np.isnan(one.values).all(1), BLANK, one.image)
        for one in (rows, others)
    )
    twice = np.intersect1d(first[first != BLANK], second)
    if len(twice):
        raise UserError(f"{test_key}: image {twice[0]} is also in {definition['responses']}: leave one out")
    both = Rows(
        values=np.concatenate([rows.values, others.values]),
        image=np.concatenate([first, second]),
        given=None,
        neurons=rows.neurons,
        reading=[*rows.reading, *(f"test: {phrase}" for phrase in others.reading[0 if own else 1 :])],
    )
    split = np.where(np.isin(np.arange(len(images)), second), "test", "")
    return recording_of(definition, name, images, None, both, names, split)


def _read(definition: dict[str, Any], name: str) -> tuple[np.ndarray, list[str] | None, Rows]:
    """Images (image, channel, y, x), their names, and responses."""
    places = definition["images"], definition.get("responses", definition.get("spike_times", ""))
    layouts = definition.get("layout"), definition.get("responses_layout")
    keys = f"{name}.layout", f"{name}.responses_layout"
    images = read_array(places[0])
    if "spike_times" in definition:
        responses = counts_after_onsets(definition, name)
    else:
        responses = read_array(places[1])
    if "image_of_presentation" not in definition:
        found = pair(images, responses, layouts, keys, places)
        image = np.argsort(np.arange(len(found.images))[found.order])
        rows = rows_of(found.responses, image, None, found.reading)
        return found.images, found.names, rows._replace(neurons=_names(found.neurons))
    index_from = definition["image_of_presentation"]
    listed = read_any_array(index_from)
    numbers = as_list(listed.values, index_from, "one number of an image per presentation")
    n = len(images.values)
    shows_all = any(np.isin(np.arange(n) + base, numbers).all() for base in (0, 1))
    stimuli, _, read = arrange_images(images, n if shows_all else None, layouts[0], keys[0], places[0])
    index, how = image_index(numbers, None, len(stimuli), definition, name, index_from)
    rows = presented(responses, index, listed, layouts[1], keys[1], places[1])
    return stimuli, None, rows._replace(reading=[read, f"{rows.reading[0]}, {how}"])


def presented(
    array: NamedArray, index: np.ndarray, listed: NamedArray, layout: Layout, key: str, label: str
) -> Rows:
    """Responses by presentation, stored (presentation, neuron), or (image, repeat, neuron) in a stated order.

    ``index`` (presentation,) has the index of the image; ``listed`` is the index as stored: responses that
    name presentations, as it does, are matched to its names.
    """
    values, theirs, reading = arrange_responses(array, ("presentation", len(index)), layout, key, label)
    names = listed.names_along("presentation", ["presentation"])
    values = values[order_by_name(names, theirs["first"], label, "the index")]
    return rows_of(values, index, index, [reading])._replace(neurons=_names(theirs["neuron"]))


def _names(stored: np.ndarray | None) -> np.ndarray | None:
    return None if stored is None else np.array(names_of(stored))


def _covariates(definition: dict[str, Any], rows: Rows, n_images: int) -> tuple[list[str], np.ndarray] | None:
    """Files of running speed and the like, whose axes are those of the responses without the neurons."""
    files = definition.get("covariates")
    if not files:
        return None
    length = n_images if rows.given is None else len(rows.given)
    sizes = {"image": length, "repeat": len(rows.values) // length}
    read = {location: read_array(location).values for location in files.values()}
    return list(files), by_row(read, sizes, definition.get("responses_layout"))


def by_row(read: Mapping[str, np.ndarray], sizes: Mapping[str, int], layout: Layout) -> np.ndarray:
    """Covariates (row, covariate) of rows that are repeats of images, image after image.

    ``read`` are arrays by their name in messages, whose axes are those of the responses without the neurons;
    ``sizes`` are numbers of ``image`` and ``repeat``. UserError if an array has another shape.
    """
    stated = [word for word in layout or [] if word != "neuron"]
    order = stated if len(stated) == 2 else ["repeat", "image"]
    shape = tuple(sizes[word] for word in order)
    columns = []
    for location, values in read.items():
        # A list will do where there is only one repeat.
        if values.shape != shape and not (1 in shape and values.size == max(values.shape) == max(shape)):
            expected = f"expected {shape} ({', '.join(order)}), one value per presentation"
            raise UserError(f"{location}: has shape {values.shape}, {expected}")
        columns.append(arrange(values.reshape(shape), order, ("image", "repeat")).reshape(-1))
    return np.stack(columns, -1)
