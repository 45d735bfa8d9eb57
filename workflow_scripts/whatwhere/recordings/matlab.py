"""Arrays in MATLAB files: version 5 to 7 through scipy, 7.3 through h5py.

pymatreader reads both but drops every axis of length 1 (one neuron, one repeat).
"""

from pathlib import Path

import h5py
import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.archive import choose
from whatwhere.recordings.hdf5 import dataset_at, dataset_names, open_hdf5, read_dataset

_NO_ARRAY = (
    "is a cell, an object or several structures, expected an array of numbers or letters or a cell of texts"
)


def read_matlab(path: Path, inside: str | None) -> np.ndarray:
    """Reads one array with the axes that MATLAB shows: a list of n is n x 1 or 1 x n.

    ``inside`` is the name of a variable or, with dots, of a field of a structure; None for the only array.
    Texts lose the blanks at their end, with which MATLAB makes rows of letters equally long. UserError if the
    file is damaged or holds no such array; objects and cells of anything but text are none.
    """
    # MATLAB separates fields by dots, h5py by slashes.
    wanted = None if inside is None else inside.replace("/", ".")
    return _read_new(path, wanted) if h5py.is_hdf5(path) else _read_old(path, wanted)


def list_arrays(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of all variables and fields of structures by their name, ``structure.field``."""
    if not h5py.is_hdf5(path):
        return {name: array.shape for name, array in _arrays(path).items()}
    with open_hdf5(path) as content:
        return {name: dataset_at(content, name.replace(".", "/")).shape[::-1] for name in _names(content)}


def _read_old(path: Path, inside: str | None) -> np.ndarray:
    arrays = _arrays(path)
    name = choose(path, inside, list(arrays))
    array = arrays[name]
    if not array.dtype.hasobject:
        return np.char.rstrip(array) if array.dtype.kind == "U" else array
    cells = [np.asarray(cell) for cell in array.flat] if array.dtype.names is None else []
    if not cells or any(cell.dtype.kind != "U" or cell.size > 1 for cell in cells):
        raise UserError(f"{path}:{name}: {_NO_ARRAY}")
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


def _names(content: h5py.File) -> list[str]:
    return [name.replace("/", ".") for name in dataset_names(content) if not name.startswith("#")]


def _read_new(path: Path, inside: str | None) -> np.ndarray:
    with open_hdf5(path) as content:
        name = choose(path, inside, _names(content))
        dataset = dataset_at(content, name.replace(".", "/"))
        kind = _kind(dataset)
        if kind == "cell" and dataset.dtype == h5py.ref_dtype:
            cells = [content[reference] for reference in dataset[...].T.flat]
            if all(_kind(cell) == "char" for cell in cells):
                texts = ["" if "MATLAB_empty" in cell.attrs else _letters(cell) for cell in cells]
                return np.array(["".join(text) for text in texts]).reshape(dataset.shape[::-1])
        if kind == "cell" or "MATLAB_object_decode" in dataset.attrs:
            raise UserError(f"{path}:{name}: {_NO_ARRAY}")
        if "MATLAB_empty" in dataset.attrs:
            raise UserError(f"{path}:{name}: is empty")
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
