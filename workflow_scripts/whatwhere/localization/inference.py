"""Locations and kernels of neurons, by inference instead of gradient descent.

A mixture model of spike-triggered averages (:mod:`whatwhere.localization.mixture`) is fitted from several
starts; then receptive fields may differ in shape (:mod:`whatwhere.localization.shapes`).
"""

import logging
from dataclasses import dataclass, replace

import numpy as np

from whatwhere.localization.kernel_prior import KernelPosterior, KernelPrior
from whatwhere.localization.mixture import (
    Iterations,
    Neurons,
    Population,
    Search,
    StaSpectra,
    iterate,
    update_neurons,
)
from whatwhere.localization.shapes import locate

logger = logging.getLogger(__name__)

_TEMPERATURES = np.linspace(0.4, 1.0, 10)
"""Exponents of the posterior over locations in the first iterations (deterministic annealing)."""
_FIRST_AMPLITUDE = 0.3
_FIRST_NONE = 0.1  # share of neurons without receptive field at the start
_EXPLORED = 512  # largest number of neurons on which starts are compared
_FINALISTS = 2
_SHARE_STEPS = 50
_WIDTHS = (0.7, 1.0, 1.4, 2.0, 2.8)
"""Sd in px of the blobs and center-surround kernels from which inference starts."""


@dataclass(frozen=True)
class Localization:
    """Result of inference."""

    # (kernel, y, x) posterior means of L2 norm 1, signed so that amplitudes are positive on average.
    kernels: np.ndarray
    # (neuron, kernel, y, x) probability of kernel and of the location of its top-left pixel, if receptive
    # fields differ in shape as much as the averages say; the sum is 1 minus the probability of no receptive
    # field.
    posterior: np.ndarray
    # (neuron, kernel, y, x) posterior mean of the amplitude of a kernel at a location, given that the
    # receptive field is that kernel, times the probability of both: the prediction of standardized responses
    # is the sum of amplitude times (kernel * image).
    amplitude: np.ndarray
    evidence: np.ndarray  # (neuron,) log Bayes factor of a receptive field against none
    deviation: float  # sd of the output of a neuron's deviation from the kernel, in sd of a response


def _start(kernels: np.ndarray, prior: KernelPrior) -> Population:
    """Population with given kernels (kernel, y, x) and a broad amplitude prior."""
    starts = []
    for flat in kernels.reshape(len(kernels), -1).astype(np.float64):
        energy = prior.output_variance(np.outer(flat, flat))
        # A kernel that no neuron takes can be zero, and stays so.
        scale = energy or 1.0
        starts.append(KernelPosterior(flat / np.sqrt(scale), energy / scale, 0.0, np.nan, np.nan))
    fill = np.ones(len(kernels))
    mean, variance = _FIRST_AMPLITUDE * fill, _FIRST_AMPLITUDE**2 / 4 * fill
    return Population(starts, mean, variance, fill / len(kernels), _FIRST_NONE)


def _recenter(population: Population, prior: KernelPrior) -> Population | None:
    """Population with kernels shifted to the middle of the patch; None if all are in the middle.

    A kernel and all its locations can shift together; the prior prefers the middle only slightly, and
    locations near the border are lost to a shifted kernel.
    """
    patch = prior.patch
    axis = np.arange(patch) - (patch - 1) / 2
    kernels, shifted = [], False
    for kernel in population.kernels:
        field = kernel.mean.reshape(patch, patch)
        mass = field**2 / max((field**2).sum(), np.finfo(float).tiny)
        shift = [-round(float(mass.sum(other) @ axis)) for other in (1, 0)]
        kernels.append(np.roll(field, shift, (0, 1)))
        shifted = shifted or any(shift)
    if not shifted:
        return None
    return replace(population, kernels=_start(np.stack(kernels), prior).kernels)


