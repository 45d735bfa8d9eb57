"""Gaussian-process prior on convolution kernels: smooth, fading towards the border of the patch.

The covariance of the stimulus within a patch gives the variance of a kernel's output by location.

Pixels u and v of a kernel covary as exp(-|u - v|^2 / (2 smoothness^2)) exp(-(|u|^2 + |v|^2) / (4 extent^2)),
positions counted from the middle of the patch, after automatic smoothness and locality determination
(Sahani & Linden 2003; Park & Pillow 2011). Both lengths are selected by evidence.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

_NEGLIGIBLE = 1e-5
"""Directions with less than this share of the largest prior variance are dropped."""
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


@dataclass(frozen=True)
class KernelPosterior:
    """Normal posterior of one kernel.

    Attributes
    ----------
    mean
        (y * x,) posterior mean.
    energy
        Expected variance of the kernel's output at every location, (y, x); (1, 1) for a stationary stimulus.
    divergence
        Kullback-Leibler divergence from the prior, nats.
    smoothness, extent
        Lengths of the prior with the highest evidence, px.
    """

    mean: np.ndarray
    energy: np.ndarray
    divergence: float
    smoothness: float
    extent: float


@dataclass(frozen=True)
class Basis:
    """Prior of one pair of lengths: kernel = basis @ z with z standard normal.

    The columns of ``basis`` (pixel, direction) are uncorrelated under the average stimulus; ``variance``
    (direction,) are the variances of their outputs.
    """

    basis: np.ndarray
    variance: np.ndarray
    smoothness: float
    extent: float


def _basis(patch: int, smoothness: float, extent: float, covariance: np.ndarray) -> Basis:
    axis = np.arange(patch) - (patch - 1) / 2
    squared = axis**2
    line = np.exp(
        -((axis[:, None] - axis) ** 2) / (2 * smoothness**2) - (squared[:, None] + squared) / (4 * extent**2)
    )
    # The covariance of the plane is the product of two lines.
    values, vectors = np.linalg.eigh(line)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    basis = np.kron(root, root)
    prior_variance = (basis**2).sum(0)
    basis = basis[:, prior_variance > _NEGLIGIBLE * prior_variance.max()]
    # Scaled so that a kernel's output has variance 1 under the prior: amplitudes carry all the scale.
    basis /= np.sqrt((basis * (covariance @ basis)).sum())
    variance, rotation = np.linalg.eigh(basis.T @ covariance @ basis)
    return Basis(basis @ rotation, np.clip(variance, 0, None), smoothness, extent)


class KernelPrior:
    """Alternative priors on kernels of ``patch`` x ``patch`` px, and the posterior under the best prior.

    ``smoothness`` and ``extent`` list lengths in px, of which every pair is a prior.
    """

    def __init__(
        self, patch: int, smoothness: list[float], extent: list[float], stimulus: StimulusCovariance
    ) -> None:
        self.patch, self.stimulus = patch, stimulus
        pairs = itertools.product(smoothness, extent)
        self.bases = [_basis(patch, *pair, stimulus.average) for pair in pairs]

    def _root(self, prior: Basis, weights: np.ndarray, summed: np.ndarray) -> np.ndarray:
        """Triangular root of the posterior covariance in the directions of a prior."""
        if self.stimulus.stationary:
            return np.diag(1 / np.sqrt(1 + weights.sum() * prior.variance))
        n_directions = prior.basis.shape[1]
        precision = np.eye(n_directions) + prior.basis.T @ summed @ prior.basis
        lower = np.linalg.cholesky(precision)
        return solve_triangular(lower, np.eye(n_directions), lower=True).T

    def posterior(self, weights: np.ndarray, target: np.ndarray) -> KernelPosterior:
        """Posterior given the expected log-likelihood target @ k - sum of weights times k' C k / 2.

        Parameters
        ----------
        weights
            (y, x) expected number of images times squared amplitude of the kernel at a location.
        target
            (y * x,) weighted sum of spike-triggered averages.
        """
        summed = self.stimulus.weighted_sum(weights)
        best, evidence = None, -np.inf
        for prior in self.bases:
            root = self._root(prior, weights, summed)
            projected = root.T @ (prior.basis.T @ target)
            value = float(projected @ projected / 2 + np.log(np.diag(root)).sum())
            if value > evidence:
                best, evidence = (prior, root, projected), value
        if best is None:
            raise FloatingPointError("the evidence of every kernel prior is NaN")
        prior, root, projected = best
        z, factor = root @ projected, prior.basis @ root
        mean = prior.basis @ z
        log_determinant = 2 * np.log(np.diag(root)).sum()
        return KernelPosterior(
            mean=mean,
            energy=self.stimulus.output_variance(np.outer(mean, mean) + factor @ factor.T),
            divergence=float(z @ z + (root**2).sum() - len(z) - log_determinant) / 2,
            smoothness=prior.smoothness,
            extent=prior.extent,
        )

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Kernel from one of the priors, all equally likely, (y, x)."""
        prior = self.bases[rng.integers(len(self.bases))]
        return (prior.basis @ rng.standard_normal(prior.basis.shape[1])).reshape(self.patch, self.patch)
