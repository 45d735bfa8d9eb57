"""A fixed bank of nonlinear feature maps in two stages.

Stage 1 filters the image with oriented, even and odd, and with blob-like filters in luminance and opponent
colors, rectifies both signs apart, and pools. Stage 2 adds and subtracts a few pooled maps at small
offsets, as cells that respond to corners, ends and texture do, and rectifies above a high threshold. Three
layers of 5 x 5 px can represent every map.
"""

import logging

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

logger = logging.getLogger(__name__)

SQUARED_CV = 6.5
"""Variance over squared mean of every map; 0.054 to 0.079 at mean 0.1 for the paper's units (section F.1)."""

_SIZE = 5
_ORIENTATIONS = 4
N_SPATIAL = 2 * _ORIENTATIONS + 1
"""Number of filters of one color: even and odd filters, and a blob."""
_BOTH_SIGNS = (0.5, -0.7)
"""Weights of an input and a suppression that both signs of a filter drive, relative to one sign's input."""
_CANDIDATES = 40
_POOLING_SD = 1.0
# Luminance, yellow-blue and red-green contrast of (red, green, blue).
_COLORS = np.array([[1, 1, 1], [0.5, 0.5, -1], [1, -1, 0]])


def spatial_filters() -> np.ndarray:
    """Even and odd filters of four orientations and one blob, (filter, y, x), unit norm."""
    axis = np.arange(_SIZE) - _SIZE // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    window = np.exp(-(x**2 + y**2) / (2 * 1.2**2))
    filters = []
    for angle in np.arange(_ORIENTATIONS) * np.pi / _ORIENTATIONS:
        across = 2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / 4.5
        even = window * np.cos(across)
        filters += [even - window * (even.sum() / window.sum()), window * np.sin(across)]
    stacked = np.array([*filters, window])
    return stacked / np.linalg.norm(stacked, axis=(1, 2), keepdims=True)


class V1Bank:
    """Feature maps of the feature bank that the module describes.

    Types are selected one after the other. Each type is the random combination, of many, whose map correlates
    least with the maps selected before; so fewer types are the first types of more types. Standardized images
    (image, channel, y, x) set scales and thresholds. ``correlations`` (type, type) are those of maps over the
    images and locations.
    """

    def __init__(self, n_types: int, images: np.ndarray, seed: np.random.SeedSequence) -> None:
        self._first = torch.from_numpy(_first_stage(images.shape[1]))
        axis = torch.arange(_SIZE) - _SIZE // 2
        pooling = torch.exp(-(axis**2) / (2 * _POOLING_SD**2))
        self._pooling = pooling / pooling.sum()
        with torch.no_grad():
            pooled = self._unscaled(torch.from_numpy(images))
            self._scale = pooled.std((0, 2, 3))
            self._select(n_types, pooled / self._scale[:, None, None], np.random.default_rng(seed))

    def __call__(self, images: Tensor) -> Tensor:
        """Feature maps, (image, channel, y, x) to (image, type, y - 12, x - 12)."""
        pooled = self._unscaled(images) / self._scale[:, None, None]
        drive = functional.conv2d(pooled, self._second)
        return functional.relu(drive - self._threshold[:, None, None])

    def _unscaled(self, images: Tensor) -> Tensor:
        filtered = functional.conv2d(images, self._first)
        rectified = torch.cat([functional.relu(filtered), functional.relu(-filtered)], 1)
        n_maps = rectified.shape[1]
        columns = self._pooling.expand(n_maps, 1, 1, -1)
        rows = columns.transpose(2, 3)
        pooled = functional.conv2d(rectified, columns, groups=n_maps)
        return functional.conv2d(pooled, rows, groups=n_maps)

    def _select(self, n_types: int, pooled: Tensor, rng: np.random.Generator) -> None:
        n_filters = len(self._first)
        kernels, thresholds, selected = [], [], list[Tensor]()
        for _ in range(n_types):
            candidates = torch.stack([_combination(n_filters, rng) for _ in range(_CANDIDATES)])
            drives = functional.conv2d(pooled, candidates).transpose(0, 1).flatten(1)
            levels = [_threshold(drive) for drive in drives]
            maps = functional.relu(drives - torch.tensor(levels)[:, None])
            maps = functional.normalize(maps - maps.mean(1, keepdim=True), dim=1)
            worst = torch.stack([(maps @ other).abs() for other in selected] or [torch.zeros(_CANDIDATES)])
            best = int(worst.max(0).values.argmin())
            kernels.append(candidates[best])
            thresholds.append(levels[best])
            selected.append(maps[best].clone())
        self._second = torch.stack(kernels)
        self._threshold = torch.tensor(thresholds)
        self.correlations = torch.stack(selected) @ torch.stack(selected).T
        logger.info("correlations of the types:\n%s", self.correlations.numpy().round(2))


def _first_stage(channels: int) -> np.ndarray:
    colors = _COLORS if channels == 3 else np.ones((1, 1))
    colors = colors / np.linalg.norm(colors, axis=1, keepdims=True)
    filters = np.einsum("kc,fyx->kfcyx", colors, spatial_filters())
    return filters.reshape(-1, channels, _SIZE, _SIZE).astype(np.float32)


def _combination(n_filters: int, rng: np.random.Generator) -> Tensor:
    """Weights on pooled maps of different filters at different offsets, (map, y, x).

    One sign of a luminance filter makes the mean of the exciting images show the location of the unit. Both
    signs of two filters of any color prevent linear models from predicting the unit.
    """
    kernel = torch.zeros(2, n_filters, _SIZE, _SIZE)
    luminance = rng.integers(N_SPATIAL)
    others = rng.permutation(np.delete(np.arange(n_filters), luminance))
    y, x = rng.integers(0, _SIZE, 2)
    kernel[rng.integers(2), luminance, y, x] = 1
    for weight, index in zip(_BOTH_SIGNS, others, strict=False):
        y, x = rng.integers(0, _SIZE, 2)
        kernel[:, index, y, x] = weight
    return kernel.flatten(0, 1)


def _threshold(drive: Tensor) -> float:
    """Threshold above which a rectified map has the squared coefficient of variation :data:`SQUARED_CV`."""
    low, high = float(drive.min()), float(drive.max())
    for _ in range(30):
        middle = (low + high) / 2
        rate = functional.relu(drive - middle)
        if rate.var() < SQUARED_CV * rate.mean() ** 2:
            low = middle
        else:
            high = middle
    return low
