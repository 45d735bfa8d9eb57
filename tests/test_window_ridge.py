"""Kernel ridge regression under a window per neuron, against explicit regressions."""

import dataclasses

import numpy as np
import pytest
import torch

from whatwhere.config.model_checks import mistakes_on
from whatwhere.fit_data import load_fit_data, with_validation
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.models.spec import ModelSpec
from whatwhere.models.window_ridge import (
    WindowRidge,
    by_place,
    fit_window_ridge,
    gaussian_windows,
    kernel_ridge,
    leave_one_out,
    posterior,
    window_kernels,
)
from whatwhere.sessions import Session
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.fits import to_tensors

GRID = (6, 8)
CHANNELS = 3
SDS = [0.1, 0.2]
PENALTIES = [0.01, 0.1, 1.0]
DEFINITION = {
    "family": "window_ridge",
    "feature_bank": {"wavelengths": [3], "orientations": 2, "average_pooling": 2},
    "window_sd": SDS,
    "ridge_l2": PENALTIES,
    "rbf_width": 1.5,
    "responses": {"scale": "sd"},
    "loss": "mse",
    "grid": [{}],
}


@pytest.fixture
def features(rng):
    return torch.from_numpy(rng.normal(size=(40, CHANNELS, *GRID)).astype(np.float32)).half().float()


def planted(data, features, responses):
    """Data with the features in place of images."""
    responses = responses.numpy().astype(np.float32)
    return dataclasses.replace(data, train_images=features.numpy(), train_responses=responses)


def built(state, rbf_width, n_neurons):
    model = WindowRidge((CHANNELS, *GRID), n_neurons, rbf_width)
    model.load_state_dict(state)
    return model


@pytest.mark.parametrize("rbf_width", [None, 1.5])
def test_leave_one_out_is_the_error_of_fits_without_each_image(features, rng, rbf_width):
    windows = gaussian_windows(GRID, SDS)[3:4] / 3
    (kernel,) = window_kernels(by_place(features), by_place(features), windows, rbf_width).double()
    responses = torch.from_numpy(rng.normal(size=(len(kernel), 2)))
    errors = torch.zeros(2, dtype=torch.float64)
    for left in range(len(kernel)):
        kept = np.delete(np.arange(len(kernel)), left)
        weights, intercept = kernel_ridge(kernel[kept][:, kept], responses[kept], 0.3)
        errors += (responses[left] - kernel[left, kept] @ weights - intercept) ** 2
    torch.testing.assert_close(leave_one_out(kernel, responses, [0.3])[0], errors / len(kernel))


def test_a_linear_kernel_is_the_explicit_ridge_on_windowed_features(features, rng, tiny_dataset):
    responses = torch.from_numpy(rng.normal(size=(len(features), 2)).astype(np.float32))
    data = planted(load_fit_data(tiny_dataset, None, None, 0), features, responses)
    state = fit_window_ridge(data, SDS, [0.5], None)
    model = built(state, None, 2)
    predicted = model(features)
    expected = torch.zeros_like(predicted)
    for neuron in range(2):
        for window, share in zip(state["window_of"][neuron], state["share"][neuron], strict=True):
            root = state["windows"][window].sqrt().view(GRID)
            explicit = (features * root).flatten(1).double()
            centered = explicit - explicit.mean(0)
            gram = centered.T @ centered + 0.5 * torch.eye(explicit.shape[1])
            y = responses[:, neuron].double()
            weights = torch.linalg.solve(gram, centered.T @ (y - y.mean()))
            expected[:, neuron] += share * (centered @ weights + y.mean()).float()
    torch.testing.assert_close(predicted, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("rbf_width", [None, 2.0])
def test_a_planted_window_and_its_features_are_found(rng, tiny_dataset, rbf_width):
    images = torch.from_numpy(rng.normal(size=(400, CHANNELS, *GRID)).astype(np.float32))
    windows = gaussian_windows(GRID, SDS)
    planted_windows, what = torch.tensor([4, 9]), torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]])
    drive = torch.einsum("icp,np,nc->in", images.flatten(2), windows[planted_windows], what)
    noise = torch.from_numpy(rng.normal(size=drive.shape)).float()
    data = planted(load_fit_data(tiny_dataset, None, None, 0), images, drive / drive.std(0) + 0.3 * noise)
    model = built(fit_window_ridge(data, SDS, PENALTIES, rbf_width), rbf_width, 2)
    peaks = [int(mask.argmax()) for mask in model.masks()]
    assert peaks == windows[planted_windows].argmax(1).tolist()
    codes = torch.nn.functional.normalize(model.feature_weights())
    similarity = (codes * torch.nn.functional.normalize(what)).sum(1)
    assert (similarity > 0.95).all()


