"""Images and responses that files number, name or order differently: paired rightly, or refused in a line."""

import h5py
import netCDF4
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from planted import answers, arrays, pictures, score, survives
from recording_files import refuse
from torch.masked import masked_tensor

from whatwhere.api import as_dataset
from whatwhere.description import overview
from whatwhere.errors import UserError

ORDER = np.random.default_rng(8).permutation(40)
CUBE = pictures(40, (40, 40))


def in_memory(images, responses, images_layout=None):
    return as_dataset(images, responses, images_layout, None, None, "per_pixel", 0)


def labelled(values, dims, numbers):
    return xr.DataArray(values, dims=dims, coords={"image": numbers}, name="values")


def shuffled(order=ORDER):
    return labelled(answers(pictures())[order], ("image", "neuron"), order)


def in_order():
    return labelled(pictures(), ("image", "y", "x"), np.arange(40))


@pytest.mark.parametrize("engine", ["netcdf4", "scipy"])
def test_files_that_both_name_images_are_matched_by_name(tmp_path, engine):
    in_order().astype("f4").to_netcdf(tmp_path / "i.nc", engine=engine)
    shuffled().to_netcdf(tmp_path / "r.nc", engine=engine)
    files = {"images": f"{tmp_path}/i.nc:values", "responses": f"{tmp_path}/r.nc:values"}
    definition = arrays(tmp_path) | files
    survives(definition, tmp_path)
    np.save(tmp_path / "speed.npy", ORDER * 0.5)
    kept = survives(definition | {"covariates": {"speed": f"{tmp_path}/speed.npy"}}, tmp_path)
    np.testing.assert_allclose(kept["covariates"].values[0, :, 0], np.arange(40) * 0.5)
    # Responses alone may only count images in order.
    definition = arrays(tmp_path) | {"responses": files["responses"]}
    refuse(definition, tmp_path, "names none: give")
    labelled(answers(pictures()), ("image", "neuron"), np.arange(1, 41)).to_netcdf(tmp_path / "r.nc")
    survives(definition, tmp_path)


NAMED = np.array([f"scene {number}" for number in range(40)])


@pytest.mark.parametrize(
    ("images", "responses"),
    [
        (in_order(), shuffled()),
        (in_order(), shuffled().to_pandas()),
        (labelled(pictures(), ("image", "y", "x"), NAMED), pd.DataFrame(answers(pictures()), NAMED)[::-1]),
        (pictures(), pd.DataFrame(answers(pictures()), np.arange(40) + 1)),
    ],
)
def test_arrays_in_memory_that_name_images_are_matched_by_name(images, responses):
    assert score(in_memory(images, responses)) > 0.9
    split = pd.Series(np.where(ORDER < 9, "test", ""), index=ORDER)
    if isinstance(images, xr.DataArray) and images["image"].dtype.kind == "i":
        found = as_dataset(images, responses, None, None, split, "per_pixel", 0)["split"].values[0]
        assert ((found == 2) == (np.arange(40) < 9)).all()


def test_labels_and_presentations_that_have_names_are_matched_by_name(tmp_path):
    in_order().astype("f4").to_netcdf(tmp_path / "i.nc")
    shuffled().to_netcdf(tmp_path / "r.nc")
    labels = np.where(ORDER < 9, "test", "")
    xr.DataArray(labels, {"image": ORDER}, name="split").to_netcdf(tmp_path / "s.nc")
    definition = arrays(tmp_path) | {
        "images": f"{tmp_path}/i.nc:values",
        "splits_from": f"{tmp_path}/s.nc:split",
    }
    dataset = survives(definition | {"responses": f"{tmp_path}/r.nc:values"}, tmp_path)
    assert ((dataset["split"].values == 2) == (np.arange(40) < 9)).all()
    xr.DataArray(np.arange(40), {"trial": np.arange(40) + 100}, name="shown").to_netcdf(tmp_path / "n.nc")
    trials = {"trial": ORDER + 100}
    xr.DataArray(answers(pictures())[ORDER], trials, ("trial", "neuron"), "r").to_netcdf(tmp_path / "t.nc")
    indexed = {"responses": f"{tmp_path}/t.nc:r", "image_of_presentation": f"{tmp_path}/n.nc:shown"}
    survives(arrays(tmp_path) | indexed | {"index_base": 0}, tmp_path)


