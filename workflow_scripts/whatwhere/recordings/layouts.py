"""Axes of arrays: stated by a key, by names in the file, or by shapes that allow one reading only."""

import re
from collections.abc import Sequence

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.array_files import IMAGE_WORDS, NamedArray

RESPONSE_AXES = {2: ("image", "neuron"), 3: ("repeat", "image", "neuron")}
"""Axes of responses by their number."""
PRESENTATION_AXES = {2: ("presentation", "neuron"), 3: ("image", "repeat", "neuron")}
"""Axes of responses that an index assigns to images: a row each, or a row of repeats each."""
IMAGE_AXES = {3: ("image", "y", "x"), 4: ("image", "channel", "y", "x")}
"""Axes of images by their number."""
FRAME_AXES = {1: ("frame",), 2: ("frame", "x"), 3: ("frame", "y", "x"), 4: ("frame", "channel", "y", "x")}
"""Axes of frames of a movie by their number: full-field light, bars, grey and color."""
BIN_AXES = {2: ("time", "neuron"), 3: ("repeat", "time", "neuron")}
"""Axes of responses to a movie by their number."""
SYNONYMS = {
    "image": IMAGE_WORDS,
    "neuron": ("neuron", "neurons", "neuron_id", "unit", "units", "unit_id", "cell", "cells", "roi", "rois"),
    "repeat": ("repeat", "repeats", "repetition", "repetitions", "trial", "trials"),
    "presentation": ("presentation", "presentations", "trial", "trials"),
    "frame": ("frame", "frames", "time"),
    "time": ("time", "bin", "bins", "frame", "frames"),
    "channel": ("channel", "channels", "color", "colour"),
    "y": ("y", "height"),
    "x": ("x", "width"),
}
"""Names of axes in files, by our word for them; other names are refused."""
_UNNAMED = re.compile(r"(phony_)?dim_?\d+")
"""Names that libraries give to axes without one."""


def stated_axes(
    array: NamedArray,
    layout: Sequence[str] | None,
    axes_by_number: dict[int, tuple[str, ...]],
    key: str,
    label: str,
) -> tuple[str, ...] | None:
    """Axes that the configuration or the file states, in the order of the array; None if neither does.

    ``layout`` has words of the configuration, or is None; ``axes_by_number`` the words that there must be, by
    the number of axes; ``key`` is that of the layout. UserError if there are too few or too many axes, a name
    is none of :data:`SYNONYMS` and there is no layout, or names and layout contradict each other.
    """
    shape, names = array.values.shape, array.axes or ()
    if len(shape) not in axes_by_number:
        choices = " or ".join(f"({', '.join(words)})" for words in axes_by_number.values())
        raise UserError(f"{label}: has shape {shape}, expected {choices}")
    wanted = axes_by_number[len(shape)]
    given = [None if name is None or _UNNAMED.fullmatch(str(name)) else str(name) for name in names]
    named = [next((word for word in wanted if str(name).lower() in SYNONYMS[word]), None) for name in given]
    if layout is not None:
        if sorted(layout) != sorted(wanted):
            fault = f"[{', '.join(layout)}] does not describe {label} of shape {shape}"
            raise UserError(f"{key}: {fault}: put {', '.join(wanted)} in its order")
        if any(word not in (None, told) for word, told in zip(named, layout, strict=False)):
            axes = f"whose axes are named {', '.join(map(str, names))}"
            raise UserError(f"{key}: [{', '.join(layout)}] contradicts {label}, {axes}")
        return tuple(layout)
    if not any(given):
        return None
    if sorted(map(str, named)) != sorted(wanted):
        odd = next((axis for axis, word in enumerate(named) if word is None or named.count(word) > 1), 0)
        fault = f"axis {odd} of {shape} is named {given[odd]!r}"
        reason = f"does not say whether it is {' or '.join(wanted)}"
        raise UserError(f"{label}: {fault}, which {reason}: set {key} to these words in its order")
    return tuple(word for word in named if word is not None)


def arrange(array: np.ndarray, axes: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Returns a view of the array, whose axes are given, with its axes in the order wanted."""
    return array.transpose([list(axes).index(word) for word in wanted])


def axes_of(
    array: NamedArray,
    layout: Sequence[str] | None,
    axes_by_number: dict[int, tuple[str, ...]],
    counted: tuple[str, int | None],
    key: str,
    label: str,
) -> tuple[str, ...]:
    """Axes of an array in its order: stated, or those of ``axes_by_number`` if no others are possible.

    ``counted`` is the axis of which the length is known, image or presentation, and its length, None if it is
    not known. UserError as for :func:`stated_axes`, or if nothing states the axes and there are repeats, more
    than four channels, or another number of axes than one, the first, that have the known length.
    """
    shape = array.values.shape
    stated = stated_axes(array, layout, axes_by_number, key, label)
    if stated is not None:
        return stated
    word, length = counted
    wanted = axes_by_number[len(shape)]
    is_plain = len(shape) == min(axes_by_number) or ("channel" in wanted and shape[1] <= 4 < min(shape[2:]))
    if is_plain and shape[0] == length and length not in shape[1:]:
        return wanted
    word, length = word if word in wanted else "image", length or shape[0]
    readings = [f"[{', '.join(words)}]" for words in likely_axes(shape, wanted, word, length)]
    if not readings:
        advice = f"check the files, and set {key} to {', '.join(wanted)} in the order of its axes"
        raise UserError(f"{label}: has shape {shape} but there are {length} {word}s: {advice}")
    fault = f"its axes {shape} are not stated, and the shape can be read in several ways"
    raise UserError(f"{label}: {fault}: set {key} to {' or to '.join(readings)}")


def likely_axes(shape: tuple[int, ...], wanted: tuple[str, ...], word: str, length: int) -> list[list[str]]:
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
