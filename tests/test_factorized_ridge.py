import dataclasses

import numpy as np
import pytest
import torch

from whatwhere.errors import UserError
from whatwhere.fit_data import load_fit_data
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.models.factorized_ridge import FactorizedRidge, fit_factorized, grid_laplacian, scaled_ridge
from whatwhere.models.linear import fit_linear, solve_ridge
from whatwhere.models.readouts import FactorizedReadout
from whatwhere.models.spec import ModelSpec
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.fits import to_tensors

CHANNELS, HEIGHT, WIDTH, NEURONS = 4, 5, 6, 7
WEAK = {"rank": 1, "mask_l2": 1e-3, "feature_l2": 1e-3}


def planted(tiny_dataset, rng, n_images, rank=1, noise=0.0):
    """Responses that are sums of masks times feature weights; masks (rank, neuron, y, x), weights."""
    images = rng.normal(1, 2, (n_images, CHANNELS, HEIGHT, WIDTH)).astype(np.float32)
    masks = rng.normal(size=(rank, NEURONS, HEIGHT, WIDTH))
    weights = rng.normal(size=(rank, NEURONS, CHANNELS))
    responses = np.einsum("rnf,rnyx,ifyx->in", weights, masks, images) + 3
    responses += noise * rng.normal(size=responses.shape)
    data = dataclasses.replace(
        load_fit_data(tiny_dataset, None, None, 0),
        train_images=images,
        train_responses=responses.astype(np.float32),
    )
    return data, masks, weights


def build(parameters, rank):
    model = FactorizedRidge((CHANNELS, HEIGHT, WIDTH), NEURONS, rank)
    model.load_state_dict(parameters)
    return model


def whole(model):
    """Weights (neuron, channel, y, x) of the whole sum, from its predictions."""
    basis = torch.eye(CHANNELS * HEIGHT * WIDTH).view(-1, CHANNELS, HEIGHT, WIDTH)
    with torch.no_grad():
        return (model(basis) - model.readout.bias).T.reshape(NEURONS, CHANNELS, HEIGHT, WIDTH).numpy()


def test_a_planted_mask_and_its_weights_are_recovered(tiny_dataset, rng):
    data, (mask,), (weights,) = planted(tiny_dataset, rng, 1000)
    (fit,) = fit_factorized(data, [WEAK | {"mask_l2": 1e-5, "feature_l2": 1e-5}])
    readout = build(fit, 1).readout
    assert isinstance(readout, FactorizedReadout)
    for found, true in (
        (readout.mask.flatten(1), mask.reshape(NEURONS, -1)),
        (readout.feature_weights, weights),
    ):
        cosines = torch.cosine_similarity(found.detach().double(), torch.from_numpy(true)).abs()
        assert cosines.min() > 0.9999


def test_rank_one_is_the_full_ridge_where_the_truth_is_separable_and_images_are_many(tiny_dataset, rng):
    data, *_ = planted(tiny_dataset, rng, 4000, noise=0.5)
    (fit,) = fit_factorized(data, [WEAK])
    (full,) = fit_linear(solve_ridge, [1.0], data, "features")
    np.testing.assert_allclose(whole(build(fit, 1)), full["filters"], atol=0.05)
    np.testing.assert_allclose(fit["readout.bias"], full["bias"], atol=0.2)


@pytest.mark.parametrize("rank", [2, 3])
def test_a_sum_of_pairs_is_recovered_by_as_many(tiny_dataset, rng, rank):
    data, masks, weights = planted(tiny_dataset, rng, 2000, rank)
    grid = [{"rank": r, "mask_l2": 1e-5, "feature_l2": 1e-5} for r in (1, rank)]
    one, enough = fit_factorized(data, grid)
    truth = np.einsum("rnf,rnyx->nfyx", weights, masks)
    error = [
        np.square(whole(build(*pair)) - truth).mean() / truth.var() for pair in ((one, 1), (enough, rank))
    ]
    assert error[0] > 0.02
    assert error[1] < 0.003


def test_the_pairs_are_the_singular_pairs_of_the_whole(tiny_dataset, rng):
    data, *_ = planted(tiny_dataset, rng, 500, 3)
    (fit,) = fit_factorized(data, [WEAK | {"rank": 3}])
    model = build(fit, 3)
    left, size, right = np.linalg.svd(whole(model).reshape(NEURONS, CHANNELS, -1), full_matrices=False)
    mask, weights = (part.detach().numpy() for part in (model.readout.mask, model.readout.feature_weights))
    best = size[:, 0, None, None] * left[:, :, :1] * right[:, :1]
    np.testing.assert_allclose(weights[:, :, None] * mask.reshape(NEURONS, 1, -1), best, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 1, atol=1e-5)
    flat = mask.reshape(NEURONS, -1)
    assert (flat[np.arange(NEURONS), np.abs(flat).argmax(1)] > 0).all()


