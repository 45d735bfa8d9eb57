"""Writes a configuration for the files of a recording: whatwhere init FILES...

All guesses about files live here, and are written down as keys that the user confirms; the loader makes none.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from whatwhere.check import check
from whatwhere.dataset import SPLITS
from whatwhere.errors import UserError
from whatwhere.logs import report
from whatwhere.recordings.array_files import NamedArray, open_arrays, read_any_array, split_location
from whatwhere.recordings.images import list_pictures
from whatwhere.recordings.labels import as_labels, split_names
from whatwhere.recordings.layouts import (
    IMAGE_AXES,
    PRESENTATION_AXES,
    RESPONSE_AXES,
    likely_axes,
    stated_axes,
)
from whatwhere.recordings.matching import match
from whatwhere.recordings.pictures import in_numeric_order, is_image
from whatwhere.recordings.tables import Table, columns_of, is_table, read_table, refuse_long

_IMAGES = "image images img imgs frame stim stims stimulus stimuli istim picture photo scene file filename"
_RESPONSES = "response responses resp spikes rate rates counts sp dff activity trials"
_SPLITS = "split splits tier tiers set fold partition"
_NEURONS = "neuron unit cell roi electrode channel"
"""Words in the names of arrays and columns that suggest what they hold."""

Lines = list[tuple[str, Any, str]]
"""Keys, values and comments of a dataset."""


class _Ask(NamedTuple):
    """A value that the user has to choose, and that the check refuses until then."""

    choices: Sequence[Any]

    def __str__(self) -> str:
        return f"write one of {' or '.join(map(_yaml, self.choices))}"


def _yaml(value: Any) -> str:
    """A value on one line of YAML."""
    line = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True)
    return line.removesuffix("\n...\n").strip()


def _choice(choices: Sequence[Any], what: str) -> Any:
    if not choices:
        raise UserError(f"{what}: no axis fits the other array: do the files belong together?")
    return choices[0] if len(choices) == 1 else _Ask(choices)


def _has(name: str, words: str) -> bool:
    """Whether one of some words stands in a name."""
    return any(word.lower() in words.split() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name))


def describe(files: Sequence[str], window: Sequence[int] | None) -> Lines:
    """Keys of a dataset that reads the files, with values and comments; ``window`` as for :func:`init`."""
    nwb = [file for file in files if file.lower().endswith(".nwb")]
    tables = [file for file in files if is_table(file)]
    pictures = [file for file in files if is_image(file) or Path(file).is_dir() or file.endswith(".zip")]
    if len(nwb) == len(files) == 1:
        counted = _Ask([[0, 300], [50, 250]]) if window is None else list(window)
        comment = "ms after the onset of an image; what else the file leaves open is asked by the check"
        return [("kind", "nwb", ""), ("path", nwb[0], ""), ("window", counted, comment)]
    if window is not None:
        raise UserError("--window: is for a single NWB file: leave it out")
    others = [file for file in files if file not in (*nwb, *tables, *pictures)]
    arrays = {location: array for file in others for location, array in _arrays(file).items()}
    if not (nwb or tables or pictures):
        return _two_arrays(arrays)
    if nwb or len(pictures) != 1 or len(tables) + bool(arrays) != 1:
        raise UserError(f"{files[0]}: give arrays, pictures with one table or array, or an NWB file alone")
    names = ["page 0"] if is_image(pictures[0]) else list_pictures(pictures[0])
    lines: Lines = [("kind", "images", ""), ("images", pictures[0], f"{len(names)} files")]
    if tables:
        return lines + _table(read_table(Path(tables[0])), names)
    lines += _responses(arrays, _one(arrays, (2, 3), _RESPONSES), None, len(names))[1]
    return [*lines, ("file_order", _file_order(names), "order of the files that rows or numbers follow")]


def _arrays(file: str) -> dict[str, NamedArray]:
    """All arrays of a file, or the one that follows a colon, by their location."""
    path, inside = split_location(file)
    if inside is not None or file.endswith(".npy"):
        return {file: read_any_array(file)}
    with open_arrays(path) as arrays:
        return {f"{file}:{name}": read() for name, read in arrays.items()}


def _name(location: str) -> str:
    """Name of an array in its file, or of the file."""
    return re.split(r"[:/.]", location.removesuffix(".npy"))[-1]


def _one(arrays: dict[str, NamedArray], n_axes: tuple[int, ...], words: str) -> str:
    """Location of the only array with some number of axes, or of several that whose name tells."""
    fitting = [one for one, array in arrays.items() if sum(n > 1 for n in array.values.shape) in n_axes]
    selected = fitting if len(fitting) == 1 else [one for one in fitting if _has(_name(one), words)]
    if len(selected) != 1:
        found, what = ", ".join(selected or fitting or arrays) or "no array", words.split()[0]
        raise UserError(f"{found}: do not tell which holds the {what}s: give FILE:ARRAY of those to read")
    return selected[0]


def _two_arrays(arrays: dict[str, NamedArray]) -> Lines:
    images = _one(arrays, (3, 4), _IMAGES)
    others = {name: array for name, array in arrays.items() if name != images}
    responses = _one(others, (2, 3) if len(others) > 1 else (1, 2, 3), _RESPONSES)
    layout, lines = _responses(others, responses, arrays[images], None)
    shape = f"shape {arrays[images].values.shape}"
    return [("kind", "arrays", ""), ("images", images, shape), ("layout", layout, "axes of images"), *lines]


def _readings(
    array: NamedArray, axes: dict[int, tuple[str, ...]], word: str, lengths: Iterable[int], label: str
) -> list[list[str]]:
    """Axes that the file states, or those in which an axis has one of some lengths."""
    stated = stated_axes(array, None, axes, "layout", label)
    shape = array.values.shape
    if stated:
        return [list(stated)]
    return [one for length in lengths for one in likely_axes(shape, axes[len(shape)], word, length)]


def _responses(
    arrays: dict[str, NamedArray], location: str, images: NamedArray | None, n_files: int | None
) -> tuple[Any, Lines]:
    """Axes of images, and keys of responses, index and splits."""
    stored = arrays[location]
    lists = {
        name: array.values.reshape(-1)
        for name, array in arrays.items()
        if name != location and max(array.values.shape, default=0) == array.values.size > 1
    }
    splits = next((name for name in lists if _has(_name(name), _SPLITS)), None)
    indices = [name for name in lists if name != splits and len(lists[name]) in stored.values.shape]
    sizes = {n_files} if n_files else set(images.values.shape) if images else set()
    lines: Lines = []
    if indices:
        length = [len(lists[indices[0]])]
        readings = _readings(stored, PRESENTATION_AXES, "presentation", length, location)
        lines.append(("image_of_presentation", _choice(indices, location), f"{length[0]} presentations"))
        if lists[indices[0]].dtype.kind != "U":
            shown = np.unique(lists[indices[0]][lists[indices[0]] >= 0])
            sizes = {len(shown)} & sizes or sizes
            span = f"number of the first image; they run from {shown[0]} to {shown[-1]}"
            lines.append(("index_base", _Ask([0, 1]), span))
    else:
        readings = _readings(stored, RESPONSE_AXES, "image", sizes, location)
        sizes = {stored.values.shape[one.index("image")] for one in readings}
    if splits:
        lines.append(("splits_from", splits, "a split per image or presentation"))
        lines += _tiers(as_labels(lists[splits], splits))
    layouts = _readings(images, IMAGE_AXES, "image", sizes, "images") if images else []
    axes = ("responses_layout", _choice(readings, location), "axes; NaN are missing repeats")
    lines = [("responses", location, f"shape {stored.values.shape}"), axes, *lines]
    return _choice(layouts, "images") if images else None, lines


def _file_order(files: list[str]) -> Any:
    return "natural" if in_numeric_order(files) == sorted(files) else _Ask(["natural", "sorted"])


def _tiers(labels: np.ndarray) -> Lines:
    names = set(split_names(labels))
    if not names <= {"", *SPLITS}:
        example = {"train": ["NAME"], "validation": ["NAME"], "test": ["NAME"]}
        return [("tiers", _Ask([example]), f"of the names {', '.join(sorted(names)[:9])}; or assign")]
    if {"", "validation"} & names:
        return []
    return [("tiers", {"assign": ["train"]}, "no image validates: split divides the images of train")]


def _table(table: Table, files: list[str]) -> Lines:
    naming = [column for column in table.header if _names(table, column, files)]
    image = naming[0] if len(naming) == 1 else _Ask(naming or table.header)
    others = [column for column in table.header if column != image]
    numeric = [column for column in others if _is_numeric(table, column)]
    refuse_long(table, numeric, naming)
    neurons = [column for column in numeric if _has(column, _NEURONS)]
    patterns = list(dict.fromkeys(re.sub("[0-9]+$", "*", neuron) for neuron in neurons))
    fitting = bool(neurons) and set(columns_of(table, patterns, "neurons")) == set(neurons)
    lines: Lines = [("responses", table.label, f"{len(table.rows)} rows")]
    order = "column with the image; with numbers, set index_base and file_order; without it, set file_order"
    lines.append(("image_of_presentation", image, order))
    named = (patterns if fitting else neurons) or _Ask([numeric])
    lines.append(("neurons", named, "columns, * for any text"))
    left = [column for column in others if column not in neurons]
    for column in [column for column in left if _has(column, _SPLITS)][:1]:
        lines += [("splits_from", column, "a split per row"), *_tiers(table.text(column, "splits_from"))]
        left.remove(column)
    comment = "list columns under covariates, or values of them under leave_out, such as {aborted: [1]}"
    return [*lines, ("# ignored", left, comment)] if left else lines


def _is_numeric(table: Table, column: str) -> bool:
    try:
        return bool(np.isfinite(table.numbers(column, "columns")).any())
    except UserError:
        return False


def _names(table: Table, column: str, files: list[str]) -> bool:
    """Whether a column names files by more than their number."""
    try:
        match(table.text(column, "columns").tolist(), files, column)
    except UserError:
        return False
    return not _is_numeric(table, column) or _has(column, _IMAGES)


def text(lines: Lines, name: str) -> str:
    """A configuration with one dataset, as YAML with a comment for every key."""
    preparation = {"color": "grey", "crop": None, "size": None, "normalize": "per_pixel"}
    split = {"validation": 0.15, "test": 0.15, "folds": 5, "seed": 1}
    if lines[0][1] != "nwb":
        lines = [*lines, ("repeat_averages", False, "true if responses are means over repeats")]
    lines = [*lines, ("image", preparation, "color: grey, rgb or stored; size: [y, x] in px, small is fast")]
    lines = [*lines, ("split", split, "shares of the images that have no split; number of random divisions")]
    written = ["# Written by `whatwhere init`: check every key of the dataset, then run the workflow on it."]
    written += [f"run: {name}", "datasets:", f"  {name}:"]
    for key, value, comment in lines:
        entry = f"    {key}: {_yaml(str(value) if isinstance(value, _Ask) else value)}"
        written.append(f"{entry}  # {comment}" if comment else entry)
    models = "models: [mean, ridge, factorized_ridge]}  # others: config/models.yaml, such as factorized_bank"
    return "\n".join([*written, "experiments:", f"  - {{name: {name}, datasets: [{name}], {models}", ""])


def init(files: Sequence[str], output: Path, window: Sequence[int] | None = None) -> list[str]:
    """Writes the configuration ``output`` of a recording that its files suggest.

    ``files`` are arrays; a folder or zip file of pictures with a table or arrays; or an NWB file. ``window``
    is the start and end, ms after the onset of an image, between which spikes of an NWB file count; None
    asks. Returns lines that say what was read, with three pairs of image and responses, or which keys are
    left to choose. UserError if the output exists, or the files are no recording.
    """
    if output.exists():
        raise UserError(f"{output}: exists: remove it, or choose another file with --output")
    missing = next((file for file in files if not split_location(file)[0].exists()), None)
    if missing is not None:
        raise UserError(f"{missing}: no such file or folder")
    lines = describe(files, window)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text(lines, output.stem), encoding="utf-8")
    asked = [f"  {key}: {value}" for key, value, _ in lines if isinstance(value, _Ask)]
    if asked:
        return [f"{output} is written; these keys are left to choose:", *asked]
    return [f"{output} is written; this is what it reads:", *check([output])]


def main(files: Sequence[str], output: Path, window: Sequence[int] | None) -> int:
    """Runs :func:`init` and prints its lines; exit code 1 after one line if it refuses."""
    return report(lambda: init(files, output, window))
