"""Posteriors over locations of neurons whose receptive fields differ in shape."""

import numpy as np
import pytest
from coverage_locations import averages, credible_sets
from scipy.stats import multivariate_normal

from whatwhere.localization.inference import Search, localize
from whatwhere.localization.kernel_prior import KernelPosterior, KernelPrior
from whatwhere.localization.mixture import Population, StaSpectra, update_neurons
from whatwhere.localization.shapes import _log_joint, locate


def located(kind, n_images):
    corners, spectra, prior = averages(kind, 120, n_images, size=20, side=9, seed=0)
    (found,) = localize(spectra, prior, [1], Search(1, 100, 1e-3, 0))
    return corners, spectra, prior, found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["blobs", "Gabors"])
@pytest.mark.parametrize("n_images", [400, 3000])
def test_credible_sets_of_unlike_receptive_fields_hold_their_middle(kind, n_images):
    corners, _, _, found = located(kind, n_images)
    assert found.deviation > 0.1
    held, size = credible_sets(found.posterior, corners)
    # Given the kernel alone, a third of the sets of Gabors do.
    assert held > 0.85
    assert size < 5


@pytest.mark.slow
def test_like_receptive_fields_are_located_as_by_their_kernel():
    _, spectra, prior, found = located("alike", 300)
    assert found.deviation == 0
    population = found_population(found, prior)
    posterior, evidence, size = locate(spectra, population, prior)
    assert size == 0
    neurons = update_neurons(spectra, population, 1.0)
    np.testing.assert_allclose(posterior, neurons.posterior, atol=1e-4)
    np.testing.assert_allclose(evidence, neurons.evidence, rtol=1e-4, atol=1e-2)


def found_population(found, prior):
    flat = found.kernels[0].ravel()
    energy = prior.output_variance(np.outer(flat, flat))
    kernel = KernelPosterior(flat, energy, 0.0, 1.0, 1.0)
    return Population([kernel], np.array([0.7]), np.array([0.01]), np.ones(1), 0.5)


def test_evidence_is_the_density_of_averages_under_the_prior(rng):
    n, size, height = 40, 0.3, 3
    prior = KernelPrior(3, [1.0], [1.0], np.eye(9))
    kernel, own = rng.normal(size=9), prior.bases[0]
    energy = kernel @ kernel
    population = Population(
        [KernelPosterior(kernel, energy, 0.0, 1.0, 1.0)], np.array([0.4]), np.array([0.05]), np.ones(1), 0.5
    )
    sta = rng.normal(size=(2, 5, 5)) * 0.3
    found = _log_joint(StaSpectra.of(sta, n), population, prior, size, own)
    # White images: the average of n of them is the receptive field plus noise of variance 1 / n.
    spread = 0.05 * np.outer(kernel, kernel) + size**2 * own.basis @ own.basis.T
    for neuron, row, column in np.ndindex(2, height, height):
        patch = sta[neuron, row : row + 3, column : column + 3].ravel()
        with_field = multivariate_normal.logpdf(patch, 0.4 * kernel, spread + np.eye(9) / n)
        without = multivariate_normal.logpdf(patch, np.zeros(9), np.eye(9) / n)
        expected = with_field - without - np.log(height**2)
        np.testing.assert_allclose(found[neuron, 0, row, column], expected, rtol=1e-3, atol=2e-2)
