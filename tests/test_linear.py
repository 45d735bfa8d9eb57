import numpy as np
import pytest
import torch
from simulated import simulated
from sklearn.linear_model import Lasso, LinearRegression, Ridge

from whatwhere.errors import UserError
from whatwhere.fit_data import load_fit_data
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.models.linear import fit_linear, fit_shared, solve_lasso, solve_ridge
from whatwhere.models.spec import ModelSpec
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.fits import to_tensors


def population(n_images=1500, **changes):
    """Ten difference-of-Gaussians neurons on small images."""
    return simulated("dog", n_images=n_images, n_test=300, seed=1, **changes)


def pixels(data):
    return data.train_images.reshape(len(data.train_images), -1).astype(float)


@pytest.mark.parametrize("n_images", [30, 50])
@pytest.mark.parametrize("penalty", [0.5, 1e3])
def test_ridge_agrees_with_scikit_learn_with_more_pixels_than_images(tiny_dataset, n_images, penalty):
    data = load_fit_data(tiny_dataset, None, n_images, 0)
    reference = Ridge(alpha=penalty).fit(pixels(data), data.train_responses)
    (fit,) = fit_linear(solve_ridge, [penalty], data, "image")
    np.testing.assert_allclose(fit["filters"].flatten(1), reference.coef_, atol=1e-5)
    np.testing.assert_allclose(fit["bias"], reference.intercept_, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("penalty", [1.0, 300.0])
def test_ridge_agrees_with_scikit_learn_with_more_images_than_pixels(penalty):
    data = load_fit_data(population(), None, None, 0)
    reference = Ridge(alpha=penalty).fit(pixels(data), data.train_responses)
    (fit,) = fit_linear(solve_ridge, [penalty], data, "image")
    np.testing.assert_allclose(fit["filters"].flatten(1), reference.coef_, atol=1e-6)
    np.testing.assert_allclose(fit["bias"], reference.intercept_, atol=1e-6)


def test_all_penalties_come_from_one_decomposition(tiny_dataset):
    data = load_fit_data(tiny_dataset, None, None, 0)
    together = fit_linear(solve_ridge, [1.0, 10.0], data, "image")
    for penalty, fit in zip([1.0, 10.0], together, strict=True):
        (alone,) = fit_linear(solve_ridge, [penalty], data, "image")
        assert torch.equal(fit["filters"], alone["filters"])
    assert together[0]["filters"].norm() > together[1]["filters"].norm()


@pytest.mark.slow
@pytest.mark.parametrize("n_images", [100, 1500])
def test_least_squares_agree_with_scikit_learn_also_where_many_solutions_fit(n_images):
    data = load_fit_data(population(n_images), None, None, 0)
    reference = LinearRegression().fit(pixels(data), data.train_responses)
    (fit,) = fit_linear(solve_ridge, [0.0], data, "image")
    np.testing.assert_allclose(fit["filters"].flatten(1), reference.coef_, atol=1e-5)
    np.testing.assert_allclose(fit["bias"], reference.intercept_, atol=1e-5)


def test_pixels_that_never_vary_have_no_weight(rng):
    images = rng.normal(size=(50, 10))
    images[:, 3] = 0
    weights = solve_ridge(images, rng.normal(size=(50, 2)), [0.0])
    assert (np.abs(weights[0, 3]) < 1e-12).all()
    assert np.isfinite(weights).all()


@pytest.mark.parametrize("penalties", [[0.003, 0.03], [0.03, 0.003], [0.01]])
def test_lasso_agrees_with_scikit_learn_in_any_order_of_penalties(penalties):
    data = load_fit_data(population(), None, None, 0)
    fits = fit_linear(solve_lasso, penalties, data, "image")
    for penalty, fit in zip(penalties, fits, strict=True):
        for neuron in range(3):
            reference = Lasso(penalty, tol=1e-8).fit(pixels(data), data.train_responses[:, neuron])
            np.testing.assert_allclose(fit["filters"][neuron].flatten(), reference.coef_, atol=2e-4)
            np.testing.assert_allclose(fit["bias"][neuron], reference.intercept_, atol=2e-4)


def test_lasso_solutions_fulfil_the_optimality_conditions(rng):
    images, responses = rng.normal(size=(200, 30)), rng.normal(size=(200, 4))
    penalty = 0.05
    (weights,) = solve_lasso(images, responses, [penalty])
    gradient = images.T @ (responses - images @ weights) / len(images)
    active = weights != 0
    assert 0 < active.sum() < active.size
    np.testing.assert_allclose(gradient[active], penalty * np.sign(weights[active]), atol=1e-3)
    assert (np.abs(gradient[~active]) <= penalty + 1e-3).all()


@pytest.mark.slow
@pytest.mark.parametrize("solve", [solve_ridge, solve_lasso])
def test_a_known_patch_holds_the_receptive_field_and_nothing_else_has_weight(solve):
    dataset = population(6000)
    data = load_fit_data(dataset, None, None, 0)
    (fit,) = fit_linear(solve, [0.001], data, "known_patch")
    for neuron, (row, column) in enumerate(data.patch_corner):
        patch = fit["filters"][neuron, 0, row : row + 9, column : column + 9].numpy()
        true = dataset["receptive_field"].values[neuron]
        assert np.corrcoef(patch.ravel(), true.ravel())[0, 1] > 0.85
        assert fit["filters"][neuron].square().sum() == pytest.approx((patch**2).sum())


def test_a_known_patch_is_fitted_like_a_dataset_of_that_patch():
    data = load_fit_data(population(), None, None, 0)
    fits = fit_linear(solve_ridge, [1.0, 100.0], data, "known_patch")
    row, column = data.patch_corner[4]
    seen = data.train_images[:, 0, row : row + 9, column : column + 9].reshape(len(data.train_images), -1)
    for penalty, fit in zip([1.0, 100.0], fits, strict=True):
        reference = Ridge(alpha=penalty).fit(seen.astype(float), data.train_responses[:, 4])
        patch = fit["filters"][4, 0, row : row + 9, column : column + 9].flatten()
        np.testing.assert_allclose(patch, reference.coef_, atol=1e-6)
        np.testing.assert_allclose(fit["bias"][4], reference.intercept_, atol=1e-6)


def test_patches_belong_to_the_drawn_neurons_and_hold_shifted_centers():
    dataset = population(centered=False)
    data = load_fit_data(dataset, 4, None, 0)
    centre = dataset["location"].values[data.subset.neurons]
    assert data.patch_size == 9
    assert (np.abs(data.patch_corner + 4 - centre) <= 0.5).all()


def test_a_recording_has_no_known_patch(tiny_dataset):
    data = load_fit_data(tiny_dataset, None, None, 0)
    with pytest.raises(UserError, match="known_patch needs a simulated dataset"):
        fit_linear(solve_ridge, [1.0], data, "known_patch")


@pytest.mark.parametrize(
    ("family", "grid"),
    [("ols", {}), ("ridge", {"ridge_l2": [1.0, 1e3]}), ("lasso", {"lasso_l1": [1e-3, 1e-1]})],
)
def test_linear_families_recover_a_linear_population(family, grid):
    dataset = population(6000)
    definition = {"family": family, "input": "image", "loss": "mse", "grid": [grid]}
    data = load_fit_data(dataset, None, None, 0)
    candidates = fit_seed(ModelSpec.of(definition), 0, data)
    losses = [fit.validation_loss.mean() for fit in candidates.fits]
    fitted = SeedFit.of(to_tensors(definition, [candidates]), 0, int(np.argmin(losses)))
    test = dataset["split"].values[0] == 2
    error = (fitted.predict(dataset["images"].values[test]) - dataset["rates"].values[test]).var(0)
    # Noise of variance 0.1 on 4800 images and 400 weights leaves 0.009 of a signal of 0.0157.
    assert (error < 0.012).all()


def test_a_poisson_validation_loss_takes_negative_predictions_as_zero():
    definition = {"family": "ridge", "input": "image", "loss": "poisson", "grid": [{"ridge_l2": [1.0]}]}
    dataset = population()
    dataset["responses"] = np.maximum(dataset["responses"], 0)
    data = load_fit_data(dataset, None, None, 0)
    candidates = fit_seed(ModelSpec.of(definition), 0, data)
    fitted = SeedFit.of(to_tensors(definition, [candidates]), 0, 0)
    predictions = fitted.predict(dataset["images"].values[data.subset.validation])
    assert (predictions < 0).any()
    rates = np.maximum(predictions, 0)
    expected = (rates - data.validation_responses * np.log(rates + 1e-5)).mean(0)
    np.testing.assert_allclose(candidates.fits[0].validation_loss, expected, rtol=1e-4)


@pytest.fixture
def shared_field():
    return simulated("dog", n_neurons=8, image_size=24, n_images=250, n_test=10, seed=4)


def patches(filters, data):
    return np.array([f[r : r + 9, c : c + 9] for f, (r, c) in zip(filters, data.patch_corner, strict=True)])


def test_one_neuron_has_nothing_to_share(shared_field):
    data = load_fit_data(shared_field, 1, None, 0)
    each = fit_linear(solve_ridge, [1.0, 100.0], data, "known_patch")
    for shared, alone in zip(fit_shared(data, [1.0, 100.0]), each, strict=True):
        torch.testing.assert_close(shared["filters"], alone["filters"])
        torch.testing.assert_close(shared["bias"], alone["bias"])


def test_all_neurons_have_the_same_filter_at_their_place(shared_field):
    data = load_fit_data(shared_field, None, None, 0)
    filters = fit_shared(data, [10.0])[0]["filters"].numpy()[:, 0]
    found = patches(filters, data)
    np.testing.assert_array_equal(found, np.broadcast_to(found[0], (8, 9, 9)))
    assert np.count_nonzero(filters) == 8 * 81


def test_eight_neurons_learn_the_filter_better_than_each_alone(shared_field):
    data = load_fit_data(shared_field, None, None, 0)
    truth = shared_field["receptive_field"].values[0]
    fits = fit_shared(data, [1.0]) + fit_linear(solve_ridge, [1.0], data, "known_patch")
    shared, alone = (np.mean((patches(fit["filters"].numpy()[:, 0], data) - truth) ** 2) for fit in fits)
    # Noise variance falls with the number of neurons.
    assert shared < alone / 4


def test_unknown_locations_are_refused(tiny_dataset):
    with pytest.raises(UserError, match="known receptive fields"):
        fit_shared(load_fit_data(tiny_dataset, None, None, 0), [1.0])
