"""Gaussian-process prior on convolution kernels: smooth, fading towards the border of the patch.

The covariance of the stimulus within a patch gives the variance of a kernel's output by location.

Pixels u and v of a kernel covary as exp(-|u - v|^2 / (2 smoothness^2)) exp(-(|u|^2 + |v|^2) / (4 extent^2)),
positions counted from the middle of the patch, after automatic smoothness and locality determination
(Sahani & Linden 2003; Park & Pillow 2011). Both lengths are selected by evidence.
"""

import itertools
from dataclasses import dataclass

import numpy as np

_NEGLIGIBLE = 1e-5  # directions with less than this share of the largest prior variance are dropped
_MAX_IMAGES = 1024  # largest number of images for covariances; more images cost time and change nothing


def stimulus_covariance(images: np.ndarray, patch: int) -> np.ndarray:
    """Covariance of the pixels of a patch, (y * x, y * x), averaged over locations.

    It is estimated from whole patches of at most 1024 images, so that no output has a negative variance.
    ``images`` are (image, y, x) with mean 0 over images; ``patch`` is the width of patches in px.
    """
    some = images[:: -(-len(images) // _MAX_IMAGES)].astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(some, (patch, patch), axis=(1, 2))
    covariance = np.zeros((patch**2, patch**2))
    for image in windows:
        patches = image.reshape(-1, patch**2)
        covariance += patches.T @ patches
    return covariance / np.prod(windows.shape[:3])


@dataclass(frozen=True)
class KernelPosterior:
    """Normal posterior of one kernel."""

    mean: np.ndarray  # (y * x,) posterior mean
    energy: float  # expected variance of the kernel's output
    divergence: float  # Kullback-Leibler divergence from the prior, nats
    # Lengths of the prior with the highest evidence, px.
    smoothness: float
    extent: float


@dataclass(frozen=True)
class Basis:
    """Prior of one pair of lengths: kernel = basis @ z with z standard normal.

    The columns of ``basis`` (pixel, direction) are uncorrelated under the stimulus; ``variance``
    (direction,) are the variances of their outputs.
    """

    basis: np.ndarray
    variance: np.ndarray
    smoothness: float
    extent: float


def _basis(patch: int, smoothness: float, extent: float, covariance: np.ndarray) -> Basis:
    axis = np.arange(patch) - (patch - 1) / 2
    squared = axis**2
    apart = (axis[:, None] - axis) ** 2
    line = np.exp(-apart / (2 * smoothness**2) - (squared[:, None] + squared) / (4 * extent**2))
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

    ``smoothness`` and ``extent`` list lengths in px, of which every pair is a prior; ``covariance`` is that
    of the stimulus, see :func:`stimulus_covariance`.
    """

    def __init__(
        self, patch: int, smoothness: list[float], extent: list[float], covariance: np.ndarray
    ) -> None:
        self.patch, self.covariance = patch, covariance
        pairs = itertools.product(smoothness, extent)
        self.bases = [_basis(patch, *pair, covariance) for pair in pairs]

    def output_variance(self, second_moment: np.ndarray) -> float:
        """Expected variance of a kernel's output from the expectation of kernel times kernel."""
        return float(np.tensordot(self.covariance, second_moment, 2))

    def posterior(self, weights: np.ndarray, target: np.ndarray) -> KernelPosterior:
        """Posterior given the expected log-likelihood target @ k - sum of weights times k' C k / 2.

        ``weights`` (y, x) are the expected number of images times squared amplitude of the kernel at a
        location, ``target`` (y * x,) is the weighted sum of spike-triggered averages.
        """
        best, evidence = None, -np.inf
        for prior in self.bases:
            # Of the posterior covariance, which is diagonal in the directions of a prior.
            root = np.diag(1 / np.sqrt(1 + weights.sum() * prior.variance))
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
            energy=self.output_variance(np.outer(mean, mean) + factor @ factor.T),
            divergence=float(z @ z + (root**2).sum() - len(z) - log_determinant) / 2,
            smoothness=prior.smoothness,
            extent=prior.extent,
        )

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Kernel from one of the priors, all equally likely, (y, x)."""
        prior = self.bases[rng.integers(len(self.bases))]
        return (prior.basis @ rng.standard_normal(prior.basis.shape[1])).reshape(self.patch, self.patch)
