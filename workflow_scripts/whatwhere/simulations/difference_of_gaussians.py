"""Simulated populations with difference-of-Gaussians receptive fields (paper, Figures 3 and 4).

Stimuli are Gaussian white noise, neurons are linear, and the noise has the variance of the rate.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from whatwhere.dataset import VARIABLES
from whatwhere.simulations.design import Design
from whatwhere.simulations.white_noise import WhiteNoise

MEAN_ABSOLUTE_RATE = 0.1
"""E|rate| of every neuron for white-noise stimuli (section A.1, step 10)."""

_CHUNK = 4096


@dataclass(frozen=True)
class ReceptiveFields:
    """Receptive fields of a population, (neuron, y, x) patches ``kernels`` with norm 0.1 sqrt(pi/2).

    ``corner`` (neuron, 2) is the row and column of the top-left pixel of the patch in the image, ``offset``
    (neuron, 2) the sub-pixel shift (y, x) of the center, px, ``cell_type`` (neuron,) the type, from 0.
    """

    kernels: np.ndarray
    corner: np.ndarray
    offset: np.ndarray
    cell_type: np.ndarray

    @property
    def location(self) -> np.ndarray:
        """True center of every receptive field in image pixels, (neuron, 2) as (y, x)."""
        return self.corner + self.kernels.shape[1] // 2 + self.offset


def difference_of_gaussians(
    patch: int, center_covariance: np.ndarray, surround_covariance: np.ndarray, offset: np.ndarray
) -> np.ndarray:
    """Center minus twice the surround, normalized to E|rate| = 0.1 (section A.1, steps 9 and 10).

    ``patch`` is the width and height in px, odd; covariances are (neuron, 2, 2) in px squared, rows first;
    ``offset`` (neuron, 2) is the center (y, x) relative to the middle pixel. Returns (neuron, y, x). The
    center weight cancels in the normalization, so it is not a parameter.
    """
    half = patch // 2
    axis = np.arange(-half, half + 1)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)
    distance = grid[None] - offset[:, None, None, :]

    def density(covariance: np.ndarray) -> np.ndarray:
        exponent = np.einsum("nyxi,nij,nyxj->nyx", distance, np.linalg.inv(covariance), distance)
        scale = 2 * np.pi * np.sqrt(np.linalg.det(covariance))
        return np.exp(-exponent / 2) / scale[:, None, None]

    kernels = density(center_covariance) - 2 * density(surround_covariance)
    norm = np.linalg.norm(kernels, axis=(1, 2), keepdims=True)
    return kernels * (MEAN_ABSOLUTE_RATE / np.sqrt(2 / np.pi)) / norm


def receptive_fields(
    scales: list[float],
    n_per_type: int,
    variation: float,
    centered: bool,
    image_size: int,
    patch: int,
    rng_seed: np.random.SeedSequence,
) -> ReceptiveFields:
    """Draws a population (section A.1).

    Neurons i of all types have the same position and random factors, as in the paper, and differ in the scale
    T of both variances, of ``scales``. ``variation`` is v of section A.1: the relative spread of shape
    parameters, 0 for identical neurons. Centers fall on pixels if ``centered``, and are shifted by U(-0.5,
    0.5) otherwise. ``image_size`` and ``patch`` are in px.
    """
    rng = np.random.default_rng(rng_seed)
    low, high = 1 - variation, 1 + variation
    aspect, center, surround = (rng.uniform(low, high, n_per_type) for _ in range(3))
    tilt = rng.uniform(-0.3, 0.3, n_per_type) if variation else np.zeros(n_per_type)
    offset = np.zeros((n_per_type, 2)) if centered else rng.uniform(-0.5, 0.5, (n_per_type, 2))
    corner = rng.integers(0, image_size - patch + 1, (n_per_type, 2))

    def covariance(size: np.ndarray, scale: float) -> np.ndarray:
        first = aspect * size * scale
        second = first / aspect**2
        off_diagonal = tilt * np.minimum(first, second)
        rows = [[first, off_diagonal], [off_diagonal, second]]
        return (patch - 1) / 2 * np.moveaxis(np.array(rows), -1, 0)

    kernels = [
        difference_of_gaussians(patch, covariance(center / 4, scale), covariance(surround, scale), offset)
        for scale in scales
    ]
    return ReceptiveFields(
        kernels=np.concatenate(kernels),
        corner=np.tile(corner, (len(scales), 1)),
        offset=np.tile(offset, (len(scales), 1)),
        cell_type=np.repeat(np.arange(len(scales)), n_per_type),
    )


def linear_rates(fields: ReceptiveFields, images: np.ndarray) -> np.ndarray:
    """Inner products of receptive fields with images, (image, 1, y, x) to (image, neuron) float32."""
    size = images.shape[-1]
    full = np.zeros((len(fields.kernels), size, size), np.float32)
    patch = fields.kernels.shape[-1]
    for field, (row, column), kernel in zip(full, fields.corner, fields.kernels, strict=True):
        field[row : row + patch, column : column + patch] = kernel
    return images.reshape(len(images), -1) @ full.reshape(len(full), -1).T


def add_noise(rates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Adds Gaussian noise whose variance is the absolute rate (section A.2), float32."""
    noise = rng.standard_normal(rates.shape, np.float32)
    return rates + noise * np.sqrt(np.abs(rates))


