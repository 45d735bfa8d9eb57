import numpy as np
import pandas as pd
import pytest
import xarray as xr

import collect_panel
from whatwhere.dataset import repeat_mean, select_images
from whatwhere.errors import UserError
from whatwhere.fit_data import load_fit_data
from whatwhere.fitted.ensemble import fit_ensemble_seed, selected_shares, validation_scores
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.models.ensemble import SHRINKAGE, mix
from whatwhere.models.spec import ModelSpec, settings
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.fits import ModelFits, to_tensors

RIDGE = {"family": "ridge", "input": "image", "loss": "mse", "grid": [{"ridge_l2": [1.0, 100.0]}]}
MEAN = {"family": "mean", "loss": "mse", "grid": [{}]}
ENSEMBLE = {"family": "ensemble", "loss": "mse", "grid": [{}]}


def squared_error(predictions, responses):
    return ((predictions - responses) ** 2).mean(0)


def test_a_mixture_has_no_larger_error_than_the_best_model(rng):
    responses = rng.normal(size=(60, 20))
    predictions = rng.normal(size=(4, 60, 20)) * 2 + responses * rng.uniform(0, 1, (4, 1, 20)) + 3
    weights, bias = mix(predictions, responses)
    assert (weights >= 0).all()
    mixed = squared_error((weights[:, None] * predictions).sum(0) + bias, responses)
    alone = np.stack([squared_error(one, responses) for one in predictions])
    assert (mixed <= alone.min(0) + 1e-12).all()


def test_a_planted_mixture_is_found(rng):
    predictions = rng.normal(size=(3, 100, 5))
    planted = np.tile([[0.5], [0.0], [1.5]], 5)
    responses = (planted[:, None] * predictions).sum(0) + 2
    weights, bias = mix(predictions, responses)
    np.testing.assert_allclose(weights, planted, atol=1e-8)
    np.testing.assert_allclose(bias, 2, atol=1e-8)


def test_a_model_that_only_disagrees_gets_no_weight(rng):
    responses = rng.normal(size=(50, 3))
    weights, bias = mix(-responses[None], responses)
    assert not weights.any()
    np.testing.assert_allclose(bias, responses.mean(0))


def member(losses, grid):
    """A model whose fits have these validation losses, (setting, neuron)."""
    losses = np.array(losses, float)
    validation = xr.Dataset(
        {
            "validation_loss": (("seed", "setting", "neuron"), losses[None]),
            "converged": (("seed", "setting"), np.ones((1, len(losses)), int)),
        },
        coords={"seed": [0]},
    )
    return ModelFits("m", {"definition": {"grid": grid}}, validation)


def test_the_starts_of_the_best_setting_count_alike():
    grid = [{"ridge_l2": [1, 2], "start": [0, 1]}]
    shares = selected_shares(member([[3, 1], [1, 4], [2, 1], [2, 3]], grid), 0)
    np.testing.assert_array_equal(shares, [0, 0, 0.5, 0.5])


def test_starts_that_diverged_are_left_out():
    grid = [{"start": [0, 1, 2]}]
    shares = selected_shares(member([[1, 1], [np.inf, 2], [3, 3]], grid), 0)
    np.testing.assert_array_equal(shares, [0.5, 0, 0.5])
    with pytest.raises(UserError, match="m: no fit of seed 0 has a finite loss"):
        selected_shares(member([[np.inf, 1]], [{}]), 0)


def test_few_images_of_a_neuron_are_outweighed_by_the_population(rng):
    truth = rng.normal(size=(30, 200))
    good, useless = truth + rng.normal(size=truth.shape), rng.normal(size=truth.shape)
    weights, _ = mix(np.stack([good, useless]), truth + 2 * rng.normal(size=truth.shape))
    stacks = np.stack([good, useless], 2).transpose(1, 0, 2)
    own = [np.linalg.lstsq(one, target, rcond=None)[0] for one, target in zip(stacks, truth.T, strict=True)]
    assert weights[1].std() < np.std([one[1] for one in own])
    assert weights[0].mean() == pytest.approx(0.5, abs=0.1)
    assert weights[1].mean() < 0.1


@pytest.mark.parametrize("n_images", [10, 40, 1000])
def test_the_population_counts_as_so_many_images(rng, n_images):
    own = np.array([0.2, 0.4, 0.6])
    prediction = rng.normal(size=(1, n_images, 3))
    weights, _ = mix(prediction, prediction[0] * own)
    shared = (1 / own).sum() / (1 / own**2).sum()  # Errors count in units of the responses' variance.
    ratio = SHRINKAGE / n_images
    np.testing.assert_allclose(weights[0], (own + ratio * shared) / (1 + ratio))


