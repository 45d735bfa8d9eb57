"""A fitted model as users know it: load, predict, ask, save."""

import dataclasses
import runpy

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from conftest import REPOSITORY, factorized, small_training
from figure_run import Run, saved
from PIL import Image
from planted import arrays

import plot_most_exciting
from whatwhere.api import definition, fit, load
from whatwhere.errors import UserError
from whatwhere.evaluation.neurons import N_STARTS, write_neurons
from whatwhere.experiments.most_exciting import most_exciting_images
from whatwhere.experiments.tuning import orientation_tuning, size_tuning
from whatwhere.files import read_tensors, write_netcdf, write_table, write_tensors
from whatwhere.fitted.image_space import ImageSpace
from whatwhere.fitted.model import VERSION, together
from whatwhere.recordings import load as dataset_of
from whatwhere.recordings import to_contract
from whatwhere.recordings.pooled import pool
from whatwhere.recordings.preprocess import PREPARATION, preparation, preprocess
from whatwhere.recordings.recording import Recording

IMAGE = {"color": "grey", "crop": [2, 4, 24, 32], "size": [12, 16], "degrees_per_pixel": 0.1}


@pytest.fixture(scope="module")
def photographs():
    """Sixty colour images of 30 x 40 px as a camera gives them: (image, y, x, channel), uint8."""
    return np.random.default_rng(1).integers(0, 256, (60, 30, 40, 3), np.uint8)


@pytest.fixture(scope="module")
def run(photographs, tmp_path_factory):
    """A run of one dataset and two models, of which one with two seeds, laid out as the rules do it."""
    folder = tmp_path_factory.mktemp("results") / "mine"
    stored = np.moveaxis(photographs, -1, 1)
    responses = np.random.default_rng(2).poisson(2.0, (2, 60, 4)).astype(np.float32)
    recording = Recording(
        images=preprocess(stored, IMAGE, "mine"),
        responses=responses,
        split=None,
        neurons=np.array(["a", "b", "c", "d"]),
        source="",
    )
    shares = {"validation": 0.2, "test": 0.2, "folds": 1, "seed": 0}
    dataset = to_contract(recording, "mine", "mine", "per_pixel", shares)
    run = Run(folder)
    write_netcdf(dataset.assign_attrs({PREPARATION: preparation(stored, IMAGE)}), run.path("data", "mine.nc"))
    model = factorized(training=small_training(max_steps=15))
    readout = {"position": "random", "sd": 0.3, "positive_features": False, "bias": True}
    readout["feature_start"] = model["readout"]["feature_start"]
    gaussian = {"family": "cnn_gaussian", "readout": readout, "grid": [{"feature_l1": [0.001, 0.1]}]}
    run.fit("first", "mine", "factorized", model, ["all"], ["all"], [0, 1])
    run.fit("first", "mine", "gaussian", model | gaussian, ["all"], ["all"], [0], ["neuron"])
    return folder


@pytest.mark.parametrize("model", ["factorized", "gaussian"])
def test_a_fit_of_a_run_predicts_raw_images_as_the_workflow_did(run, photographs, model):
    fitted = load(run, model=model, seed=0)
    with xr.open_dataset(run / "predictions" / "first" / "mine" / f"{model}.nc") as stored:
        test, expected = stored["image"].values, stored["predictions"].values
    np.testing.assert_array_equal(fitted.predict(photographs[test]), expected)
    np.testing.assert_array_equal(fitted.predict(list(photographs[test])), expected)
    np.testing.assert_array_equal(fitted.predict(np.moveaxis(photographs[test], -1, 1)), expected)
    scores = pd.read_csv(run / "scores" / "first" / "mine" / f"{model}.csv")
    np.testing.assert_allclose(fitted.scores["correlation"], scores["correlation"][:4])
    assert (fitted.split[test] == 2).all()


