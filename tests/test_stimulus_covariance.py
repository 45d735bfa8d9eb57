"""Covariance of the stimulus, and neurons and kernels that inference of locations gives up."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from whatwhere.localization.inference import _recenter, _start
from whatwhere.localization.kernel_prior import KernelPrior, stimulus_covariance
from whatwhere.localization.localized import _give_up_where_the_mean_is_better

pytestmark = pytest.mark.slow

PATCH = 9


def test_outputs_have_the_variance_that_the_stimulus_covariance_says(rng):
    images = gaussian_filter(rng.normal(size=(600, 20, 20)), (0, 1.5, 1.5))
    covariance = stimulus_covariance(images, 5)
    prior = KernelPrior(5, [1.0], [2.0], covariance)
    kernel = rng.normal(size=(5, 5))
    windows = np.lib.stride_tricks.sliding_window_view(images, (5, 5), (1, 2))
    outputs = np.einsum("nyxij,ij->nyx", windows, kernel)
    variance = prior.output_variance(np.outer(kernel, kernel))
    np.testing.assert_allclose(variance, (outputs**2).mean(), rtol=1e-4)
    assert np.linalg.eigvalsh(covariance).min() >= 0


def test_a_kernel_that_no_neuron_takes_stays_zero():
    prior = KernelPrior(PATCH, [1.0], [2.0], np.eye(PATCH**2))
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