def test_feature_weights_are_gradients_at_the_mean_image(features, rng, tiny_dataset):
    responses = torch.from_numpy(rng.normal(size=(len(features), 1)).astype(np.float32))
    data = planted(load_fit_data(tiny_dataset, None, None, 0), features, responses)
    model = built(fit_window_ridge(data, SDS, PENALTIES, 1.5), 1.5, 1)
    mean = torch.zeros(1, CHANNELS, *GRID, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(mean).sum(), mean)
    mask = model.masks()[0]
    expected = (gradient[0] * mask).sum((1, 2)) / mask.sum()
    torch.testing.assert_close(model.feature_weights()[0], expected, atol=1e-5, rtol=1e-4)


def test_neurons_that_missed_images_are_fitted_to_the_images_they_saw(features, rng, tiny_dataset):
    responses = torch.from_numpy(rng.normal(size=(len(features), 3)).astype(np.float32))
    responses[:10, 1] = torch.nan
    data = planted(load_fit_data(tiny_dataset, None, None, 0), features, responses)
    state = fit_window_ridge(data, SDS, [0.5], 1.5)
    assert not state["dual"][1, :, :10].any()
    model = built(state, 1.5, 3)
    seen = features[10:]
    expected = state["bias"].new_zeros(len(features))
    for window, share in zip(state["window_of"][1], state["share"][1], strict=True):
        some = state["windows"][window][None]
        (kernel,) = window_kernels(by_place(features), by_place(seen), some, 1.5)
        weights, intercept = kernel_ridge(kernel[10:], responses[10:, 1:2], 0.5)
        expected += share * (kernel @ weights + intercept)[:, 0]
    torch.testing.assert_close(model(features)[:, 1], expected, atol=1e-4, rtol=1e-4)


def test_neurons_of_a_session_are_predicted_alone(features, rng, tiny_dataset):
    responses = torch.from_numpy(rng.normal(size=(len(features), 3)).astype(np.float32))
    responses[:20, :1], responses[20:, 1:] = torch.nan, torch.nan
    data = planted(load_fit_data(tiny_dataset, None, None, 0), features, responses)
    model = built(fit_window_ridge(data, SDS, PENALTIES, 1.5), 1.5, 3)
    torch.testing.assert_close(model(features, Session(1, slice(1, 3))), model(features)[:, 1:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "a window_ridge reads still images"),
        ({"family": "ridge", "feature_bank": {"logarithm": True}}, "is for still images"),
    ],
)
def test_movies_are_refused(changes, message):
    (_, found), *_ = mistakes_on(DEFINITION | changes, movie=True)
    assert message in found


def test_a_silent_neuron_stays_silent(features, tiny_dataset):
    data = planted(load_fit_data(tiny_dataset, None, None, 0), features, torch.zeros(len(features), 1))
    model = built(fit_window_ridge(data, SDS, PENALTIES, 1.5), 1.5, 1)
    assert not model(features).any()


def test_the_prior_of_the_population_decides_where_a_neuron_cannot():
    likelihood = torch.tensor([[5.0, 5.0, 5.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    probability = posterior(likelihood)
    torch.testing.assert_close(probability.sum(0), torch.ones(4))
    assert probability[0, 3] > 0.9


def test_the_family_is_fitted_stored_and_rebuilt(tiny_dataset):
    data = load_fit_data(tiny_dataset, None, None, 0)
    candidates = fit_seed(ModelSpec.of(DEFINITION), 0, data)
    fitted = SeedFit.of(to_tensors(DEFINITION, [candidates]), 0, 0)
    images = data.standardize.undo(data.validation_images)
    predictions = fitted.predict(images)
    loss = ((predictions - data.validation_responses) ** 2).mean(0) / data.train_responses.var(0)
    np.testing.assert_allclose(loss, candidates.fits[0].validation_loss, rtol=1e-4)
    assert fitted.masks.shape == (5, 5, 6)
    assert fitted.feature_weights.shape == (5, 2 + 3)
    shown = torch.from_numpy(images[:1].astype(np.float32)).requires_grad_()
    fitted.own_responses(shown, torch.tensor([2])).sum().backward()
    assert shown.grad.abs().sum() > 0


def test_with_refit_all_images_are_support(tiny_dataset):
    data = load_fit_data(tiny_dataset, None, None, 0)
    candidates = fit_seed(ModelSpec.of(DEFINITION | {"refit": True}), 0, data)
    n_images = len(with_validation(data).train_images)
    assert candidates.parameters[0]["support"].shape[1] == n_images
    assert candidates.validation_predictions.shape == (1, *data.validation_responses.shape)
