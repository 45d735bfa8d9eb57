"""Text tables: separators, decimals and headers as programs write them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from whatwhere.errors import UserError

_TABLES = (".csv", ".tsv", ".txt")
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

    def numbers(self, column: str, wanted: np.ndarray | bool = True) -> np.ndarray:
        """Values of a column as (row,) float64, NaN where missing; UserError if a wanted one is no number."""
        text = self.text(column)
        if self.decimal_comma:
            text = text.str.replace(",", ".", regex=False)
        numbers = pd.to_numeric(text, errors="coerce")
        wrong = np.flatnonzero(numbers.isna() & ~text.str.lower().isin(_MISSING) & wanted)
        if len(wrong):
            row = int(wrong[0])
            value = self.rows[self.header.index(column)].iloc[row]
            raise UserError(f"{self.path}: {value!r} in line {row + 2}, column '{column}' is not a number")
        return numbers.to_numpy(np.float64)


def columns_of(table: Table, patterns: Sequence[str], key: str) -> list[str]:
    """Columns of these names, in which ``*`` stands for any text; UserError if a pattern fits none."""
    found: dict[str, None] = {}
    for pattern in map(str, patterns):
        fitting = [name for name in table.header if name == pattern or fnmatchcase(name, pattern)]
        if not fitting:
            raise UserError(
                f"{key}: {table.path} has no column '{pattern}' but {', '.join(table.header[:20])}"
            )
        found |= dict.fromkeys(fitting)
    return list(found)


def is_table(location: str) -> bool:
    """Whether a file name ends like a text table's; UserError for those of other tables."""
    if location.lower().endswith(_OTHERS):
        raise UserError(f"{location}: is a table of a type that is not read: save it as .csv")
    return location.lower().endswith(_TABLES)


def read_table(path: Path) -> Table:
    """Read a table with one header line, separated by commas, semicolons or tabs.

    Empty lines at the end are left out, and empty columns without a name.

    Raises
    ------
    UserError
        If it is no such table.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            header, separator, lines = _read_lines(stream, path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a CSV table in UTF-8: save it as text in this encoding") from error
    except (OSError, csv.Error) as error:
        raise UserError(f"{path}: is not a CSV table: {error}") from error
    # As pandas names columns without a name; a separator at the end of every line makes no column.
    names = [name.strip() or f"Unnamed: {position}" for position, name in enumerate(header)]
    kept = [c for c, name in enumerate(header) if name.strip() or any(line[c].strip() for line in lines)]
    names, rows = (
        [names[column] for column in kept],
        pd.DataFrame([[line[c] for c in kept] for line in lines]),
    )
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise UserError(f"{path}: two columns are named '{repeated}': give every neuron its own name")
    return Table(path, names, rows, separator != "," and _has_decimal_commas(rows, path))


def _read_lines(stream: TextIO, path: Path) -> tuple[list[str], str, list[list[str]]]:
    """Header, separator and fields of every line."""
    first = stream.readline()
    separator = max(_SEPARATORS, key=first.count)
    stream.seek(0)
    reader = csv.reader(stream, delimiter=separator, strict=True)
    header = next(reader, [])
    if not header:
        raise UserError(f"{path}: is empty")
    if len(header) == 1 and (first.startswith("#") or len(first.split()) > 1):
        raise UserError(
            f"{path}: its first line does not name columns that commas, semicolons or tabs separate"
        )
    lines: list[list[str]] = []
    empty = None
    for fields in reader:
        if not any(field.strip() for field in fields):
            empty = empty or reader.line_num
            continue
        if empty:
            raise UserError(f"{path}: line {empty} is empty: remove it, or write NA for missing")
        if len(fields) != len(header):
            found = f"line {reader.line_num} has {len(fields)} fields but the header has {len(header)}"
            raise UserError(f"{path}: {found}: repair it")
        lines.append(fields)
    if not lines:
        raise UserError(f"{path}: is not a CSV table: it has no line but its header")
    return header, separator, lines


def _has_decimal_commas(rows: pd.DataFrame, path: Path) -> bool:
    pattern = r"\s*[+-]?\d*{}\d+(?:[eE][+-]?\d+)?\s*"
    commas, points = (
        any(rows[column].str.fullmatch(pattern.format(mark)).any() for column in rows)
        for mark in (",", r"\.")
    )
    if commas and points:
        raise UserError(f"{path}: numbers have both decimal commas and decimal points: use one of them")
    return commas
