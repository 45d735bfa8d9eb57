"""What the columns of a table of responses are: names of images, neurons, or neither."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.matching import match
from whatwhere.recordings.presentations import BLANK, index_numbers
from whatwhere.recordings.tables import Table

_IMAGES = (
    "image images img imgs im imagename imageid frame frames stim stims stimulus stimuli istim picture "
    "pictures pic pics photo photos scene scenes file files filename filenames path texture"
)
"""Words in headers of columns that say which picture was shown."""
_OTHERS = (
    "id ids index idx row rows trial trials presentation presentations repeat repeats rep reps repetition "
    "block blocks session time times timestamp timestamps onset onsets offset start stop end duration date "
    "day speed running velocity pupil lick licks reward split splits tier tiers fold test train validation "
    "unnamed condition mouse subject animal contrast luminance orientation phase gaze arousal motion comment "
    "label class category temperature epoch run"
)
"""Words in headers of columns that are no neurons."""
_COUNTERS = (
    "row rows trial trials presentation presentations repeat repeats rep reps repetition block session"
)
"""Words in headers of columns that count something else than pictures."""
_NEURONS = "neuron unit cell roi electrode spikes rate response"
_FEW = 10
"""Rows from which a column that only rises, or holds every number once, is no neuron's."""


@dataclass(frozen=True)
class Columns:
    """A table of responses, understood.

    Attributes
    ----------
    image_of_row
        (row,) index of the picture, -1 for blanks; None if rows name none.
    neurons
        (neuron,) their columns.
    responses
        (row, neuron) float64.
    covariates
        Names of columns, and (row, covariate) float64; None if there are none.
    reading
        What was taken for what.
    """

    image_of_row: np.ndarray | None
    neurons: np.ndarray
    responses: np.ndarray
    covariates: tuple[list[str], np.ndarray] | None
    reading: list[str]


def understand(table: Table, files: list[str], definition: dict[str, Any], key: str) -> Columns:
    """Find the pictures and the neurons of a table.

    Parameters
    ----------
    table
        One row per presentation.
    files
        Paths of the pictures, in numeric order.
    definition
        ``image_of_presentation``, ``index_base``, ``neurons``, ``ignore``, ``covariates``, ``splits_from``
        and ``groups_from`` of the dataset, all optional.
    key
        Of the dataset, for messages.

    Raises
    ------
    UserError
        If a column cannot be told, or holds what it should not.
    """
    _check_header(table, files, key)
    named = {
        what: definition[what]
        for what in ("image_of_presentation", "splits_from", "groups_from")
        if what in definition
    }
    taken: dict[str, str] = {column: what for what, column in named.items() if column in table.header}
    for what in ("covariates", "ignore"):
        for column in _chosen(table, definition.get(what, []), f"{key}.{what}"):
            taken[column] = what
    neurons = None
    if "neurons" in definition:
        neurons = _chosen(table, definition["neurons"], f"{key}.neurons")
        both = next((column for column in neurons if column in taken), None)
        if both is not None:
            raise UserError(f"{key}.neurons: '{both}' is also under {taken[both]}: choose one")
    image, rows, reading = _find_images(table, files, definition, taken, neurons or [], key)
    if image is not None:
        taken[image] = "image_of_presentation"
    if neurons is None:
        neurons = [column for column in table.header if column not in taken]
        _refuse_others(table, neurons, image, key)
    left = [
        column for column in table.header if column not in neurons and taken.get(column, "ignore") == "ignore"
    ]
    if left:
        reading.append(f"ignored: {', '.join(left)}")
    if not neurons:
        raise UserError(f"{table.path}: has no column of responses")
    reading.append(f"{len(neurons)} neurons: {', '.join(neurons[:5])}{', ...' if len(neurons) > 5 else ''}")
    covariates = [column for column in table.header if taken.get(column) == "covariates"]
    return Columns(
        image_of_row=rows,
        neurons=np.array(neurons, str),
        responses=np.stack([table.numbers(column) for column in neurons], 1),
        covariates=(covariates, np.stack([table.numbers(c) for c in covariates], 1)) if covariates else None,
        reading=reading,
    )