def test_strengths_mean_the_same_in_any_units_and_for_any_number_of_images(tiny_dataset, rng):
    data, *_ = planted(tiny_dataset, rng, 200, noise=1)
    twice = dataclasses.replace(
        data,
        train_images=np.concatenate([data.train_images, data.train_images]) * np.float32(8),
        train_responses=np.concatenate([data.train_responses, data.train_responses]),
    )
    setting = {"rank": 2, "mask_l2": 0.3, "feature_l2": 0.1}
    (one,), (two,) = fit_factorized(data, [setting]), fit_factorized(twice, [setting])
    np.testing.assert_allclose(whole(build(two, 2)) * 8, whole(build(one, 2)), atol=1e-3)


def test_a_stronger_mask_penalty_gives_smoother_masks(tiny_dataset, rng):
    data, *_ = planted(tiny_dataset, rng, 200, noise=1)
    fits = fit_factorized(data, [WEAK, WEAK | {"mask_l2": 10}])
    rough = []
    for fit in fits:
        mask = fit["readout.raw_mask"].flatten(1)
        mask = mask / mask.norm(dim=1, keepdim=True)
        rough.append(torch.einsum("np,pq,nq->n", mask, grid_laplacian(HEIGHT, WIDTH), mask).mean())
    assert rough[1] < 0.5 * rough[0]


def test_a_penalty_that_rounding_swallows_is_refused_in_one_line():
    flat, one = torch.ones(2, 3, 3), torch.ones(2, 3)
    with pytest.raises(UserError, match="grid: a penalty of 1e-30 is too small for these images"):
        scaled_ridge(flat - 1e-6 * torch.eye(3), one, 1e-30, torch.eye(3))
    torch.testing.assert_close(scaled_ridge(flat, one, 1.0, torch.eye(3)), one / 4)


def test_the_laplacian_sums_squared_differences_between_neighbors(rng):
    mask = torch.from_numpy(rng.normal(size=(3, 4)).astype(np.float32))
    expected = mask.diff(dim=0).square().sum() + mask.diff(dim=1).square().sum()
    torch.testing.assert_close(mask.ravel() @ grid_laplacian(3, 4) @ mask.ravel(), expected)


def test_a_neuron_does_not_depend_on_its_neighbors_and_a_silent_one_stays_silent(tiny_dataset, rng):
    data, *_ = planted(tiny_dataset, rng, 100, noise=1)
    data.train_responses[:, 2] = 0
    (fit,) = fit_factorized(data, [WEAK | {"rank": 2}])
    kept = dataclasses.replace(data, train_responses=data.train_responses[:, 3:])
    (alone,) = fit_factorized(kept, [WEAK | {"rank": 2}])
    np.testing.assert_allclose(fit["readout.raw_mask"][3:], alone["readout.raw_mask"], atol=1e-4)
    assert not whole(build(fit, 2))[2].any()
    assert fit["readout.bias"][2] == 0


def test_more_pairs_than_maps_are_as_many_as_maps(tiny_dataset, rng):
    data, *_ = planted(tiny_dataset, rng, 100)
    data = dataclasses.replace(data, train_images=data.train_images[:, :1])
    (fit,) = fit_factorized(data, [WEAK | {"rank": 3}])
    FactorizedRidge((1, HEIGHT, WIDTH), NEURONS, 3).load_state_dict(fit)


def test_the_family_is_fitted_stored_and_rebuilt_on_a_bank(tiny_dataset):
    definition = {
        "family": "factorized_ridge",
        "feature_bank": {"wavelengths": [4], "orientations": 2, "average_pooling": 2},
        "responses": {"scale": "sd"},
        "loss": "mse",
        "grid": [{"rank": [1, 2], "mask_l2": [1], "feature_l2": [0.1]}],
    }
    data = load_fit_data(tiny_dataset, None, None, 0)
    candidates = fit_seed(ModelSpec.of(definition), 0, data)
    fitted = SeedFit.of(to_tensors(definition, [candidates]), 0, 1)
    predictions = fitted.predict(data.standardize.undo(data.validation_images))
    loss = ((predictions - data.validation_responses) ** 2).mean(0) / data.train_responses.var(0)
    np.testing.assert_allclose(loss, candidates.fits[1].validation_loss, rtol=1e-4)
    assert fitted.model.readout.mask.shape == (5, 5, 6)
    assert fitted.model.readout.feature_weights.shape == (5, 2 + 3)
