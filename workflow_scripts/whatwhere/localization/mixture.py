"""Locations and kernels of neurons, by inference instead of gradient descent.

The location of a receptive field is a discrete latent variable. Given neuron n's kernel k, location l and
amplitude a, its standardized response is a (k * x)(l) plus noise. Then the spike-triggered average (STA) is a
sufficient statistic: with c_nkl the inner product of kernel k and the STA at location l, D images and
e_k = k' C k the variance of the kernel's output, the log-likelihood is D (a c_nkl - a^2 e_k / 2) up to a
constant (responses have variance 1, which is noise plus signal: an STA's error contains both). A neuron
without receptive field has a = 0.

Variational EM with three factors, which all have closed forms:

- neurons: posterior over no receptive field, or kernel and location, amplitude integrated out under a normal
  prior per kernel,
- kernels: normal posterior under a smooth Gaussian-process prior
  (:mod:`whatwhere.localization.kernel_prior`),
- amplitude priors, kernel shares and the share of neurons without receptive field: maximum likelihood.

The bound it maximizes is relative to neurons without receptive field: below 0 nothing is identifiable.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft

from whatwhere.localization.kernel_prior import KernelPosterior, KernelPrior


@dataclass(frozen=True)
class StaSpectra:
    """Standardized spike-triggered averages."""

    spectrum: np.ndarray  # (neuron, y, frequency) real Fourier transform of the averages
    image_size: tuple[int, int]  # (y, x) px
    n_images: int  # number of images averaged over

    @classmethod
    def of(cls, sta: np.ndarray, n_images: int) -> "StaSpectra":
        """From averages (neuron, y, x) of responses with variance 1."""
        return cls(fft.rfft2(sta.astype(np.float32)), (sta.shape[1], sta.shape[2]), n_images)

    def subset(self, size: int) -> "StaSpectra":
        """At most ``size`` neurons, spread evenly over the population."""
        step = -(-len(self.spectrum) // size)
        return replace(self, spectrum=self.spectrum[::step])

    def windows(self, patch: int) -> np.ndarray:
        """Averages around all locations, (neuron, y, x, patch, patch); a view."""
        return sliding_window_view(fft.irfft2(self.spectrum, s=self.image_size), (patch, patch), axis=(1, 2))

    def correlate(self, kernels: np.ndarray) -> np.ndarray:
        """Inner products of kernels (kernel, y, x) and averages, (neuron, kernel, y, x), valid locations."""
        height, width = (n - k + 1 for n, k in zip(self.image_size, kernels.shape[1:], strict=True))
        spectrum = fft.rfft2(kernels.astype(np.float32), s=self.image_size).conj()
        product = self.spectrum[:, None] * spectrum
        return fft.irfft2(product, s=self.image_size)[..., :height, :width]

    def patches(self, weights: np.ndarray, patch: int, per_neuron: bool) -> np.ndarray:
        """Sum of the averages around all locations, weighted by (neuron, kernel, y, x).

        Returns (kernel, patch, patch), or (neuron, kernel, patch, patch) if not summed over neurons.
        """
        spectrum = fft.rfft2(weights.astype(np.float32), s=self.image_size).conj() * self.spectrum[:, None]
        if not per_neuron:
            spectrum = spectrum.sum(0)
        return fft.irfft2(spectrum, s=self.image_size)[..., :patch, :patch]


@dataclass(frozen=True)
class Population:
    """Kernels and priors that neurons share."""

    kernels: list[KernelPosterior]  # one posterior per kernel
    # Normal prior of amplitudes, (kernel,) both.
    amplitude_mean: np.ndarray
    amplitude_variance: np.ndarray
    share: np.ndarray  # (kernel,) share of the neurons with a receptive field
    none: float  # share of neurons without; its prior is an additional neuron, half of it without


@dataclass(frozen=True)
class Neurons:
    """Posterior over kernel and location, moments of the amplitude given both, (neuron, kernel, y, x).

    The sum of a posterior is the probability of a receptive field. ``evidence`` (neuron,) is the log Bayes
    factor of a receptive field against none.
    """

    posterior: np.ndarray
    amplitude: np.ndarray
    squared_amplitude: np.ndarray
    evidence: np.ndarray


def update_neurons(spectra: StaSpectra, population: Population, temperature: float) -> Neurons:
    """Posterior of every neuron given the population.

    ``temperature`` is the exponent of the posterior, below 1 while annealing; the evidence is not tempered.
    """
    patch = int(np.sqrt(len(population.kernels[0].mean)))
    kernels = np.stack([kernel.mean for kernel in population.kernels]).reshape(-1, patch, patch)
    correlation = spectra.correlate(kernels)
    energy = np.array([kernel.energy for kernel in population.kernels])[:, None, None]
    mean, variance, share = (
        values[:, None, None]
        for values in (population.amplitude_mean, population.amplitude_variance, population.share)
    )
    n = spectra.n_images
    precision = n * energy + 1 / variance
    prior = (
        np.log(share / np.prod(correlation.shape[2:]))
        - mean**2 / (2 * variance)
        - np.log(variance * precision) / 2
    )

    def single(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float32)

    amplitude = correlation * single(n / precision) + single(mean / variance / precision)
    log_joint = amplitude**2 * single(precision / 2) + single(prior)
    flat = log_joint.reshape(len(log_joint), -1)
    evidence = _log_sum_exp(flat)
    some = evidence if temperature == 1 else _log_sum_exp(temperature * flat)
    odds = np.float32(temperature * np.log(population.none / (1 - population.none)))
    normalizer = np.logaddexp(some, odds)
    posterior = np.exp(temperature * flat - normalizer[:, None]).reshape(log_joint.shape)
    return Neurons(posterior, amplitude, amplitude**2 + single(1 / precision), evidence)


def _log_sum_exp(flat: np.ndarray) -> np.ndarray:
    largest = flat.max(1)
    return largest + np.log(np.exp(flat - largest[:, None]).sum(1))


def update_population(spectra: StaSpectra, neurons: Neurons, prior: KernelPrior) -> Population:
    """Kernels and priors given the posterior of every neuron."""
    pooled = (0, 2, 3)
    weighted = neurons.posterior * neurons.amplitude
    count = neurons.posterior.sum(pooled, dtype=np.float64) + 1e-6
    first = weighted.sum(pooled, dtype=np.float64)
    squared = (neurons.posterior * neurons.squared_amplitude).sum(0, dtype=np.float64)
    targets = spectra.patches(weighted, prior.patch, per_neuron=False)
    n, n_neurons = spectra.n_images, len(neurons.evidence)
    mean = first / count
    return Population(
        kernels=[
            prior.posterior(n * weights, n * target.ravel().astype(np.float64))
            for weights, target in zip(squared, targets, strict=True)
        ],
        amplitude_mean=mean,
        amplitude_variance=np.maximum(squared.sum((1, 2)) / count - mean**2, 1e-6),
        share=count / count.sum(),
        none=float((n_neurons - count.sum() + 0.5) / (n_neurons + 1)),
    )


def _bound(neurons: Neurons, population: Population) -> float:
    divergence = sum(kernel.divergence for kernel in population.kernels)
    none, some = np.log(population.none), np.log(1 - population.none)
    evidence = np.logaddexp(none, some + neurons.evidence.astype(np.float64)).sum()
    return float(evidence + (none + some) / 2 - divergence)


@dataclass(frozen=True)
class Iterations:
    """Result of the iterations of one start."""

    population: Population
    bound: float
    n_iterations: int
    converged: bool


@dataclass(frozen=True)
class Search:
    """Starts and convergence of the inference."""

    random_starts: int = 4
    """Samples of the prior beside the fixed kernels; with several kernels, the number of k-means starts."""
    max_iterations: int = 200  # largest number of iterations of a start
    tolerance: float = 1e-3  # growth of the bound in nats per neuron below which iterations stop
    seed: int = 0  # seed of random starts and k-means


def iterate(
    spectra: StaSpectra, population: Population, prior: KernelPrior, temperatures: np.ndarray, search: Search
) -> Iterations:
    """Alternates both updates until the bound grows by less than the tolerance."""
    for temperature in temperatures:
        neurons = update_neurons(spectra, population, float(temperature))
        population = update_population(spectra, neurons, prior)
    bound = -np.inf
    for iteration in range(1, search.max_iterations + 1):
        neurons = update_neurons(spectra, population, 1.0)
        previous, bound = bound, _bound(neurons, population)
        if bound - previous < search.tolerance * len(neurons.evidence):
            return Iterations(population, bound, iteration, True)
        population = update_population(spectra, neurons, prior)
    bound = _bound(update_neurons(spectra, population, 1.0), population)
    return Iterations(population, bound, search.max_iterations, False)
