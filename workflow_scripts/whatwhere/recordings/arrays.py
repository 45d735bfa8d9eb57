"""Images and responses in array files: .npy, .npz, netCDF and HDF5 (kind ``arrays``)."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.recording import Recording

_SUFFIXES = (".npy", ".npz", ".nc", ".h5", ".hdf5")


def split_location(location: str) -> tuple[Path, str | None]:
    """Divide ``file.npz:name`` into the file and the array inside it, None if it is not named."""
    path, colon, inside = location.rpartition(":")
    if colon and path.endswith(_SUFFIXES):
        return Path(path), inside
    return Path(location), None


def read_array(location: str | Path) -> np.ndarray:
    """Read one numeric array; a file with several needs the name: ``file.npz:name``.

    Raises
    ------
    UserError
        If the file is missing or damaged, or holds anything but numbers. Pickled objects are refused.
    """
    path, inside = split_location(str(location))
    if path.suffix not in _SUFFIXES:
        raise UserError(f"{path}: unknown type of file; use one of {', '.join(_SUFFIXES)}")
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        array = _read_netcdf(path, inside) if path.suffix[1:] in ("nc", "h5", "hdf5") else None
        if array is None:
            array = _read_numpy(path, inside)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, RuntimeError) as error:
        if "pickle" in str(error) or "Object arrays" in str(error):
            reason = "holds pickled objects, which could execute code: save numbers"
        else:
            reason = "is damaged or truncated: write it again"
        raise UserError(f"{path}: {reason}") from error
    if array.dtype.kind not in "biuf":
        raise UserError(f"{location}: holds {array.dtype}, expected numbers")
    return array


def _read_numpy(path: Path, inside: str | None) -> np.ndarray:
    content = np.load(path, allow_pickle=False)
    if isinstance(content, np.ndarray):
        return content
    with content:
        return content[_choose(path, inside, list(content.keys()))]


def _read_netcdf(path: Path, inside: str | None) -> np.ndarray:
    # netCDF-4 files are HDF5 files, so one library reads both.
    with netCDF4.Dataset(path) as content:
        content.set_auto_mask(False)
        name = _choose(path, inside, list(content.variables))
        return np.asarray(content[name][:])


def _choose(path: Path, inside: str | None, names: list[str]) -> str:
    if inside is None and len(names) == 1:
        return names[0]
    if inside is None or inside not in names:
        raise UserError(f"{path}: write {path.name}:NAME with one of the arrays in it: {', '.join(names)}")
    return inside


def load(definition: dict[str, Any], name: str) -> Recording:
    """Load a pair of arrays.

    Parameters
    ----------
    definition
        ``images``: (image, y, x), or with ``layout`` nchw (image, channel, y, x) or nhwc (image, y, x,
        channel). ``responses``: (image, neuron) or (repeat, image, neuron), NaN for missing repeats.
    name
        The dataset's key, for messages.

    Raises
    ------
    UserError
        If a file is unreadable or the shapes do not belong together.
    """
    images = read_array(definition["images"])
    responses = read_array(definition["responses"])
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and definition["layout"] == "nhwc":
        images = np.moveaxis(images, -1, 1)
    elif images.ndim != 4:
        raise UserError(
            f"{definition['images']}: has shape {images.shape}, expected (image, y, x) or four axes"
        )
    if responses.ndim == 2:
        responses = responses[None]
    elif responses.ndim != 3:
        raise UserError(
            f"{definition['responses']}: has shape {responses.shape}, expected (image, neuron) or "
            "(repeat, image, neuron)"
        )
    if responses.shape[1] != len(images):
        hint = ""
        if len(images) in responses.shape:
            hint = ": the axes look transposed"
        raise UserError(
            f"{definition['responses']}: has shape {responses.shape[-2:]} for (image, neuron) but "
            f"{name}.images holds {len(images)} images{hint}"
        )
    return Recording(images, responses.astype(np.float32), f"files {definition['images']}")