def predictable(dataset, rng):
    """The dataset with responses that every model can predict in part."""
    images = dataset["images"].values.reshape(60, -1)
    linear = images @ rng.normal(size=(images.shape[1], 5)) / 30
    return dataset.assign(responses=dataset["responses"] * 0.1 + linear.astype(np.float32))


@pytest.fixture
def ensemble(tiny_dataset, rng):
    """An ensemble of a ridge and the mean: the dataset, the members and the stored ensemble."""
    small_dataset = predictable(tiny_dataset, rng)
    fit_data = load_fit_data(small_dataset, None, None, 0)
    members = []
    for name, definition in (("ridge", RIDGE), ("mean", MEAN)):
        fitted = [fit_seed(ModelSpec.of(definition), 0, fit_data)]
        members.append(ModelFits.of(name, definition, fitted))
    images = select_images(small_dataset, fit_data.subset.validation)
    responses = repeat_mean(small_dataset, fit_data.subset.validation, fit_data.subset.neurons)
    candidates, ranking = fit_ensemble_seed(members, 0, fit_data, images, responses)
    complete = ENSEMBLE | {"members": {one.name: one.fits["definition"] for one in members}}
    return small_dataset, members, to_tensors(complete, [candidates]), candidates, ranking


def test_a_stored_ensemble_predicts_the_weighted_sum_of_its_members(ensemble):
    dataset, members, stored, _, _ = ensemble
    images = dataset["images"].values[:7]
    weights = stored["seeds"][0]["parameters"][0]["weights"].numpy()
    fits = [(one, index) for one in members for index in range(len(settings(one.fits["definition"])))]
    expected = stored["seeds"][0]["parameters"][0]["bias"].numpy() + sum(
        weight * SeedFit.of(one.fits, 0, index).predict(images)
        for weight, (one, index) in zip(weights, fits, strict=True)
    )
    np.testing.assert_allclose(SeedFit.of(stored, 0, 0).predict(images), expected, rtol=1e-4, atol=1e-5)


def test_an_ensemble_is_as_good_on_validation_as_its_best_member(ensemble):
    _, members, _, candidates, ranking = ensemble
    losses = [one.validation["validation_loss"].values[0] for one in members]
    best = np.min([of[of.mean(1).argmin()] for of in losses], axis=0)  # One setting for all neurons.
    assert (candidates.fits[0].validation_loss <= best * (1 + 1e-6)).all()
    assert list(ranking.member) == ["ridge", "mean"]
    assert candidates.fits[0].converged


def test_fits_without_weight_are_not_stored(ensemble):
    *_, stored, _, _ = ensemble
    parameters = stored["seeds"][0]["parameters"][0]
    kept = {name.split(".")[1] for name in parameters if name.startswith("members.")}
    assert kept == {str(index) for index in np.flatnonzero(parameters["weights"].any(1).numpy())}


def test_validation_scores_of_a_perfect_and_a_useless_model(rng):
    responses = rng.normal(size=(200, 4)) * [1, 10, 0.1, 5]
    mean = np.broadcast_to(responses.mean(0), responses.shape)
    scores = validation_scores(np.stack([responses, mean]), responses)
    np.testing.assert_allclose(scores["validation_fve"], [1, 0], atol=1e-12)
    np.testing.assert_allclose(scores["validation_correlation"], [1, 0], atol=1e-12)


def test_the_panel_ranks_by_validation_and_says_what_mixing_gains():
    ranking = pd.DataFrame(
        {
            "member": ["a", "b", "a", "b"],
            "seed": [0, 0, 1, 1],
            "validation_fve": [0.1, 0.3, 0.2, 0.3],
            "validation_correlation": [0.3, 0.5, 0.4, 0.5],
            "mean_weight": [0.2, 0.8, 0.4, 0.6],
        }
    )
    summary = pd.DataFrame(
        {
            "model": ["a", "b", "both"],
            "correlation": [0.35, 0.45, 0.5],
            "correlation_se": [0.01, 0.02, 0.03],
            "converged": [1.0, 0.5, 1.0],
            "at_edge": [0.0, 0.2, 0.0],
        }
    )
    panel = collect_panel.panel(ranking, summary, "both")
    assert list(panel.model) == ["b", "a", "both"]
    np.testing.assert_allclose(panel.gain, [0, -0.1, 0.05])
    np.testing.assert_allclose(panel.mean_weight, [0.7, 0.3, np.nan])
    np.testing.assert_allclose(panel[["converged", "at_edge"]], [[0.5, 0.2], [1, 0], [1, 0]])
