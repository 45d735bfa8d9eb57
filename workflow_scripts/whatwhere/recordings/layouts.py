"""Which axis of an array is which: words of the configuration, names in files, and what shapes allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from whatwhere.errors import UserError

RESPONSE_AXES = {2: ("image", "neuron"), 3: ("repeat", "image", "neuron")}
"""Axes of responses by their number."""
PRESENTATION_AXES = {2: ("presentation", "neuron"), 3: ("image", "repeat", "neuron")}
"""Axes of responses that an index assigns to images: a row each, or a row of repeats each."""
IMAGE_AXES = {3: ("image", "y", "x"), 4: ("image", "channel", "y", "x")}
"""Axes of images by their number."""
LETTERS = {"nchw": ("image", "channel", "y", "x"), "nhwc": ("image", "y", "x", "channel")}
"""Short for two common layouts of images."""

_NAMES = {
    "image": "image images stimulus stimuli stim img picture frame scene image_id stimulus_id",
    "neuron": "neuron neurons unit units cell cells roi rois neuroid neuron_id unit_id cell_id",
    "repeat": "repeat repeats repetition repetitions rep reps trial trials",
    "presentation": "presentation presentations trial trials sample samples row",
    "channel": "channel channels color colour rgb band c",
    "y": "y height h row rows lat",
    "x": "x width w column columns lon",
}
"""What axes are called in files, by our word for them."""


def known_axes(names: Sequence[str | None] | None, wanted: Sequence[str]) -> tuple[str, ...] | None:
    """Our words for the axes of an array that its file names, in the order of the array.

    Parameters
    ----------
    names
        What the file calls every axis, None or anything where it does not.
    wanted
        The words that there must be. A single axis without a telling name is the one that is left.

    Returns
    -------
    None unless the names tell all axes.
    """
    if names is None or len(names) != len(wanted):
        return None
    found = [
        next((word for word in wanted if str(name).lower() in _NAMES[word].split()), None) for name in names
    ]
    missing = [word for word in wanted if word not in found]
    if found.count(None) == len(missing) == 1:
        found[found.index(None)] = missing[0]
    axes = tuple(word for word in found if word is not None)
    return axes if sorted(axes) == sorted(wanted) else None


def chosen_axes(
    shape: tuple[int, ...],
    names: Sequence[str | None] | None,
    layout: Sequence[str] | None,
    axes_by_number: dict[int, tuple[str, ...]],
    key: str,
    label: str,
) -> tuple[str, ...] | None:
    """Axes that the configuration or the file tells, None if neither does.

    Parameters
    ----------
    shape
        Of the array.
    names
        What the file calls its axes, or None.
    layout
        Words of the configuration, or None.
    axes_by_number
        Words that there may be, by the number of axes.
    key, label
        The key of the layout and the array, for messages.

    Raises
    ------
    UserError
        If there are too few or too many axes, or the two contradict each other.
    """
    choices = [f"({', '.join(words)})" for words in axes_by_number.values()]
    if len(shape) not in axes_by_number:
        raise UserError(f"{label}: has shape {shape}, expected {' or '.join(choices)}")
    wanted = axes_by_number[len(shape)]
    named = known_axes(names, wanted)
    if layout is None:
        return named
    if sorted(layout) != sorted(wanted):
        raise UserError(
            f"{key}: [{', '.join(layout)}] does not describe {label} of shape {shape}: "
            f"put {', '.join(wanted)} in its order"
        )
    if named is not None and named != tuple(layout):
        raise UserError(
            f"{key}: [{', '.join(layout)}] contradicts {label}, whose axes are named "
            f"{', '.join(map(str, names or []))}"
        )
    return tuple(layout)


def arrange(array: np.ndarray, axes: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """The array, whose axes are given, with its axes in the order wanted; a view."""
    return array.transpose([list(axes).index(word) for word in wanted])


def response_axes(
    shape: tuple[int, ...],
    names: Sequence[str | None] | None,
    layout: Sequence[str] | None,
    counted: tuple[str, int],
    key: str,
    label: str,
) -> tuple[str, ...]:
    """Axes of responses, in the order of the array.

    Parameters
    ----------
    shape, names, layout, key, label
        As for :func:`chosen_axes`.
    counted
        The axis whose length is known, image or presentation, and this length.

    Raises
    ------
    UserError
        If the axes do not fit, or neither words nor names tell them and the shape allows two readings.
    """
    word, length = counted
    plural = f"{length} {word}s"
    table = PRESENTATION_AXES if word == "presentation" else RESPONSE_AXES
    told = chosen_axes(shape, names, layout, table, key, label)
    if told is not None:
        here = told.index(word if word in told else "image")
        if shape[here] != length:
            raise UserError(
                f"{label}: has {shape[here]} along its axis '{told[here]}' but there are {plural}: "
                f"check {key}"
            )
        return told
    fitting = [axis for axis, size in enumerate(shape) if size == length]
    if len(shape) == 3:
        if not fitting:
            raise UserError(
                f"{label}: has shape {shape} but there are {plural}: one row per {word} is needed"
            )
        first, last = (axis for axis in range(3) if axis != fitting[0])
        readings = []
        for repeat, neuron in ((first, last), (last, first)):
            words = [""] * 3
            words[fitting[0]], words[repeat], words[neuron] = "image", "repeat", "neuron"
            readings.append(f"[{', '.join(words)}] for {shape[repeat]} repeats and {shape[neuron]} neurons")
        raise UserError(
            f"{label}: its axes {shape} can be read in two ways: set {key} to {' or to '.join(readings)}"
        )
    if fitting == [0]:
        return table[2]
    if fitting == [1]:
        raise UserError(
            f"{label}: has shape {shape} for ({word}, neuron) but there are {plural}: the axes look "
            f"transposed: set {key} to [neuron, {word}]"
        )
    if fitting:
        raise UserError(
            f"{label}: its axes {shape} can be read in two ways: set {key} to [{word}, neuron] or "
            f"to [neuron, {word}]"
        )
    raise UserError(
        f"{label}: has shape {shape} for ({word}, neuron) but there are {plural}: one row per {word} is "
        "needed"
    )


def check_order(images: np.ndarray | None, responses: np.ndarray | None, label: str, other: str) -> None:
    """Refuse responses whose file numbers images in another order than the file of images.

    Parameters
    ----------
    images, responses
        (image,) what each file calls the images, or None; numbers that are not given count from 0.
    label, other
        What to call responses and images in messages.
    """
    if responses is None:
        return
    counted = images is None
    images = np.arange(len(responses)) if images is None else images
    if len(images) != len(responses) or np.array_equal(images, responses):
        return
    shared = np.isin(responses, images)
    if shared.all() or (shared.any() and not counted):
        raise UserError(
            f"{label}: numbers images {', '.join(map(str, responses[:3]))}, ... but {other} "
            f"{', '.join(map(str, images[:3]))}, ...: sort both alike, or leave the numbers out"
        )


def image_axes(
    shape: tuple[int, ...],
    names: Sequence[str | None] | None,
    layout: str | Sequence[str] | None,
    key: str,
    label: str,
) -> tuple[str, ...]:
    """Axes of images, in the order of the array; without words or names (image, y, x).

    Parameters
    ----------
    shape, names, key, label
        As for :func:`chosen_axes`.
    layout
        Words, or one of :data:`LETTERS`, or None.

    Raises
    ------
    UserError
        If the axes do not fit, or there are four that nothing tells.
    """
    words = LETTERS[layout] if isinstance(layout, str) else layout
    if isinstance(layout, str) and len(shape) == 3:
        words = None  # grey images have no channels to tell
    told = chosen_axes(shape, names, words, IMAGE_AXES, key, label)
    if 0 in shape:
        raise UserError(f"{label}: is empty, shape {shape}")
    if told is None and len(shape) == 4:
        raise UserError(f"{key}: is missing: say whether the four axes of {label} are nchw or nhwc")
    if told is None and shape[0] == shape[2]:
        raise UserError(
            f"{label}: its axes {shape} can be read in two ways: set {key} to [image, y, x] or to "
            "[y, x, image]"
        )
    axes = told or IMAGE_AXES[3]
    if len(axes) == 4 and isinstance(layout, str):
        here, other = (axes.index("channel"), 1 if layout == "nhwc" else 3)
        if shape[here] > 4 and shape[other] <= 4:
            better = "nchw" if layout == "nhwc" else "nhwc"
            raise UserError(f"{key}: {label} has shape {shape}, which looks like {better}")
    return axes