@pytest.mark.parametrize(
    ("images", "responses", "expected"),
    [
        (pictures(), shuffled().to_pandas(), "names none"),
        (pictures(), pd.DataFrame(answers(pictures())).iloc[::-1], "names none"),
        (pictures(), pd.DataFrame(answers(pictures()), index=NAMED), "names none"),
        (in_order(), pd.DataFrame(answers(pictures()), index=np.arange(40) + 1), "images names 0, 1, 2"),
        (in_order(), pd.DataFrame(answers(pictures()), index=[0] * 40), "give every image one name"),
        (
            pictures(),
            pd.DataFrame(answers(pictures())[ORDER]).assign(image_id=ORDER + 1),
            "'image_id' numbers",
        ),
        (pictures(), pd.DataFrame(answers(pictures())[ORDER]).assign(rank=ORDER), "'rank' numbers images"),
    ],
)
def test_names_that_disagree_are_refused(images, responses, expected):
    with pytest.raises(UserError, match=expected):
        in_memory(images, responses)


@pytest.mark.parametrize("indexed", [True, False])
def test_a_cube_of_images_is_asked_for(tmp_path, indexed):
    definition = arrays(tmp_path, CUBE.transpose(1, 2, 0), answers(CUBE))
    if indexed:
        np.save(tmp_path / "i.npy", np.arange(40))
        definition |= {"image_of_presentation": f"{tmp_path}/i.npy", "index_base": 0}
    refuse(definition, tmp_path, "or to [y, x, image]")
    survives(definition | {"layout": ["y", "x", "image"]}, tmp_path)


def test_a_cube_in_memory_is_asked_for():
    turned = CUBE.transpose(1, 2, 0)
    with pytest.raises(UserError, match="set images_layout to"):
        in_memory(turned, answers(CUBE))
    assert score(in_memory(turned, answers(CUBE), ("y", "x", "image"))) > 0.9
    assert score(in_memory(xr.DataArray(turned, dims=("y", "x", "image")), answers(CUBE))) > 0.9


@pytest.mark.parametrize("indexed", [True, False])
def test_covariates_have_the_axes_of_the_responses(tmp_path, indexed):
    speed = np.arange(120.0).reshape(40, 3)
    np.save(tmp_path / "speed.npy", speed)
    words = ["image", "repeat", "neuron"]
    definition = arrays(tmp_path, responses=answers(pictures(), repeats=3).transpose(1, 0, 2))
    definition |= {"responses_layout": words, "covariates": {"speed": f"{tmp_path}/speed.npy"}}
    if indexed:
        np.save(tmp_path / "i.npy", np.arange(40))
        definition |= {"image_of_presentation": f"{tmp_path}/i.npy", "index_base": 0}
    np.testing.assert_array_equal(survives(definition, tmp_path)["covariates"].values[..., 0], speed.T)
    np.save(tmp_path / "speed.npy", speed.T)
    refuse(definition, tmp_path, "has shape (3, 40), expected (40, 3) (image, repeat)")


def test_pairs_name_images_by_their_place_in_the_file(tmp_path):
    shown = np.repeat(np.arange(6, 40), 2)
    np.save(tmp_path / "i.npy", shown)
    definition = arrays(tmp_path, responses=answers(pictures())[shown])
    definition |= {"image_of_presentation": f"{tmp_path}/i.npy", "index_base": 0}
    definition["layout"] = ["image", "y", "x"]
    pairs = overview(survives(definition, tmp_path))["Pairs"].split("; ")
    first = answers(pictures())[6]
    assert pairs[0] == f"image 6: {first[0]:.4g}, {first[1]:.4g}, {first[2]:.4g}, ..."
    assert len(pairs) == 3


@pytest.mark.filterwarnings("ignore")  # of torch about its own masks
def test_masked_tensors_keep_their_mask():
    values = torch.tensor(answers(pictures(), repeats=2))
    mask = torch.ones_like(values, dtype=torch.bool)
    mask[1, 3:9] = False
    values[~mask] = -9999
    dataset = as_dataset(
        pictures(),
        masked_tensor(values, mask),
        None,
        ("repeat", "image", "neuron"),
        None,
        "per_pixel",
        0,
    )
    assert np.isnan(dataset["responses"].values[1, 3:9]).all()
    assert score(dataset) > 0.9


