"""Arrays in HDF5 files, netCDF-4 and MATLAB 7.3 among them, read through h5py."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.archive import check_size

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
    if path.is_dir():
        raise UserError(f"{path}: is a folder, expected one HDF5 file: write the data as one")
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
    """Paths of all datasets below a file's root, links included, without the bare dimensions of netCDF."""
    names: list[str] = []

    def visit(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("#") and _is_variable(item):
            names.append(name)

    def follow(name: str, link: h5py.HardLink | h5py.SoftLink | h5py.ExternalLink) -> None:
        # Broken ones stay in the list, so that a message can name them.
        if not isinstance(link, h5py.HardLink) and not isinstance(_linked(content, name), h5py.Group):
            names.append(name)

    content.visititems(visit)
    content.visititems_links(follow)
    return names


def _linked(content: h5py.File, name: str) -> h5py.HLObject | None:
    try:
        return content[name]
    except (KeyError, OSError):
        return None


def other_files(path: str | Path) -> list[Path]:
    """Files that an HDF5 file takes values from by links, virtual datasets or external storage."""
    if not Path(path).is_file() or not h5py.is_hdf5(path):
        return []
    names: set[str] = set()

    def visit(_: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            names.update(one.file_name for one in (item.virtual_sources() if item.is_virtual else ()))
            names.update(name for name, _, _ in item.external or ())

    def follow(_: str, link: h5py.HardLink | h5py.SoftLink | h5py.ExternalLink) -> None:
        if isinstance(link, h5py.ExternalLink):
            names.add(link.filename)

    with open_hdf5(Path(path)) as content:
        content.visititems(visit)
        content.visititems_links(follow)
    return sorted(Path(path).parent / name for name in names - {"."})


def _is_variable(dataset: h5py.Dataset) -> bool:
    """Whether a dataset holds values and is not only a dimension of netCDF."""
    stated = dataset.attrs.get("NAME")
    return not (isinstance(stated, bytes) and stated.startswith(_NO_VARIABLE))


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
    names = [scale and str(scale.name).rpartition("/")[2] for scale in _scales(dataset)]
    # The library crashes on labels of a fixed length.
    labels = dataset.attrs.get("DIMENSION_LABELS", [])
    for axis, label in enumerate(labels if len(labels) == dataset.ndim else []):
        text = label.decode(errors="replace") if isinstance(label, bytes) else str(label)
        names[axis] = text or names[axis]
    return tuple(names) if any(names) else None


def axis_labels(dataset: h5py.Dataset) -> tuple[np.ndarray | None, ...] | None:
    """Values of the dimension scales, such as the numbers of images; None if there are none."""
    labels = [
        scale[...] if scale is not None and scale.shape == (length,) and _is_variable(scale) else None
        for scale, length in zip(_scales(dataset), dataset.shape or (), strict=True)
    ]
    return tuple(labels) if any(label is not None for label in labels) else None


def _scales(dataset: h5py.Dataset) -> list[h5py.Dataset | None]:
    """The first dimension scale of every axis; None if there is none or its reference is broken."""
    scales: list[h5py.Dataset | None] = [None] * dataset.ndim
    listed = dataset.attrs.get("DIMENSION_LIST", [])
    for axis, references in enumerate(listed if len(listed) == dataset.ndim else []):
        try:
            scales[axis] = dataset.file[references[0]]
        except (ValueError, IndexError, KeyError, RuntimeError, TypeError):
            continue
    return scales


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
    check_size(math.prod(dataset.shape) * dataset.dtype.itemsize, label)
    _check_filters(dataset, label)
    fill = _declared_missing(dataset, label)
    if not len(fill):
        _check_written(dataset, label)
    try:
        array = dataset.asstr()[...] if dataset.dtype.kind == "O" else dataset[...]
    except (OSError, RuntimeError, ValueError, TypeError, UnicodeDecodeError) as error:
        raise UserError(f"{label}: is damaged: write it again") from error
    return _decoded(np.asarray(array), dataset, fill, label)


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


def _declared_missing(dataset: h5py.Dataset, label: str) -> np.ndarray:
    if dataset.dtype.kind not in "iuf":
        return np.empty(0)
    return np.concatenate([_numbers(dataset, name, label) for name in ("_FillValue", "missing_value")])


def _numbers(dataset: h5py.Dataset, attribute: str, label: str) -> np.ndarray:
    """An attribute as (number,), empty if there is none."""
    values = np.atleast_1d(dataset.attrs.get(attribute, np.empty(0)))
    if values.dtype.kind not in "biuf":
        raise UserError(f"{label}: its attribute {attribute} is no number: mend or remove it")
    return values


def _decoded(array: np.ndarray, dataset: h5py.Dataset, missing: np.ndarray, label: str) -> np.ndarray:
    if array.dtype.kind not in "iuf":
        return array
    absent = np.isin(array, missing[missing == missing]) if len(missing) else np.zeros(1, bool)
    if dataset.attrs.get("_Unsigned") in ("true", b"true") and array.dtype.kind == "i":
        array = array.astype(array.dtype.newbyteorder("=")).view(f"u{array.dtype.itemsize}")
    for attribute, operation in (("scale_factor", np.multiply), ("add_offset", np.add)):
        for factor in _numbers(dataset, attribute, label):
            array = operation(array, np.float64(factor))
    return np.where(absent, np.nan, array) if absent.any() else array
