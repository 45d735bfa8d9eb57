"""Reading and writing: every file appears whole or not at all."""

import contextlib
import os
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import netCDF4
import pandas as pd
import xarray as xr

from whatwhere.errors import UserError


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it into place only if the block succeeds.

    What a killed process left under the temporary name, ``.partial-`` and the name of the file, is
    overwritten by the next attempt.

    Raises
    ------
    UserError
        If the disk is full or the folder cannot be written.
    """
    path = Path(path)
    # The suffix is kept because writers such as savefig choose the format by it.
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


def write_netcdf(dataset: xr.Dataset | xr.DataTree, path: str | Path) -> None:
    """Write a dataset or a tree of groups as netCDF-4, uncompressed: white noise hardly shrinks."""
    with atomic(path) as temporary:
        try:
            dataset.to_netcdf(temporary, format="NETCDF4", engine="netcdf4")
        except RuntimeError as error:
            # The library has no exception of its own for a write that failed, nor does it say why.
            raise UserError(f"{path}: cannot be written: is the disk full?") from error


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


def read_tables(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Reads several tables as one, rows in the order of the files."""
    return pd.concat([read_table(path) for path in paths], ignore_index=True)


def read_reference(paths: Iterable[str | Path], paper: dict[str, str]) -> pd.DataFrame:
    """Reads published values, in ``model`` the models of a run that they stand beside.

    Parameters
    ----------
    paths
        Tables of ``config/reference``.
    paper
        Model of a run to the model of the paper, as the tables name it. Other published values are left out.
    """
    table = read_tables(paths)
    beside = [[model for model, one in paper.items() if one == name] for name in table["model"]]
    table["model"] = pd.Series(beside, index=table.index, dtype=object)
    return table.explode("model").dropna(subset="model")


def write_tensors(content: dict[str, Any], path: str | Path) -> None:
    """Write nested dictionaries of tensors, numbers and strings; equal content gives equal bytes."""
    import torch

    with atomic(path) as temporary, open(temporary, "wb") as stream:
        try:
            # Given a path, it would store the random name of the temporary file.
            torch.save(content, stream)
        except RuntimeError as error:
            raise UserError(f"{path}: cannot be written: is the disk full?") from error


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
