"""Inference of locations with stimuli that are not everywhere alike."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from whatwhere.localization.inference import Search, _recenter, _start, localize
from whatwhere.localization.kernel_prior import KernelPrior, StimulusCovariance
from whatwhere.localization.localized import _give_up_where_the_mean_is_better
from whatwhere.localization.mixture import StaSpectra
from whatwhere.simulations.difference_of_gaussians import difference_of_gaussians

pytestmark = pytest.mark.slow

PATCH = 9
SEARCH = Search(random_starts=0, max_iterations=200, tolerance=1e-3, seed=0)


def apertured(rng, n_images=600, size=20):
    """Correlated images behind a round aperture, normalized per pixel: noise outside the aperture."""
    smooth = gaussian_filter(rng.normal(size=(n_images, size, size)), (0, 1.5, 1.5))
    axis = np.arange(size) - (size - 1) / 2
    inside = axis[:, None] ** 2 + axis**2 < (size / 2.2) ** 2
    images = 100 * smooth * inside + 0.1 * rng.normal(size=smooth.shape)
    return (images - images.mean(0)) / images.std(0)


@pytest.mark.parametrize("side", [None, 3, 1])
def test_outputs_have_the_variance_that_the_stimulus_covariance_says(rng, side):
    images = apertured(rng)
    stimulus = StimulusCovariance.of(images, 5, side)
    kernel = rng.normal(size=(5, 5))
    windows = np.lib.stride_tricks.sliding_window_view(images, (5, 5), (1, 2))
    outputs = np.einsum("nyxij,ij->nyx", windows, kernel)
    variance = stimulus.output_variance(np.outer(kernel, kernel))
    assert variance.shape == ((1, 1) if side is None else (16, 16))
    corner = (outputs[:, :side, :side] ** 2).mean()
    np.testing.assert_allclose(variance[0, 0], corner, rtol=1e-4)
    weights = rng.uniform(size=(16, 16))
    total = kernel.ravel() @ stimulus.weighted_sum(weights) @ kernel.ravel()
    np.testing.assert_allclose(total, (weights * variance).sum())
    assert np.linalg.eigvalsh(stimulus.average).min() >= 0


def test_locations_behind_an_aperture_do_not_attract_neurons(rng):
    images = apertured(rng)
    kernel = difference_of_gaussians(PATCH, np.eye(2)[None], 4 * np.eye(2)[None], np.zeros((1, 2)))[0]
    corners = rng.integers(3, 9, (12, 2))
    drive = np.stack([(images[:, y : y + PATCH, x : x + PATCH] * kernel).sum((1, 2)) for y, x in corners], 1)
    responses = drive / drive.std(0) + rng.normal(size=drive.shape)
    sta = np.einsum("in,iyx->nyx", responses / responses.std(0), images) / len(images)
    prior = KernelPrior(PATCH, [1.0], [1.5, 3.0], StimulusCovariance.of(images, PATCH, 1))
    found = localize(StaSpectra.of(sta, len(images)), prior, [1], SEARCH)[0]
    peak = found.posterior[:, 0].reshape(len(sta), -1).argmax(1)
    np.testing.assert_array_equal(np.stack(np.divmod(peak, images.shape[2] - PATCH + 1), 1), corners)


def test_a_kernel_that_no_neuron_takes_stays_zero():
    white = StimulusCovariance(np.eye(PATCH**2)[None, None], 1, (1, 1))
    prior = KernelPrior(PATCH, [1.0], [2.0], white)
    kernels = np.zeros((2, PATCH, PATCH))
    kernels[0, 2, 3] = 1
    start = _start(kernels, prior)
    np.testing.assert_array_equal(start.kernels[1].mean, 0)
    shifted = _recenter(start, prior)
    np.testing.assert_array_equal(shifted.kernels[1].mean, 0)
    assert shifted.kernels[0].mean.reshape(PATCH, PATCH)[PATCH // 2, PATCH // 2] == 1


def test_neurons_explained_worse_than_by_their_mean_are_predicted_by_it(rng, caplog):
    responses = rng.normal(3, 1, (50, 3))
    predicted = np.stack([responses[:, 0], 3 - 2 * (responses[:, 1] - 3), np.full(50, 3.0)], 1)
    parameters = {
        "readout.posterior": torch.rand(3, 1, 2, 2),
        "readout.amplitude": torch.rand(3, 1, 2, 2),
        "readout.bias": torch.ones(3),
    }
    kept = {name: values.clone() for name, values in parameters.items()}
    _give_up_where_the_mean_is_better(parameters, predicted, responses, np.full(3, 3.0))
    assert "1 of 3 neurons" in caplog.text
    for name, values in parameters.items():
        assert torch.equal(values[[0, 2]], kept[name][[0, 2]])
    assert parameters["readout.amplitude"][1].abs().max() == 0
    assert (parameters["readout.posterior"][1] == 0.25).all()
    assert parameters["readout.bias"][1] == 3
