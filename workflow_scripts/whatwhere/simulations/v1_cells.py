"""A simulated recording of primary visual cortex: simple and complex cells, dead leaves, Poisson counts.

The simulation stands in for the recordings of Table 1. Cells of one type share their filters and differ in
location. A simple cell is one Gabor filter; a complex cell is the energy of two Gabor filters in quadrature
(Adelson & Bergen 1985), which no model of one filter can represent. Every cell has a threshold, a spontaneous
rate and a mean count.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.lib.stride_tricks import sliding_window_view

from whatwhere.dataset import TEST, TRAIN, VALIDATION
from whatwhere.simulations.dead_leaves import SOURCE, show
from whatwhere.simulations.design import Design
from whatwhere.standardize import Standardizer

WAVELENGTHS = (5.0, 8.0)
"""Range of the wavelengths of Gabor filters, px."""
ENVELOPE = 0.4
"""Sd of the envelope across the stripes in wavelengths: a bandwidth of about 1.4 octaves."""
ASPECT_RATIOS = (1.0, 1.6)
"""Range of the length of the envelope along the stripes, relative to its width."""
ACTIVE = {"simple": 0.4, "complex": 0.6}
"""Share of images above the threshold of a cell."""
SPONTANEOUS = (0.3, 0.8)
"""Range of the spontaneous share of the mean rate."""
MEAN_COUNT_SPREAD = 0.18
"""Sd of the logarithm of mean counts over neurons."""

_CHUNK = 256


@dataclass(frozen=True)
class CellTypes:
    """Even and odd Gabor filters (type, phase, y, x), zero mean, unit norm, and thresholds of the drive.

    Cells of a type with ``is_complex`` (type,) respond to the energy of both filters rather than to the first
    filter. ``mean`` (type,) is that of the drive in excess of ``threshold`` (type,).
    """

    filters: np.ndarray
    is_complex: np.ndarray
    threshold: np.ndarray
    mean: np.ndarray


def gabor(size: int, orientation: float, wavelength: float, phase: float, aspect_ratio: float) -> np.ndarray:
    """Gabor filter with zero mean and unit norm, (y, x).

    ``size`` is the height and width, odd, and ``wavelength`` that of the stripes, px; ``orientation`` the
    direction across the stripes from the x axis, and ``phase`` that of the stripes at the center, 0 is even,
    rad; ``aspect_ratio`` the length of the envelope along the stripes, relative to its width.
    """
    axis = np.arange(size) - size // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    across = x * np.cos(orientation) + y * np.sin(orientation)
    along = y * np.cos(orientation) - x * np.sin(orientation)
    sd = ENVELOPE * wavelength
    envelope = np.exp(-(across**2 + (along / aspect_ratio) ** 2) / (2 * sd**2))
    stripes = envelope * np.cos(2 * np.pi * across / wavelength + phase)
    centered = stripes - envelope * (stripes.sum() / envelope.sum())
    return centered / np.linalg.norm(centered)


def drives(filters: np.ndarray, is_complex: np.ndarray, patches: np.ndarray) -> np.ndarray:
    """Drive (image, neuron): the output of the first filter, or the root of the energy of both filters.

    ``filters`` are (neuron, phase, y, x), ``is_complex`` (neuron,), ``patches`` (image, neuron, y, x) pixels
    in the receptive field of every cell, or (image, 1, y, x) for all cells.
    """
    if patches.shape[1] == 1:
        outputs = np.einsum("npyx,iyx->pin", filters, patches[:, 0], optimize=True)
    else:
        outputs = np.einsum("npyx,inyx->pin", filters, patches)
    return np.where(is_complex, np.hypot(*outputs), outputs[0])


def cell_types(
    n_simple: int, n_complex: int, patch: int, images: np.ndarray, seed: np.random.SeedSequence
) -> CellTypes:
    """Draws the types and sets thresholds and means from standardized images (image, 1, y, x)."""
    rng = np.random.default_rng(seed)
    filters = []
    for count in (n_simple, n_complex):
        # Orientations spread evenly from a random first one, so that types differ.
        for orientation in (rng.random() + np.arange(count)) * np.pi / max(count, 1):
            wavelength, aspect = rng.uniform(*WAVELENGTHS), rng.uniform(*ASPECT_RATIOS)
            phases = rng.uniform(0, 2 * np.pi) + np.array([0, np.pi / 2])
            filters.append([gabor(patch, orientation, wavelength, of, aspect) for of in phases])
    is_complex = np.repeat([False, True], [n_simple, n_complex])
    rows, columns = (np.unique([0, (side - patch) // 2, side - patch]) for side in images.shape[-2:])
    patches = np.concatenate([images[:, :, y : y + patch, x : x + patch] for y in rows for x in columns])
    pairs = np.array(filters, np.float32)
    drive = drives(pairs, is_complex, patches)
    active = np.where(is_complex, ACTIVE["complex"], ACTIVE["simple"])
    threshold = np.array([np.quantile(d, 1 - share) for d, share in zip(drive.T, active, strict=True)])
    return CellTypes(pairs, is_complex, threshold, np.maximum(drive - threshold, 0).mean(0))


def relative_rates(
    types: CellTypes,
    cell_type: np.ndarray,
    corner: np.ndarray,
    spontaneous: np.ndarray,
    images: np.ndarray,
    standardize: Standardizer,
) -> np.ndarray:
    """Rates of cells relative to their mean, (image, neuron) float32.

    ``corner`` (neuron, 2) is the top-left pixel (y, x) of the receptive field, ``spontaneous`` (neuron,) the
    share of the mean rate that does not depend on the image. ``images`` (image, 1, y, x) are as stored,
    ``standardize`` is what the filters expect.
    """
    patch = types.filters.shape[-1]
    rates = np.empty((len(images), len(cell_type)), np.float32)
    filters, is_complex = types.filters[cell_type], types.is_complex[cell_type]
    for start in range(0, len(images), _CHUNK):
        chunk = standardize(images[start : start + _CHUNK])[:, 0]
        windows = sliding_window_view(chunk, (patch, patch), axis=(1, 2))
        drive = drives(filters, is_complex, windows[:, corner[:, 0], corner[:, 1]])
        excess = np.maximum(drive - types.threshold[cell_type], 0) / types.mean[cell_type]
        rates[start : start + _CHUNK] = spontaneous + (1 - spontaneous) * excess
    return rates


def simulate(
    design: Design,
    *,
    n_simple_types: int,
    n_complex_types: int,
    n_neurons: int,
    patch: int,
    mean_count: float,
    n_repeats: int,
    image_size: int | tuple[int, int],
    normalize: str,
) -> xr.Dataset:
    """Simulates a recording that shows training and validation images once and test images repeatedly.

    Neurons are sorted by type, simple types first; types have the same number of neurons or one more. There
    are ``n_neurons`` of all types together. ``patch`` is the height and width of receptive fields, px, odd;
    ``image_size`` that of images, or (y, x); ``mean_count`` the geometric mean over neurons of the mean spike
    count; ``n_repeats`` the presentations of every test image.
    """
    type_seed, cell_seed, *image_seeds, once_seed, repeated_seed = design.streams(8)
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    images, standardize, calibration = show(design, 1, (height, width), image_seeds)
    types = cell_types(n_simple_types, n_complex_types, patch, calibration, type_seed)

    rng = np.random.default_rng(cell_seed)
    cell_type = np.sort(np.arange(n_neurons) % len(types.filters))
    corner = rng.integers(0, np.array([height, width]) - patch + 1, (n_neurons, 2))
    spontaneous = rng.uniform(*SPONTANEOUS, n_neurons)
    counts = mean_count * np.exp(MEAN_COUNT_SPREAD * rng.standard_normal(n_neurons))

    rates = relative_rates(types, cell_type, corner, spontaneous, images, standardize)
    rates *= counts.astype(np.float32)
    responses = np.full((n_repeats, *rates.shape), np.nan, np.float32)
    spikes = (seed.spawn(design.repetitions) for seed in (once_seed, repeated_seed))
    for fold, once, repeated in zip(design.split(), *spikes, strict=True):
        fitted, tested = (fold == TRAIN) | (fold == VALIDATION), fold == TEST
        responses[0, fitted] = np.random.default_rng(once).poisson(rates[fitted])
        shape = (n_repeats, design.n_test, n_neurons)
        responses[:, tested] = np.random.default_rng(repeated).poisson(rates[tested], shape)
    kinds = f"{n_simple_types} types of simple and {n_complex_types} of complex cells"
    return design.dataset(
        {
            "images": images,
            "responses": responses,
            "rates": rates,
            "location": corner + patch // 2,
            "cell_type": cell_type,
        },
        "spikes per image",
        source=f"{kinds}, {SOURCE}, seed {design.seed}",
        normalize=normalize,
        noise_free_test=0,
    )