def test_tensors_without_plain_values_are_refused():
    with pytest.raises(UserError, match=r"responses: Tensor of .* is no plain tensor"):
        in_memory(pictures(), torch.empty((40, 5), device="meta"))


def test_unsigned_bytes_of_netcdf_are_unsigned(tmp_path):
    with netCDF4.Dataset(tmp_path / "i.nc", "w") as file:
        for name, size in zip(("image", "y", "x"), pictures().shape, strict=True):
            file.createDimension(name, size)
        variable = file.createVariable("i", "i1", ("image", "y", "x"))
        variable.set_auto_maskandscale(False)
        variable.setncattr("_Unsigned", "true")
        variable[:] = pictures().view("i1")
    survives(arrays(tmp_path) | {"images": f"{tmp_path}/i.nc:i"}, tmp_path)


def test_labels_of_fixed_length_do_no_harm(tmp_path):
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["r"] = answers(pictures()).T
        file["r"].attrs["DIMENSION_LABELS"] = np.array([b"neuron", b"image"])
    survives(arrays(tmp_path) | {"responses": f"{tmp_path}/r.h5:r"}, tmp_path)


def test_links_inside_hdf5_are_followed_and_those_to_other_files_refused(tmp_path):
    for name in ("there.h5", "r.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["q"] = answers(pictures())
            file["r"] = h5py.SoftLink("/q")
            file["e"] = h5py.ExternalLink("there.h5", "/q")
    survives(arrays(tmp_path) | {"responses": f"{tmp_path}/r.h5:r"}, tmp_path)
    refuse(arrays(tmp_path) | {"responses": f"{tmp_path}/r.h5:e"}, tmp_path, "takes its values from other")


def test_attributes_that_only_netcdf_knows_are_refused(tmp_path):
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file["r"] = answers(pictures())
        file["r"].attrs["scale_factor"] = 2.0
    refuse(arrays(tmp_path) | {"responses": f"{tmp_path}/r.h5:r"}, tmp_path, "is no part of HDF5")


def test_a_coordinate_of_the_images_names_them(tmp_path):
    images = in_order().rename("images").reset_index("image").reset_coords(drop=True)
    images = images.assign_coords(image_id=("image", np.arange(40)))
    rows = shuffled().reset_index("image").reset_coords(drop=True)
    rows = rows.assign_coords(image_id=("image", ORDER), image=np.arange(40))
    assert score(in_memory(images, rows)) > 0.9
    images.astype("f4").to_netcdf(tmp_path / "i.nc")
    rows.to_netcdf(tmp_path / "r.nc")
    files = {"images": f"{tmp_path}/i.nc:images", "responses": f"{tmp_path}/r.nc:values"}
    survives(arrays(tmp_path) | files, tmp_path)
    with pytest.raises(UserError, match="names none"):
        in_memory(pictures(), rows)


@pytest.mark.parametrize("column", [ORDER.astype(float), ORDER < 9])
def test_columns_that_are_no_neurons_are_refused(column):
    table = pd.DataFrame(answers(pictures())).assign(new=column)
    with pytest.raises(UserError, match="'new' numbers images or marks"):
        in_memory(pictures(), table)


def test_images_may_lie_along_the_last_axes(tmp_path):
    images = pictures(100, (40, 36))
    turned = images.transpose(1, 2, 0), answers(images, 40).T
    with pytest.raises(UserError, match=r"set images_layout to \[image, y, x\] or to \[y, x, image\]"):
        in_memory(*turned)
    keys = {"layout": ["y", "x", "image"], "responses_layout": ["neuron", "image"]}
    survives(arrays(tmp_path, *turned, **keys), tmp_path, 40)


def test_names_of_presentations_on_one_side_are_refused(tmp_path):
    rows = xr.DataArray(answers(pictures())[ORDER], {"presentation": ORDER}, ("presentation", "neuron"))
    rows.rename("values").to_netcdf(tmp_path / "r.nc")
    np.save(tmp_path / "index.npy", np.arange(40))
    keys = {"image_of_presentation": f"{tmp_path}/index.npy", "index_base": 0}
    refuse(
        arrays(tmp_path) | keys | {"responses": f"{tmp_path}/r.nc:values"}, tmp_path, "the index names none"
    )
