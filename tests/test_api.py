import ast
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import REPOSITORY, factorized, resolved, small_training
from figure_run import Run

from whatwhere.api import as_dataset, definition, fit
from whatwhere.errors import UserError
from whatwhere.files import write_netcdf
from whatwhere.metrics import pearson


def small_model(**changes):
    return factorized(training=small_training(max_steps=15), **changes)


@pytest.fixture
def arrays(rng):
    """Sixty images of two channels, y != x, and four neurons with two repeats, whose axes have names."""
    responses = rng.poisson(2.0, (2, 60, 4)).astype(float)
    return rng.normal(size=(60, 2, 9, 11)), xr.DataArray(responses, dims=("repeat", "image", "neuron"))


@pytest.mark.slow
def test_the_library_gives_what_the_workflow_gives(arrays, tmp_path):
    fitted = fit(*arrays, model=small_model(), device="cpu")
    run = Run(tmp_path)
    write_netcdf(as_dataset(*arrays, None, None, None, "per_pixel", 0), run.path("data", "d.nc"))
    expected = pd.read_csv(run.fit("e", "d", "m", small_model(), ["all"], ["all"], [0])["scores"])
    for column in fitted.scores:
        np.testing.assert_allclose(fitted.scores[column], expected[column], rtol=1e-8)


def test_everything_has_the_promised_shape(arrays):
    images, responses = arrays
    fitted = fit(images, responses, model=small_model())
    assert fitted.masks.shape == (4, 7, 9)
    assert fitted.feature_weights.shape == (4, 4)
    assert fitted.predict(images[:5]).shape == (5, 4)
    assert fitted.scores["neuron"].tolist() == [0, 1, 2, 3]
    assert fitted.setting in [{"core": 0, "mask_l1": m, "feature_l1": 0.01} for m in (0.001, 0.01)]


def test_scores_are_those_of_the_given_test_images(arrays):
    images, responses = arrays
    split = np.repeat(["train", "validation", "test"], 20)
    fitted = fit(images, responses, model=small_model(), split=split)
    predicted = fitted.predict(images[40:]).values
    expected = pearson(predicted, responses.values[:, 40:].astype(np.float32).mean(0))
    np.testing.assert_allclose(fitted.scores["correlation"], expected, rtol=1e-5)


@pytest.mark.slow
def test_splits_may_be_numbers(arrays):
    names, numbers = (np.repeat(three, 20) for three in (["train", "validation", "test"], [0, 1, 2]))
    first, second = (fit(*arrays, model=small_model(), split=split).masks for split in (names, numbers))
    np.testing.assert_array_equal(first, second)


def test_test_responses_change_nothing_but_the_scores(arrays):
    images, responses = arrays
    split = np.repeat(["train", "validation", "test"], 20)
    other = responses.copy()
    other[:, 40:] = other[:, 40:][:, ::-1]
    first, second = (fit(images, r, model=small_model(), split=split) for r in (responses, other))
    np.testing.assert_array_equal(first.masks, second.masks)
    assert first.setting == second.setting
    assert not np.allclose(first.scores["correlation"], second.scores["correlation"])


