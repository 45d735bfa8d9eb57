"""Neurons with missing responses are fitted and scored on the images with a response."""

import numpy as np
import pytest
import torch
from conftest import factorized, small_core, small_training

from whatwhere import missing, sta
from whatwhere.dataset import check
from whatwhere.errors import UserError
from whatwhere.fit_data import load_fit_data, scale_responses
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.metrics import SCORES, scores
from whatwhere.models.ensemble import mix
from whatwhere.models.factorized_ridge import fit_factorized
from whatwhere.models.spec import ModelSpec
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.fits import to_tensors
from whatwhere.training.losses import mean_loss
from whatwhere.training.progress import Progress
from whatwhere.training.sweep import train_seed

LEFT, RIGHT = [0, 2], [1, 3, 4]


@pytest.fixture
def halves(tiny_dataset):
    """Neurons LEFT saw the even images, the others the odd ones."""
    data = tiny_dataset.copy(deep=True)
    data["responses"].values[:, 1::2, LEFT] = np.nan
    data["responses"].values[:, ::2, RIGHT] = np.nan
    check(data, "halves")
    return data


def block(data, first, neurons):
    return data.isel(image=slice(first, None, 2), neuron=neurons)


def predictions(definition, data, images):
    candidates = [fit_seed(ModelSpec.of(definition), 0, load_fit_data(data, None, None, 0))]
    return SeedFit.of(to_tensors(definition, candidates), 0, 0).predict(images)


CLOSED_FORMS = {
    "mean": {"family": "mean", "loss": "mse", "grid": [{}]},
    "ridge": {"family": "ridge", "input": "image", "loss": "mse", "grid": [{"ridge_l2": [10.0]}]},
    "lasso": {"family": "lasso", "input": "image", "loss": "mse", "grid": [{"lasso_l1": [0.1]}]},
}


@pytest.mark.parametrize("definition", CLOSED_FORMS.values(), ids=CLOSED_FORMS)
def test_halves_that_saw_different_images_are_fitted_as_two_blocks(halves, definition):
    halves.attrs["normalize"] = "none"
    images = halves["images"].values
    together = predictions(definition, halves, images)
    for first, neurons in ((0, LEFT), (1, RIGHT)):
        alone = predictions(definition, block(halves, first, neurons), images)
        np.testing.assert_allclose(together[:, neurons], alone, rtol=1e-5, atol=1e-5)


def test_factorized_ridge_fits_neurons_with_the_same_images_alone(halves):
    halves = halves.isel(x=slice(4), y=slice(3))
    setting = {"rank": 1.0, "mask_l2": 1.0, "feature_l2": 1.0}
    halves.attrs["normalize"] = "none"
    (together,) = fit_factorized(load_fit_data(halves, None, None, 0), [setting])
    for first, neurons in ((0, LEFT), (1, RIGHT)):
        data = load_fit_data(block(halves, first, neurons), None, None, 0)
        (alone,) = fit_factorized(data, [setting])
        for name in ("readout.raw_mask", "readout.bias"):
            torch.testing.assert_close(together[name][neurons], alone[name], rtol=1e-3, atol=1e-3)


def test_averages_are_those_of_two_blocks(halves):
    halves.attrs["normalize"] = "none"

    def averages(data):
        fit = load_fit_data(data, None, None, 0)
        return sta.all_averages(fit.train_images, fit.train_images, fit.train_responses, 5)

    together = averages(halves)
    for first, neurons in ((0, LEFT), (1, RIGHT)):
        alone = averages(block(halves, first, neurons))
        for name in sta.AVERAGES:
            np.testing.assert_allclose(together[name][neurons], alone[name], rtol=1e-4, atol=1e-4)


def test_scores_and_mixtures_are_those_of_two_blocks(halves, rng):
    responses = halves["responses"].values
    predicted = rng.normal(2, 1, responses.shape[1:])
    together = scores(np.where(np.isnan(responses).all(0), np.nan, predicted), responses, noise_free=False)
    average = missing.mean_of_repeats(responses)
    weights, bias = mix(np.stack([predicted, predicted**2]), average)
    for first, neurons in ((0, LEFT), (1, RIGHT)):
        some = slice(first, None, 2)
        alone = scores(predicted[some][:, neurons], responses[:, some][:, :, neurons], noise_free=False)
        for name in SCORES:
            np.testing.assert_allclose(together[name][neurons], alone[name], rtol=1e-9)
        both = np.stack([predicted, predicted**2])[:, some][:, :, neurons]
        for found, expected in zip((weights, bias), mix(both, average[some][:, neurons]), strict=True):
            np.testing.assert_allclose(found[..., neurons], expected)


def test_losses_and_their_gradients_leave_out_missing_responses():
    predicted = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    responses = torch.tensor([[0.0, 2.0], [torch.nan, 6.0], [5.0, torch.nan]])
    torch.testing.assert_close(mean_loss("mse", predicted, responses), torch.tensor([0.5, 2.0]))
    unseen = torch.full((3, 2), torch.nan)
    torch.testing.assert_close(mean_loss("poisson", predicted, unseen), torch.zeros(2))
    # Missing responses have no gradient.
    predicted = torch.tensor([[1.0], [2.0]], requires_grad=True)
    mean_loss("poisson", predicted, torch.tensor([[1.0], [torch.nan]])).sum().backward()
    assert torch.isfinite(predicted.grad).all()
    assert predicted.grad[1] == 0


def test_networks_train_on_what_was_seen(halves):
    definition = factorized(cores=[small_core()], training=small_training(), loss="mse")
    data = scale_responses(load_fit_data(halves, None, None, 0))
    averages = sta.all_averages(data.train_images, data.train_images, data.train_responses, 5)
    progress = Progress(2)
    found = train_seed(ModelSpec.of(definition), 0, data, averages, None, None, torch.device("cpu"), progress)
    assert all(np.isfinite(fit.validation_loss).all() for fit in found.fits)
    assert np.isfinite(found.validation_loss_of_mean).all()


def test_localization_says_how_many_saw_what(halves):
    with pytest.raises(UserError, match="0 of 5 neurons saw all 60 images; 5 saw 0"):
        missing.require_all(missing.mean_of_repeats(halves["responses"].values), "localization")


def test_a_neuron_must_have_seen_images_of_every_split(tiny_dataset):
    tiny_dataset["responses"].values[:, tiny_dataset["split"].values[1] == 1, 3] = np.nan
    with pytest.raises(UserError, match="neuron 3 has responses to 0 validation images of fold 1"):
        check(tiny_dataset, "tiny")
