"""Simulated neurons that are units of a nonlinear feature space (Figure 5, section F.1).

A feature space maps images (image, channel, y, x) to feature maps (image, type, y, x). Its grid of
locations is the grid of three layers of 5 x 5 px without padding: location (i, j) is the unit centered at
pixel (i + 6, j + 6), and images of 44 px have 32 x 32 locations (section F.2).
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from torch.nn import functional

from whatwhere.dataset import TRAIN, VALIDATION
from whatwhere.errors import UserError
from whatwhere.simulations.dead_leaves import SOURCE, show
from whatwhere.simulations.design import Design
from whatwhere.simulations.difference_of_gaussians import add_noise
from whatwhere.simulations.v1_bank import V1Bank
from whatwhere.simulations.vgg19 import VGG19
from whatwhere.standardize import Standardizer

logger = logging.getLogger(__name__)

MEAN_RATE = 0.1
MARGIN = 6
"""Pixels from the edge of the image to the first location: half of 13 px, rounded down."""

_CHUNK = 64


def window(images: Tensor, receptive_field: int) -> Tensor:
    """Pixels in the receptive fields of the grid; zeros where an even receptive field leaves the image.

    An even receptive field has no middle pixel and reaches one pixel further to the right and downwards.
    """
    before, after = (receptive_field - 1) // 2, receptive_field // 2
    start, stop = MARGIN - before, images.shape[-1] - MARGIN + after
    beyond = max(stop - images.shape[-1], 0)
    padded = functional.pad(images, (0, beyond, 0, beyond))
    return padded[..., start:stop, start:stop]


def centers(location: np.ndarray, receptive_field: int) -> np.ndarray:
    """Centers in image pixels of units at locations of the grid, (neuron, 2) twice."""
    return location + MARGIN + (0.0 if receptive_field % 2 else 0.5)


def unit_responses(
    space: V1Bank | VGG19,
    images: np.ndarray,
    standardize: Standardizer,
    cell_type: np.ndarray,
    location: np.ndarray,
) -> np.ndarray:
    """Responses of single units of the maps, (image, neuron) float32.

    Parameters
    ----------
    space
        The feature maps.
    images, standardize
        (image, channel, y, x), as stored, and the standardization that the maps expect.
    cell_type, location
        (neuron,) feature map, and (neuron, 2) row and column in the grid.
    """
    responses = []
    with torch.no_grad():
        for start in range(0, len(images), _CHUNK):
            chunk = torch.from_numpy(standardize(images[start : start + _CHUNK]))
            maps = space(window(chunk, space.receptive_field)).numpy()
            responses.append(maps[:, cell_type, location[:, 0], location[:, 1]])
    return np.concatenate(responses).astype(np.float32, copy=False)


def simulate(
    design: Design,
    *,
    feature_space: dict[str, Any],
    n_types: int,
    n_neurons: int,
    color: str,
    image_size: int,
    normalize: str,
) -> xr.Dataset:
    """Simulates neurons with a mean rate of 0.1 over training and validation images (section F.1).

    Neurons are sorted by type. Responses to training and validation images have Gaussian noise whose variance
    is the rate, responses to test images have no noise.

    Parameters
    ----------
    design
        Images, splits and seed.
    feature_space
        ``name``: v1 (:mod:`whatwhere.simulations.v1_bank`), or vgg19 (:mod:`whatwhere.simulations.vgg19`)
        with ``layer`` and ``weights``.
    n_types
        Number of feature maps.
    n_neurons
        Neurons of all types together, a multiple of ``n_types``; units of a type have different locations.
    color, image_size
        Color of the images, grey or rgb; height and width, px.
    normalize
        Attribute of the dataset: standardization of the images in fits.

    Raises
    ------
    UserError
        If weights cannot be read, or a neuron never responds.
    """
    type_seed, location_seed, noise_seed, *image_seeds = design.streams(7)
    images, standardize, calibration = show(
        design, 3 if color == "rgb" else 1, (image_size, image_size), image_seeds
    )
    space: V1Bank | VGG19
    if feature_space["name"] == "v1":
        space = V1Bank(n_types, calibration, type_seed)
    else:
        weights = Path(feature_space["weights"])
        space = VGG19(weights, feature_space["layer"], n_types, calibration, type_seed)
    cell_type, location = _units(n_types, n_neurons // n_types, image_size - 2 * MARGIN, location_seed)
    rates = unit_responses(space, images, standardize, cell_type, location)
    fitted = np.isin(design.split(), (TRAIN, VALIDATION))
    noisy = fitted.any(0)
    mean = rates[noisy].mean(0, dtype=np.float64)
    if not mean.all():
        silent = int(np.argmin(mean))
        raise UserError(
            f"datasets.{design.name}: neuron {silent} (type {cell_type[silent]}) responds to none of "
            f"{noisy.sum()} images: use more images or another seed"
        )
    rates *= (MEAN_RATE / mean).astype(np.float32)
    logger.info("mean variance of the rates: %.4f", rates.var(0).mean())
    responses = rates.copy()
    for fold, child in zip(fitted, noise_seed.spawn(design.repetitions), strict=True):
        responses[fold] = add_noise(rates[fold], np.random.default_rng(child))
    return design.dataset(
        {
            "images": images,
            "responses": responses[None],
            "rates": rates,
            "location": centers(location, space.receptive_field),
            "cell_type": cell_type,
        },
        "a.u.",
        source=f"{feature_space['name']} feature space, {SOURCE}, seed {design.seed}",
        normalize=normalize,
        noise_free_test=1,
    )


def _units(
    n_types: int, per_type: int, grid: int, seed: np.random.SeedSequence
) -> tuple[np.ndarray, np.ndarray]:
    """Type (neuron,) and location in the grid (neuron, 2) of every neuron, no two of a type at one place."""
    numbers = [np.random.default_rng(s).permutation(grid**2)[:per_type] for s in seed.spawn(n_types)]
    location = np.stack(np.divmod(np.concatenate(numbers), grid), axis=1)
    return np.repeat(np.arange(n_types), per_type), location
