"""Gaussian-process prior on convolution kernels: smooth, fading towards the border of the patch.

Pixels u and v of a kernel covary as exp(-|u - v|^2 / (2 smoothness^2)) exp(-(|u|^2 + |v|^2) / (4 extent^2)),
positions counted from the middle of the patch, in the spirit of automatic smoothness and locality
determination (Sahani & Linden 2003; Park & Pillow 2011). Both lengths are chosen by evidence.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

_NEGLIGIBLE = 1e-5
"""Directions with less than this share of the largest prior variance are dropped."""


@dataclass(frozen=True)
class KernelPosterior:
    """Normal posterior of one kernel.

    Attributes
    ----------
    mean
        (y * x,) posterior mean.
    energy
        Expected variance of the kernel's output, mean squared plus posterior variance.
    divergence
        Kullback-Leibler divergence from the prior, nats.
    smoothness, extent
        Lengths of the prior with the highest evidence, px.
    """

    mean: np.ndarray
    energy: float
    divergence: float
    smoothness: float
    extent: float


@dataclass(frozen=True)
class _Basis:
    """Prior of one pair of lengths: kernel = basis @ z with z standard normal.

    The columns of ``basis`` (pixel, direction) are uncorrelated under the stimulus; ``variance`` (direction,)
    are the variances of their outputs.
    """

    basis: np.ndarray
    variance: np.ndarray
    smoothness: float
    extent: float


def _basis(patch: int, smoothness: float, extent: float, covariance: np.ndarray) -> _Basis:
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
    return _Basis(basis @ rotation, np.clip(variance, 0, None), smoothness, extent)


class KernelPrior:
    """Alternative priors on square kernels, and the posterior under the best of them.

    Parameters
    ----------
    patch
        Width and height of kernels, px.
    smoothness, extent
        Lengths to choose from, px.
    covariance
        (y * x, y * x) covariance of the stimulus within a patch.
    """

    def __init__(
        self, patch: int, smoothness: list[float], extent: list[float], covariance: np.ndarray
    ) -> None:
        self.patch = patch
        self.bases = [_basis(patch, *pair, covariance) for pair in itertools.product(smoothness, extent)]

    def posterior(self, precision: float, target: np.ndarray) -> KernelPosterior:
        """Posterior given the expected log-likelihood target @ k - precision k' C k / 2.

        Parameters
        ----------
        precision
            Expected number of images times squared amplitude that saw the kernel.
        target
            (y * x,) weighted sum of spike-triggered averages.
        """
        best, evidence = None, -np.inf
        for prior in self.bases:
            projected = prior.basis.T @ target
            sharpened = 1 + precision * prior.variance
            value = float((projected**2 / sharpened - np.log(sharpened)).sum() / 2)
            if value > evidence:
                best, evidence = (prior, projected / sharpened, sharpened), value
        if best is None:
            raise FloatingPointError("the evidence of every kernel prior is NaN")
        prior, z, sharpened = best
        return KernelPosterior(
            mean=prior.basis @ z,
            energy=float((prior.variance * (z**2 + 1 / sharpened)).sum()),
            divergence=float((z**2 + 1 / sharpened - 1 + np.log(sharpened)).sum() / 2),
            smoothness=prior.smoothness,
            extent=prior.extent,
        )

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Kernel from one of the priors, all equally likely, (y, x)."""
        prior = self.bases[rng.integers(len(self.bases))]
        return (prior.basis @ rng.standard_normal(prior.basis.shape[1])).reshape(self.patch, self.patch)


def stimulus_covariance(images: np.ndarray, patch: int) -> np.ndarray:
    """Covariance of the pixels of a patch, the same wherever it lies (a stationary stimulus).

    Parameters
    ----------
    images
        (image, y, x) with mean 0 over images.
    patch
        Width and height, px.

    Returns
    -------
    (y * x, y * x). For white noise it is close to the identity.
    """
    _, height, width = images.shape
    lags = patch - 1
    padded = (height + lags, width + lags)
    power = np.zeros((padded[0], padded[1] // 2 + 1))
    for start in range(0, len(images), 512):
        power += (np.abs(np.fft.rfft2(images[start : start + 512], s=padded)) ** 2).sum(0)
    lag_sum = np.fft.irfft2(power, s=padded)
    lag = np.arange(-lags, lags + 1)
    overlap = np.outer(height - np.abs(lag), width - np.abs(lag)) * len(images)
    autocovariance = lag_sum[np.ix_(lag, lag)] / overlap
    row, column = (grid.ravel() for grid in np.indices((patch, patch)))
    return autocovariance[row[:, None] - row + lags, column[:, None] - column + lags]
