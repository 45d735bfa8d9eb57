"""Pooled recordings."""

import numpy as np
import pytest
import torch
import xarray as xr
from conftest import factorized, small_core, small_training

import load_recording
from whatwhere import sta
from whatwhere.dataset import TEST, open_dataset, write_dataset
from whatwhere.errors import UserError
from whatwhere.fit_data import load_fit_data
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.models.spec import ModelSpec
from whatwhere.recordings.pooled import pool
from whatwhere.training.blocks import Terms, blocks_of
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.fits import to_tensors
from whatwhere.training.losses import Objective
from whatwhere.training.progress import Progress
from whatwhere.training.stack import Stack
from whatwhere.training.sweep import train_seed


@pytest.fixture
def recordings(tiny_dataset, rng):
    """Two recordings; images 0 to 19 of the second are images 10 to 29 of the first."""
    first = tiny_dataset.drop_vars([])
    second = tiny_dataset.isel(neuron=slice(3), image=slice(50), repeat=slice(2)).copy(deep=True)
    images = rng.normal(-5, 1, second["images"].shape).astype(np.float32)
    images[:20] = first["images"].values[10:30]
    second["images"] = second["images"].dims, images
    split = np.zeros((2, 50), np.int8)
    split[:, 20:26], split[:, 26:32] = 1, 2
    second["split"] = second["split"].dims, split
    for data in (first, second):
        data.attrs |= {"citation": "nobody"}
    return {"first": first, "second": second}


@pytest.fixture
def pooled(recordings):
    return pool(recordings, "both")


def test_the_script_pools_the_files_of_recordings(recordings, pooled, tmp_path):
    paths = [tmp_path / f"{name}.nc" for name in recordings]
    for data, path in zip(recordings.values(), paths, strict=True):
        write_dataset(data, path)
    definition = {"kind": "pooled", "recordings": [*recordings]}
    load_recording.main("both", definition, tmp_path, None, tmp_path / "both.nc", paths)
    with open_dataset(tmp_path / "both.nc") as stored:
        xr.testing.assert_equal(stored.load(), pooled)


def test_folds_of_the_first_stay_and_copies_of_its_images_follow(recordings, pooled):
    split = pooled["split"].values
    np.testing.assert_array_equal(split[:, :60], recordings["first"]["split"].values)
    np.testing.assert_array_equal(split[:, 60:80], split[:, 10:30])
    np.testing.assert_array_equal(split[:, 80:], recordings["second"]["split"].values[:, 20:])


def test_no_neuron_responds_to_images_of_other_recordings(recordings, pooled):
    responses = pooled["responses"].values
    np.testing.assert_array_equal(responses[:, :60, :5], recordings["first"]["responses"].values)
    np.testing.assert_array_equal(responses[:2, 60:, 5:], recordings["second"]["responses"].values)
    assert np.isnan(responses[:, 60:, :5]).all()
    assert np.isnan(responses[:, :60, 5:]).all()
    assert pooled["recording"].values.tolist() == ["first"] * 5 + ["second"] * 3
    assert pooled["neuron_id"].values[[0, 5]].tolist() == ["first 0", "second 0"]


def test_a_fit_gets_the_same_images_of_the_first_recording_and_all_images_of_the_others(recordings, pooled):
    alone = load_fit_data(recordings["first"], None, 20, 1)
    together = load_fit_data(pooled, None, 20, 1)
    n_train, n_validation = len(alone.train_images), len(alone.validation_images)
    np.testing.assert_array_equal(together.train_images[:n_train], alone.train_images)
    np.testing.assert_array_equal(together.train_responses[:n_train, :5], alone.train_responses)
    np.testing.assert_array_equal(together.validation_images[:n_validation], alone.validation_images)
    assert together.n_images == 20
    # Standardized by recording: images of the second have mean -5 where those of the first have 3.
    assert abs(together.train_images[n_train:].mean()) < 0.1
    assert (pooled["split"].values[1, together.subset.train] != TEST).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.isel(x=slice(10)), r"'first' and 'second' differ, 3 x 9 x 11 .* and 3 x 9 x 10"),
        (lambda d: d.assign_attrs(normalize="none"), "per_pixel and none: set image.normalize"),
        (lambda d: d.isel(fold=[0]), "2 folds and 1 folds: set split.folds"),
    ],
)
def test_recordings_that_do_not_fit_are_refused(recordings, change, message):
    with pytest.raises(UserError, match=message):
        pool(recordings | {"second": change(recordings["second"])}, "both")


