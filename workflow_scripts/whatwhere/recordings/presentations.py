"""Responses by presentation: which image was shown when, and repeats without a dense array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from whatwhere.errors import UserError

BLANK = -1
"""Index of a presentation that showed none of the images."""


@dataclass(frozen=True)
class Presentations:
    """Responses to single presentations, sorted by image; presentations of one image are its repeats.

    Attributes
    ----------
    values
        (row, neuron) real numbers as they were stored, also rows that belong to no image.
    row, image, repeat
        (presentation,) row of ``values``, index of the image from 0, and how often it was shown before.
    """

    values: np.ndarray
    row: np.ndarray
    image: np.ndarray
    repeat: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the dense array (repeat, image, neuron)."""
        return int(self.repeat.max()) + 1, int(self.image[-1]) + 1, self.values.shape[1]

    def keep(self, images: np.ndarray) -> Presentations:
        """Presentations of some of the images, (image,) truth values, which are numbered anew."""
        here = images[self.image]
        number = np.cumsum(images) - 1
        return Presentations(self.values, self.row[here], number[self.image[here]], self.repeat[here])

    def dense(self) -> indexing.LazilyIndexedArray:
        """The dense array (repeat, image, neuron), float32, NaN where an image had fewer repeats.

        Any part of it is made when it is asked for, and none is kept.
        """
        return indexing.LazilyIndexedArray(_Dense(self))


class _Dense(BackendArray):
    def __init__(self, presentations: Presentations):
        self._from = presentations
        self.shape = presentations.shape
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._part)

    def _part(self, key: tuple[int | slice, ...]) -> np.ndarray:
        whole = self._from
        repeats, images = (
            np.atleast_1d(np.arange(size)[part]) for size, part in zip(self.shape, key[:2], strict=False)
        )
        place = [np.full(size, -1) for size in self.shape[:2]]
        for lookup, chosen in zip(place, (repeats, images), strict=True):
            lookup[chosen] = np.arange(len(chosen))
        here = np.flatnonzero((place[0][whole.repeat] >= 0) & (place[1][whole.image] >= 0))
        neurons = whole.values[:, key[2] if isinstance(key[2], slice) else [key[2]]]
        dense = np.full((len(repeats), len(images), neurons.shape[1]), np.nan, np.float32)
        with np.errstate(over="ignore"):
            dense[place[0][whole.repeat[here]], place[1][whole.image[here]]] = neurons[whole.row[here]]
        return dense[tuple(slice(None) if isinstance(part, slice) else 0 for part in key)]


def by_image(image_of_row: np.ndarray, values: np.ndarray) -> Presentations:
    """Sort presentations by image, in the order of rows within an image.

    Parameters
    ----------
    image_of_row
        (row,) index of the image shown, each of 0 to n - 1 at least once; :data:`BLANK` leaves a row out.
    values
        (row, neuron) responses.
    """
    row = np.flatnonzero(image_of_row != BLANK)
    row = row[np.argsort(image_of_row[row], kind="stable")]
    image = image_of_row[row]
    counts = np.bincount(image)
    repeat = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Presentations(values, row, image, repeat)


def shown_images(image_of_row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices of the images that were shown, and the index of every row among these."""
    shown = np.unique(image_of_row[image_of_row != BLANK])
    return shown, np.where(image_of_row == BLANK, BLANK, np.searchsorted(shown, image_of_row))


def index_numbers(
    numbers: np.ndarray, n_images: int, base: int | None, key: str, label: str
) -> tuple[np.ndarray, str]:
    """Index of the image of every presentation from its number.

    Parameters
    ----------
    numbers
        (row,) whole numbers; NaN, -1 and the numbers just before and after those of the images are blanks,
        presentations of none of them.
    n_images
        How many images there are.
    base
        Number of the first image, 0 or 1; None takes the one with which every image was shown.
    key, label
        Key of ``base`` and where the numbers come from, for messages.

    Returns
    -------
    indices
        (row,) from 0, :data:`BLANK` for blanks.
    reading
        How the numbers were understood.

    Raises
    ------
    UserError
        If they are no numbers of images, or the base cannot be told.
    """
    missing = np.isnan(numbers) if numbers.dtype.kind == "f" else np.zeros(len(numbers), bool)
    odd = ~missing & (numbers != np.round(np.where(missing, 0, numbers)))
    if odd.any():
        raise UserError(f"{label}: {numbers[odd][0]} is no number of an image")
    whole = np.where(missing, -1, numbers).astype(np.int64)
    choices = [base] if base is not None else [0, 1]
    fitting = [first for first in choices if _fits(whole, first, n_images)]
    if not fitting:
        seen = whole[whole != -1]
        raise UserError(
            f"{label}: numbers from {seen.min(initial=0)} to {seen.max(initial=0)} do not count "
            f"{n_images} images from {' or '.join(map(str, choices))}: check them, and the axes of the images"
        )
    if base is None:
        complete = [first for first in fitting if np.isin(np.arange(n_images) + first, whole).all()]
        if len(complete) != 1:
            raise UserError(
                f"{label}: its numbers may count {n_images} images from 0 or from 1: set {key} to 0 or 1"
            )
        fitting = complete
    index = whole - fitting[0]
    blank = (index < 0) | (index >= n_images)
    reading = f"images are numbered from {fitting[0]}"
    if blank.any():
        names = sorted(
            {
                "NaN" if absent else str(value)
                for absent, value in zip(missing[blank], whole[blank], strict=True)
            }
        )
        reading += f", {blank.sum()} presentations of blanks ({', '.join(names)}) are left out"
    return np.where(blank, BLANK, index), reading


def _fits(numbers: np.ndarray, first: int, n_images: int) -> bool:
    inside = (numbers >= first) & (numbers < first + n_images)
    return bool((inside | np.isin(numbers, (-1, first - 1, first + n_images))).all() and inside.any())
