"""Axes of users' arrays: told by words, names or shapes, or asked for."""

import itertools

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
from planted import answers, arrays, pictures, survives

from whatwhere.api import fit
from whatwhere.errors import UserError
from whatwhere.recordings import load

AXES = ("repeat", "image", "neuron")


def ordered(words):
    return answers(pictures(), repeats=3).transpose([AXES.index(word) for word in words])


@pytest.mark.parametrize("words", list(itertools.permutations(AXES)))
def test_words_tell_axes_in_any_order(tmp_path, words):
    definition = arrays(tmp_path, responses=ordered(words), responses_layout=list(words))
    dataset = survives(definition, tmp_path)
    assert dataset["responses"].shape == (3, 40, 5)
    assert "5 neurons, 3 repeats, 40 images" in dataset.attrs["reading"]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        *itertools.product(["nc"], itertools.permutations(AXES)),
        ("scales", ("neuron", "image", "repeat")),
        ("labels", ("neuron", "repeat", "image")),
    ],
)
def test_names_in_files_tell_axes_in_any_order(tmp_path, words, form):
    definition = arrays(tmp_path)
    definition["responses"] = str(tmp_path / f"r.{'nc' if form == 'nc' else 'h5'}") + ":responses"
    values, names = (
        ordered(words),
        [{"image": "stimulus", "neuron": "unit", "repeat": "trial"}[w] for w in words],
    )
    if form == "nc":
        with netCDF4.Dataset(tmp_path / "r.nc", "w", format="NETCDF3_CLASSIC") as file:
            for name, size in zip(names, values.shape, strict=True):
                file.createDimension(name, size)
            file.createVariable("responses", "f8", names)[:] = values
    else:
        with h5py.File(tmp_path / "r.h5", "w") as file:
            file["responses"] = values
            for axis, (name, size) in enumerate(zip(names, values.shape, strict=True)):
                if form == "labels":
                    file["responses"].dims[axis].label = name
                else:
                    file[name] = np.arange(size)
                    file[name].make_scale(name)
                    file["responses"].dims[axis].attach_scale(file[name])
    assert survives(definition, tmp_path)["responses"].shape == (3, 40, 5)


@pytest.mark.parametrize("name", ["time", "time_bin", "contrast", "trials_per_neuron", ""])
def test_an_axis_with_another_name_is_refused_unless_a_key_states_it(tmp_path, name):
    definition = arrays(tmp_path)
    values = xr.DataArray(answers(pictures(), repeats=3), dims=(name or "dim_9", "image", "neuron"), name="r")
    values.to_netcdf(tmp_path / "r.nc")
    definition["responses"] = str(tmp_path / "r.nc:r")
    with pytest.raises(UserError, match=r"axis 0 .* set datasets.mine.responses_layout"):
        load("mine", definition, tmp_path, None)
    with pytest.raises(UserError, match=r"responses: axis 0 .* set responses_layout"):
        fit(pictures().astype(float), values)
    survives(definition | {"responses_layout": list(AXES)}, tmp_path)


@pytest.mark.parametrize(
    ("images", "responses", "expected"),
    [
        (pictures(40, (40, 12)), answers(pictures()), r"layout to \[image, y, x\] or to \[y, image, x\]"),
        (pictures(), np.ones((40, 40)), r"responses_layout to \[image, neuron\] or to \[neuron, image\]"),
        (np.stack([pictures()] * 3, -1), answers(pictures()), r"layout to \[image, y, x, channel\]"),
        (pictures().transpose(1, 2, 0), answers(pictures()), r"layout to \[y, x, image\]"),
        (pictures(), answers(pictures()).T, r"has shape \(40, 10, 12\) but there are 5 images"),
    ],
)
def test_shapes_with_another_reading_are_refused_with_the_likely_key(tmp_path, images, responses, expected):
    with pytest.raises(UserError, match=expected):
        load("mine", arrays(tmp_path, images, responses), tmp_path, None)


def test_words_that_contradict_names_are_refused(tmp_path):
    definition = arrays(tmp_path, responses_layout=["neuron", "image"])
    xr.DataArray(answers(pictures()), dims=("image", "neuron"), name="r").to_netcdf(tmp_path / "r.nc")
    definition["responses"] = str(tmp_path / "r.nc:r")
    with pytest.raises(UserError, match=r"contradicts .* whose axes are named image, neuron"):
        load("mine", definition, tmp_path, None)


@pytest.mark.parametrize("words", [("y", "x", "image"), ("image", "y", "x"), ("x", "image", "y")])
def test_words_tell_axes_of_images(tmp_path, words):
    images = pictures().transpose([("image", "y", "x").index(word) for word in words])
    survives(arrays(tmp_path, images, layout=list(words)), tmp_path)


@pytest.mark.parametrize("n_channels", [2, 5])
def test_any_number_of_channels_is_kept(tmp_path, n_channels):
    images = np.stack([pictures()] * n_channels, 1)
    definition = arrays(tmp_path, images, layout=["image", "channel", "y", "x"])
    definition["image"] = definition["image"] | {"color": "stored"}
    assert survives(definition, tmp_path).sizes["channel"] == n_channels


def test_the_names_of_an_array_in_memory_tell_its_axes(tmp_path):
    from test_api import small_model

    images, values = pictures(60).astype(float), answers(pictures(60), repeats=3)
    swapped = xr.DataArray(values.transpose(2, 1, 0), dims=("neuron", "image", "repeat"))
    by_name = fit(images, swapped, model=small_model())
    by_word = fit(images, values, responses_layout=AXES, model=small_model())
    np.testing.assert_array_equal(by_name.masks, by_word.masks)
    with pytest.raises(UserError, match="can be read in several ways: set responses_layout to"):
        fit(images, values, model=small_model())
