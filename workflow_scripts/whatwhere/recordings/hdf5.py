"""Arrays in HDF5 files, also in files of NWB and MATLAB 7.3, read through h5py."""

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.archive import check_size

_CONVENTIONS = ("_FillValue", "missing_value", "scale_factor", "add_offset")
"""Attributes by which netCDF changes the meaning of stored numbers."""


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Opens a file for reading, also where the file cannot be locked."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder, expected one HDF5 file: write the data as one file")
    try:
        content = h5py.File(path, "r", locking=False)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, RuntimeError, ValueError) as error:
        fault = "is damaged or not HDF5: write it again"
        if "already open for write" in str(error) or "unable to lock" in str(error):
            fault = "a program still writes it or was killed while writing: close it, or run h5clear -s on it"
        raise UserError(f"{path}: {fault}") from error
    with content:
        yield content


def dataset_names(content: h5py.File) -> list[str]:
    """Paths of all datasets of a file; broken links stay, so that a message can name them."""
    names: list[str] = []

    def visit(name: str, _: h5py.HardLink | h5py.SoftLink | h5py.ExternalLink) -> None:
        if not isinstance(content.get(name), h5py.Group):
            names.append(name)

    content.visititems_links(visit)
    return names


def label_of(item: h5py.Dataset | h5py.Group) -> str:
    """``file:path`` of an object, for messages."""
    return f"{item.file.filename}:{str(item.name).strip('/')}"


def dataset_at(group: h5py.Group, name: str) -> h5py.Dataset:
    """Dataset of an open group; UserError if it or its link is broken or missing, or values lie elsewhere."""
    label = f"{label_of(group).rstrip(':')}{'/' if group.name != '/' else ':'}{name}"
    found = group.get(name)
    if found is None:
        raise UserError(f"{label}: is not there, or is a link to what is not there")
    if not isinstance(found, h5py.Dataset):
        raise UserError(f"{label}: is a group, not an array")
    if found.file.filename != group.file.filename or found.is_virtual or found.external:
        raise UserError(f"{label}: takes its values from other files: name the file that holds the values")
    return found


def axes_of(
    dataset: h5py.Dataset,
) -> tuple[tuple[str | None, ...] | None, tuple[np.ndarray | None, ...] | None]:
    """Names of the axes, from labels or else dimension scales, and values of the scales; None without any."""
    names: list[str | None] = [None] * dataset.ndim
    values: list[np.ndarray | None] = [None] * dataset.ndim
    listed = dataset.attrs.get("DIMENSION_LIST", [])
    for axis, references in enumerate(listed if len(listed) == dataset.ndim else []):
        # There may be no scale, or its reference is broken.
        with contextlib.suppress(ValueError, IndexError, KeyError, RuntimeError, TypeError):
            scale = dataset.file[references[0]]
            names[axis] = str(scale.name).rpartition("/")[2]
            values[axis] = scale[...] if scale.shape == dataset.shape[axis : axis + 1] else None
    # h5py fails on labels of a fixed length.
    labels = dataset.attrs.get("DIMENSION_LABELS", [])
    for axis, label in enumerate(labels if len(labels) == dataset.ndim else []):
        text = label.decode(errors="replace") if isinstance(label, bytes) else str(label)
        names[axis] = text or names[axis]
    return tuple(names) if any(names) else None, tuple(values) if any(v is not None for v in values) else None


def read_dataset(dataset: h5py.Dataset) -> np.ndarray:
    """Reads all values of a dataset; UserError if these are not all there, or not what they stand for."""
    label = label_of(dataset)
    if dataset.shape is None:
        raise UserError(f"{label}: has a null dataspace, that is, no values")
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    if dataset.dtype.kind == "O" and not is_text:
        raise UserError(f"{label}: holds references or lists of different lengths, expected numbers")
    check_size(math.prod(dataset.shape) * dataset.dtype.itemsize, label)
    coded = next((name for name in _CONVENTIONS if name in dataset.attrs), None)
    if coded is not None:
        raise UserError(f"{label}: its attribute {coded} is no part of HDF5: write netCDF or final numbers")
    _check_written(dataset, label)
    try:
        return np.asarray(dataset.asstr()[...] if is_text and dataset.dtype.kind == "O" else dataset[...])
    except (OSError, RuntimeError, ValueError, TypeError, UnicodeDecodeError) as error:
        fault = "is damaged, or compressed by a filter that is not installed: write it again with gzip"
        raise UserError(f"{label}: {fault} ({error})") from error


def _check_written(dataset: h5py.Dataset, label: str) -> None:
    """Refuses chunks that were never written, for which HDF5 returns a fill value."""
    if dataset.chunks is None:
        missing, all_of = int(dataset.size > 0 and dataset.id.get_storage_size() == 0), 1
    else:
        all_of = math.prod(-(-n // chunk) for n, chunk in zip(dataset.shape, dataset.chunks, strict=True))
        missing = all_of - dataset.id.get_num_chunks()
    blank = dataset.fillvalue
    # A fill value of NaN says on purpose that what is not written is missing.
    if missing and not (np.isscalar(blank) and blank != blank):
        fault = f"{missing} of its {all_of} chunks were never written and would be read as {blank}"
        raise UserError(f"{label}: {fault}: write it again, NaN where missing")