@pytest.mark.slow
def test_a_seed_repeats_bit_by_bit_and_another_does_not(arrays):
    first, again, other = (fit(*arrays, model=small_model(), seed=seed).masks for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_definition_is_that_of_the_configuration_and_a_copy():
    model = definition("factorized_three_layers")
    model["cores"][0]["channels"][0] = 1
    assert definition("factorized_three_layers") == resolved()["models"]["factorized_three_layers"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((60, 9))}, "images: has shape (60, 9)"),
        ({"responses": np.ones((59, 4))}, "images: has shape (60, 2, 9, 11) but there are 59 images"),
        ({"responses": np.ones((4, 60))}, "images: has shape (60, 2, 9, 11) but there are 4 images"),
        ({"responses": np.full((60, 4), np.nan)}, "no neuron has a response to image 0"),
        ({"responses": -np.ones((60, 4))}, "a poisson loss cannot fit negative responses"),
        ({"images": np.full((60, 9, 11), np.inf)}, "image 0 holds NaN or infinite pixels"),
        ({"split": ["train"] * 5}, "split: has shape (5,) for 60 images"),
        ({"split": ["train"] * 59 + ["tset"]}, "image 59 is given the split 'tset'"),
        ({"seed": -1}, "seed: -1 is no whole number"),
        ({"seed": None}, "seed: None is no whole number"),
        ({"device": "gpu"}, "device: 'gpu' is none of auto, cpu, cuda"),
        ({"images": [[[1.0]], [[1.0, 2.0]]]}, "images: list is no array: give rows of one length"),
        ({"images": np.zeros((60, 9, 11, 3))}, "set images_layout to [image, y, x, channel]"),
        ({"responses": np.ones((60, 4)) * 1j}, "responses: holds complex128, expected numbers"),
        ({"normalize": "zscore"}, "attribute 'normalize' must be one of"),
        ({"model": "ridg"}, "model: 'ridg' is not defined; defined are cnn_1_layer,"),
        ({"model": 3}, "model: 3 is no name, mapping or object of whatwhere.definitions"),
        ({"model": {"like": "ridg"}}, "'ridg' is not defined under 'models'"),
        ({"model": {"family": "gp", "grid": [{}]}}, "model: models.model.family: 'gp' is not allowed"),
        ({"model": factorized(los="mse")}, "unknown key 'los'"),
        ({"model": small_model(core_from={"file": "f.pt", "mode": "frozen"})}, "f.pt: not a readable file"),
        ({"model": small_model(localizer="ridge")}, "'ridge' is no model of family localization"),
        ({"fine_tune": True}, "fine_tune: there is no core to train further"),
        ({"images": np.arange(240.0).reshape(60, 2, 2)}, "a kernel of 3 px does not fit into 2 px"),
        ({"responses": {"a": np.ones((60, 4))}}, "images: sessions fitted together need dictionaries"),
    ],
)
def test_a_bad_argument_is_named_in_one_line(arrays, changes, message):
    arguments = {"images": arrays[0], "responses": arrays[1], "model": small_model()} | changes
    with pytest.raises(UserError) as error:
        fit(**arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_prediction_refuses_images_of_another_size(arrays):
    fitted = fit(*arrays, model=small_model())
    with pytest.raises(UserError, match=r"expected \(2, 9, 11\)"):
        fitted.predict(arrays[0][:, :, :8])


def test_a_fully_connected_model_has_no_masks(arrays):
    readout = {"weight_sd": "xavier", "dropout": 0.0}
    model = small_model(family="cnn_fully_connected", readout=readout, grid=[{"readout_l2": [0.01]}])
    fitted = fit(*arrays, model=model)
    assert fitted.masks is None
    assert fitted.feature_weights is None
    assert fitted.barcodes is None
    with pytest.raises(UserError, match="no masks"):
        _ = fitted.locations


def run_python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments], env=os.environ | environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.slow
def test_the_example_finds_where_every_cell_sees():
    output = run_python(
        str(REPOSITORY / "examples" / "fit_arrays.py"), PYTHONPATH=str(REPOSITORY / "workflow_scripts")
    )
    offsets = np.array(ast.literal_eval(output.splitlines()[-1].removeprefix("mask peak minus true corner")))
    assert np.abs(offsets - np.median(offsets, axis=0)).max() <= 1


def test_a_model_is_a_name_a_mapping_or_an_object(arrays):
    from whatwhere.definitions import FeatureBank, Ridge

    bank = FeatureBank(wavelengths=(4,), orientations=2, average_pooling=4)
    mapping = {"like": "ridge_bank", "feature_bank": bank.mapping()}
    of_mapping, of_object = (fit(*arrays, model=model) for model in (mapping, Ridge(feature_bank=bank)))
    np.testing.assert_array_equal(of_mapping.predict(arrays[0]), of_object.predict(arrays[0]))
    by_name, by_values = (fit(*arrays, model=model) for model in ("ridge_pixels", definition("ridge_pixels")))
    np.testing.assert_array_equal(by_name.predict(arrays[0]), by_values.predict(arrays[0]))