def test_prepared_images_are_taken_as_they_are(run, photographs):
    fitted = load(run, model="factorized", seed=0)
    prepared = preprocess(np.moveaxis(photographs, -1, 1), IMAGE, "mine")
    np.testing.assert_array_equal(fitted.predict(prepared, preprocessed=True), fitted.predict(photographs))
    with pytest.raises(UserError, match="those of the fit 30 x 40 px"):
        fitted.predict(prepared)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({}, "3 fits have these values: choose model from factorized, gaussian; selection from"),
        ({"model": "factorized"}, "2 fits have these values: choose seed from 0, 1"),
        ({"model": "ridge"}, "there is no model 'ridge' here: choose from factorized, gaussian"),
        ({"model": "gaussian", "seed": 1}, "there is no seed '1' here: choose from 0"),
    ],
)
def test_what_is_ambiguous_or_missing_is_listed(run, wanted, message):
    with pytest.raises(UserError, match=message) as error:
        load(run, **wanted)
    assert "\n" not in str(error.value)


def test_a_folder_without_fits_or_of_an_earlier_version_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no fits"):
        load(tmp_path)
    write_table(pd.DataFrame({"cell": ["nall-dall"]}), tmp_path / "selection/small/mine/ridge.csv")
    with pytest.raises(UserError, match="written by an earlier version"):
        load(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "model.pt")


def test_all_seeds_are_one_model(run, photographs):
    both, first, second = (load(run, model="factorized", seed=seed) for seed in ("all", 0, 1))
    mean = (first.predict(photographs) + second.predict(photographs)) / 2
    np.testing.assert_allclose(both.predict(photographs), mean, rtol=1e-6)
    assert both.masks.shape == first.masks.shape
    units = [m / np.abs(m).sum((1, 2), keepdims=True) for m in (first.arrays.masks, second.arrays.masks)]
    np.testing.assert_allclose(np.abs(both.masks), np.abs(units[0] + units[1]) / 2, atol=1e-6)
    assert both.feature_weights.shape == (4, 8)
    assert both.features(photographs[:3]).shape == (3, 8, 10, 14)
    np.testing.assert_allclose(np.linalg.norm(both.barcodes, axis=1), 1, rtol=1e-5)
    assert both.scores["seed"].tolist() == [0] * 4 + [1] * 4


def test_features_and_weights_and_masks_make_the_drive(run, photographs):
    fitted = load(run, model="factorized", seed=0)
    drive = np.einsum(
        "icyx,nyx,nc->in", fitted.features(photographs), fitted.masks, fitted.feature_weights, optimize=True
    )
    bias = fitted.seed_fits[0].model.readout.bias.detach().numpy()
    np.testing.assert_allclose(np.log1p(np.exp(drive + bias)), fitted.predict(photographs), rtol=1e-4)


def test_locations_are_in_pixels_and_degrees_of_the_original_image(run):
    fitted = load(run, model="gaussian")
    np.testing.assert_allclose(fitted.masks.sum(("y", "x")), 1, rtol=1e-5)
    mean = torch.tensor([[0.0, 0.0], [-1, -1], [1, 1], [-1, 1]])
    fitted.seed_fits[0].model.readout.mean.copy_(mean)
    # Kernels of three pixels leave a margin of one; a pixel is two wide, and the crop starts at (2, 4).
    row, column = np.array([[1, 1], [10, 14], [1, 14]]).T
    np.testing.assert_array_equal(fitted.positions[1:], np.stack([row, column], 1))
    table = fitted.locations
    np.testing.assert_allclose(table["y"][1:], 2 + 2 * (row + 0.5) - 0.5)
    np.testing.assert_allclose(table["x"][1:], 4 + 2 * (column + 0.5) - 0.5)
    np.testing.assert_allclose(table["y_degrees"], (table["y"] - 14.5) * 0.1)
    np.testing.assert_allclose(table["x_degrees"], (table["x"] - 19.5) * 0.1)
    assert table["neuron"].tolist() == ["a", "b", "c", "d"]


@pytest.mark.parametrize("model", ["factorized", "gaussian"])
def test_a_saved_model_is_the_same_model(run, photographs, tmp_path, model):
    fitted = load(run, model=model, seed="all")
    path = tmp_path / "model.pt"
    fitted.save(path)
    again = load(path)
    np.testing.assert_array_equal(again.predict(photographs), fitted.predict(photographs))
    np.testing.assert_array_equal(again.barcodes, fitted.barcodes)
    pd.testing.assert_frame_equal(again.scores, fitted.scores)
    pd.testing.assert_frame_equal(again.locations, fitted.locations)
    np.testing.assert_equal(dataclasses.asdict(again.image_space), dataclasses.asdict(fitted.image_space))
    assert again.setting == fitted.setting
    again.save(tmp_path / "again.pt")
    assert (tmp_path / "again.pt").read_bytes() == path.read_bytes()


