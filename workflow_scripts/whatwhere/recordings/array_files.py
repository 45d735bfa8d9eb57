"""Arrays in .npy, .npz, netCDF, HDF5 and MATLAB files, read without executing anything."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zipfile import ZipFile

import h5py
import netCDF4
import numpy as np
import xarray as xr

from whatwhere.errors import UserError
from whatwhere.recordings import hdf5, matlab
from whatwhere.recordings.archive import check_size, choose, open_zip, read_member
from whatwhere.recordings.tables import TABLES

_SUFFIXES = (".npy", ".npz", ".nc", ".h5", ".hdf5", ".mat")
IMAGE_WORDS = ("image", "images", "image_id", "stimulus", "stimuli", "stimulus_id")
"""Names of axes of images, and of coordinates that name images."""


class NamedArray(NamedTuple):
    """An array; a name, or None, for every axis; and names of what lies along every axis, or None.

    ``axes`` and ``labels`` are None if the file names nothing.
    """

    values: np.ndarray
    axes: tuple[str | None, ...] | None
    labels: tuple[np.ndarray | None, ...] | None = None

    def names_along(self, word: str, axes: Sequence[str]) -> np.ndarray | None:
        """Names of what lies along one axis, of which ``axes`` are our words; None if there are none."""
        return None if self.labels is None or word not in axes else self.labels[list(axes).index(word)]


def split_location(location: str) -> tuple[Path, str | None]:
    """Divide ``file.npz:name`` into the file and the array or column inside it, None if it is not named."""
    path, colon, inside = location.rpartition(":")
    if colon and path.lower().endswith((*_SUFFIXES, *TABLES)):
        return Path(path), inside
    return Path(location), None


def parse_npy(content: bytes, label: str) -> np.ndarray:
    """Array in the content of a .npy file; pickled objects, which could run code, are refused."""
    return _parse(io.BytesIO(content), label)


def _parse(stream: BinaryIO, label: str) -> np.ndarray:
    try:
        # Files written by Python 2 are read alike but warn.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return np.lib.format.read_array(stream, allow_pickle=False)
    except Exception as error:  # numpy raises errors of many types for damaged headers
        if "allow_pickle" in str(error):
            raise UserError(f"{label}: holds pickled objects, which could run code: save numbers") from error
        raise UserError(f"{label}: is damaged or truncated: write it again") from error


def numeric(array: np.ndarray, label: str) -> np.ndarray:
    """The array itself if it holds real numbers; UserError otherwise."""
    if array.dtype.kind not in "biuf":
        raise UserError(f"{label}: holds {array.dtype}, expected numbers")
    return array


def as_list(array: np.ndarray, label: str, what: str) -> np.ndarray:
    """Values along one axis, also of the n x 1 that MATLAB stores; ``what`` says what one of them is."""
    if array.ndim == 2 and 1 in array.shape:
        array = array.reshape(-1)
    if array.ndim != 1:
        raise UserError(f"{label}: has shape {array.shape}, expected {what}")
    return np.char.decode(array, "latin-1") if array.dtype.kind == "S" else array


def read_array(location: str | Path) -> NamedArray:
    """Reads one numeric array; a file with several needs the name: ``file.npz:name``."""
    found = read_any_array(location)
    return found._replace(values=numeric(found.values, str(location)))


def read_any_array(location: str | Path) -> NamedArray:
    """Like :func:`read_array` for arrays that may hold text."""
    path, inside = split_location(str(location))
    with open_arrays(path) as arrays:
        if inside is not None and "" in arrays:
            raise UserError(f"{path}: holds one array without a name: leave ':{inside}' out")
        # MATLAB separates fields by dots, h5py by slashes.
        wanted = inside and inside.replace("/", ".") if path.suffix.lower() == ".mat" else inside
        return arrays[choose(path, wanted, list(arrays))]()


@contextlib.contextmanager
def open_arrays(path: Path) -> Iterator[dict[str, Callable[[], NamedArray]]]:
    """Opens a file of arrays and yields functions that read one, by the name that follows ``file:``.

    The name in a .npy file is empty.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UserError(f"{path}: unknown type of file; use one of {', '.join(_SUFFIXES)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if suffix == ".npy":
        try:
            with open(path, "rb") as stream:
                yield {"": lambda: NamedArray(_parse(stream, str(path)), None)}
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    elif suffix == ".npz":
        with open_zip(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            yield {name: partial(_read_npz, archive, name) for name in names}
    elif suffix == ".mat":
        with matlab.open_matlab(path) as content:
            yield {name: partial(_unnamed, read) for name, read in content.items()}
    elif _is_netcdf(path):
        with _netcdf_variables(path) as variables:
            yield {name: partial(_read_netcdf, one, f"{path}:{name}") for name, one in variables.items()}
    else:
        with hdf5.open_hdf5(path) as content:
            yield {name: partial(_read_hdf5, content, name) for name in hdf5.dataset_names(content)}


def _unnamed(read: Callable[[], np.ndarray]) -> NamedArray:
    return NamedArray(read(), None)


def _read_npz(archive: ZipFile, name: str) -> NamedArray:
    return NamedArray(parse_npy(read_member(archive, f"{name}.npy"), f"{archive.filename}:{name}"), None)


def _read_hdf5(content: h5py.File, name: str) -> NamedArray:
    dataset = hdf5.dataset_at(content, name)
    return NamedArray(hdf5.read_dataset(dataset), *hdf5.axes_of(dataset))


def _is_netcdf(path: Path) -> bool:
    """Whether a file is netCDF: by its name, or by what the netCDF library writes into its HDF5 files."""
    if path.suffix.lower() == ".nc" or not h5py.is_hdf5(path):
        return True
    with hdf5.open_hdf5(path) as content:
        return "_NCProperties" in content.attrs


@contextlib.contextmanager
def _netcdf_variables(path: Path) -> Iterator[dict[str, xr.DataArray]]:
    """All variables of a netCDF file, of any version, by ``group/name``; they are read when used."""
    try:
        groups = xr.open_groups(path, engine="netcdf4", decode_times=False)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is damaged or not netCDF or HDF5: write it again") from error
    try:
        yield {
            f"{group}/{name}".strip("/"): content[name]
            for group, content in groups.items()
            for name in content.variables
        }
    finally:
        for content in groups.values():
            content.close()


def _read_netcdf(variable: xr.DataArray, label: str) -> NamedArray:
    """One variable; what netCDF declares missing is NaN, and its scale and offset are applied."""
    check_size(variable.nbytes, label)
    try:
        values = variable.values
    except (OSError, RuntimeError, ValueError, IndexError, TypeError) as error:
        raise UserError(f"{label}: is damaged: write it again") from error
    # The library fills what was never written with a number of its own.
    filler = netCDF4.default_fillvals.get(values.dtype.str[1:]) if values.dtype.kind == "f" else None
    if filler is not None and (values == values.dtype.type(filler)).any():
        raise UserError(f"{label}: was never written in parts: write it again, NaN where missing")
    return NamedArray(values, tuple(map(str, variable.dims)), labels_of(variable))


def labels_of(array: xr.DataArray) -> tuple[np.ndarray | None, ...]:
    """Names of what lies along every axis: a coordinate that names images, or that of the axis."""
    names = [one for one in array.coords if str(one).lower() in IMAGE_WORDS and one not in array.dims]
    of_image = {array[one].dims: one for one in names}
    along = [of_image.get((dim,), dim) for dim in array.dims]
    return tuple(array[one].values if one in array.coords else None for one in along)