def response_sd(fields: ReceptiveFields, image_size: int, seed: np.random.SeedSequence) -> np.ndarray:
    """Sd over 100 fresh stimuli of responses averaged over 30 noisy repeats (section B), (neuron,)."""
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((100, 1, image_size, image_size), np.float32)
    rates = linear_rates(fields, images)
    averages = np.mean([add_noise(rates, rng) for _ in range(30)], axis=0)
    return averages.std(0)


def simulate(
    design: Design,
    *,
    scales: list[float],
    n_neurons: int,
    variation: float,
    centered: bool,
    image_size: int,
    patch: int,
) -> xr.Dataset:
    """Simulates responses with noise to training and validation images, without noise to test images.

    ``n_neurons`` counts neurons of all types together, a multiple of the number of types. The other keys are
    as in :func:`receptive_fields`.
    """
    neuron_seed, image_seed, noise_seed, test_seed, scale_seed = design.streams(5)
    n_per_type = n_neurons // len(scales)
    fields = receptive_fields(scales, n_per_type, variation, centered, image_size, patch, neuron_seed)
    counts = [design.n_images, design.n_test] * design.repetitions
    spawned = [seed.spawn(design.repetitions) for seed in (image_seed, test_seed, noise_seed)]
    streams = [seed for pair in zip(*spawned[:2], strict=True) for seed in pair]
    images = WhiteNoise(streams, counts, (1, image_size, image_size), f"datasets.{design.name}")
    rates = np.empty((sum(counts), len(fields.kernels)), np.float32)
    responses = np.empty_like(rates)
    end = 0
    for of_repetition in spawned[2]:
        noise_rng = np.random.default_rng(of_repetition)
        for noisy, count in ((True, design.n_images), (False, design.n_test)):
            first, end = end, end + count
            # Piece by piece: the values do not depend on the size of a piece, and memory is bounded.
            for start in range(first, end, _CHUNK):
                piece = slice(start, min(start + _CHUNK, end))
                rates[piece] = linear_rates(fields, images.draw((piece,)))
                responses[piece] = add_noise(rates[piece], noise_rng) if noisy else rates[piece]
    dataset = design.dataset(
        {
            "responses": responses[None],
            "rates": rates,
            "location": fields.location,
            "cell_type": fields.cell_type,
            "response_sd": response_sd(fields, image_size, scale_seed),
            "receptive_field": fields.kernels,
        },
        "a.u.",
        source=f"difference-of-Gaussians population, scales {scales}, seed {design.seed}",
        normalize="none",
        noise_free_test=1,
    )
    return dataset.assign(images=xr.Variable(VARIABLES["images"][0], images.lazy(), images.attributes()))
