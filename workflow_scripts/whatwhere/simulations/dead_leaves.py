"""Images of simulations: dead leaves, opaque discs of all sizes that occlude each other.

Discs with a density of radii falling as r**-3 share with photographs the amplitude spectrum, about 1 / f.
Unlike Gaussian noise of this spectrum they have edges, hence heavy-tailed responses of oriented filters
(Ruderman 1997, Vision Research 37:3385; Lee, Mumford & Huang 2001, IJCV 41:35). Measured on 44 x 44 px:

====================================  ====================  ==========================  =================
images                                exponent of spectrum  excess kurtosis of filters  CV of the contrast
====================================  ====================  ==========================  =================
dead leaves                           -1.66                 6.5                         0.33
crops of photographs of 112 px        -1.53                 8.8                         0.40
crops of photographs of 56 px         -1.35                 6.0                         0.30
Gaussian 1 / f noise                  -1.01                 0.0                         0.10
====================================  ====================  ==========================  =================

The photographs are the 1,200 of Cowley et al. 2023, the filters are oriented.
"""

from collections.abc import Iterator

import numpy as np

from whatwhere.simulations.design import Design
from whatwhere.standardize import Standardizer, standardizer

SOURCE = "generated dead leaves"
N_CALIBRATION = 256
"""Images of their own random stream that set thresholds and scales of simulated neurons."""

RADII = (2.0, 150.0)
"""Smallest and largest radius of a leaf, px."""
N_LEAVES = 250
"""Leaves per image; one further leaf lies behind all of them."""
LUMINANCE_GRADIENT = 0.3
"""Sd of the change of luminance from the center to the edge of a leaf, relative to the sd between leaves."""
OPPONENT_SD = (0.3, 0.13)
"""Sd of yellow-blue and red-green contrast between leaves, relative to that of luminance."""

_BLOCK = 32
# Luminance, yellow-blue and red-green: columns of equal norm, rows red, green, blue (Ruderman et al. 1998).
_OPPONENT = np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]]).T / np.sqrt([3.0, 6.0, 2.0]) * np.sqrt(3.0)


def dead_leaves(
    n_images: int, channels: int, size: tuple[int, int], seed: np.random.SeedSequence
) -> Iterator[np.ndarray]:
    """Draws (image, channel, y, x) float32 with mean 0 and variance about 1, block by block.

    More images leave the first images as they are. There is 1 channel for luminance, or 3 for red, green and
    blue; ``size`` is (y, x), px.
    """
    for block, start in enumerate(range(0, n_images, _BLOCK)):
        child = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, block))
        yield _paint(channels, size, np.random.default_rng(child))[: n_images - start]


def _radii(size: tuple[int, int], shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Radii of leaves that touch the image: density r**-3 times the area in which their centers can lie."""
    grid = np.geomspace(*RADII, 2000)
    density = grid**-3.0 * (size[0] + 2 * grid) * (size[1] + 2 * grid)
    cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(grid))])
    return np.interp(rng.random(shape), cumulative / cumulative[-1], grid)


def _colors(channels: int, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    contrast = rng.standard_normal((*shape, 3)) * (1.0, *OPPONENT_SD)
    return contrast[..., :1] if channels == 1 else contrast @ _OPPONENT.T


def _paint(channels: int, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    shape = (N_LEAVES, _BLOCK)
    radius = _radii(size, shape, rng).astype(np.float32)
    # Half a pixel on every side, because the outermost pixels are half inside their edges.
    beyond = np.array(size, np.float32)[:, None, None] + radius - np.float32(0.5)
    center = rng.uniform(-radius - 0.5, beyond, (2, *shape)).astype(np.float32)
    gradient = LUMINANCE_GRADIENT * rng.standard_normal((2, *shape), np.float32) / radius
    colors = _colors(channels, shape, rng).astype(np.float32)
    images = np.empty((channels, _BLOCK, *size), np.float32)
    images[:] = np.moveaxis(_colors(channels, (_BLOCK,), rng), -1, 0)[..., None, None]
    rows, columns = (np.arange(side, dtype=np.float32) for side in size)
    for leaf in range(N_LEAVES):
        y = rows[None, :, None] - center[0, leaf, :, None, None]
        x = columns[None, None, :] - center[1, leaf, :, None, None]
        # The edge is one pixel wide, so that it does not alias.
        opacity = np.clip(radius[leaf, :, None, None] + np.float32(0.5) - np.sqrt(y**2 + x**2), 0, 1)
        shading = gradient[0, leaf, :, None, None] * y + gradient[1, leaf, :, None, None] * x
        for channel in range(channels):
            change = shading + colors[leaf, :, channel, None, None]
            change -= images[channel]
            change *= opacity
            images[channel] += change
    return np.ascontiguousarray(images.swapaxes(0, 1))


def show(
    design: Design, channels: int, size: tuple[int, int], seeds: list[np.random.SeedSequence]
) -> tuple[np.ndarray, Standardizer, np.ndarray]:
    """Draws all images of a dataset; ``channels`` and ``size`` as for :func:`dead_leaves`.

    ``seeds`` are those of the images for calibration, training, validation and test. Returns images (image,
    channel, y, x) float32, of every repetition training, then validation, then test images; their
    standardization to mean 0 and variance 1; and standardized images for calibration.
    """
    calibration = np.concatenate(list(dead_leaves(N_CALIBRATION, channels, size, seeds[0])))
    standardize = standardizer(calibration, "global")
    images = np.empty((design.repetitions * sum(design.counts.values()), channels, *size), np.float32)
    spawned = [seed.spawn(design.repetitions) for seed in seeds[1:]]
    start = 0
    for of_repetition in zip(*spawned, strict=True):
        for count, seed in zip(design.counts.values(), of_repetition, strict=True):
            for block in dead_leaves(count, channels, size, seed):
                images[start : start + len(block)] = block
                start += len(block)
    return images, standardize, standardize(calibration)