def ridge(data):
    definition = {"family": "ridge", "input": "image", "loss": "mse", "grid": [{"ridge_l2": [10.0]}]}
    candidates = [fit_seed(ModelSpec.of(definition), 0, load_fit_data(data, None, None, 0))]
    return SeedFit.of(to_tensors(definition, candidates), 0, 0)


def test_closed_forms_of_pooled_recordings_are_closed_forms_of_each(recordings, pooled):
    second = recordings["second"]
    second["split"] = second["split"].dims, pooled["split"].values[:, 60:]
    recording = np.repeat([0, 1], [60, 50])
    together = ridge(pooled).predict(pooled["images"].values, recording)
    for number, (name, neurons) in enumerate({"first": slice(5), "second": slice(5, 8)}.items()):
        alone = ridge(recordings[name]).predict(recordings[name]["images"].values)
        np.testing.assert_allclose(together[recording == number, neurons], alone, rtol=1e-4, atol=1e-5)
        assert np.isnan(together[recording != number, neurons]).all()


MISSING = Terms(missing=True)
DEFINITION = factorized(
    cores=[small_core()],
    training=small_training(max_steps=10),
    convention="signed_recording",
    grid=[{"mask_l1": [0.01]}],
)


def train(data, definition=DEFINITION, **changes):
    fit = load_fit_data(data, None, None, 0)
    averages = sta.all_averages(fit.train_images, fit.train_images, fit.train_responses, 5)
    definition = definition | {"training": definition["training"] | changes}
    return train_seed(
        ModelSpec.of(definition), 0, fit, averages, None, None, torch.device("cpu"), Progress(1)
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_blocks_add_up_to_the_objective_over_all_neurons(pooled, reduction):
    from whatwhere.models.encoder import build_cnn

    data = load_fit_data(pooled, None, None, 0)
    encoder = build_cnn(ModelSpec.of(DEFINITION), 0, (3, 9, 11), 8)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))
    objective = Objective("mse", reduction, {"mask_l1": 0.1, "smoothness": 0.2})
    blocks = blocks_of(data, torch.device("cpu"), reduction)
    batches = [(one.data.train_images, one.data.train_responses, one.terms) for one in blocks]
    value = Stack([encoder], [objective]).differentiate(batches, torch.float32)
    gradient = encoder.readout.raw_mask.grad.clone()
    encoder.zero_grad()
    whole = objective(
        encoder, *(torch.from_numpy(one) for one in (data.train_images, data.train_responses)), MISSING
    )
    whole.backward()
    torch.testing.assert_close(value[0], whole.detach())
    torch.testing.assert_close(gradient, encoder.readout.raw_mask.grad)


def test_pooled_networks_repeat_bit_by_bit(pooled):
    fits = [train(pooled).parameters[0] for _ in range(2)]
    for name, value in fits[0].items():
        assert torch.equal(value, fits[1][name])


@pytest.fixture
def fit(pooled):
    return SeedFit.of(to_tensors(DEFINITION, [train(pooled)]), 0, 0)


def test_new_images_are_standardized_as_images_of_the_recording_of_each_neuron(pooled, fit):
    images = pooled["images"].values[:60:20]
    expected = [fit.predict(images, np.full(3, number)) for number in range(2)]
    assert np.isfinite(expected[0][:, :5]).all()
    assert np.isnan(expected[1][:, :5]).all()
    found = fit.predict(images)
    np.testing.assert_array_equal(found[:, :5], expected[0][:, :5])
    np.testing.assert_array_equal(found[:, 5:], expected[1][:, 5:])


def test_images_of_one_recording_leave_neurons_of_another_without_prediction(pooled):
    """A kernel of 9 px on one channel is applied by Fourier transforms, which take no empty batch."""
    definition = DEFINITION | {"cores": [small_core(kernels=[9], channels=[1])]}
    fit = SeedFit.of(to_tensors(definition, [train(pooled, definition)]), 0, 0)
    assert fit.model.core.conv_layers()[0].use_fft
    found = fit.predict(pooled["images"].values[:3], np.zeros(3, int))
    assert np.isfinite(found[:, :5]).all()
    assert np.isnan(found[:, 5:]).all()


def test_one_neuron_alone_answers_as_among_all_neurons(pooled, fit):
    neurons = torch.tensor([0, 7, 5, 4])
    images = pooled["images"].values[[0, 30, 60, 109]]
    alone = fit.own_responses(torch.from_numpy(images), neurons).detach().numpy()
    np.testing.assert_allclose(alone, fit.predict(images)[np.arange(4), neurons.numpy()], rtol=1e-4)