@pytest.mark.parametrize(
    "name",
    ["mean", "ridge", "ridge_bank", "factorized_ridge", "localized_features", "factorized_bank_averaged"],
)
def test_every_kind_of_fit_is_one_call(arrays, name):
    """In closed form, by inference, and an ensemble of the starts of a network."""
    model = {"like": name}
    if name == "localized_features":
        model |= {"kernel": 3, "smoothness": [1], "extent": [1], "grid": [{"n_kernels": [1]}]}
    if name == "factorized_bank_averaged":
        model |= {"members": ["ridge_pixels", "mean"]}
    fitted = fit(*arrays, model=model)
    assert fitted.predict(arrays[0][:3]).shape == (3, 4)
    assert len(fitted.scores) == 4


@pytest.mark.slow
def test_a_network_starts_at_a_localizer_that_is_fitted_first(arrays):
    readout = factorized()["readout"] | {
        "mask_start": {"position": "posterior", "height": 1, "noise_sd": 0, "truncated": False}
    }
    images = np.random.default_rng(0).normal(size=(60, 19, 19))
    fitted = fit(images, arrays[1], model=small_model(localizer="localized_one_kernel", readout=readout))
    assert np.isfinite(fitted.scores["correlation"]).all()


def test_a_core_is_transferred_to_other_neurons(arrays):
    images, responses = arrays
    first = fit(images, responses[..., :2], model=small_model())
    frozen, tuned = (
        fit(images, responses[..., 2:], core_from=first, fine_tune=fine_tune) for fine_tune in (False, True)
    )
    kernels = [next(one.seed_fits[0].model.core.parameters()).numpy() for one in (first, frozen, tuned)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])
    ridge = fit(images, responses[..., 2:], model="ridge_bank", core_from=first)
    np.testing.assert_array_equal(ridge.features(images[:2]).shape[1], 4)


def test_sessions_of_different_neurons_are_fitted_together(arrays):
    images, responses = arrays
    several = {"monday": images, "tuesday": images[:50] + 1}
    answers = {"monday": responses, "tuesday": responses[:, :50, :3]}
    fitted = fit(several, answers, model=small_model(), normalize="global")
    assert fitted.neuron_ids[3:5] == ["monday 3", "tuesday 0"]
    assert fitted.predict(images[:5]).shape == (5, 7)
    assert np.isfinite(fitted.scores["correlation"]).all()


def test_columns_of_a_table_name_neurons(arrays):
    images, responses = arrays
    table = pd.DataFrame(responses.values[0], columns=["a1", "a2", "b1", "b2"])
    assert fit(images, table, model="ridge_pixels").neuron_ids == ["a1", "a2", "b1", "b2"]


def test_fits_use_one_thread_and_give_the_others_back(arrays, monkeypatch):
    import torch

    from whatwhere import named_fits

    used = []
    original = named_fits.fit_baseline
    monkeypatch.setattr(
        named_fits, "fit_baseline", lambda *given: [used.append(torch.get_num_threads()), original(*given)][1]
    )
    torch.set_num_threads(2)
    try:
        fit(*arrays, model="ridge_pixels")
        assert (used, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(1)


def test_progress_is_written_unless_it_is_silenced(arrays, capsys):
    fit(*arrays, model=small_model())
    first, last = capsys.readouterr().err.splitlines()
    assert first == "  0 %: model (1 of 1)"
    assert last.startswith("fitted model: mean correlation with test responses ")
    fit(*arrays, model=small_model(), verbose=False)
    assert capsys.readouterr() == ("", "")
