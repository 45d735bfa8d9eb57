"""Axes of arrays: stated by a key, by names in the file, or by shapes that allow one reading only."""

import re
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
SYNONYMS = {
    "image": ("image", "images", "image_id", "stimulus", "stimuli", "stimulus_id"),
    "neuron": ("neuron", "neurons", "neuron_id", "unit", "units", "unit_id", "cell", "cells", "roi", "rois"),
    "repeat": ("repeat", "repeats", "repetition", "repetitions", "trial", "trials"),
    "presentation": ("presentation", "presentations", "trial", "trials"),
    "channel": ("channel", "channels", "color", "colour"),
    "y": ("y", "height"),
    "x": ("x", "width"),
}
"""Names of axes in files, by our word for them; other names are refused."""
_UNNAMED = re.compile(r"(phony_)?dim_?\d+")
"""Names that libraries give to axes without one."""

Shape = tuple[int, ...]
Names = Sequence[str | None] | None


def stated_axes(
    shape: Shape,
    names: Names,
    layout: Sequence[str] | None,
    axes_by_number: dict[int, tuple[str, ...]],
    key: str,
    label: str,
) -> tuple[str, ...] | None:
    """Axes that the configuration or the file states, in the order of the array; None if neither does.

    Parameters
    ----------
    shape
        Of the array.
    names
        Names of the axes in the file, or None.
    layout
        Words of the configuration, or None.
    axes_by_number
        Words that there must be, by the number of axes.
    key, label
        The key of the layout and the array, for messages.

    Raises
    ------
    UserError
        If there are too few or too many axes, a name is none of :data:`SYNONYMS` and there is no layout, or
        names and layout contradict each other.
    """
    if len(shape) not in axes_by_number:
        choices = " or ".join(f"({', '.join(words)})" for words in axes_by_number.values())
        raise UserError(f"{label}: has shape {shape}, expected {choices}")
    wanted = axes_by_number[len(shape)]
    given = [None if name is None or _UNNAMED.fullmatch(str(name)) else str(name) for name in names or []]
    named = [next((word for word in wanted if str(name).lower() in SYNONYMS[word]), None) for name in given]
    if layout is not None:
        if sorted(layout) != sorted(wanted):
            raise UserError(
                f"{key}: [{', '.join(layout)}] does not describe {label} of shape {shape}: "
                f"put {', '.join(wanted)} in its order"
            )
        if any(word not in (None, told) for word, told in zip(named, layout, strict=False)):
            raise UserError(
                f"{key}: [{', '.join(layout)}] contradicts {label}, whose axes are named "
                f"{', '.join(map(str, names or []))}"
            )
        return tuple(layout)
    if not any(given):
        return None
    if sorted(map(str, named)) != sorted(wanted):
        odd = next((axis for axis, word in enumerate(named) if word is None or named.count(word) > 1), 0)
        raise UserError(
            f"{label}: axis {odd} of {shape} is named {given[odd]!r}, which does not say whether it is "
            f"{' or '.join(wanted)}: set {key} to these words in its order"
        )
    return tuple(word for word in named if word is not None)


