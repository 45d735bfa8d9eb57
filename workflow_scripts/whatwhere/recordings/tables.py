"""Text tables: separators, decimals and headers as programs write them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from whatwhere.config.dataset_checks import TABLES
from whatwhere.errors import UserError

_OTHERS = (".xlsx", ".xls", ".ods", ".parquet", ".feather", ".pkl", ".pickle", ".gz", ".sav", ".rds")
_SEPARATORS = (",", ";", "\t")
_MISSING = ("", "nan", "na", "n/a", "#n/a", "<na>", "null", "none")


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes
    ----------
    path
        Of its file.
    header
        Names of the columns, without spaces around them; ``Unnamed: 0`` and so on where there are none.
    rows
        (row, column) text.
    decimal_comma
        Whether numbers have a comma for a point.
    """

    path: Path
    header: list[str]
    rows: pd.DataFrame
    decimal_comma: bool

    def text(self, column: str) -> pd.Series:
        """Values of a column as text, without spaces around them."""
        return self.rows[self.header.index(column)].str.strip()

    def parsed(self, column: str) -> tuple[pd.Series, pd.Series]:
        """Values of a column as numbers, NaN where they are none, and whether they are one or missing."""
        text = self.text(column)
        if self.decimal_comma:
            text = text.str.replace(",", ".", regex=False)
        numbers = pd.to_numeric(text, errors="coerce")
        return numbers, text.str.lower().isin(_MISSING) | numbers.notna()

    def numbers(self, column: str) -> np.ndarray:
        """Values of a column as (row,) float64; UserError if one is no number and not missing."""
        numbers, fine = self.parsed(column)
        wrong = np.flatnonzero(~fine)
        if len(wrong):
            row = int(wrong[0])
            value = self.rows[self.header.index(column)].iloc[row]
            raise UserError(f"{self.path}: {value!r} in line {row + 2}, column '{column}' is not a number")
        return numbers.to_numpy(np.float64)


def is_table(location: str) -> bool:
    """Whether a file name ends like a text table's; UserError for those of other tables."""
    if location.lower().endswith(_OTHERS):
        raise UserError(f"{location}: is a table of a type that is not read: save it as .csv")
    return location.lower().endswith(TABLES)


def read_table(path: Path) -> Table:
    """Read a table with one header line, separated by commas, semicolons or tabs.

    Empty lines at the end are left out, and empty columns without a name.

    Raises
    ------
    UserError
        If it is no such table.
    """
    header, separator, n_rows = _check_lines(path)
    try:
        rows = pd.read_csv(
            path, sep=separator, skiprows=1, header=None, dtype=str, keep_default_na=False, nrows=n_rows
        )
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: is not a CSV table: {' '.join(str(error).split())}") from error
    # As pandas calls what has no name.
    names = [name.strip() or f"Unnamed: {position}" for position, name in enumerate(header)]
    kept = [
        column for column, name in enumerate(header) if name.strip() or (rows[column].str.strip() != "").any()
    ]
    names, rows = [names[column] for column in kept], rows[kept].set_axis(range(len(kept)), axis=1)
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UserError(f"{path}: two columns are named '{repeated}': give every neuron its own name")
    return Table(path, names, rows, separator != "," and _has_decimal_commas(rows, path))


def _check_lines(path: Path) -> tuple[list[str], str, int]:
    """Header, separator and number of rows, after a count of the fields of every line.

    Pandas pads short lines and skips empty ones silently.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            separator = max(_SEPARATORS, key=first.count)
            header = next(csv.reader([first], delimiter=separator, strict=True), [])
            if not header:
                raise UserError(f"{path}: is empty")
            if len(header) == 1 and (first.startswith("#") or len(first.split()) > 1):
                raise UserError(
                    f"{path}: its first line does not name columns that commas, semicolons or tabs separate"
                )
            empty, last = 0, 1
            for number, line in enumerate(stream, 2):
                if not line.strip(f"{separator} \r\n"):
                    empty = empty or number
                    continue
                if empty:
                    raise UserError(f"{path}: line {empty} is empty: remove it, or write NA for missing")
                plain = '"' not in line
                fields = line.count(separator) + 1 if plain else len(_fields(line, separator))
                if fields != len(header):
                    message = f"line {number} has {fields} fields but the header has {len(header)}"
                    raise UserError(f"{path}: {message}: repair it")
                last = number
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a CSV table in UTF-8: save it as text in this encoding") from error
    except (OSError, csv.Error) as error:
        raise UserError(f"{path}: is not a CSV table: {' '.join(str(error).split())}") from error
    return header, separator, last - 1


def _fields(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator, strict=True))


def _has_decimal_commas(rows: pd.DataFrame, path: Path) -> bool:
    pattern = r"\s*[+-]?\d*{}\d+(?:[eE][+-]?\d+)?\s*"
    commas, points = (
        any(rows[column].str.fullmatch(pattern.format(mark)).any() for column in rows)
        for mark in (",", r"\.")
    )
    if commas and points:
        raise UserError(f"{path}: numbers have both decimal commas and decimal points: use one of them")
    return commas