def test_what_was_fitted_in_python_is_saved_too(rng, tmp_path):
    images, responses = rng.normal(size=(60, 2, 9, 11)), rng.poisson(2.0, (60, 3)).astype(float)
    fitted = fit(images, responses, model=factorized(training=small_training(max_steps=5)))
    fitted.save(tmp_path / "model.pt")
    again = load(tmp_path / "model.pt")
    np.testing.assert_array_equal(again.predict(images), fitted.predict(images))
    assert again.locations.columns.tolist() == ["neuron", "y", "x"]


def test_a_file_of_another_version_or_of_something_else_is_refused_in_one_line(run, tmp_path):
    path = tmp_path / "model.pt"
    load(run, model="gaussian").save(path)
    content = read_tensors(path)
    for version, advice in ((2, "fit and save the model again"), (VERSION + 1, "update whatwhere")):
        write_tensors(content | {"version": version}, path)
        with pytest.raises(UserError, match=f"has version {version} of the format.*{advice}") as error:
            load(path)
        assert "\n" not in str(error.value)
    write_tensors({"kind": "something"}, path)
    with pytest.raises(UserError, match="holds no fitted model"):
        load(path)
    with pytest.raises(UserError, match="is no folder of a run"):
        load(path, seed=0)


def test_fits_of_different_neurons_are_no_ensemble(run):
    fitted = load(run, model="gaussian")
    with pytest.raises(UserError, match="different neurons"):
        together([fitted, dataclasses.replace(fitted, neurons=fitted.neurons[::-1])])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((30, 40, 3)), "give a single image as image"),
        (np.zeros((5, 30, 40, 4)), r"expected \(image, y, x\)"),
        (np.full((5, 30, 40), np.nan), "image 0 holds NaN"),
        (np.zeros((5, 30, 40), complex), "expected numbers"),
        (np.zeros((0, 30, 40)), r"shape \(0, 30, 40\)"),
    ],
)
def test_images_that_cannot_be_meant_are_refused(run, images, message):
    with pytest.raises(UserError, match=message):
        load(run, model="gaussian").predict(images)


def test_images_in_other_units_are_pointed_out(run, photographs, caplog):
    fitted = load(run, model="gaussian")
    fitted.predict(photographs)
    assert caplog.records == []
    fitted.predict(photographs / 255)
    assert "are the units the same?" in caplog.text


def test_images_of_another_size_are_not_cropped_at_the_pixels_of_the_fit(run, photographs):
    fitted = load(run, model="gaussian")
    larger = photographs.repeat(2, axis=1).repeat(2, axis=2)
    with pytest.raises(UserError, match=r"^images: have 60 x 80 px, those of the fit 30 x 40 px .*$"):
        fitted.predict(larger)


def test_locations_of_pooled_sessions_are_those_of_their_own_images(tmp_path):
    keys = {"color": "grey", "size": [10, 12], "normalize": "none"}
    images = {"first": keys | {"crop": [5, 10, 10, 12], "degrees_per_pixel": 0.5}}
    images["second"] = keys | {"crop": [0, 0, 20, 24], "degrees_per_pixel": 0.1}
    sessions = {}
    for number, (name, image) in enumerate(images.items()):
        (tmp_path / name).mkdir()
        pictures = np.random.default_rng(number).integers(0, 256, (60, 40, 50)).astype(np.uint8)
        shown = arrays(tmp_path / name, pictures, np.random.default_rng(2).random((60, 3)), image=image)
        sessions[name] = dataset_of(name, shown, tmp_path, None)
    pooled = pool(sessions, "both")
    stimuli = pooled["images"].values
    space = ImageSpace.of(stimuli, stimuli, pooled.attrs, np.array([0, 0, 1]))
    pixels, degrees = space.locate(np.array([[4.0, 5], [0, 0], [4, 5]]))
    np.testing.assert_allclose(pixels, [[9, 15], [5, 10], [8.5, 10.5]])
    np.testing.assert_allclose(degrees, (pixels - [19.5, 24.5]) * [[0.5], [0.5], [0.1]])
    with pytest.raises(UserError, match="sessions of this model differ in crop or size"):
        space.prepare(np.zeros((2, 40, 50)), None, preprocessed=False)
    alike = pool({"first": sessions["first"], "again": sessions["first"].copy(deep=True)}, "both")
    assert alike.attrs["preparation"] == sessions["first"].attrs["preparation"]