def _chosen(table: Table, patterns: Sequence[str], key: str) -> list[str]:
    """Columns of these names, in which ``*`` stands for any text."""
    chosen: list[str] = []
    for pattern in map(str, patterns):
        found = [name for name in table.header if name == pattern or fnmatchcase(name, pattern)]
        if not found:
            raise UserError(f"{key}: {table.path} has no column '{pattern}'")
        chosen += [name for name in found if name not in chosen]
    return chosen


def _check_header(table: Table, files: list[str], key: str) -> None:
    """Refuse a first line of data, or of pictures; names of neurons may be whole numbers."""
    pictures = {part for file in files for part in (file, file.rpartition("/")[2])}
    if sum(name in pictures for name in table.header) > 1:
        raise UserError(
            f"{table.path}: its columns are named like images: transpose the table, or give an array and "
            f"{key}.responses_layout [neuron, image]"
        )
    numeric = [
        bool(
            re.fullmatch(r"[+-]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][+-]?[0-9]+)?|nan|NA|Unnamed: .*", name)
        )
        for name in table.header
    ]
    first = table.header[0]
    names_picture = any(first in (file, file.rpartition("/")[2]) for file in files)
    whole = all(re.fullmatch("[0-9]+", name) for name in table.header[1:])
    data = all(numeric[1:] or numeric) and (names_picture or not whole)
    if all(numeric) and not first.startswith("Unnamed"):
        data = data or len(table.rows) == len(files) - 1
    if data:
        raise UserError(f"{table.path}: the first line must name the columns")


def _find_images(
    table: Table,
    files: list[str],
    definition: dict[str, Any],
    taken: dict[str, str],
    neurons: list[str],
    key: str,
) -> tuple[str | None, np.ndarray | None, list[str]]:
    """Column that says which picture was shown, the picture of every row, and how this was read."""
    label = str(table.path)
    if "image_of_presentation" in definition:
        column = definition["image_of_presentation"]
        if column not in table.header:
            raise UserError(f"{key}.image_of_presentation: {table.path} has no column '{column}'")
        rows, how = _rows_of(table, column, files, definition.get("index_base"), key)
        return column, rows, [how]
    strong: list[tuple[str, np.ndarray, str]] = []
    weak: list[tuple[str, np.ndarray, str]] = []
    hopeful: list[str] = []
    for column in table.header:
        kind = _kind(table, column)
        if column in taken or column in neurons or kind == "numbers":
            continue
        words = _words(column)
        telling = kind == "text" or image_words(column) or column.lower() == "id"
        try:
            rows, how = match(table.text(column).tolist(), files, label)
        except UserError:
            if telling and (kind != "text" or column == table.header[0]):
                hopeful.append(column)
            continue
        if telling:
            strong.append((column, rows, how))
        elif not words & set(_COUNTERS.split()) and _covers(rows, len(files)):
            weak.append((column, rows, how))
    if not strong and hopeful:
        _rows_of(table, hopeful[0], files, None, key)  # says why not
    found = strong or weak
    if not found:
        return None, None, []
    column, rows, how = found[0]
    if not strong and not _is_even(rows, len(files)):
        raise UserError(
            f"{table.path}: the column '{column}' may be numbers of images or a neuron: set "
            f"{key}.image_of_presentation to it, or list the neurons under {key}.neurons"
        )
    other = next((name for name, others, _ in found[1:] if not np.array_equal(others, rows)), None)
    if other is not None:
        raise UserError(
            f"{table.path}: the columns '{column}' and '{other}' both name images, but not the same: set "
            f"{key}.image_of_presentation to one of them and list the other under {key}.ignore"
        )
    if not strong and np.array_equal(rows, np.arange(len(rows))) and sorted(files) != files:
        raise UserError(
            f"{table.path}: the column '{column}' may be numbers of images or count rows that follow another "
            f"order of the files, such as {', '.join(sorted(files)[:3])}: set {key}.image_of_presentation to "
            "it, or name the image of every row"
        )
    for name, _, _ in found[1:]:
        taken[name] = "ignore"
    if strong:
        taken |= dict.fromkeys((name for name in table.header if _counts_rows(table, name, column)), "ignore")
    return column, rows, [_phrase(column, how, rows)]


