"""Text tables: separators, decimals and headers as programs write them."""

import csv
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from whatwhere.errors import UserError

TABLES = (".csv", ".tsv", ".txt")
_OTHERS = (".xlsx", ".xls", ".ods", ".parquet", ".feather", ".pkl", ".pickle", ".gz", ".sav", ".rds")
_NEURON = "neuron|unit|cell|roi|electrode|channel"  # starts of names of columns that name a neuron
_SEPARATORS = (",", ";", "\t")
_MISSING = ("", "nan", "na", "n/a", "#n/a", "<na>", "null", "none")


@dataclass(frozen=True)
class Table:
    """A table of text, which messages call ``label``.

    ``rows`` (row, column) is text; names of columns have no spaces around them, missing names are ``Unnamed:
    0``, ... With ``decimal_comma`` numbers have a comma for a point.
    """

    label: str
    rows: pd.DataFrame
    decimal_comma: bool = False

    @property
    def header(self) -> list[str]:
        """Names of the columns."""
        return list(self.rows.columns)

    @property
    def columns(self) -> str:
        """The first twenty columns, for messages."""
        return ", ".join(self.header[:20]) + (", ..." if len(self.header) > 20 else "")

    def no_column(self, column: str, key: str) -> UserError:
        """The error of a key that names a column that is not there."""
        return UserError(f"{key}: {self.label} has no column '{column}' but {self.columns}")

    def text(self, column: str, key: str) -> np.ndarray:
        """Values of a column as (row,) text without spaces around them, truth values in lower case."""
        if column not in self.rows:
            raise self.no_column(column, key)
        text = self.rows[column].str.strip().to_numpy(str)
        lower = np.char.lower(text)
        return lower if set(lower) <= {"true", "false"} else text

    def numbers(self, column: str, key: str) -> np.ndarray:
        """Values of a column as (row,) float64, NaN where missing; UserError if one is no number."""
        text = self.text(column, key)
        if self.decimal_comma:
            text = np.char.replace(text, ",", ".")
        return to_numbers(text, f"{self.label}, column '{column}'", "line", 2)


def to_numbers(text: np.ndarray, label: str, place: str = "row", first: int = 1) -> np.ndarray:
    """Numbers in (row,) text as float64, NaN where missing; a message counts ``place`` from ``first``."""
    numbers = pd.to_numeric(pd.Series(text), errors="coerce").to_numpy(np.float64)
    wrong = np.flatnonzero(np.isnan(numbers) & ~np.isin(np.char.lower(text), _MISSING))
    if len(wrong):
        value = str(text[wrong[0]])
        advice = "write NA if it is missing, or list it under blanks if it shows no image"
        raise UserError(f"{label}: {value!r} in {place} {wrong[0] + first} is not a number: {advice}")
    return numbers


def columns_of(table: Table, patterns: Sequence[str], key: str) -> list[str]:
    """Columns of these names, in which ``*`` stands for any text; UserError if a pattern fits none."""
    found: dict[str, None] = {}
    for pattern in map(str, patterns):
        fitting = [name for name in table.header if name == pattern or fnmatchcase(name, pattern)]
        if not fitting:
            raise table.no_column(pattern, key)
        found |= dict.fromkeys(fitting)
    return list(found)


def is_table(location: str) -> bool:
    """Whether a file name ends like a text table's; UserError for those of other tables."""
    if location.lower().endswith(_OTHERS):
        raise UserError(f"{location}: is a table of a type that is not read: save it as .csv")
    return location.lower().endswith(TABLES)


def refuse_long(table: Table, neurons: Sequence[str], others: Container[str]) -> None:
    """Refuses a table with one row per image and neuron; ``others`` are columns that are no responses."""
    for column in table.header:
        is_open = re.match(_NEURON, column.lower()) and column not in others
        if is_open and len({*neurons} - {column}) == 1 and table.rows[column].nunique() > 1:
            fault = f"column '{column}' names the neuron of every row"
            raise UserError(f"{table.label}: {fault}: give every neuron a column")


def read_table(path: Path) -> Table:
    """Reads a table with one header line, separated by commas, semicolons or tabs.

    Empty lines at the end are left out, and empty columns without a name.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            separator = max(_SEPARATORS, key=first.count)
            stream.seek(0)
            lines = [*csv.reader(stream, delimiter=separator, strict=True)]
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not a CSV table in UTF-8: save it as text in this encoding") from error
    except (OSError, csv.Error) as error:
        raise UserError(f"{path}: is not a CSV table: {error}") from error
    if separator not in first and (first.startswith("#") or len(first.split()) > 1):
        fault = "its first line does not name columns that commas, semicolons or tabs separate"
        raise UserError(f"{path}: {fault}")
    while lines and not "".join(lines[-1]).strip():
        lines.pop()
    if len(lines) < 2:
        raise UserError(f"{path}: is {'not a CSV table: no line but its header' if lines else 'empty'}")
    for number, line in enumerate(lines, 1):
        if not "".join(line).strip():
            raise UserError(f"{path}: line {number} is empty: remove it, or write NA for missing")
        if len(line) != len(lines[0]):
            found = f"line {number} has {len(line)} fields but the header has {len(lines[0])}"
            raise UserError(f"{path}: {found}: repair it")
    names = [name.strip() or f"Unnamed: {place}" for place, name in enumerate(lines[0])]
    rows = pd.DataFrame(lines[1:], columns=names, dtype=str)
    # A separator at the end of every line makes no column.
    rows = rows.loc[:, [any(map(str.strip, column)) for column in zip(*lines, strict=True)]]
    repeated = rows.columns[rows.columns.duplicated()]
    if len(repeated):
        raise UserError(f"{path}: two columns are named '{repeated[0]}': give every neuron its own name")
    return Table(str(path), rows, separator != "," and _has_decimal_commas(rows, path))


def _has_decimal_commas(rows: pd.DataFrame, path: Path) -> bool:
    pattern = r"\s*[+-]?\d*{}\d+(?:[eE][+-]?\d+)?\s*"
    commas, points = (
        any(rows[column].str.fullmatch(pattern.format(mark)).any() for column in rows)
        for mark in (",", r"\.")
    )
    if commas and points:
        raise UserError(f"{path}: numbers have both decimal commas and decimal points: use one of them")
    return commas