def test_images_of_different_sizes_have_no_pixel_in_common(run):
    fitted = load(run, model="gaussian")
    preparation = fitted.image_space.preparation | {"crop": None, "original": None}
    unknown = dataclasses.replace(
        fitted, image_space=dataclasses.replace(fitted.image_space, preparation=preparation)
    )
    with pytest.raises(UserError, match="have no pixels in common"):
        _ = unknown.locations
    assert unknown.positions.shape == (4, 2)


def test_a_model_without_feature_maps_says_so(rng):
    model = definition("hsm")
    model["training"] |= {"max_steps": 5, "evaluate_every": 5}
    fitted = fit(rng.normal(size=(60, 9, 11)), rng.poisson(2.0, (60, 3)), model=model, seed=1)
    with pytest.raises(UserError, match="no feature maps"):
        fitted.features(np.zeros((1, 9, 11)))


def test_experiments_run_on_a_fitted_model(run):
    fitted = load(run, model="factorized", seed="all")
    table = orientation_tuning(fitted)
    assert table["neuron"].tolist() == ["a", "b", "c", "d"]
    assert len(size_tuning(fitted, diameters=[2, 4], preferred=table)) == 8


def described(run, model, averages, output):
    """Reads what :func:`write_neurons` writes about a model."""
    files = {kind: run / kind / "first" / "mine" for kind in ("fits", "selection", "scores", "predictions")}
    tables = [files[kind] / f"{model}.csv" for kind in ("selection", "scores")]
    fits = files["fits"] / model / "nall-dall" / "fits.pt"
    predictions = files["predictions"] / f"{model}.nc"
    write_neurons(run / "data" / "mine.nc", fits, *tables, predictions, averages, None, output)
    return xr.open_dataset(output)


@pytest.mark.slow
def test_the_scripts_tell_of_every_neuron_what_the_library_does(run, tmp_path):
    average = run / "sta" / "first" / "mine" / "nall-dall.nc"
    fitted, second = (load(run, model="factorized", seed=seed) for seed in (0, 1))
    with described(run, "factorized", average, tmp_path / "neurons.nc") as known:
        with xr.open_dataset(run / "data" / "mine.nc") as data:
            shown = data["images"].values[fitted.split == 0]
        expected = most_exciting_images(fitted, confirm=second, n_starts=N_STARTS, images=shown)
        assert (known["response_low"] < known["response_high"]).all()
        np.testing.assert_array_equal(known["image"], expected["image"])
        np.testing.assert_allclose(known["confirmed"], expected["confirmed"])
        np.testing.assert_array_equal(known["mask"], fitted.arrays.masks)
        np.testing.assert_array_equal(known["row"], fitted.locations["y"])
        assert known["neuron_id"].values.tolist() == ["a", "b", "c", "d"]
        with xr.open_dataset(run / "predictions" / "first" / "mine" / "factorized.nc") as predicted:
            np.testing.assert_array_equal(known["predicted"].T, predicted["predictions"])
    names = "network", "my neurons"
    saved(plot_most_exciting.main, tmp_path / "images.svg", tmp_path / "neurons.nc", *names)
    drawing = (tmp_path / "images.svg").read_text()
    assert ">all<" in drawing
    assert "network, my neurons" in drawing


def test_without_averages_and_images_the_rest_is_described(run, tmp_path):
    with described(run, "gaussian", None, tmp_path / "neurons.nc") as known:
        assert {"average", "image", "confirmed", "cluster"}.isdisjoint(known.variables)
        assert {"correlation", "measured", "mask", "row"} <= set(known.variables)


@pytest.mark.slow
def test_the_picture_of_the_readme_is_drawn_from_a_fit_of_a_run(run, tmp_path):
    picture = tmp_path / "overview.png"
    overview = runpy.run_path(str(REPOSITORY / "examples" / "overview.py"))
    overview["main"](str(run), "mine", "factorized", str(picture))
    assert np.asarray(Image.open(picture)).std() > 10
