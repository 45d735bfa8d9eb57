"""Closed forms fitted again to training and validation images, once a setting can be selected."""

import numpy as np
import pytest
import torch
from test_ensemble import MEAN, RIDGE, predictable

from whatwhere.dataset import repeat_mean, select_images
from whatwhere.fit_data import load_fit_data, with_validation
from whatwhere.fitted.ensemble import fit_ensemble_seed
from whatwhere.models.spec import ModelSpec
from whatwhere.sessions import FitPool
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.fits import ModelFits, to_validation

BANK = {"wavelengths": [4], "orientations": 2, "average_pooling": 2}
DEFINITIONS = {
    "ridge": RIDGE,
    "ridge_bank": RIDGE | {"input": "features", "feature_bank": BANK, "responses": {"scale": "sd"}},
    "factorized_ridge": {
        "family": "factorized_ridge",
        "feature_bank": BANK,
        "loss": "mse",
        "grid": [{"rank": [1], "mask_l2": [1.0], "feature_l2": [1.0, 3.0]}],
    },
    "window_ridge": {
        "family": "window_ridge",
        "feature_bank": BANK,
        "window_sd": [0.2],
        "ridge_l2": [0.3, 1.0],
        "rbf_width": 1.5,
        "loss": "mse",
        "grid": [{}],
    },
}


@pytest.fixture(params=DEFINITIONS)
def definition(request):
    return DEFINITIONS[request.param]


@pytest.fixture
def dataset(tiny_dataset, rng):
    return predictable(tiny_dataset, rng)


def refitted(definition):
    return ModelSpec.of(definition | {"refit": True})


@pytest.fixture
def fit_data(dataset):
    return load_fit_data(dataset, None, None, 0)


def test_the_second_fit_is_one_to_all_images_with_the_statistics_of_the_training_images(fit_data):
    first, again = fit_seed(ModelSpec.of(RIDGE), 0, fit_data), fit_seed(refitted(RIDGE), 0, fit_data)
    expected = fit_seed(ModelSpec.of(RIDGE), 0, with_validation(fit_data))
    for found, one in zip(again.parameters, expected.parameters, strict=True):
        assert found.keys() == one.keys()
        assert all(torch.equal(found[name], one[name]) for name in found)
    assert again.standardize is first.standardize is fit_data.standardize


def test_selection_and_mixtures_see_the_first_fits_only(definition, fit_data, dataset):
    first = fit_seed(ModelSpec.of(definition), 0, fit_data)
    again = fit_seed(refitted(definition), 0, fit_data)
    assert to_validation(definition, [again]).identical(to_validation(definition, [first]))
    images = select_images(dataset, fit_data.subset.validation)
    responses = repeat_mean(dataset, fit_data.subset.validation, fit_data.subset.neurons)
    constant = fit_seed(ModelSpec.of(MEAN), 0, fit_data)
    mixed = []
    for candidates in (first, again):
        members = [
            ModelFits.of(name, of, [one])
            for name, of, one in (("closed", definition, candidates), ("mean", MEAN, constant))
        ]
        mixed.append(fit_ensemble_seed(members, 0, fit_data, images, responses))
    (before, ranked), (after, ranked_again) = mixed
    assert ranked_again.member.tolist() == ranked.member.tolist()
    np.testing.assert_allclose(after.fits[0].validation_loss, before.fits[0].validation_loss, rtol=1e-5)
    np.testing.assert_allclose(after.parameters[0]["weights"], before.parameters[0]["weights"], atol=1e-5)
    # What it predicts with has seen the validation images.
    names = [name for name in before.parameters[0] if ".model." in name]
    assert any(not torch.equal(after.parameters[0][name], before.parameters[0][name]) for name in names)


def test_images_of_a_pool_stay_with_their_recording(fit_data):
    of_train = np.repeat([0, 1], [len(fit_data.train_images) - 7, 7])
    of_validation = np.repeat([0, 1], [4, len(fit_data.validation_images) - 4])
    pooled = FitPool(of_train, of_validation, np.zeros(5, int))
    marked = fit_data.__class__(**(vars(fit_data) | {"pooled": pooled}))
    all_images = with_validation(marked)
    assert all_images.pooled is not None
    assert (np.diff(all_images.pooled.train) >= 0).all()
    for number in (0, 1):
        expected = [
            fit_data.train_images[of_train == number],
            fit_data.validation_images[of_validation == number],
        ]
        found = all_images.train_images[all_images.pooled.train == number]
        np.testing.assert_array_equal(found, np.concatenate(expected))
