"""Nonlinear feature spaces whose units are the simulated neurons of Figure 5.

A feature space maps images (image, channel, y, x) to feature maps (image, type, y, x). Its grid of
locations is that of three layers of 5 x 5 px without padding: location (i, j) is the unit centred at pixel
(i + 6, j + 6), and images of 44 px have 32 x 32 of them (section F.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from whatwhere.standardize import Standardizer

MARGIN = 6
"""Pixels from the edge of the image to the first location: half of 13 px, rounded down."""

_CHUNK = 64


class FeatureSpace(Protocol):
    """A fixed bank of feature maps."""

    n_types: int
    receptive_field: int

    def __call__(self, images: Tensor) -> Tensor:
        """Feature maps where the receptive field fits, (image, channel, y, x) to (image, type, y, x)."""


def n_locations(image_size: int) -> int:
    """Height and width of the grid of locations."""
    return image_size - 2 * MARGIN


def window(images: Tensor, receptive_field: int) -> Tensor:
    """The pixels that the units of the grid see; zeros where an even receptive field leaves the image.

    An even receptive field has no middle pixel: it reaches one pixel further to the right and downwards.
    """
    before, after = (receptive_field - 1) // 2, receptive_field // 2
    start, stop = MARGIN - before, images.shape[-1] - MARGIN + after
    beyond = max(stop - images.shape[-1], 0)
    padded = functional.pad(images, (0, beyond, 0, beyond))
    return padded[..., start:stop, start:stop]


def centres(location: np.ndarray, receptive_field: int) -> np.ndarray:
    """Centres in image pixels of units at locations of the grid, (neuron, 2) twice."""
    return location + MARGIN + (0.0 if receptive_field % 2 else 0.5)


def feature_maps(space: FeatureSpace, images: np.ndarray, standardize: Standardizer) -> Iterator[np.ndarray]:
    """Feature maps at all locations, a few images at a time, (image, type, y, x)."""
    with torch.no_grad():
        for start in range(0, len(images), _CHUNK):
            chunk = torch.from_numpy(standardize(images[start : start + _CHUNK]))
            yield space(window(chunk, space.receptive_field)).numpy()


def unit_responses(
    space: FeatureSpace,
    images: np.ndarray,
    standardize: Standardizer,
    cell_type: np.ndarray,
    location: np.ndarray,
) -> np.ndarray:
    """Responses of single units of the maps.

    Parameters
    ----------
    space
        The feature maps.
    images
        (image, channel, y, x), as stored.
    standardize
        Applied to the images before the maps.
    cell_type
        (neuron,) feature map of every neuron.
    location
        (neuron, 2) row and column in the grid.

    Returns
    -------
    (image, neuron) float32.
    """
    rows, columns = location.T
    maps = feature_maps(space, images, standardize)
    chunks = [some[:, cell_type, rows, columns] for some in maps]
    return np.concatenate(chunks).astype(np.float32, copy=False)
