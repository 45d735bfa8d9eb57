"""Writes the numbers of the documents from committed tables: ``python docs/write_numbers.py [FILE.md ...]``.

A document states a number as a query on a CSV file, in an HTML comment that readers do not see:

- ``0.84<!-- {file: ..., where: ..., show: ...} -->``: the number before the comment is written.
- ``<!-- table`` with ``corner``, ``rows`` and ``columns`` (label: query, or mapping of keys) and ``-->``: the
  whole table below the comment is written. An entry has the keys of the table, of the row and of the column.

Keys of a query, in YAML:

- ``file``: path in the repository
- ``where``: pandas query; the queries of a table, a row and a column are joined by "and"
- ``compute``: optional, a new column such as ``times = 2 ** image_doublings``
- ``reduce``: optional, ``min``, ``max``, ``mean``, ``std``, ``sum`` or ``count`` over the remaining rows
- ``show``: format with the names of columns, such as ``"{rate:.2f} ({low:.2f} to {high:.2f})"``
- ``absent``, ``nan``, ``negative``: optional, texts for no row, a missing value and a negative number
"""

import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TABLE = re.compile(r"(<!-- table\n(.*?)-->\n)\n?(?:\|[^\n]*\n)*\n?", re.DOTALL)
NUMBER = re.compile(r"(-?[\d.,]+)(<!-- (\{.*?\}) -->)", re.DOTALL)

NO_RESULTS = [
    r"<!-- cited:.*?<!-- end of citation -->",
    r"^```.*?^```$",
    r"`[^`]+`",
    r"\]\([^)]*\)|<https?://\S+>|\b(?:arXiv|doi):\S+",
    r"\b\d+\.\d+\.\d+\b|\bPython \d\.\d+|\bGPL-\d\.\d",
    r"\b(?:90|95) %\s(?:confidence|credible|interval)",
    r"\b[\d.]+\s(?:minutes|hours)\b",
]
"""Numbers that are no results: citations, code, addresses, versions, levels of confidence, times to wait."""
RESULT = re.compile(r"(?<![\w.])-?\d*\.\d+|(?<![\w.])\d+ ?%|(?<=\| )[-−]?[\d.,]+(?= \|)")
"""Decimals and percentages anywhere, and numbers that fill an entry of a table."""


@cache
def read(file: str) -> pd.DataFrame:
    """Rows of a committed table."""
    return pd.read_csv(ROOT / file)


@cache
def found(file: str, where: str) -> np.ndarray:
    """Whether a query leaves a row of a committed table, (row,)."""
    return read(file).eval(where).to_numpy()


def answer(*levels: dict[str, Any] | str) -> str:
    """Text of one query whose keys are spread over ``levels``; a later level wins, and ``where`` is joined.

    Raises
    ------
    ValueError
        If not exactly one row is left, and the query has no text for this case.
    """
    mappings = [{"where": level} if isinstance(level, str) else level for level in levels]
    query: dict[str, Any] = {key: value for mapping in mappings for key, value in mapping.items()}
    where = [mapping["where"] for mapping in mappings if "where" in mapping] or ["index >= 0"]
    rows = read(query["file"])[np.logical_and.reduce([found(query["file"], one) for one in where])]
    if "compute" in query:
        rows = rows.eval(query["compute"])
    if "reduce" in query and len(rows):
        rows = rows.select_dtypes(["number", "bool"]).agg([query["reduce"]])
    if rows.empty and "absent" in query:
        return str(query["absent"])
    if len(rows) != 1:
        raise ValueError(f"{query['file']} has {len(rows)} rows where {where}, a query must leave one")
    text = query["show"].format_map(rows.iloc[0].to_dict())
    if text.startswith("-") and "negative" in query:
        return str(query["negative"])
    if "nan" in text and "nan" not in query:
        raise ValueError(
            f"{query['file']} has no {query['show']} where {where}, the key nan must say what to write"
        )
    return text.replace("nan", str(query.get("nan")))


def write_table(match: re.Match[str]) -> str:
    """Returns the comment of a table and the table that the comment describes, between empty lines."""
    table = yaml.safe_load(match[2])
    rows, columns = table.pop("rows"), table.pop("columns")
    head = " | ".join(map(str, [table.pop("corner"), *columns]))
    lines = [f"| {head} |", f"|{'---|' * (head.count(' | ') + 1)}"]
    for label, row in rows.items():
        entries = [str(label), *(answer(table, row, column) for column in columns.values())]
        lines.append(f"| {' | '.join(entries)} |")
    return "\n".join([match[1], *lines, "\n"])


def written(text: str) -> str:
    """Returns the text of a document with all numbers written anew."""
    text = TABLE.sub(write_table, text).rstrip("\n") + "\n"
    return NUMBER.sub(lambda match: answer(yaml.safe_load(match[3])) + match[2], text)


def typed(text: str) -> list[str]:
    """Results that stand in a document without a query."""
    for pattern in [TABLE.pattern, NUMBER.pattern, *NO_RESULTS]:
        text = re.sub(pattern, "…", text, flags=re.DOTALL | re.MULTILINE)
    return RESULT.findall(text)


if __name__ == "__main__":
    for document in map(Path, sys.argv[1:] or DOCUMENTS):
        document.write_text(written(document.read_text(encoding="utf-8")), encoding="utf-8")