def arrange(array: np.ndarray, axes: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Returns a view of the array, whose axes are given, with its axes in the order wanted."""
    return array.transpose([list(axes).index(word) for word in wanted])


def count_images(
    shape: Shape, names: Names, layout: Sequence[str] | None, likely: int, key: str, label: str
) -> int:
    """Number of images that responses without an index hold.

    Parameters
    ----------
    shape, names, layout, key, label
        As for :func:`stated_axes`.
    likely
        Number of images to guess with, for the message.

    Raises
    ------
    UserError
        If there are three axes that nothing states.
    """
    stated = stated_axes(shape, names, layout, RESPONSE_AXES, key, label)
    if stated is None and len(shape) == 3:
        raise _unstated(shape, RESPONSE_AXES[3], "image", likely, key, label)
    return shape[stated.index("image") if stated else 0]


def response_axes(
    shape: Shape, names: Names, layout: Sequence[str] | None, counted: tuple[str, int], key: str, label: str
) -> tuple[str, ...]:
    """Axes of responses, in the order of the array.

    Parameters
    ----------
    shape, names, layout, key, label
        As for :func:`stated_axes`.
    counted
        The axis of which the length is known, image or presentation, and this length.

    Raises
    ------
    UserError
        If the axes do not fit, or nothing states them and the length is that of another axis, too.
    """
    word, length = counted
    table = PRESENTATION_AXES if word == "presentation" else RESPONSE_AXES
    stated = stated_axes(shape, names, layout, table, key, label)
    if stated is None:
        if len(shape) == 2 and shape[0] == length and shape[1] != length:
            return table[2]
        raise _unstated(shape, table[len(shape)], word if len(shape) == 2 else "image", length, key, label)
    here = stated.index(word if word in stated else "image")
    if shape[here] != length:
        raise UserError(
            f"{label}: has {shape[here]} along its axis '{stated[here]}' but there are {length} {word}s: "
            f"check {key}"
        )
    return stated


def image_axes(
    shape: Shape, names: Names, layout: str | Sequence[str] | None, count: int | None, key: str, label: str
) -> tuple[str, ...]:
    """Axes of images, in the order of the array.

    Parameters
    ----------
    shape, names, key, label
        As for :func:`stated_axes`.
    layout
        Words, or one of :data:`LETTERS`, or None.
    count
        Number of images that the responses count, or None if they do not tell.

    Raises
    ------
    UserError
        If the axes do not fit; or nothing states them and they are not (image, y, x) or, with up to four
        channels, (image, channel, y, x), with the number of images along the first axis and no other.
    """
    words = LETTERS[layout] if isinstance(layout, str) else layout
    stated = stated_axes(shape, names, words, IMAGE_AXES, key, label)
    if 0 in shape:
        raise UserError(f"{label}: is empty, shape {shape}")
    if stated is None:
        grey = len(shape) == 3 or shape[1] <= 4 < min(shape[2:])
        if shape[0] != count or count in shape[1:] or not grey:
            raise _unstated(shape, IMAGE_AXES[len(shape)], "image", count or shape[0], key, label)
        return IMAGE_AXES[len(shape)]
    if len(stated) == 4 and isinstance(layout, str):
        here, other = (stated.index("channel"), 1 if layout == "nhwc" else 3)
        if shape[here] > 4 and shape[other] <= 4:
            better = "nchw" if layout == "nhwc" else "nhwc"
            raise UserError(f"{key}: {label} has shape {shape}, which looks like {better}")
    return stated


def likely_axes(shape: Shape, wanted: tuple[str, ...], word: str, length: int) -> list[list[str]]:
    """Words for the axes of an array, one list for each reading in which the axis ``word`` has this length.

    The other words keep the order of ``wanted``, but channels lie along the shortest axis that is left, and
    for repeats both orders are given.
    """
    readings = []
    for axis in (axis for axis, size in enumerate(shape) if size == length):
        rest = [other for other in range(len(shape)) if other != axis]
        others = [other for other in wanted if other not in (word, "channel")]
        words = {axis: word}
        if "channel" in wanted:
            words[min(rest, key=lambda one: shape[one])] = "channel"
        rest = [one for one in rest if one not in words]
        orders = [others, others[::-1]] if "repeat" in wanted else [others]
        for order in orders:
            full = words | dict(zip(rest, order, strict=True))
            readings.append([full[place] for place in range(len(shape))])
    return readings


def _unstated(
    shape: Shape, wanted: tuple[str, ...], word: str, length: int, key: str, label: str
) -> UserError:
    readings = [f"[{', '.join(words)}]" for words in likely_axes(shape, wanted, word, length)]
    if not readings:
        return UserError(
            f"{label}: has shape {shape} but there are {length} {word}s: check the files, and set {key} to "
            f"the words {', '.join(wanted)} in the order of its axes"
        )
    return UserError(
        f"{label}: its axes {shape} are not stated, and the shape can be read in several ways: set "
        f"{key} to "
        f"{' or to '.join(readings)}"
    )
