"""Writes a configuration for the files of a recording: whatwhere init FILES...

All guesses about files live here, and are written down as keys that the user confirms; the loader makes none.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from whatwhere.check import check, report
from whatwhere.dataset import SPLITS
from whatwhere.errors import UserError
from whatwhere.recordings.array_files import NamedArray, list_arrays, read_any_array, split_location
from whatwhere.recordings.hdf5 import dataset_at, open_hdf5, read_dataset
from whatwhere.recordings.images import list_pictures
from whatwhere.recordings.layouts import (
    IMAGE_AXES,
    PRESENTATION_AXES,
    RESPONSE_AXES,
    likely_axes,
    stated_axes,
)
from whatwhere.recordings.matching import match
from whatwhere.recordings.nwb import list_objects, table_columns
from whatwhere.recordings.pictures import in_numeric_order, is_image
from whatwhere.recordings.tables import Table, columns_of, is_table, read_table, refuse_long

_IMAGES = "image images img imgs frame stim stims stimulus stimuli istim picture photo scene file filename"
_RESPONSES = "response responses resp spikes rate rates counts sp dff activity trials"
_SPLITS = "split splits tier tiers set fold partition"
_NEURONS = "neuron unit cell roi electrode channel"
_OTHERS = f"""{_IMAGES} {_SPLITS} id index idx order rank position row trial presentation repeat block session
    time timestamp onset offset start stop end duration date day hour speed running velocity pupil lick reward
    rt lum test train validation unnamed condition mouse subject animal contrast luminance orientation phase
    gaze motion comment label class category temperature epoch run aborted correct valid invalid"""
"""Words in the names of arrays and columns that suggest what they hold."""
_FEW = 3
"""Arrays of which the first that fits is taken if no name tells."""
_BLANKS = ("", "nan", "na", "none", "-1", "blank", "grey", "gray", "gray_screen", "spontaneous", "omitted")

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


def describe(files: Sequence[str]) -> Lines:
    """Keys of a dataset that reads the files, with values and comments.

    Raises
    ------
    UserError
        If the files cannot be read, or are no recording.
    """
    nwb = [file for file in files if file.lower().endswith(".nwb")]
    tables = [file for file in files if is_table(file)]
    pictures = [file for file in files if is_image(file) or Path(file).is_dir() or file.endswith(".zip")]
    if len(nwb) == len(files) == 1:
        return _nwb(Path(nwb[0]))
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
    return {f"{file}:{name}": read_any_array(f"{file}:{name}") for name in list_arrays(path)}


def _name(location: str) -> str:
    """Name of an array in its file, or of the file."""
    return re.split(r"[:/.]", location.removesuffix(".npy"))[-1]


def _one(arrays: dict[str, NamedArray], n_axes: tuple[int, ...], words: str) -> str:
    """Location of the array with some number of axes; of several, that whose name tells, or the first."""
    fitting = [one for one, array in arrays.items() if sum(n > 1 for n in array.values.shape) in n_axes]
    selected = [one for one in fitting if _has(_name(one), words)] or fitting
    if not selected or (len(selected) > 1 and len(arrays) > _FEW):
        found, what = ", ".join(selected or arrays) or "no array", words.split()[0]
        raise UserError(f"{found}: do not tell which holds the {what}s: give FILE:ARRAY of those to read")
    return selected[0]


def _two_arrays(arrays: dict[str, NamedArray]) -> Lines:
    images = _one(arrays, (3, 4), _IMAGES)
    others = {name: array for name, array in arrays.items() if name != images}
    responses = _one(others, (2, 3) if len(others) > 1 else (1, 2, 3), _RESPONSES)
    layout, lines = _responses(others, responses, arrays[images], None)
    shape = f"shape {arrays[images].values.shape}"
    return [("kind", "arrays", ""), ("images", images, shape), ("layout", layout, "axes of images"), *lines]


def _stated(array: NamedArray, axes: dict[int, tuple[str, ...]], label: str) -> list[list[str]]:
    words = stated_axes(array, None, axes, "layout", label)
    return [list(words)] if words else []


def _responses(
    arrays: dict[str, NamedArray], location: str, images: NamedArray | None, n_files: int | None
) -> tuple[Any, Lines]:
    """Axes of images, and keys of responses, index and splits."""
    stored = arrays[location]
    shape = stored.values.shape
    lines: Lines = [("responses", location, f"shape {shape}")]
    layouts = _stated(images, IMAGE_AXES, "images") if images else []
    sizes = {n_files or 0} if images is None else set(images.values.shape)
    if images and layouts:
        sizes = {images.values.shape[layouts[0].index("image")]}
    index = splits = None
    for name, array in arrays.items():
        values = array.values.reshape(-1)
        if name != location and max(array.values.shape, default=0) == len(values) > 1:
            if _has(_name(name), _SPLITS) or (images and values.dtype.kind == "U"):
                splits = name
            elif len(values) in shape and len(shape) == 2:
                index = name if index is None or _has(_name(name), _IMAGES) else index
    if index is None:
        axes = RESPONSE_AXES.get(len(shape), ())
        readings = [one for n in sizes for one in likely_axes(shape, axes, "image", n)]
        readings = _stated(stored, RESPONSE_AXES, location) or _by_missing(stored.values, readings)
        counts = {shape[one.index("image")] for one in readings}
    else:
        values = arrays[index].values.reshape(-1)
        lines.append(("image_of_presentation", index, f"{len(values)} presentations"))
        counts = sizes
        if values.dtype.kind != "U":
            shown = np.unique(values[values >= 0])
            fitting = [(n, b) for n in sizes for b in (0, 1) if np.array_equal(shown, b + np.arange(n))]
            counts = {n for n, _ in fitting} or sizes
            base = fitting[0][1] if len(fitting) == 1 else _Ask([0, 1])
            lines.append(("index_base", base, f"number of the first image; they run to {shown.max()}"))
        readings = likely_axes(shape, PRESENTATION_AXES[2], "presentation", len(values))
        readings = _stated(stored, PRESENTATION_AXES, location) or readings
    lines.insert(1, ("responses_layout", _choice(readings, location), "axes; NaN are missing repeats"))
    if splits:
        lines.append(("splits_from", splits, "a split per image or presentation"))
        lines += _tiers(arrays[splits].values.reshape(-1))
    if images is None:
        return None, lines
    shape = images.values.shape
    likely = [one for n in counts for one in likely_axes(shape, IMAGE_AXES[len(shape)], "image", n)]
    return _choice(layouts or likely, "images"), lines


def _by_missing(values: np.ndarray, readings: list[list[str]]) -> list[list[str]]:
    """Readings in which a trial that is missing is missing for all neurons, if any is missing."""
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(1, bool)
    if not missing.any():
        return readings
    axes = [(one, one.index("neuron")) for one in readings]
    return [one for one, axis in axes if (missing.all(axis) == missing.any(axis)).all()] or readings


def _file_order(files: list[str]) -> Any:
    return "natural" if in_numeric_order(files) == sorted(files) else _Ask(["natural", "sorted"])


def _tiers(labels: np.ndarray) -> Lines:
    names = sorted({str(label).strip() for label in labels.tolist()})
    coded = dict(zip(("", "-1", "0", "1", "2", *SPLITS), ("", "", *SPLITS, *SPLITS), strict=True))
    if not set(names) <= set(coded):
        example = {"train": ["NAME"], "validation": ["NAME"], "test": ["NAME"]}
        return [("tiers", _Ask([example]), f"of the names {', '.join(names[:9])}; or assign")]
    if {"", "validation"} & {coded[name] for name in names}:
        return []
    return [("tiers", {"assign": ["train"]}, "no image validates: split divides the images of train")]


def _table(table: Table, files: list[str]) -> Lines:
    numeric = [column for column in table.header if _is_numeric(table, column)]
    image, of_image = _image_column(table, files, numeric)
    others = [column for column in table.header if column != image]
    neurons = [c for c in others if c in numeric and (_has(c, _NEURONS) or not _has(c, _OTHERS))]
    refuse_long(table, neurons, [image or ""])
    pattern = list({re.sub("[0-9]+$", "*", neuron) for neuron in neurons})
    if len(pattern) > 1 or not neurons or columns_of(table, pattern, "neurons") != neurons:
        pattern = neurons
    named = pattern or _Ask([[column] for column in others])
    lines: Lines = [("responses", table.label, f"{len(table.rows)} rows"), *of_image]
    lines.append(("neurons", named, f"{len(neurons)} columns, * for any text"))
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


def _image_column(table: Table, files: list[str], numeric: list[str]) -> tuple[str | None, Lines]:
    """Column that names images, and the keys that say how."""
    found: dict[str, Lines] = {}
    for column in table.header:
        values = table.text(column, "columns").tolist()
        blanks = sorted({value for value in values if value.lower() in _BLANKS})
        if column in numeric and not _has(column, _IMAGES):
            continue
        try:
            match(values, files, column, blanks)
            found[column] = [("blanks", blanks, "presentations without an image")] if blanks else []
        except UserError:
            if column in numeric:
                shown = np.unique(table.numbers(column, "columns"))
                full = [one for one in (0, 1) if np.array_equal(shown, one + np.arange(len(files)))]
                span = f"number of the first file; {shown[0]:g} to {shown[-1]:g} for {len(files)} files"
                found[column] = [("index_base", full[0] if full else _Ask([0, 1]), span)]
                found[column].append(("file_order", _file_order(files), "order of files that numbers count"))
    if len(found) == 1:
        column, keys = found.popitem()
        return column, [("image_of_presentation", column, "column that names images"), *keys]
    if found or len(table.rows) != len(files):
        asked = _Ask(list(found) or table.header)
        return None, [("image_of_presentation", asked, "column that names images")]
    return None, [("file_order", _file_order(files), "no column names images: row 1 is file 1 of this order")]


def _nwb(path: Path) -> Lines:
    lines: Lines = [("kind", "nwb", ""), ("path", str(path), "")]
    selected: dict[str, Any] = {}
    for key, found in list_objects(path).items():
        if not found:
            raise UserError(f"{path}: holds no {key}: it is no session with images")
        selected[key] = "units" if "units" in found else _choice(found, key)
        lines.append((key, selected[key], f"found {', '.join(found)}"))
    window: Any = _Ask([[0, 300], [50, 250]])
    if isinstance(selected["presentations"], str):
        columns = table_columns(path, selected["presentations"])
        telling = [column for column in columns if _has(column, _IMAGES)] or columns
        with open_hdf5(path) as content:
            table = content[selected["presentations"]]
            if columns:
                comment = f"one of the columns {', '.join(columns)}"
                lines.append(("image_of_presentation", _choice(telling, "presentations"), comment))
                start, stop = (read_dataset(dataset_at(table, f"{edge}_time")) for edge in ("start", "stop"))
                window = [0, round(float(np.median(stop - start)) * 1000)]
            values = read_dataset(dataset_at(table, telling[0] if columns else "data"))
            images = content[selected["images"]] if isinstance(selected["images"], str) else {}
            count = len(images["data"] if "data" in images else set(images) - {"order_of_images"})
        if values.dtype.kind in "iuf" and len(telling) < 2:
            first, last = (int(edge) for edge in (values[values >= 0].min(), values.max()))
            base = first if first < 2 and last == first + count - 1 else _Ask([0, 1])
            lines.append(("index_base", base, f"number of the first image; {first} to {last} for {count}"))
    return [*lines, ("window", window, "ms after the onset of an image; add the latency of the neurons")]


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
    models = (
        "models: [mean, ridge, factorized_ridge]}  # others in config/models.yaml, such as factorized_bank"
    )
    return "\n".join([*written, "experiments:", f"  - {{name: {name}, datasets: [{name}], {models}", ""])


def init(files: Sequence[str], output: Path) -> list[str]:
    """Write the configuration of a recording that its files suggest.

    Parameters
    ----------
    files
        Arrays; a folder or zip file of pictures with a table or arrays; or an NWB file.
    output
        File to write.

    Returns
    -------
    Lines that say what was read, with three pairs of image and responses, or which keys are left to choose.

    Raises
    ------
    UserError
        If the output exists, or the files are no recording.
    """
    if output.exists():
        raise UserError(f"{output}: exists: remove it, or choose another file with --output")
    missing = next((file for file in files if not split_location(file)[0].exists()), None)
    if missing is not None:
        raise UserError(f"{missing}: no such file or folder")
    lines = describe(files)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text(lines, output.stem), encoding="utf-8")
    asked = [f"  {key}: {value}" for key, value, _ in lines if isinstance(value, _Ask)]
    if asked:
        return [f"{output} is written; these keys are left to choose:", *asked]
    return [f"{output} is written; this is what it reads:", *check([output])]


def main(files: Sequence[str], output: Path) -> int:
    """Runs :func:`init` and prints its lines; exit code 1 after one line if it refuses."""
    return report(lambda: init(files, output))
