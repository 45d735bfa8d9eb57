"""Locations of neurons whose receptive fields differ in shape.

Given a single kernel, the posterior over locations takes every difference between a receptive field and the
kernel for evidence about the location, and is far too narrow. Here the receptive field at a location is

    a k + s B z,    a ~ N(m, v),    z ~ N(0, I),

the shared kernel k and a deviation of the neuron, from one of the priors on kernels, B (pixel, direction).
With w = (a, z) and A = (k, s B), the log-likelihood of the average c of D images of covariance C around a
location is D (w' A' c - w' A' C A w / 2) up to a constant, as for a single kernel, so that w is integrated
out in closed form. Size s and prior B are those with the highest evidence for the population; s = 0 is the
posterior given the kernel alone.
"""

from dataclasses import replace

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from whatwhere.localization.kernel_prior import Basis, KernelPrior
from whatwhere.localization.mixture import Population, StaSpectra

_SIZES = (0.0, 0.03, 0.05, 0.08, 0.12, 0.18, 0.27, 0.4, 0.6, 0.9)
"""Sd of the output of a neuron's deviation, in sd of its response."""
_MIDDLE = 0.6  # size at which the priors of deviations are compared
_COMPARED = 32
"""Largest number of neurons on which sizes and priors are compared; each neuron has many pixels."""
_NEGLIGIBLE = 1e-2
"""Directions whose precision from images is less, in units of the prior's precision, are left out."""
_CHUNK = 2**25  # values held at once


def locate(
    spectra: StaSpectra, population: Population, prior: KernelPrior
) -> tuple[np.ndarray, np.ndarray, float]:
    """Posterior over kernels and locations of neurons whose receptive fields may differ in shape.

    Returns the posterior (neuron, kernel, y, x) with sum 1; log evidence for a receptive field (neuron,); sd
    of the deviations' output, in sd of a response.
    """
    some = spectra.subset(_COMPARED)

    def support(size: float, own: Basis) -> float:
        none = np.log(population.none / (1 - population.none))
        joint = _log_joint(some, population, prior, size, own)
        return float(np.logaddexp(none, logsumexp(joint, (1, 2, 3))).sum())

    own = max(prior.bases, key=lambda one: support(_MIDDLE, one))
    size = max(_SIZES, key=lambda one: support(one, own))
    n_values = sum(own.basis.shape) * np.prod([n - prior.patch + 1 for n in spectra.image_size])
    rows = max(1, int(_CHUNK // n_values))
    posteriors, evidences = [], []
    for start in range(0, len(spectra.spectrum), rows):
        chunk = replace(spectra, spectrum=spectra.spectrum[start : start + rows])
        joint = _log_joint(chunk, population, prior, size, own)
        evidences.append(logsumexp(joint, (1, 2, 3)))
        posteriors.append(np.exp(joint - evidences[-1][:, None, None, None]).astype(np.float32))
    return np.concatenate(posteriors), np.concatenate(evidences), size


def _log_joint(
    spectra: StaSpectra, population: Population, prior: KernelPrior, size: float, own: Basis
) -> np.ndarray:
    """Log of prior times likelihood relative to no receptive field, (neuron, kernel, y, x)."""
    windows, n = spectra.windows(prior.patch), spectra.n_images
    n_neurons, height, width = windows.shape[:3]
    averages = windows.reshape(-1, prior.patch**2)
    joint = np.empty((n_neurons, len(population.kernels), height, width))
    for index, kernel in enumerate(population.kernels):
        kept = n * size**2 * own.variance > _NEGLIGIBLE
        filters = np.column_stack([kernel.mean, size * own.basis[:, kept]])
        mean, variance = population.amplitude_mean[index], population.amplitude_variance[index]
        precision = n * filters.T @ prior.covariance @ filters + np.eye(filters.shape[1])
        # The kernel is known up to its own posterior, which adds to the variance of its output.
        precision[0, 0] = n * kernel.energy + 1 / variance
        lower = np.linalg.cholesky(precision)
        # Filters are whitened by the precision, not their many outputs.
        whitening = solve_triangular(lower, n * filters.T, lower=True).T.astype(np.float32)
        offset = solve_triangular(lower, np.eye(len(lower))[0] * mean / variance, lower=True)
        whitened = averages @ whitening
        constant = np.log(population.share[index] / (height * width)) - mean**2 / (2 * variance)
        constant += offset @ offset / 2 - np.log(variance) / 2 - np.log(np.diag(lower)).sum()
        # Half the square of the whitened averages plus the offset, without an array of their size.
        exponent = np.einsum("pe,pe->p", whitened, whitened) / 2
        exponent += averages @ (whitening @ offset.astype(np.float32))
        joint[:, index] = constant + exponent.reshape(n_neurons, height, width)
    return joint