def _rows_of(
    table: Table, column: str, files: list[str], base: int | None, key: str
) -> tuple[np.ndarray, str]:
    label = f"{table.path}, column '{column}'"
    if base is not None:
        rows, how = index_numbers(table.numbers(column), len(files), base, f"{key}.index_base", label)
        return rows, f"images from the column '{column}', in the order of their names; {how}"
    try:
        rows, how = match(table.text(column).tolist(), files, str(table.path))
    except UserError as error:
        if _kind(table, column) != "whole":
            raise
        raise UserError(
            f"{error}, or set {key}.index_base to 0 or 1, and image_of_presentation to '{column}', if it "
            "counts the images in the order of their names"
        ) from error
    return rows, _phrase(column, how, rows)


def _phrase(column: str, how: str, rows: np.ndarray) -> str:
    blanks = (rows == BLANK).sum()
    left = f", {blanks} presentations of blanks are left out" if blanks else ""
    return f"images from the column '{column}' by {how}{left}"


def _kind(table: Table, column: str) -> str:
    """text, whole (numbers) or numbers."""
    numbers, fine = table.parsed(column)
    if fine.sum() < len(fine) / 2:
        return "text"
    known = numbers.dropna()
    return "whole" if fine.all() and len(known) and (known == known.round()).all() else "numbers"


def _covers(rows: np.ndarray, n_files: int) -> bool:
    """Whether numbers that match pictures may mean them."""
    return len(np.unique(rows[rows != BLANK])) >= n_files / 2 or _is_even(rows, n_files)


def _is_even(rows: np.ndarray, n_files: int) -> bool:
    """Whether pictures were shown as in an experiment: counts of spikes seldom are so even.

    All alike often; or, if none is missing, alike up to a factor of two, or in two groups such as those that
    train and those that test.
    """
    shown = np.unique(rows[rows != BLANK], return_counts=True)[1]
    if len(shown) < min(_FEW, n_files):
        return False
    groups = len(np.unique(shown))
    return groups == 1 or bool(len(shown) == n_files and (groups == 2 or shown.max() <= 2 * shown.min()))


def _counts_rows(table: Table, column: str, images: str) -> bool:
    """Whether a column without a name, beside one of images, counts rows, as pandas and R write it."""
    if column == images or not column.startswith("Unnamed"):
        return False
    numbers = table.parsed(column)[0].to_numpy(np.float64)
    return any(np.array_equal(numbers, first + np.arange(len(numbers))) for first in (0, 1))


def image_words(header: str) -> bool:
    """Whether a header says that its column names images."""
    return bool(_words(header) & set(_IMAGES.split()))


def _words(header: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", header)}


def _refuse_others(table: Table, neurons: list[str], image: str | None, key: str) -> None:
    """Refuse columns that look like anything but responses."""
    for column in neurons:
        words = _words(column)
        called = words & set(f"{_OTHERS} {_IMAGES}".split())
        why = "its name" if called and not words & set(_NEURONS.split()) else _odd_values(table, column)
        if why is None:
            continue
        advice = f"list it under {key}.ignore or {key}.covariates"
        if image is None:
            advice = f"set {key}.image_of_presentation to it if it names images, or {advice}"
        raise UserError(
            f"{table.path}: the column '{column}' is no neuron by {why}: {advice}, or the neurons under "
            f"{key}.neurons"
        )


def _odd_values(table: Table, column: str) -> str | None:
    kind = _kind(table, column)
    if kind == "text":
        return "its text"
    numbers, fine = table.parsed(column)
    if not fine.all() or numbers.isna().any() or len(numbers) < _FEW:
        return None
    values = numbers.to_numpy(np.float64)
    if (np.diff(values) >= 0).all() and len(np.unique(values)) > 2:
        return f"its values, which only rise (from {values[0]:g} to {values[-1]:g})"
    if (
        kind == "whole"
        and values.min() in (0, 1)
        and (np.sort(values) == values.min() + np.arange(len(values))).all()
    ):
        return f"its values, every number from {values.min():g} to {values.max():g} once"
    return None
