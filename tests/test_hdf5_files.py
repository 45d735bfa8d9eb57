"""HDF5 as its users write it: read, or refused in one line, and never made up."""

import h5py
import netCDF4
import numpy as np
import pytest
import xarray as xr
from planted import answers, arrays, pictures, survives
from scipy.io import savemat

from whatwhere.errors import UserError
from whatwhere.recordings.array_files import open_arrays, read_any_array, read_array


def write(path, make):
    with h5py.File(path, "w") as file:
        make(file)
    return path


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "u1", "?", ">f4"])
@pytest.mark.parametrize("options", [{}, {"chunks": (7, 2), "compression": "gzip"}])
def test_numbers_of_every_precision_are_read(tmp_path, dtype, options):
    values = (answers(pictures()) > 50) if dtype == "?" else answers(pictures()).astype(dtype)
    path = write(tmp_path / "a.h5", lambda file: file.create_dataset("g/r", data=values, **options))
    np.testing.assert_array_equal(read_array(path).values, values)


def test_pairs_survive(tmp_path):
    definition = arrays(tmp_path)
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file["images"], file["responses"] = pictures(), answers(pictures())
    survives(definition | {"images": f"{path}:images", "responses": f"{path}:responses"}, tmp_path)


def unwritten(file):
    file.create_dataset("r", (40, 5), "f4", chunks=(10, 5))[:20] = 1


@pytest.mark.parametrize(
    ("make", "name", "expected"),
    [
        (unwritten, "r", "2 of its 4 chunks were never written and would be read as 0.0"),
        (lambda file: file.create_dataset("r", (40, 5), "f4"), "r", "1 of its 1 chunks were never"),
        (lambda file: file.create_dataset("r", data=h5py.Empty("f4")), "r", "has a null dataspace"),
        (lambda file: file.create_dataset("r", data=np.zeros(3, "f4,i4")), "r", "expected numbers"),
        (lambda file: file.create_dataset("r", data=[b"a", b"b"]), "r", "expected numbers"),
        (lambda file: file.create_dataset("r", (3,), h5py.ref_dtype), "r", "holds references"),
        (lambda file: file.create_group("r"), "r", "holds no array"),
        (lambda file: file.update({"r": h5py.SoftLink("/gone")}), "r", "is a link to what is not there"),
    ],
)
def test_what_is_not_there_is_not_made_up(tmp_path, make, name, expected):
    path = write(tmp_path / "a.h5", make)
    with pytest.raises(UserError) as error:
        read_array(f"{path}:{name}")
    assert expected in str(error.value)
    assert str(path) in str(error.value)


def test_a_fill_value_of_nan_says_that_what_is_not_written_is_missing(tmp_path):
    def make(file):
        file.create_dataset("r", (40, 5), "f4", chunks=(10, 5), fillvalue=np.nan)[:20] = 1

    assert np.isnan(read_array(write(tmp_path / "a.h5", make)).values[20:]).all()


def test_a_null_dataspace_beside_the_data_does_no_harm(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["r"], file["image"] = np.ones((40, 5)), h5py.Empty("f4")
        file["r"].dims[0].label = "image"
    assert read_array(f"{tmp_path}/a.h5:r").values.shape == (40, 5)


def test_a_file_that_is_still_written_is_named_as_such(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        file["r"] = np.ones(3)
        file.flush()
        content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "b.h5").write_bytes(content)
    with pytest.raises(UserError, match="a program still writes it or was killed"):
        read_array(tmp_path / "b.h5")


def test_an_unknown_filter_is_named(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        space = h5py.h5s.create_simple((40, 5))
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk((40, 5))
        created.set_filter(32099, h5py.h5z.FLAG_OPTIONAL, (3,))
        dataset = h5py.h5d.create(file.id, b"r", h5py.h5t.NATIVE_FLOAT, space, created)
        dataset.write_direct_chunk((0, 0), bytes(800))
    with pytest.raises(UserError, match="compressed by a filter that is not installed: write it again"):
        read_array(tmp_path / "a.h5")


@pytest.mark.parametrize("form", ["NETCDF3_CLASSIC", "NETCDF4"])
def test_what_netcdf_never_wrote_is_refused(tmp_path, form):
    with netCDF4.Dataset(tmp_path / "a.nc", "w", format=form) as file:
        file.createDimension("image", 4)
        file.createVariable("r", "f4", ("image",))[:2] = 1
    with pytest.raises(UserError, match=r"a.nc:r: was never written in parts"):
        read_array(tmp_path / "a.nc")


def test_arrays_of_a_file_are_listed(tmp_path):
    path = write(tmp_path / "a.h5", lambda file: file.create_dataset("g/r", data=np.ones((3, 2))))
    with xr.Dataset({"r": (("image", "neuron"), np.ones((3, 2)))}) as content:
        content.to_netcdf(tmp_path / "a.nc", group="g")
    savemat(tmp_path / "a.mat", {"g": {"r": np.ones((3, 1))}})
    np.savez(tmp_path / "a.npz", r=np.ones((3, 2)))
    for name, expected in ((path.name, "g/r"), ("a.nc", "g/r"), ("a.mat", "g.r"), ("a.npz", "r")):
        with open_arrays(tmp_path / name) as found:
            assert list(found) == [expected]


def test_texts_of_matlab_are_read_from_letters_and_cells(tmp_path):
    old, new = tmp_path / "old.mat", tmp_path / "new.mat"
    cell = np.array(["ab", "", "abc"], object)[:, None]
    savemat(old, {"letters": np.array(["ab ", "abc"]), "cell": cell, "mixed": np.array([["a", 1]], object)})
    with h5py.File(new, "w") as file:
        for name, text in (("letters", ["ab ", "abc"]), ("#refs#/a", ["ab"]), ("#refs#/b", ["abc"])):
            file[name] = np.array([[ord(letter) for letter in row] for row in text], "u2").T
        file["#refs#/empty"], file["#refs#/number"] = np.array([0, 0], "u8"), np.ones((1, 1))
        file["#refs#/empty"].attrs["MATLAB_empty"] = 1
        for name, kind in (("cell", ("a", "empty", "b")), ("mixed", ("a", "number"))):
            file[name] = np.array([[file[f"#refs#/{one}"].ref for one in kind]], h5py.ref_dtype)
            file[name].attrs["MATLAB_class"] = np.bytes_("cell")
        for name in ("letters", "#refs#/a", "#refs#/b", "#refs#/empty"):
            file[name].attrs["MATLAB_class"] = np.bytes_("char")
    for path in (old, new):
        assert read_any_array(f"{path}:letters").values.tolist() == ["ab", "abc"]
        assert read_any_array(f"{path}:cell").values.tolist() == [["ab"], [""], ["abc"]]
        with pytest.raises(UserError, match="mixed: is a cell"):
            read_any_array(f"{path}:mixed")
