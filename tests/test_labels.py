"""Results of a fitted model carry the names of neurons and images, and its other methods for users."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from conftest import content_of, factorized
from matplotlib.figure import Figure

from whatwhere import metrics
from whatwhere.api import as_dataset, load
from whatwhere.dataset import neuron_names
from whatwhere.errors import UserError
from whatwhere.fitted.image_space import ImageSpace
from whatwhere.fitted.model import FittedModel, named_scores, together
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.models.spec import ModelSpec
from whatwhere.training.families import build

SHAPE = (1, 10, 13)
NAMES = ["b<1>", "a", "c"]


@pytest.fixture
def fitted(rng):
    """An unfitted model of random parameters as if it had been fitted to images from 0 to 1."""
    return model_of(factorized(grid=[{"mask_l1": [0.01], "feature_l1": [0.01]}]), rng)


def model_of(definition, rng, seed=0):
    spec, n_neurons = ModelSpec.of(definition), len(NAMES)
    torch.manual_seed(seed)
    encoder = build(spec, spec.settings[0], SHAPE, n_neurons)
    for parameter in encoder.parameters():
        parameter.data.normal_(0, 0.3)
    statistics = torch.full(SHAPE, 0.5), torch.full(SHAPE, 0.3)
    content = content_of(definition, encoder, 1, torch.arange(n_neurons), *statistics)
    content["seeds"] = {seed: content["seeds"][0]}
    responses = rng.poisson(2.0, (4, 30, n_neurons)).astype(np.float32)
    rated = metrics.scores(rng.normal(size=(30, n_neurons)), responses, noise_free=False)
    limits = np.zeros(SHAPE, np.float32), np.ones(SHAPE, np.float32)
    return FittedModel(
        dataset="made",
        neurons=np.arange(n_neurons),
        neuron_ids=NAMES,
        scores=named_scores({"seed": np.full(n_neurons, seed)} | rated, NAMES),
        split=np.repeat([0, 1, 2], 30),
        image_space=ImageSpace(SHAPE, None, *limits, 0.5, 10.0),
        seed_fits=(SeedFit.of(content, seed, 0),),
    )


@pytest.fixture
def images(rng):
    return rng.random((40, *SHAPE[1:]))


@pytest.fixture
def responses(rng):
    """Three repeats of 40 images, some of them missing, (repeat, image, neuron)."""
    given = rng.poisson(2.0, (3, 40, 3)).astype(np.float32)
    given[2, ::3] = np.nan
    return given


def test_predictions_name_neurons_and_images(fitted, images):
    named = xr.DataArray(images, dims=("image", "y", "x"), coords={"image": [f"i{n}" for n in range(40)]})
    predicted = fitted.predict(named.transpose("x", "image", "y"))
    assert predicted.dims == ("image", "neuron")
    assert predicted["neuron"].values.tolist() == NAMES
    assert predicted["image"].values.tolist() == named["image"].values.tolist()
    np.testing.assert_array_equal(predicted, fitted.arrays.predict(images[:, None]))
    np.testing.assert_array_equal(fitted.predict(images), predicted)
    assert "image" not in fitted.predict(images).coords


def test_the_order_of_axes_may_be_stated_and_masked_pixels_are_refused(fitted, images):
    turned = np.moveaxis(images, 0, -1)
    layout = ("y", "x", "image")
    np.testing.assert_array_equal(fitted.predict(turned, images_layout=layout), fitted.predict(images))
    with pytest.raises(UserError, match="images_layout"):
        fitted.predict(turned, images_layout=("y", "x", "frame"))
    with pytest.raises(UserError, match=r"is empty, shape \(0, 10, 13\)"):
        fitted.predict(xr.DataArray(images[:0], dims=("image", "y", "x")))
    hidden = np.ma.masked_array(images, np.zeros(images.shape, bool))
    hidden[7, 3, 3] = np.ma.masked
    with pytest.raises(UserError, match="image 7 holds NaN"):
        fitted.predict(hidden)


def test_masks_lie_at_pixels_and_weights_name_neurons(fitted):
    masks = fitted.masks
    assert masks.dims == ("neuron", "y", "x")
    # Kernels of three pixels leave a margin of one.
    assert masks["y"].values.tolist() == list(range(1, 9))
    assert masks["x"].values.tolist() == list(range(1, 12))
    np.testing.assert_array_equal(masks.sel(neuron="c"), fitted.arrays.masks[2])
    np.testing.assert_array_equal(fitted.feature_weights.sel(neuron="a"), fitted.arrays.feature_weights[1])
    np.testing.assert_allclose((fitted.barcodes**2).sum("channel"), 1, rtol=1e-5)
    assert fitted.features(np.zeros((2, *SHAPE[1:]))).dims == ("image", "channel", "y", "x")
    peak = fitted.locations.set_index("neuron").loc["c"]
    assert abs(masks).sel(neuron="c", y=peak["y"], x=peak["x"]) == abs(masks).sel(neuron="c").max()


def test_scores_of_other_data_are_those_of_the_workflow(fitted, images, responses):
    named = xr.DataArray(responses, dims=("repeat", "image", "neuron"))
    table = fitted.score(images, named)
    expected = metrics.scores(fitted.arrays.predict(images[:, None]), responses, noise_free=False)
    assert table.columns.tolist() == ["neuron", *metrics.SCORES]
    for name in metrics.SCORES:
        np.testing.assert_allclose(table[name], expected[name], rtol=1e-6)
    shuffled = named.assign_coords(neuron=NAMES)[:, :, [2, 0, 1]]
    pd.testing.assert_frame_equal(fitted.score(images, shuffled), table)
    layout = ("image", "repeat", "neuron")
    pd.testing.assert_frame_equal(
        fitted.score(images, responses.swapaxes(0, 1), responses_layout=layout), table
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r[:39], "responses: has 39 along its axis 'image'|there are 40 images"),
        (lambda r: r[:, :2], "responses: has 2 neurons, the model 3"),
        (lambda r: np.where([True, False, False], np.nan, r), "responses: neuron b<1> has no response"),
        (lambda r: np.where([True, False, False], np.inf, r), "responses: holds infinite values"),
        (lambda r: pd.DataFrame(r, columns=["b<1>", "a", "d"]), "names its neurons b<1>, a, d"),
    ],
)
def test_data_of_other_neurons_are_refused_in_one_line(fitted, images, responses, change, message):
    with pytest.raises(UserError, match=message) as error:
        fitted.score(images, change(responses[0]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("scale", "shift"), [(255, 0), (1, -1), (1, 1), (0.001, 0.5)])
def test_pixels_of_another_range_are_pointed_out(fitted, images, caplog, scale, shift):
    fitted.predict(images)
    fitted.predict(images * 1.1)
    assert not caplog.records
    fitted.predict(images * scale + shift)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "those of the fit 0 to 1" in caplog.text


def test_four_lines_describe_a_model(fitted, rng):
    assert len(repr(fitted).splitlines()) == 4
    assert repr(fitted).startswith(
        "FittedModel: cnn_factorized for 3 neurons of 'made'\nimages: 100 of 1 x 10 x 13"
    )
    both = together([fitted, model_of(factorized(), rng, seed=1)])
    assert "mean of 2 seeds" in repr(both)
    unnamed = FittedModel(**{**vars(fitted), "dataset": "<b>"})
    assert "of &#x27;&lt;b&gt;&#x27;" in unnamed._repr_html_()


def test_models_compare_by_identity(fitted, rng):
    other = model_of(factorized(), rng)
    assert fitted == fitted
    assert fitted != other
    assert len({fitted, other}) == 2


def test_the_module_predicts_what_the_model_does(fitted, images, rng):
    shown = torch.from_numpy(images[:, None].astype(np.float32))
    assert isinstance(fitted.module, torch.nn.Module)
    np.testing.assert_array_equal(fitted.module(shown).numpy(), fitted.predict(images))
    with pytest.raises(UserError, match="2 seeds: ask one of 'seed_fits'"):
        _ = together([fitted, model_of(factorized(), rng, seed=1)]).module


def test_names_survive_a_file(fitted, images, tmp_path):
    fitted.save(tmp_path / "model.pt")
    again = load(tmp_path / "model.pt")
    xr.testing.assert_identical(again.predict(images), fitted.predict(images))
    pd.testing.assert_frame_equal(again.scores, fitted.scores)
    assert again.scores["neuron"].tolist() == NAMES


def texts_of(figure):
    return [text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text"))]


def test_a_figure_shows_masks_weights_and_predictions(fitted, images, responses):
    without = texts_of(fitted.plot())
    assert {"scores on the test images", *NAMES} <= set(without)
    figure = fitted.plot(images, xr.DataArray(responses, dims=("repeat", "image", "neuron")))
    assert isinstance(figure, Figure)
    r = metrics.pearson(fitted.predict(images).values, np.nanmean(responses, 0))
    assert f"a, r = {r[1]:.2f}" in texts_of(figure)
    with pytest.raises(UserError, match="images and responses, or neither"):
        fitted.plot(images)


def test_a_family_without_masks_says_so_in_its_figure(rng):
    readout = {"weight_sd": "xavier", "dropout": 0.0}
    definition = factorized(family="cnn_fully_connected", readout=readout, grid=[{"readout_l2": [0.01]}])
    assert "this family has no masks" in texts_of(model_of(definition, rng).plot())


def test_without_matplotlib_one_line_names_the_extra(fitted, monkeypatch):
    monkeypatch.delitem(sys.modules, "whatwhere.fitted.plot", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"pip install 'whatwhere\[plots\]'"):
        fitted.plot()


@pytest.mark.parametrize(
    ("columns", "expected"),
    [(["u1", "u2"], ["u1", "u2"]), ([17, 4], [17, 4]), ([0, 1], [0, 1]), ([True, False], ["true", "false"])],
)
def test_columns_of_a_table_name_neurons(rng, columns, expected):
    table = pd.DataFrame(rng.poisson(2.0, (60, 2)).astype(float), columns=columns)
    dataset = as_dataset(rng.random((60, 5, 6)), table, None, None, None, "none", 0)
    assert neuron_names(dataset, np.arange(2)) == expected


def test_two_neurons_of_one_name_are_refused(rng):
    table = pd.DataFrame(rng.random((60, 2)), columns=["u", "u"])
    with pytest.raises(UserError, match="two neurons are named 'u'"):
        as_dataset(rng.random((60, 5, 6)), table, None, None, None, "none", 0)
