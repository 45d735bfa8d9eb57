"""Responses in CSV files (kind ``images``)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from whatwhere.errors import UserError

IMAGES = ("image", "images", "image_id", "img", "file", "filename", "stimulus", "stimulus_id", "id")
"""Headers of a first column that names images, even if by number."""
COUNTERS = ("", "index", "row", "trial", "trial_id", "presentation", "repeat")
"""Headers of columns that number rows: neither images nor neurons."""


def read_responses(path: Path) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """Read one row per presentation and one column per neuron.

    Parameters
    ----------
    path
        CSV with commas and a header; the first column may hold names of images, which are numbers only if
        its header is one of :data:`IMAGES`. Empty fields, ``nan`` and ``NA`` are missing responses.

    Returns
    -------
    names
        (row,) names of images, or None if every column is a neuron.
    neurons
        (neuron,) names from the header.
    responses
        (row, neuron) float64.

    Raises
    ------
    UserError
        If it is no such table.
    """
    header = _check_lines(path)
    try:
        table = pd.read_csv(path, skiprows=1, header=None, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: is not a CSV table: {' '.join(str(error).split())}") from error
    first = table[0].str.strip()
    named = header[0].strip().lower() in IMAGES or not _is_number(first).all()
    names = first.to_numpy(str) if named else None
    skip = int(named)
    for name in header[skip:]:
        if name.strip().lower() in (*IMAGES, *COUNTERS):
            what = f"the column '{name.strip()}'" if name.strip() else "a column without a name"
            raise UserError(f"{path}: {what} is no neuron: leave it out, or put names of images first")
    neurons = np.array([name.strip() for name in header[skip:]], str)
    if not len(neurons):
        raise UserError(f"{path}: has no column of responses")
    values = [_numbers(table[column], header[column], path) for column in range(skip, len(header))]
    return names, neurons, np.stack(values, 1)


def _check_lines(path: Path) -> list[str]:
    """Header of the table, after a count of the fields of every line: pandas pads short ones silently."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            header = next(csv.reader([stream.readline()], strict=True), [])
            for number, line in enumerate(stream, 2):
                plain = '"' not in line
                found = line.count(",") + 1 if plain else len(next(csv.reader([line], strict=True)))
                if found != len(header):
                    message = f"line {number} has {found} fields but the header has {len(header)}"
                    raise UserError(f"{path}: {message}: repair it")
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is not a CSV table in UTF-8: {' '.join(str(error).split())}") from error
    _check_header(header, path)
    return header


def _check_header(header: list[str], path: Path) -> None:
    if not header:
        raise UserError(f"{path}: is empty")
    if len(header) == 1 and any(separator in header[0] for separator in ";\t"):
        raise UserError(f"{path}: separate the columns by commas")
    if _is_number(pd.Series(header[1:] or header)).all():
        raise UserError(f"{path}: the first line must name the columns")
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        raise UserError(f"{path}: two columns are named '{repeated}': give every neuron its own name")


def _is_number(text: pd.Series) -> pd.Series:
    missing = text.str.strip().str.lower().isin(["", "nan", "na"])
    return missing | pd.to_numeric(text, errors="coerce").notna()


def _numbers(text: pd.Series, name: str, path: Path) -> np.ndarray:
    wrong = np.flatnonzero(~_is_number(text))
    if len(wrong):
        row, value = int(wrong[0]), text.iloc[wrong[0]]
        raise UserError(f"{path}: {value!r} in line {row + 2}, column '{name}' is not a number")
    return pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
