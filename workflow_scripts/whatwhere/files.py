"""Reading and writing: every file appears whole or not at all."""

# Large libraries are imported where a file needs them: most jobs read tables only.
import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from whatwhere.errors import UserError

if TYPE_CHECKING:
    import xarray as xr


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path`` and renames it into place if the block succeeds.

    The next attempt overwrites the temporary file of a killed process, ``.partial-`` and the name of the
    file. UserError if the disk is full or the folder cannot be written.
    """
    path = Path(path)
    # Writers such as savefig choose the format by the suffix.
    temporary = path.with_name(f".partial-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error


def write_netcdf(dataset: "xr.Dataset | xr.DataTree", path: str | Path) -> None:
    """Writes a dataset or a tree of groups as netCDF-4, uncompressed: white noise hardly shrinks."""
    with atomic(path) as temporary:
        try:
            dataset.to_netcdf(temporary, format="NETCDF4", engine="netcdf4")
        except RuntimeError as error:
            # The netCDF library raises this for every write that failed.
            raise UserError(f"{path}: cannot be written: is the disk full?") from error


def read_netcdf(path: str | Path, group: str | None = None) -> "xr.Dataset":
    """Opens a netCDF-4 file, or a group of the file, lazily; the caller closes it."""
    import xarray as xr

    try:
        return xr.open_dataset(path, engine="netcdf4", group=group)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable netCDF-4 file: delete it and rerun") from error


def groups_of(path: str | Path) -> list[str]:
    """Names of the groups of a netCDF-4 file in the order of writing."""
    import netCDF4

    with netCDF4.Dataset(path) as stored:
        return list(stored.groups)


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Writes a tidy table as CSV; floats keep nine significant digits, NaN is an empty field."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.9g")


def read_table(path: str | Path) -> pd.DataFrame:
    """Reads a table written by :func:`write_table`."""
    return pd.read_csv(path)


def read_tables(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Reads several tables as one, rows in the order of the files."""
    return pd.concat([read_table(path) for path in paths], ignore_index=True)


def read_reference(paths: Iterable[str | Path], paper: dict[str, str]) -> pd.DataFrame:
    """Reads published values, in column ``model`` the models of a run that they are compared with.

    ``paths`` are tables of ``config/reference``; ``paper`` maps a model of a run to the model of the paper,
    as the tables name it. Other published values are left out.
    """
    table = read_tables(paths)
    compared = [[model for model, published in paper.items() if published == name] for name in table["model"]]
    table["model"] = pd.Series(compared, index=table.index, dtype=object)
    return table.explode("model").dropna(subset="model")


def write_tensors(content: dict[str, Any], path: str | Path) -> None:
    """Writes nested dictionaries of tensors, numbers and strings; equal content gives equal bytes.

    The comment of the zip file that torch writes is the checksum of all bytes before it.
    """
    import torch

    with atomic(path) as temporary:
        try:
            with open(temporary, "wb") as stream:
                # Given a path, it would store the random name of the temporary file.
                torch.save(content, stream)
        except RuntimeError as error:
            raise UserError(f"{path}: cannot be written: is the disk full?") from error
        with open(temporary, "r+b") as stream:
            # The end of a zip file without a comment is the length of the comment, two bytes.
            stream.seek(-2, os.SEEK_END)
            stream.write(_N_CHECKSUM.to_bytes(2, "little"))
            stream.flush()
            stream.write(_checksum(temporary, 0))


def read_tensors(path: str | Path) -> dict[str, Any]:
    """Reads a file of :func:`write_tensors`, plain tensors only, without executing code from the file."""
    import pickle

    import torch

    try:
        with open(path, "rb") as stream:
            stream.seek(-_N_CHECKSUM, os.SEEK_END)
            if stream.read() != _checksum(path, _N_CHECKSUM):
                raise EOFError
        return torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"{path}: not a readable file of fitted models: delete it and rerun") from error


_N_CHECKSUM = 64
"""Bytes of :func:`_checksum`."""


def _checksum(path: str | Path, without: int) -> bytes:
    """SHA-256 in hexadecimal digits of all bytes of a file but the last ones."""
    digest, left = hashlib.sha256(), Path(path).stat().st_size - without
    with open(path, "rb") as stream:
        while left > 0:
            piece = stream.read(min(left, 1 << 20))
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest().encode()
