"""Arrays in MATLAB files: version 5 to 7 through scipy, 7.3 through h5py.

pymatreader reads both but drops every axis of length 1 (one neuron, one repeat).
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.hdf5 import dataset_at, dataset_names, open_hdf5, read_dataset

_NO_ARRAY = "is a cell, an object or several structures, expected numbers, letters or a cell of texts"


@contextlib.contextmanager
def open_matlab(path: Path) -> Iterator[dict[str, Callable[[], np.ndarray]]]:
    """Yields readers of arrays by name, with the axes that MATLAB shows: a list is n x 1 or 1 x n.

    A name is that of a variable or ``structure.field``. Texts lose the blanks at their end, with which MATLAB
    makes rows of letters equally long. Objects, and cells of anything but text, are refused.
    """
    if not h5py.is_hdf5(path):
        arrays = _arrays(path)
        yield {name: partial(_read_old, array, f"{path}:{name}") for name, array in arrays.items()}
        return
    with open_hdf5(path) as content:
        names = [name for name in dataset_names(content) if not name.startswith("#")]
        yield {name.replace("/", "."): partial(_read_new, content, name, f"{path}:{name}") for name in names}


def read_cells(path: Path, name: str) -> list[np.ndarray] | None:
    """Numbers in the cells of a cell array ``name``, or in ``structure.field``; None if it is neither."""
    outer, _, field = name.replace("/", ".").partition(".")
    if h5py.is_hdf5(path):
        with open_hdf5(path) as content:
            stored = content.get(f"{outer}/{field}".rstrip("/"))
            if not isinstance(stored, h5py.Dataset) or stored.dtype != h5py.ref_dtype:
                return None
            cells = [content[reference] for reference in stored[...].flat]
            cells = [np.empty(0) if "MATLAB_empty" in cell.attrs else read_dataset(cell) for cell in cells]
    else:
        arrays = _arrays(path)
        stored = arrays.get(f"{outer}.{field}".rstrip("."), arrays.get(outer))
        if stored is not None and field in (stored.dtype.names or ()):
            stored = stored[field]
        if stored is None or stored.dtype != object:
            return None
        cells = [np.asarray(cell) for cell in stored.flat]
    if max(stored.shape) != len(cells):
        raise UserError(f"{path}:{name}: has cells of shape {stored.shape}, expected one cell per neuron")
    return cells


def _read_old(array: np.ndarray, label: str) -> np.ndarray:
    if not array.dtype.hasobject:
        return np.char.rstrip(array) if array.dtype.kind == "U" else array
    cells = [np.asarray(cell) for cell in array.flat] if array.dtype.names is None else []
    if not cells or any(cell.dtype.kind != "U" or cell.size > 1 for cell in cells):
        raise UserError(f"{label}: {_NO_ARRAY}")
    return np.array(["".join(cell.flat).rstrip() for cell in cells]).reshape(array.shape)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file of version 5 to 7 by name."""
    # Most recordings do without scipy.io.
    from scipy import io, sparse

    try:
        content = io.loadmat(path, struct_as_record=True, chars_as_strings=True)
    # A damaged file makes scipy raise errors of a dozen types.
    except Exception as error:
        raise UserError(f"{path}: is damaged or no MATLAB file: write it again") from error
    arrays: dict[str, np.ndarray] = {}
    for name, value in content.items():
        if not name.startswith("__"):
            arrays |= _fields(name, value.toarray() if sparse.issparse(value) else value)
    return arrays


def _fields(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays of a variable by name: the variable, or the fields of a structure."""
    if value.dtype.names is None or value.size != 1:
        return {name: value}
    found: dict[str, np.ndarray] = {}
    for field in value.dtype.names:
        inner = value[field].item()
        if isinstance(inner, np.ndarray):
            found |= _fields(f"{name}.{field}", inner)
    return found


def _read_new(content: h5py.File, name: str, label: str) -> np.ndarray:
    dataset = dataset_at(content, name)
    kind = _kind(dataset)
    if kind == "cell" and dataset.dtype == h5py.ref_dtype:
        cells = [content[reference] for reference in dataset[...].T.flat]
        if all(_kind(cell) == "char" for cell in cells):
            texts = ["" if "MATLAB_empty" in cell.attrs else _letters(cell) for cell in cells]
            return np.array(["".join(text) for text in texts]).reshape(dataset.shape[::-1])
    if kind == "cell" or "MATLAB_object_decode" in dataset.attrs:
        raise UserError(f"{label}: {_NO_ARRAY}")
    if "MATLAB_empty" in dataset.attrs:
        raise UserError(f"{label}: is empty")
    if kind == "char":
        return np.array(_letters(dataset))
    # Stored by columns, so that other programs see the axes reversed.
    array = read_dataset(dataset).T
    return array.astype(bool) if kind == "logical" else array


def _kind(item: h5py.Dataset | h5py.Group) -> str:
    return bytes(item.attrs.get("MATLAB_class", b"")).decode()


def _letters(dataset: h5py.Dataset) -> list[str]:
    """Rows of an array of letters as texts."""
    return ["".join(map(chr, row)).rstrip() for row in np.atleast_2d(read_dataset(dataset).T)]
