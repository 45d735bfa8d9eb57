"""Reading and writing: every file appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import netCDF4
import pandas as pd
import xarray as xr

from whatwhere.errors import UserError


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it into place only if the block succeeds.

    Raises
    ------
    UserError
        If the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix is kept because writers such as savefig choose the format by it.
        handle, name = tempfile.mkstemp(prefix=".partial-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_netcdf(dataset: xr.Dataset | xr.DataTree, path: str | Path) -> None:
    """Write a dataset or a tree of groups as netCDF-4, uncompressed: white noise hardly shrinks."""
    with atomic(path) as temporary:
        dataset.to_netcdf(temporary, format="NETCDF4", engine="netcdf4")


def read_netcdf(path: str | Path, group: str | None = None) -> xr.Dataset:
    """Open a netCDF-4 file, or one group of it, lazily; the caller closes it, best in a ``with`` statement.

    Raises
    ------
    UserError
        If the file is missing, truncated or not netCDF.
    """
    try:
        return xr.open_dataset(path, engine="netcdf4", group=group)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable netCDF-4 file: delete it and rerun") from error


def groups_of(path: str | Path) -> list[str]:
    """Names of the groups of a netCDF-4 file, in the order in which they were written."""
    with netCDF4.Dataset(path) as stored:
        return list(stored.groups)


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a tidy table as CSV; floats keep nine significant digits, NaN is an empty field."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.9g")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table written by :func:`write_table`."""
    return pd.read_csv(path)


def write_tensors(content: dict[str, Any], path: str | Path) -> None:
    """Write nested dictionaries of tensors, numbers and strings."""
    import torch

    with atomic(path) as temporary:
        torch.save(content, temporary)


def read_tensors(path: str | Path) -> dict[str, Any]:
    """Read what :func:`write_tensors` wrote; never executes code from the file.

    Raises
    ------
    UserError
        If the file is missing, damaged or holds anything but plain tensors.
    """
    import pickle

    import torch

    try:
        # torch.save writes a zip file; anything else would be parsed as a bare pickle first.
        if not zipfile.is_zipfile(path):
            raise EOFError
        return torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"{path}: not a readable file of fitted models: delete it and rerun") from error
