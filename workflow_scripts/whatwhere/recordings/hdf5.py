"""Arrays in HDF5 files, netCDF-4 and MATLAB 7.3 among them, read through h5py."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.archive import is_absurd

_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"
_FILTERS = {32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32015: "Zstandard", 32026: "Blosc2"}


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading, also where it cannot be locked.

    Raises
    ------
    UserError
        If it is no HDF5 file, is damaged, or another program has it open for writing.
    """
    try:
        content = h5py.File(path, "r", locking=False)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, RuntimeError, ValueError) as error:
        if "already open for write" in str(error) or "unable to lock" in str(error):
            raise UserError(
                f"{path}: a program still writes it or was killed while it did: close it there, or run "
                "h5clear -s on the file"
            ) from error
        raise UserError(f"{path}: is damaged or not HDF5: write it again") from error
    with content:
        yield content


def dataset_names(content: h5py.File) -> list[str]:
    """Paths of all datasets below a file's root, without the bare dimensions of netCDF."""
    names: list[str] = []

    def visit(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("#"):
            stated = item.attrs.get("NAME")
            if not (isinstance(stated, bytes) and stated.startswith(_NO_VARIABLE)):
                names.append(name)

    content.visititems(visit)
    return names


def dataset_at(content: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """The dataset of this name; UserError if a link of it is broken."""
    try:
        found = content[name]
    except (KeyError, OSError) as error:
        raise UserError(f"{path}:{name}: is a link to what is not there") from error
    if not isinstance(found, h5py.Dataset):
        raise UserError(f"{path}:{name}: is a group, not an array")
    return found


def axis_names(dataset: h5py.Dataset) -> tuple[str | None, ...] | None:
    """Names of the axes, by labels or else by dimension scales; None if there are none."""
    names: list[str | None] = []
    for dimension in dataset.dims:
        scales = [name for name in _scale_names(dimension) if name]
        names.append(dimension.label or (scales[0] if scales else None))
    return tuple(names) if any(names) else None


def _scale_names(dimension: h5py._hl.dims.DimensionProxy) -> list[str]:
    try:
        return [str(scale.name).rpartition("/")[2] for scale in dimension.values()]
    except (RuntimeError, KeyError, ValueError):
        return []  # a scale whose reference is broken names nothing


def read_dataset(dataset: h5py.Dataset, label: str, file_size: int) -> np.ndarray:
    """All values of a dataset; what netCDF declares missing is NaN, and its scale and offset are applied.

    Parameters
    ----------
    dataset
        In an open file.
    label
        What to call it in messages.
    file_size
        Of its file in bytes: more than its content can unpack to is refused.

    Raises
    ------
    UserError
        If it has no values, is compressed by a filter that is not installed, was never written in parts,
        or is damaged.
    """
    if dataset.shape is None:
        raise UserError(f"{label}: has a null dataspace, that is, no values")
    if dataset.dtype.kind == "O" and h5py.check_string_dtype(dataset.dtype) is None:
        raise UserError(f"{label}: holds references or lists of different lengths, expected numbers")
    if is_absurd(math.prod(dataset.shape) * dataset.dtype.itemsize, file_size) and not dataset.is_virtual:
        raise UserError(f"{label}: unpacks to an absurd size, {dataset.shape}: refused")
    _check_filters(dataset, label)
    fill = _declared_missing(dataset)
    if not len(fill):
        _check_written(dataset, label)
    try:
        array = dataset.asstr()[...] if dataset.dtype.kind == "O" else dataset[...]
    except (OSError, RuntimeError, ValueError, TypeError, UnicodeDecodeError) as error:
        raise UserError(f"{label}: is damaged: write it again") from error
    return _decoded(np.asarray(array), dataset, fill)


def _check_filters(dataset: h5py.Dataset, label: str) -> None:
    created = dataset.id.get_create_plist()
    for position in range(created.get_nfilters()):
        number, _, _, name = created.get_filter(position)
        if not h5py.h5z.filter_avail(number):
            called = _FILTERS.get(number) or name.decode(errors="replace") or f"number {number}"
            raise UserError(
                f"{label}: is compressed by {called}, which this HDF5 library cannot read: "
                "write it again with gzip or without compression"
            )


def _check_written(dataset: h5py.Dataset, label: str) -> None:
    """Refuse values that were never written: the library would make them up."""
    size = math.prod(dataset.shape)
    if dataset.is_virtual:
        folder = Path(dataset.file.filename).parent
        for source in dataset.virtual_sources():
            if source.file_name != "." and not (folder / source.file_name).exists():
                raise UserError(f"{label}: is put together from {source.file_name}, which is not there")
        return
    created = dataset.id.get_create_plist()
    if size == 0 or created.get_external_count() or created.get_layout() == h5py.h5d.COMPACT:
        return
    chunks = dataset.chunks
    if chunks is None:
        missing = dataset.id.get_storage_size() == 0
        what = "was never written"
    else:
        wanted = math.prod(-(-length // chunk) for length, chunk in zip(dataset.shape, chunks, strict=True))
        missing = dataset.id.get_num_chunks() < wanted
        what = f"{wanted - dataset.id.get_num_chunks()} of its {wanted} chunks were never written"
    # A fill value of NaN says on purpose that what is not written is missing.
    blank = dataset.fillvalue
    if missing and not (np.isscalar(blank) and blank != blank):
        raise UserError(f"{label}: {what} and would be read as {blank}: write it again, NaN where missing")


def _declared_missing(dataset: h5py.Dataset) -> np.ndarray:
    stated = [dataset.attrs[name] for name in ("_FillValue", "missing_value") if name in dataset.attrs]
    if dataset.dtype.kind not in "iuf" or not stated:
        return np.empty(0)
    return np.concatenate([np.atleast_1d(value) for value in stated])


def _decoded(array: np.ndarray, dataset: h5py.Dataset, missing: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "iuf":
        return array
    absent = np.isin(array, missing[missing == missing]) if len(missing) else np.zeros(1, bool)
    for attribute, operation in (("scale_factor", np.multiply), ("add_offset", np.add)):
        if attribute in dataset.attrs:
            array = operation(array, np.asarray(dataset.attrs[attribute], np.float64).reshape(()))
    return np.where(absent, np.nan, array) if absent.any() else array
