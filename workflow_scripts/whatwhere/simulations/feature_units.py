"""Simulated neurons that are units of nonlinear feature maps (Figure 5, section F.1).

Location (i, j) of a map is the unit centered at pixel (i + 6, j + 6), and images of 44 px have 32 x 32
locations (section F.2).
"""

import logging

import numpy as np
import torch
import xarray as xr

from whatwhere.dataset import TRAIN, VALIDATION
from whatwhere.errors import UserError
from whatwhere.simulations.dead_leaves import SOURCE, show
from whatwhere.simulations.design import Design
from whatwhere.simulations.difference_of_gaussians import add_noise
from whatwhere.simulations.v1_bank import V1Bank
from whatwhere.standardize import Standardizer

logger = logging.getLogger(__name__)

MEAN_RATE = 0.1
MARGIN = 6
"""Pixels from the edge of the image to the first location: half of 13 px, rounded down."""

_CHUNK = 64


def unit_responses(
    bank: V1Bank, images: np.ndarray, standardize: Standardizer, cell_type: np.ndarray, location: np.ndarray
) -> np.ndarray:
    """Responses of single units of the maps, (image, neuron) float32.

    ``images`` (image, channel, y, x) are as stored, ``standardize`` is what the maps expect; ``cell_type``
    (neuron,) is the feature map, ``location`` (neuron, 2) the row and column in the grid.
    """
    responses = []
    with torch.no_grad():
        for start in range(0, len(images), _CHUNK):
            chunk = torch.from_numpy(standardize(images[start : start + _CHUNK]))
            maps = bank(chunk).numpy()
            responses.append(maps[:, cell_type, location[:, 0], location[:, 1]])
    return np.concatenate(responses).astype(np.float32, copy=False)


def simulate(
    design: Design, *, n_types: int, n_neurons: int, color: str, image_size: int, normalize: str
) -> xr.Dataset:
    """Simulates neurons with a mean rate of 0.1 over training and validation images (section F.1).

    Neurons are sorted by type. Responses to training and validation images have Gaussian noise whose variance
    is the rate, responses to test images have no noise. ``n_neurons`` counts neurons of all ``n_types``
    feature maps together, a multiple of ``n_types``; units of a type have different locations. ``color`` is
    grey or rgb. UserError if a neuron never responds.
    """
    type_seed, location_seed, noise_seed, *image_seeds = design.streams(7)
    channels, size = 3 if color == "rgb" else 1, (image_size, image_size)
    images, standardize, calibration = show(design, channels, size, image_seeds)
    bank = V1Bank(n_types, calibration, type_seed)
    cell_type, location = _units(n_types, n_neurons // n_types, image_size - 2 * MARGIN, location_seed)
    rates = unit_responses(bank, images, standardize, cell_type, location)
    fitted = np.isin(design.split(), (TRAIN, VALIDATION))
    noisy = fitted.any(0)
    mean = rates[noisy].mean(0, dtype=np.float64)
    if not mean.all():
        fault = f"neuron {np.argmin(mean)} responds to none of {noisy.sum()} images"
        raise UserError(f"datasets.{design.name}: {fault}: use more images or another seed")
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
            "location": location + float(MARGIN),
            "cell_type": cell_type,
        },
        "a.u.",
        source=f"v1 feature space, {SOURCE}, seed {design.seed}",
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
