"""Responses by presentation: which image was shown when, and repeats without a dense array."""

from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from whatwhere.errors import UserError

BLANK = -1
"""Index of a presentation that showed none of the images."""


class Presentations(BackendArray):
    """Responses by presentation, as a dense array (repeat, image, neuron) of which no whole is kept.

    ``values`` (row, neuron) are real numbers as they were stored, also rows that belong to no image; ``rows``
    (repeat, image) has the row of ``values``, -1 where an image had fewer repeats.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, values: np.ndarray, rows: np.ndarray):
        self.values, self.rows = values, rows
        self.shape = (*rows.shape, values.shape[1])

    def dense(self) -> indexing.LazilyIndexedArray:
        """The dense array for xarray, float32, NaN where an image had fewer repeats."""
        return indexing.LazilyIndexedArray(self)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        support = indexing.IndexingSupport.BASIC
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._region)

    def _region(self, key: tuple[int | slice, ...]) -> np.ndarray:
        rows = self.rows[key[:2]]
        with np.errstate(over="ignore"):
            dense = np.array(self.values[:, key[2]][rows], np.float32)
        dense[rows < 0] = np.nan
        return dense


def by_image(image_of_row: np.ndarray, values: np.ndarray) -> Presentations:
    """Sorts presentations by image, in the order of rows within an image.

    ``image_of_row`` (row,) has the index of the image shown, each of 0 to n - 1 at least once; :data:`BLANK`
    leaves a row out. ``values`` are (row, neuron).
    """
    row = np.flatnonzero(image_of_row != BLANK)
    row = row[np.argsort(image_of_row[row], kind="stable")]
    image = image_of_row[row]
    counts = np.bincount(image)
    rows = np.full((counts.max(), len(counts)), -1, np.int32)
    rows[np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts), image] = row
    return Presentations(values, rows)


def shown_images(image_of_row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices of the images that were shown, and the index of every row among these."""
    shown = np.unique(image_of_row[image_of_row != BLANK])
    return shown, np.where(image_of_row == BLANK, BLANK, np.searchsorted(shown, image_of_row))


def index_numbers(
    numbers: np.ndarray, n_images: int, definition: dict[str, Any], name: str, label: str
) -> tuple[np.ndarray, str]:
    """Index of the image of every presentation, (row,) from 0, and a phrase on how its number was understood.

    ``numbers`` (row,) are whole; NaN, -1 and the ``blanks`` of the dataset are presentations of none of the
    images, with the index :data:`BLANK`. ``index_base`` is the number of the first image. UserError if a
    number is none of an image, or the base is not given; ``label`` says where the numbers come from.
    """
    base, key = definition.get("index_base"), f"{name}.index_base"
    listed = [value for value in definition.get("blanks", []) if isinstance(value, (int, float))]
    blank = np.isin(numbers, [-1, *listed]) | np.isnan(numbers.astype(np.float64))
    odd = ~blank & (numbers != np.round(np.where(blank, 0, numbers)))
    if odd.any():
        raise UserError(f"{label}: {numbers[odd][0]} is no number of an image")
    whole = np.where(blank, 0, numbers).astype(np.int64)
    shown = whole[~blank]
    first, last = (int(shown.min()), int(shown.max())) if len(shown) else (0, 0)
    span = f"{label}: numbers from {first} to {last} for {n_images} images"
    likely = next((str(one) for one in (0, 1) if (first, last) == (one, one + n_images - 1)), "0 or 1")
    if base is None:
        raise UserError(f"{span} do not say whether they count from 0 or 1: set {key} to {likely}")
    if not len(shown) or first < base or last >= base + n_images:
        advice = f"check {key}, the axes of the images, and list numbers that show no image under blanks"
        raise UserError(f"{span} do not count from {base}: {advice}")
    inside = next((value for value in listed if base <= value < base + n_images), None)
    if inside is not None:
        raise UserError(f"{label}: {inside} is listed under blanks but is the number of an image")
    beside, bare = (n_images, first == 1) if base == 0 else (0, last == n_images - 1)
    if bare and beside in listed and beside in numbers:
        advice = f"set {key} to {1 - base} if {beside} is an image, or remove the image"
        raise UserError(
            f"{label}: {beside} is a blank, and the image at the other end is never shown: {advice}"
        )
    left = f", {blank.sum()} presentations of blanks are left out" if blank.any() else ""
    return np.where(blank, BLANK, whole - base), f"images are numbered from {base}{left}"
