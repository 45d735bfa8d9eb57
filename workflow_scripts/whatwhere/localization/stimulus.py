"""Covariance of the stimulus within a patch, which gives the variance of a kernel's output by location."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_MAX_IMAGES = 1024
"""Largest number of images for covariances; more images cost time and change nothing."""


@dataclass(frozen=True)
class StimulusCovariance:
    """Covariance of the pixels of a patch, by blocks of locations.

    Natural images differ from place to place: behind an aperture, pixels hardly vary, and divided by their
    standard deviation they correlate unlike pixels inside. A kernel's output can then have a hundred times
    its average variance at a few locations.

    Attributes
    ----------
    blocks
        (block_y, block_x, patch y * x, patch y * x), averaged over the locations of a block. One block is a
        stationary stimulus.
    side
        Height and width of a block, locations.
    map_shape
        (y, x) number of locations.
    """

    blocks: np.ndarray
    side: int
    map_shape: tuple[int, int]

    @classmethod
    def of(cls, images: np.ndarray, patch: int, side: int | None) -> StimulusCovariance:
        """Estimates from whole patches of at most 1024 images, so that no output has a negative variance.

        ``images`` are (image, y, x) with mean 0 over images; ``patch`` and ``side`` are the widths of patches
        and blocks in px, None for a single block.
        """
        some = images[:: -(-len(images) // _MAX_IMAGES)].astype(np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(some, (patch, patch), axis=(1, 2))
        map_shape = (windows.shape[1], windows.shape[2])
        side = side or max(map_shape)
        n_blocks = [-(-length // side) for length in map_shape]
        blocks = np.zeros((*n_blocks, patch**2, patch**2))
        for row, column in np.ndindex(*n_blocks):
            here = windows[:, row * side : (row + 1) * side, column * side : (column + 1) * side]
            for image in here:
                patches = image.reshape(-1, patch**2)
                blocks[row, column] += patches.T @ patches
            blocks[row, column] /= np.prod(here.shape[:3])
        return cls(blocks, side, map_shape)

    @property
    def stationary(self) -> bool:
        """Whether the covariance is the same everywhere."""
        return self.blocks.shape[:2] == (1, 1)

    @property
    def average(self) -> np.ndarray:
        """(y * x, y * x) average over locations."""
        return self.weighted_sum(np.full(self.map_shape, 1 / np.prod(self.map_shape)))

    def weighted_sum(self, weights: np.ndarray) -> np.ndarray:
        """Sum of the covariances of all locations, weighted by (y, x); (y * x, y * x)."""
        edges = [np.arange(0, length, self.side) for length in self.map_shape]
        of_blocks = np.add.reduceat(np.add.reduceat(weights, edges[0], axis=0), edges[1], axis=1)
        return np.tensordot(of_blocks.astype(np.float64), self.blocks, 2)

    def output_variance(self, second_moment: np.ndarray) -> np.ndarray:
        """Expected variance of a kernel's output, (y, x), or (1, 1) if the stimulus is stationary.

        ``second_moment`` is the expectation of kernel times kernel, (y * x, y * x).
        """
        of_blocks = np.tensordot(self.blocks, second_moment, 2)
        if self.stationary:
            return of_blocks
        rows, columns = self.map_shape
        return of_blocks.repeat(self.side, axis=0).repeat(self.side, axis=1)[:rows, :columns]