def _first_kernels(prior: KernelPrior, n_random: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Blobs, center-surround kernels and draws from the prior, (y, x) each."""
    axis = np.arange(prior.patch) - (prior.patch - 1) / 2
    squared = axis[:, None] ** 2 + axis**2

    def blob(sd: float) -> np.ndarray:
        values = np.exp(-squared / (2 * sd**2))
        return values / values.sum()

    blobs = [blob(sd) for sd in _WIDTHS]
    surrounds = [blob(sd) - blob(2 * sd) for sd in _WIDTHS]
    return [*blobs, *surrounds, *(prior.draw(rng) for _ in range(n_random))]


def _clustered_kernels(
    spectra: StaSpectra, neurons: Neurons, prior: KernelPrior, n_kernels: int, seed: int
) -> np.ndarray:
    """Kernels for several groups of neurons: k-means of their averages, aligned by a single kernel."""
    weighted = neurons.posterior * neurons.amplitude
    aligned = spectra.patches(weighted, prior.patch, per_neuron=True)[:, 0]
    flat = aligned.reshape(len(aligned), -1)
    # The smoothest prior's directions hold the signal; other directions would add noise to the distances.
    basis = prior.bases[-1].basis
    directions = np.linalg.qr(basis)[0]
    coordinates = flat @ directions
    coordinates /= np.linalg.norm(coordinates, axis=1, keepdims=True) + 1e-12
    # Imported here: it takes half a second, which other families do not need.
    from sklearn.cluster import KMeans

    centers = KMeans(n_kernels, n_init=4, random_state=seed).fit(coordinates).cluster_centers_
    return (centers @ directions.T).reshape(n_kernels, prior.patch, prior.patch)


def localize(
    spectra: StaSpectra, prior: KernelPrior, n_kernels: list[int], search: Search
) -> list[Localization]:
    """Infers kernels and locations from standardized averages, once for every number of shared kernels."""
    rng = np.random.default_rng(search.seed)
    first = _first_kernels(prior, search.random_starts, rng)
    starts = [_start(kernel[None], prior) for kernel in first]
    single = _best(spectra, starts, prior, search)
    neurons = update_neurons(spectra, single.population, 1.0)
    results = []
    for count in n_kernels:
        best = single
        if count > 1:
            starts = [
                _start(_clustered_kernels(spectra, neurons, prior, count, search.seed + i), prior)
                for i in range(max(search.random_starts, 1))
            ]
            best = _best(spectra, starts, prior, search)
        results.append(_result(spectra, best, prior))
    return results


def _best(spectra: StaSpectra, starts: list[Population], prior: KernelPrior, search: Search) -> Iterations:
    """Runs all starts on some neurons, and the best starts on all neurons."""
    some = spectra.subset(_EXPLORED)

    def iterated(data: StaSpectra, start: Population, temperatures: np.ndarray) -> Iterations:
        found = iterate(data, start, prior, temperatures, search)
        middle = _recenter(found.population, prior)
        if middle is None:
            return found
        shifted = iterate(data, middle, prior, np.ones(0), search)
        return max(found, shifted, key=lambda r: r.bound)

    explored = sorted((iterated(some, start, _TEMPERATURES) for start in starts), key=lambda r: -r.bound)
    if len(some.spectrum) == len(spectra.spectrum):
        return explored[0]
    finalists = [iterated(spectra, found.population, np.ones(0)) for found in explored[:_FINALISTS]]
    return max(finalists, key=lambda r: r.bound)


def probability_of_none(evidence: np.ndarray) -> np.ndarray:
    """Probability that a neuron has no receptive field, (neuron,), from the log evidence that it has one.

    The share of such neurons is estimated by expectation maximization. The prior is an additional neuron,
    half of it without receptive field.
    """
    share = 0.1
    likelihood = np.exp(-np.clip(evidence.astype(np.float64), -500, 500))
    for _ in range(_SHARE_STEPS):
        none = share * likelihood / (share * likelihood + 1 - share)
        share = (none.sum() + 0.5) / (len(none) + 1)
    return none


def _result(spectra: StaSpectra, best: Iterations, prior: KernelPrior) -> Localization:
    neurons = update_neurons(spectra, best.population, 1.0)
    kernels = np.stack([kernel.mean for kernel in best.population.kernels])
    norm = np.linalg.norm(kernels, axis=1)
    posterior, evidence, deviation = locate(spectra, best.population, prior)
    # Sign and scale of a kernel are free: unit norm, and amplitudes that are positive on average.
    scale = np.where(best.population.amplitude_mean < 0, -norm, norm)
    given_some = neurons.posterior / neurons.posterior.sum((1, 2, 3), keepdims=True)
    amplitude = given_some * neurons.amplitude * scale.astype(np.float32)[:, None, None]
    some = 1 - probability_of_none(evidence).astype(np.float32)[:, None, None, None]
    posterior, amplitude = some * posterior, some * amplitude
    if best.bound <= 0:
        logger.warning("no receptive field is identifiable: the mean response is predicted")
        posterior = np.full_like(posterior, 1 / posterior[0].size)
        amplitude, evidence = np.zeros_like(amplitude), np.zeros_like(evidence)
    if not best.converged:
        logger.warning("not converged after %d iterations", best.n_iterations)
    lengths = ", ".join(f"{k.smoothness:g}/{k.extent:g}" for k in best.population.kernels)
    message = "%d kernels: bound %.1f after %d iterations, smoothness/extent %s px, shares %s, deviation %g"
    share = np.round(best.population.share, 3)
    logger.info(message, len(kernels), best.bound, best.n_iterations, lengths, share, deviation)
    unit = np.divide(kernels, scale[:, None], out=np.zeros_like(kernels), where=scale[:, None] != 0)
    unit = unit.reshape(-1, prior.patch, prior.patch)
    return Localization(unit, posterior, amplitude, evidence, deviation)
