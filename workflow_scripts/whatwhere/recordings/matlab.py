"""Arrays in MATLAB files: version 5 to 7 through scipy, 7.3 through h5py."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
from scipy import sparse
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from whatwhere.errors import UserError
from whatwhere.recordings.archive import choose
from whatwhere.recordings.hdf5 import dataset_at, dataset_names, open_hdf5, read_dataset

_UNREADABLE = (
    MatReadError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    NotImplementedError,
    OverflowError,
    MemoryError,
    zlib.error,
    struct.error,
)


def read_matlab(path: Path, inside: str | None) -> np.ndarray:
    """One array with the axes that MATLAB shows: a list of n is n x 1 or 1 x n.

    Parameters
    ----------
    path
        File of any version from 5 on.
    inside
        Name of a variable or, with dots, of a field of a structure; None for the only one.

    Raises
    ------
    UserError
        If the file is damaged, or holds no such array; cells and objects are none.
    """
    # MATLAB and h5py name fields by dots and slashes.
    wanted = None if inside is None else inside.replace("/", ".")
    return _read_new(path, wanted) if h5py.is_hdf5(path) else _read_old(path, wanted)


def _read_old(path: Path, inside: str | None) -> np.ndarray:
    try:
        content = loadmat(path, struct_as_record=True, chars_as_strings=True)
    except _UNREADABLE as error:
        raise UserError(f"{path}: is damaged or no MATLAB file: write it again") from error
    arrays: dict[str, np.ndarray] = {}
    for name, value in content.items():
        if not name.startswith("__"):
            arrays |= _fields(name, value.toarray() if sparse.issparse(value) else value)
    array = arrays[choose(path, inside, list(arrays))]
    if array.dtype.hasobject:
        raise UserError(
            f"{path}:{inside or next(iter(arrays))}: is a cell, an object or several structures, expected an "
            "array of numbers or letters"
        )
    return array


def _fields(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays of a variable by name: itself, or the fields of a structure."""
    if value.dtype.names is None or value.size != 1:
        return {name: value}
    found: dict[str, np.ndarray] = {}
    for field in value.dtype.names:
        inner = value[field].item()
        if isinstance(inner, np.ndarray):
            found |= _fields(f"{name}.{field}", inner)
    return found


def _read_new(path: Path, inside: str | None) -> np.ndarray:
    with open_hdf5(path) as content:
        names = [name.replace("/", ".") for name in dataset_names(content) if not name.startswith("#")]
        name = choose(path, inside, names)
        dataset = dataset_at(content, name.replace(".", "/"), path)
        label = f"{path}:{name}"
        kind = dataset.attrs.get("MATLAB_class", b"").decode()
        if kind == "cell" or "MATLAB_object_decode" in dataset.attrs:
            raise UserError(f"{label}: is a {kind or 'object'}, expected an array of numbers or letters")
        if "MATLAB_empty" in dataset.attrs:
            raise UserError(f"{label}: is empty")
        # Stored by columns, so that other programs see the axes reversed.
        array = read_dataset(dataset, label, path.stat().st_size).T
    if kind == "char":
        return np.array(["".join(map(chr, row)).rstrip() for row in np.atleast_2d(array)])
    return array.astype(bool) if kind == "logical" else array
