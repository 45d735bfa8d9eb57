"""Closed forms fitted again to training and validation images, once a setting can be chosen."""

import numpy as np
import pytest
import torch

from whatwhere.dataset import repeat_mean, select_images
from whatwhere.fit_data import load_fit_data, with_validation
from whatwhere.fitted.ensemble import MemberFits, combine_seed
from whatwhere.models.spec import ModelSpec
from whatwhere.pool import FitPool
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.fits import to_tensors, to_validation

BANK = {"wavelengths": [4], "orientations": 2, "pool": 2}
RIDGE = {"family": "ridge", "input": "image", "loss": "mse", "grid": [{"ridge_l2": [1.0, 100.0]}]}
DEFINITIONS = {
    "ridge": RIDGE,
    "ridge_bank": RIDGE | {"input": "features", "bank": BANK, "responses": {"scale": "sd"}},
    "factorized_ridge": {
        "family": "factorized_ridge",
        "bank": BANK,
        "loss": "mse",
        "grid": [{"rank": [1], "mask_l2": [1.0], "feature_l2": [1.0, 3.0]}],
    },
}


@pytest.fixture(params=DEFINITIONS)
def definition(request):
    return DEFINITIONS[request.param]


@pytest.fixture
def dataset(tiny_dataset, rng):
    """Responses that every model can predict in part."""
    images = tiny_dataset["images"].values.reshape(60, -1)
    linear = images @ rng.normal(size=(images.shape[1], 5)) / 30
    return tiny_dataset.assign(responses=tiny_dataset["responses"] * 0.1 + linear.astype(np.float32))


def refitted(definition):
    return ModelSpec.of(definition | {"refit": True})


@pytest.fixture
def cell(dataset):
    return load_fit_data(dataset, None, None, 0)


def test_the_second_fit_is_one_to_all_images_with_the_statistics_of_the_training_images(cell):
    first, again = fit_seed(ModelSpec.of(RIDGE), 0, cell), fit_seed(refitted(RIDGE), 0, cell)
    expected = fit_seed(ModelSpec.of(RIDGE), 0, with_validation(cell))
    for found, one in zip(again.parameters, expected.parameters, strict=True):
        assert found.keys() == one.keys()
        assert all(torch.equal(found[name], one[name]) for name in found)
    assert again.standardize is first.standardize is cell.standardize


def test_selection_and_mixtures_see_the_first_fits_only(definition, cell, dataset):
    first = fit_seed(ModelSpec.of(definition), 0, cell)
    again = fit_seed(refitted(definition), 0, cell)
    assert to_validation(definition, [again]).identical(to_validation(definition, [first]))
    images = select_images(dataset, cell.draw.validation)
    responses = repeat_mean(dataset, cell.draw.validation, cell.draw.neurons)
    mean = {"family": "mean", "loss": "mse", "grid": [{}]}
    constant = fit_seed(ModelSpec.of(mean), 0, cell)
    mixed = []
    for candidates in (first, again):
        members = [
            MemberFits(name, to_tensors(of, [one]), to_validation(of, [one]))
            for name, of, one in (("closed", definition, candidates), ("mean", mean, constant))
        ]
        mixed.append(combine_seed(members, 0, cell, images, responses))
    (before, ranked), (after, ranked_again) = mixed
    assert ranked_again.member.tolist() == ranked.member.tolist()
    np.testing.assert_allclose(after.fits[0].validation_loss, before.fits[0].validation_loss, rtol=1e-5)
    np.testing.assert_allclose(after.parameters[0]["weights"], before.parameters[0]["weights"], atol=1e-5)
    # What it predicts with has seen the validation images.
    names = [name for name in before.parameters[0] if ".model." in name]
    assert any(not torch.equal(after.parameters[0][name], before.parameters[0][name]) for name in names)


def test_images_of_a_pool_stay_with_their_recording(cell):
    of_train = np.repeat([0, 1], [len(cell.train_images) - 7, 7])
    of_validation = np.repeat([0, 1], [4, len(cell.validation_images) - 4])
    pool = FitPool(of_train, of_validation, np.zeros(5, int))
    marked = cell.__class__(**(vars(cell) | {"pool": pool}))
    all_images = with_validation(marked)
    assert all_images.pool is not None
    assert (np.diff(all_images.pool.train) >= 0).all()
    for number in (0, 1):
        expected = [cell.train_images[of_train == number], cell.validation_images[of_validation == number]]
        found = all_images.train_images[all_images.pool.train == number]
        np.testing.assert_array_equal(found, np.concatenate(expected))
