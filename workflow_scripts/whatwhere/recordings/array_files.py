"""Arrays in .npy, .npz, netCDF and HDF5 files, read without executing anything."""

from __future__ import annotations

import io
import math
import tokenize
import warnings
from pathlib import Path

import netCDF4
import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.archive import is_absurd, open_zip, read_member

_SUFFIXES = (".npy", ".npz", ".nc", ".h5", ".hdf5")


def split_location(location: str) -> tuple[Path, str | None]:
    """Divide ``file.npz:name`` into the file and the array inside it, None if it is not named."""
    path, colon, inside = location.rpartition(":")
    if colon and path.endswith(_SUFFIXES):
        return Path(path), inside
    return Path(location), None


def parse_npy(content: bytes, label: str) -> np.ndarray:
    """Array in the content of a .npy file.

    Parameters
    ----------
    content
        The whole file.
    label
        What to call it in messages.

    Raises
    ------
    UserError
        If it is damaged, truncated or holds pickled objects, which could execute code.
    """
    stream = io.BytesIO(content)
    try:
        # Files written by Python 2 are read alike but warn.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            if np.lib.format.read_magic(stream) == (1, 0):
                shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            else:
                shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
            if dtype.hasobject:
                raise UserError(f"{label}: holds pickled objects, which could execute code: save numbers")
            # numpy would allocate what the header promises before it reads.
            if min(shape, default=0) < 0 or stream.tell() + math.prod(shape) * dtype.itemsize > len(content):
                raise EOFError
            stream.seek(0)
            return np.load(stream, allow_pickle=False)
    except (OSError, ValueError, EOFError, TypeError, SyntaxError, tokenize.TokenError) as error:
        raise UserError(f"{label}: is damaged or truncated: write it again") from error


def numeric(array: np.ndarray, label: str) -> np.ndarray:
    """The array itself if it holds real numbers; UserError otherwise."""
    if array.dtype.kind not in "biuf":
        raise UserError(f"{label}: holds {array.dtype}, expected numbers")
    return array


def read_array(location: str | Path) -> np.ndarray:
    """Read one numeric array; a file with several needs the name: ``file.npz:name``.

    Raises
    ------
    UserError
        If the file is missing or damaged, or holds anything but numbers. Pickled objects are refused.
    """
    return numeric(read_any_array(location), str(location))


def read_any_array(location: str | Path) -> np.ndarray:
    """Like :func:`read_array` for arrays that may hold text."""
    path, inside = split_location(str(location))
    if path.suffix not in _SUFFIXES:
        raise UserError(f"{path}: unknown type of file; use one of {', '.join(_SUFFIXES)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.suffix == ".npz":
        return _read_npz(path, inside)
    if path.suffix != ".npy":
        return _read_netcdf(path, inside)
    if inside is not None:
        raise UserError(f"{path}: holds one array without a name: leave ':{inside}' out")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_npy(content, str(path))


def _read_npz(path: Path, inside: str | None) -> np.ndarray:
    with open_zip(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        name = _choose(path, inside, names)
        return parse_npy(read_member(archive, f"{name}.npy"), f"{path}:{name}")


def _read_netcdf(path: Path, inside: str | None) -> np.ndarray:
    try:
        # netCDF-4 files are HDF5 files, so one library reads both.
        with netCDF4.Dataset(path) as content:
            variables = _variables(content)
            name = _choose(path, inside, list(variables))
            variable = variables[name]
            size = math.prod(variable.shape) * np.dtype(variable.dtype).itemsize
            if is_absurd(size, path.stat().st_size):
                raise UserError(f"{path}:{name}: unpacks to an absurd size, {variable.shape}: refused")
            # The library takes float16 in HDF5 for text, which has no byte order, and crashes.
            if variable.dtype is str and variable.endian() != "native":
                raise UserError(f"{path}:{name}: holds half precision, which cannot be read: save float32")
            # By default, the largest value of a type, 255 or 65535, would be taken for missing.
            variable.set_auto_mask(not {"_FillValue", "missing_value"}.isdisjoint(variable.ncattrs()))
            array = variable[...]
    except (OSError, RuntimeError, ValueError, IndexError, TypeError) as error:
        raise UserError(f"{path}: is damaged or not netCDF-4 or HDF5: write it again") from error
    if np.ma.is_masked(array):
        return array.astype(np.float64).filled(np.nan)
    return np.asarray(array)


def _variables(group: netCDF4.Dataset | netCDF4.Group, prefix: str = "") -> dict[str, netCDF4.Variable]:
    found = {f"{prefix}{name}": variable for name, variable in group.variables.items()}
    for name, inner in group.groups.items():
        found |= _variables(inner, f"{prefix}{name}/")
    return found


def _choose(path: Path, inside: str | None, names: list[str]) -> str:
    if not names:
        raise UserError(f"{path}: holds no array")
    if inside is None and len(names) == 1:
        return names[0]
    if inside is None or inside.strip("/") not in names:
        raise UserError(f"{path}: write {path.name}:NAME with one of the arrays in it: {', '.join(names)}")
    return inside.strip("/")
