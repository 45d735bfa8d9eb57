"""Cores that are transferred to other neurons."""

import copy

import numpy as np
import pytest
import torch
import xarray as xr
from conftest import factorized, small_core, small_training

from whatwhere.errors import UserError
from whatwhere.fit_data import load_fit_data
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.models.spec import ModelSpec
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.fits import load_model, to_tensors, to_validation
from whatwhere.training.progress import Progress
from whatwhere.training.sweep import train_seed
from whatwhere.training.transferred import TransferredCore

BANK = {"wavelengths": [4], "orientations": 2, "average_pooling": 2}
CORE = small_core(padding=["same"], batch_norm={"decay": 0.9, "shift": True})
START = {"position": "random", "height": 1, "noise_sd": 0.1, "truncated": False}
NETWORK = factorized(
    feature_bank=BANK,
    cores=[CORE],
    training=small_training(max_steps=10),
    convention="signed_recording",
    grid=[{"mask_l1": [0.01]}],
)
NETWORK["readout"] = NETWORK["readout"] | {"mask_start": START}


def train(definition, data, transferred=None):
    fit = load_fit_data(data, None, None, 0)
    return train_seed(
        ModelSpec.of(definition), 0, fit, {}, None, None, torch.device("cpu"), Progress(1), transferred
    )


@pytest.fixture
def transferred(tiny_dataset):
    fits = [train(NETWORK, tiny_dataset)]
    return TransferredCore.of(to_tensors(NETWORK, fits), to_validation(NETWORK, fits), 0, "network")


@pytest.fixture
def others(tiny_dataset):
    """Other neurons, images and units of images."""
    data = tiny_dataset.isel(neuron=[3, 1], image=slice(None, None, -1)).copy(deep=True)
    data["images"] = data["images"] * 2 + 5
    return data


def core_of(parameters):
    return {name: value for name, value in parameters.items() if name.startswith(("core.", "feature_bank."))}


def test_a_frozen_core_stays_as_it_is_with_its_moving_averages(transferred, others):
    found = train(NETWORK | {"core_from": {"model": "network", "mode": "frozen"}}, others, transferred)
    for name, value in core_of(found.parameters[0]).items():
        assert torch.equal(value, transferred.state[name]), name


def test_a_trained_core_moves_by_its_own_rate(transferred, others):
    training = small_training(max_steps=1, evaluate_every=1)
    definition = NETWORK | {"core_from": {"model": "network", "mode": "trained"}, "training": training}
    kernels = train(definition, others, transferred).parameters[0]["core.layers.0.kernels"]
    moved = (kernels - transferred.state["core.layers.0.kernels"]).abs().max()
    # The first step of Adam has the length of the learning rate.
    assert moved.item() == pytest.approx(0.1 * training["learning_rate"], rel=0.02)


def test_closed_forms_stand_on_the_features_of_a_core(transferred, others):
    definition = {
        "family": "ridge",
        "input": "features",
        "loss": "mse",
        "grid": [{"ridge_l2": [10.0]}],
        "core_from": {"model": "network", "mode": "frozen"},
    }
    complete = transferred.completed(definition)
    data = load_fit_data(others, None, None, 0)
    found = fit_seed(ModelSpec.of(complete), 0, data, transferred)
    fitted = SeedFit.of(to_tensors(complete, [found]), 0, 0)
    assert fitted.model.feature_bank.out_shape == (4, 5, 6)
    for name, value in transferred.state.items():
        assert torch.equal(
            fitted.model.feature_bank.state_dict()[name.replace("feature_bank.", "below.", 1)], value
        )
    error = fitted.predict(data.standardize.undo(data.validation_images)) - data.validation_responses
    np.testing.assert_allclose((error**2).mean(0), found.fits[0].validation_loss, rtol=1e-3)


def test_what_does_not_fit_a_core_is_refused(transferred, others):
    frozen = NETWORK | {"core_from": {"model": "network", "mode": "frozen"}}
    with pytest.raises(UserError, match="fitted to images of 3 x 9 x 11"):
        train(frozen, others.isel(x=slice(10)), transferred)
    with pytest.raises(UserError, match="set the same 'feature_bank'"):
        train(frozen | {"feature_bank": BANK | {"orientations": 3}}, others, transferred)
    layers = copy.deepcopy(CORE) | {"activation": "elu"}
    with pytest.raises(UserError, match="set the same 'cores'"):
        train(frozen | {"cores": [layers]}, others, transferred)


def test_a_core_of_images_keeps_their_normalization(tiny_dataset, others):
    definition = {key: value for key, value in NETWORK.items() if key != "feature_bank"}
    fits = [train(definition, tiny_dataset)]
    transferred = TransferredCore.of(
        to_tensors(definition, fits), to_validation(definition, fits), 0, "network"
    )
    others.attrs["normalize"] = "global"
    with pytest.raises(UserError, match="normalized as per_pixel, these are global"):
        train(definition | {"core_from": {"model": "network", "mode": "frozen"}}, others, transferred)


@pytest.mark.parametrize(
    "old",
    [
        {"family": "cnn_factorized", "cores": [CORE], "reduction": "sum"},
        {"family": "ridge", "bank": {}},
        {"family": "ridge", "core_from": {"fitted": {"core": CORE, "bank": None}}},
        {"family": "combined", "members": {}},
    ],
)
def test_fits_of_an_earlier_version_are_refused_in_one_line(old):
    message = "fitted by an earlier version, which cannot be read: fit the model again"
    with pytest.raises(UserError, match=f"core_from: old/fits.pt: {message}"):
        TransferredCore.of({"definition": old, "seeds": {}}, xr.Dataset(), 0, "old/fits.pt")
    with pytest.raises(UserError, match=message):
        load_model({"definition": old, "seeds": {0: {}}}, 0, 0)
