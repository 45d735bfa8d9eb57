"""Which picture a name or a number in a table means."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.pictures import is_image
from whatwhere.recordings.presentations import BLANK

_BLANKS = {"", "nan", "na", "none", "null", "-1", "-1.0", "blank", "grey", "gray", "spontaneous"}
_BLANKS |= {f"{colour}{space}screen" for colour in ("grey", "gray", "blank") for space in " _"}
"""What tables call a presentation of none of the pictures."""


def match(values: list[str], files: list[str], label: str) -> tuple[np.ndarray, str]:
    """Index of the file that every value means, and how it was found.

    A value is a path, a file name, one without its ending, or a whole number that ends the name; a folder
    that all values share may be any. A value of no picture that commonly stands for a blank, or the number
    just before or after those of all pictures, is :data:`BLANK`.

    Parameters
    ----------
    values
        (row,) names or numbers.
    files
        Paths of the pictures.
    label
        What to call the table in messages.

    Raises
    ------
    UserError
        If a value means no picture, or several.
    """
    values = [_composed(value) for value in values]
    files = [_composed(file) for file in files]
    best: tuple[list[str], list[str], dict[str, int], str] | None = None
    for how, keys, wanted in _readings(values, files):
        index = {key: position for position, key in enumerate(keys)}
        unknown = [v for v in dict.fromkeys(wanted) if v not in index and v.lower() not in _BLANKS]
        if how == "number" and len(unknown) == 1 and _is_end(unknown[0], keys, wanted):
            unknown = []
        if not unknown and any(value in index for value in wanted):
            _refuse_doubles(keys, wanted, label)
            rows = np.array([index.get(value, BLANK) for value in wanted])
            return rows, how
        if best is None or len(unknown) < len(best[0]):
            best = unknown, wanted, index, how
    assert best is not None
    unknown, wanted, _, _ = best
    shown = values[wanted.index(unknown[0])] if unknown else values[0]
    raise UserError(f"{label}: there is no image '{shown}': give the names of image files")


def _composed(text: str) -> str:
    """Accents as one letter each: systems store them differently."""
    return unicodedata.normalize("NFC", text.strip())


def _readings(values: list[str], files: list[str]) -> list[tuple[str, list[str], list[str]]]:
    """Ways to compare: how, one key per file, one per value."""
    paths = [PurePosixPath(file) for file in files]
    stems = [path.stem for path in paths]
    bare = _without_folder(values)
    ways = [
        ("path", files, values),
        ("file name", [path.name for path in paths], bare),
        ("name without ending", stems, bare),
        ("name without ending", stems, [v.rpartition(".")[0] if is_image(v) else v for v in bare]),
    ]
    whole = [_whole(value) for value in values]
    ending = [re.search(r"([0-9]+)[^0-9]*$", path.stem) for path in paths]
    if all(end is not None for end in ending) and any(number is not None for number in whole):
        numbers = [str(int(end[1])) for end in ending if end is not None]
        ways.append(("number", numbers, [v if n is None else n for v, n in zip(values, whole, strict=True)]))
    return ways


def _without_folder(values: list[str]) -> list[str]:
    """Names without the folder, of any system, that is the same for all but blanks."""
    parts = [value.replace("\\", "/").rpartition("/") for value in values]
    folders = {folder for folder, _, name in parts if name.lower() not in _BLANKS}
    return [name for _, _, name in parts] if len(folders) == 1 else values


def _whole(text: str) -> str | None:
    """A whole number without leading zeros or decimals, None for other text."""
    found = re.fullmatch(r"([+-]?[0-9]+)(\.0*)?", text)
    return str(int(found[1])) if found else None


def _is_end(value: str, keys: list[str], wanted: list[str]) -> bool:
    """Whether a number is next to those of the pictures, all of which are shown."""
    numbers = {int(key) for key in keys}
    if _whole(value) is None or not set(keys) <= set(wanted):
        return False
    return int(value) in (min(numbers) - 1, max(numbers) + 1)


def _refuse_doubles(keys: list[str], wanted: list[str], label: str) -> None:
    seen: set[str] = set()
    doubles = {key for key in keys if key in seen or seen.add(key)}  # type: ignore[func-returns-value]
    double = next((value for value in wanted if value in doubles), None)
    if double is not None:
        raise UserError(f"{label}: two images are named '{double}': give their paths, or rename one")
