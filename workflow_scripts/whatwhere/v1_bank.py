"""The ``v1`` feature space: a fixed bank of two stages that needs no download.

Stage 1 filters the image with oriented, even and odd, and with blob-like filters in luminance and opponent
colours, rectifies both signs apart, and pools. Stage 2 adds and subtracts a few pooled maps at small
offsets, as cells that respond to corners, ends and texture do, and rectifies above a high threshold.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

RECEPTIVE_FIELD = 13
"""Filter, pooling and offsets span 5 px each, as three layers of 5 x 5 px do."""
SQUARED_CV = 6.5
"""Variance over squared mean of every map, as of the paper's units: .054 to .079 at mean .1 (section F.1)."""

_SIZE = 5
_ORIENTATIONS = 4
_WEIGHTS = (1.0, 1.0, -1.0)
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
    filters.append(window)
    stacked = np.array(filters)
    return stacked / np.linalg.norm(stacked, axis=(1, 2), keepdims=True)


class V1Bank:
    """Feature maps of the bank, see the module.

    Types are chosen one after the other, each the one of many random combinations whose map correlates
    least with those chosen before; so the types of a smaller bank are the first ones of a larger one.

    Parameters
    ----------
    n_types
        Number of feature maps.
    images
        (image, channel, y, x) standardized images that set scales and thresholds.
    seed
        Random stream of the combinations.
    """

    receptive_field = RECEPTIVE_FIELD

    def __init__(self, n_types: int, images: np.ndarray, seed: np.random.SeedSequence) -> None:
        self.n_types = n_types
        self._first = torch.from_numpy(_first_stage(images.shape[1]))
        axis = torch.arange(_SIZE) - _SIZE // 2
        pooling = torch.exp(-(axis**2) / (2 * _POOLING_SD**2))
        self._pooling = pooling / pooling.sum()
        with torch.no_grad():
            pooled = self._unscaled(torch.from_numpy(images))
            self._scale = pooled.std((0, 2, 3))
            self._choose(pooled / self._scale[:, None, None], np.random.default_rng(seed))

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

    def _choose(self, pooled: Tensor, rng: np.random.Generator) -> None:
        n_maps = pooled.shape[1]
        kernels: list[Tensor] = []
        thresholds: list[float] = []
        chosen: list[Tensor] = []
        for _ in range(self.n_types):
            candidates = torch.stack([_combination(n_maps, rng) for _ in range(_CANDIDATES)])
            drives = functional.conv2d(pooled, candidates).transpose(0, 1).flatten(1)
            levels = [_threshold(drive) for drive in drives]
            maps = functional.relu(drives - torch.tensor(levels)[:, None])
            maps = functional.normalize(maps - maps.mean(1, keepdim=True), dim=1)
            worst = torch.stack([(maps @ other).abs() for other in chosen] or [torch.zeros(_CANDIDATES)])
            best = int(worst.max(0).values.argmin())
            kernels.append(candidates[best])
            thresholds.append(levels[best])
            chosen.append(maps[best].clone())
        self._second = torch.stack(kernels)
        self._threshold = torch.tensor(thresholds)
        self.correlations = torch.stack(chosen) @ torch.stack(chosen).T


def _first_stage(channels: int) -> np.ndarray:
    colors = _COLORS if channels == 3 else np.ones((1, 1))
    colors = colors / np.linalg.norm(colors, axis=1, keepdims=True)
    filters = np.einsum("kc,fyx->kfcyx", colors, spatial_filters())
    return filters.reshape(-1, channels, _SIZE, _SIZE).astype(np.float32)


def _combination(n_maps: int, rng: np.random.Generator) -> Tensor:
    """Weights on different pooled maps, each at an offset of its own, (map, y, x)."""
    kernel = torch.zeros(n_maps, _SIZE, _SIZE)
    for weight, index in zip(_WEIGHTS, rng.permutation(n_maps), strict=False):
        y, x = rng.integers(0, _SIZE, 2)
        kernel[index, y, x] = weight
    return kernel


def _threshold(drive: Tensor) -> float:
    """Where rectification leaves a map of squared coefficient of variation :data:`SQUARED_CV`."""
    low, high = float(drive.min()), float(drive.max())
    for _ in range(30):
        middle = (low + high) / 2
        rate = functional.relu(drive - middle)
        if rate.var() < SQUARED_CV * rate.mean() ** 2:
            low = middle
        else:
            high = middle
    return low
