"""Picture files with a table or an array of responses (kind ``images``)."""

import logging
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.archive import open_tree
from whatwhere.recordings.array_files import as_list, read_any_array, read_array
from whatwhere.recordings.arrays import arrange_responses, presented
from whatwhere.recordings.labels import read_list
from whatwhere.recordings.matching import match, names_of, order_by_name
from whatwhere.recordings.pictures import decode_image, decode_pages, in_numeric_order, is_image
from whatwhere.recordings.presentations import BLANK
from whatwhere.recordings.recording import Recording
from whatwhere.recordings.rows import LABELS, Rows, image_index, recording_of, rows_of, with_columns
from whatwhere.recordings.tables import columns_of, is_table, read_table, refuse_long

logger = logging.getLogger(__name__)

Order = Callable[[list[str]], list[str]]
"""Function that sorts file names."""
ORDERS: dict[str, Order] = {"natural": in_numeric_order, "sorted": sorted}
"""Orders of file names, ``file_order``: numbers by value, so that a2 comes before a10, or as Python sorts."""


def load(definition: dict[str, Any], name: str) -> Recording:
    """Loads pictures and their responses.

    ``images`` is a folder, zip file or one file of several pages; ``responses`` a table with one row per
    presentation, of which ``neurons`` lists the columns of responses, or an array as in kind ``arrays``.
    ``image_of_presentation`` has names of images, or numbers from ``index_base`` that count the files in
    ``file_order``; without it, responses follow the files in this order. Images that were never shown are
    left out.
    """
    order = ORDERS[definition.get("file_order", "natural")]
    files, pictures = read_pictures(definition["images"], order)
    read = _from_table if is_table(definition["responses"]) else _from_array
    rows = read(definition, files, name)
    for location in {definition[key] for key in LABELS if key in definition and key not in rows.labels}:
        stored, n_rows = read_list(location), 0 if rows.given is None else len(rows.given)
        if stored.labels is None and stored.values.size == len(files) != n_rows and files != sorted(files):
            _check_order(files, definition, name, f"the labels of {location} follow the files")
    alike = len({picture.shape for picture in pictures}) == 1
    return recording_of(definition, name, np.stack(pictures) if alike else pictures, files, rows)


def list_pictures(location: str) -> list[str]:
    """Sorted paths of the picture files in a folder or zip file; UserError if there are none."""
    with open_tree(location) as tree:
        files = [file for file in tree.names if is_image(file)]
        if not files:
            raise UserError(f"{tree.path}: holds no PNG, JPEG, TIFF, BMP, GIF or WEBP file")
        others = [file for file in tree.names if not is_image(file)]
    if others:
        some = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        logger.warning("%s: %d files that are no images are left out: %s", location, len(others), some)
    return files


def read_pictures(location: str, order: Order) -> tuple[list[str], list[np.ndarray]]:
    """Names and pixels (channel, y, x) of pictures in a folder or zip file, or of the pages of a file."""
    path = Path(location)
    if is_image(location) and path.is_file():
        pictures = decode_pages(path.read_bytes(), location)
        files = [f"{path.name}, page {page}" for page in range(len(pictures))]
    else:
        files = order(list_pictures(location))
        with open_tree(location) as tree:
            pictures = [decode_image(tree.read(file), tree.label(file)) for file in files]
    first = pictures[0].dtype
    for picture, file in zip(pictures, files, strict=True):
        if picture.dtype != first:
            fault = f"has {picture.dtype} pixels but {files[0]} has {first}"
            raise UserError(f"{location}: {file}: {fault}: save all images with the same depth")
    return files, pictures


def _check_order(files: list[str], definition: dict[str, Any], name: str, what: str) -> str:
    """Returns a phrase on the order of files that rows or numbers follow; UserError if it is not stated.

    Pages of one file have one order only.
    """
    start = ", ".join(files[:3])
    if "file_order" in definition or ", page " in files[0]:
        return f"{what} in the order {start}, ..."
    other = ", ".join(sorted(files)[:3])
    advice = f"set natural for {start}, ..., sorted for {other}, ..., or image_of_presentation to names"
    raise UserError(f"{name}.file_order: is missing: {what}: {advice}")


def _from_table(definition: dict[str, Any], files: list[str], name: str) -> Rows:
    table = read_table(Path(definition["responses"]))
    if "neurons" not in definition:
        advice = f"list the columns of {table.label} that are neurons, * for any text, of {table.columns}"
        raise UserError(f"{name}.neurons: is missing: {advice}")
    neurons = columns_of(table, definition["neurons"], f"{name}.neurons")
    covariates = columns_of(table, definition.get("covariates", []), f"{name}.covariates")
    others = dict.fromkeys(covariates, "covariates")
    others |= dict.fromkeys(definition.get("leave_out", {}), "leave_out")
    others |= {definition[key]: key for key in ("image_of_presentation", *LABELS) if key in definition}
    both = next((column for column in neurons if column in others), None)
    if both is not None:
        raise UserError(f"{name}.neurons: '{both}' is also under {others[both]}: choose one")
    refuse_long(table, neurons, others)
    reading = [f"{len(neurons)} neurons: {', '.join(neurons[:5])}{', ...' if len(neurons) > 5 else ''}"]
    ignored = [column for column in table.header if column not in neurons and column not in others]
    if ignored:
        reading.append(f"ignored: {', '.join(ignored)}")
    if "image_of_presentation" in definition:
        column = definition["image_of_presentation"]
        shown = table.text(column, f"{name}.image_of_presentation")
        index, how = _index(shown, definition, files, name, f"{table.label}, column '{column}'")
    else:
        how = _check_order(files, definition, name, f"row 1 of {table.label} is image 1 and so on")
        if len(table.rows) != len(files):
            fault = f"has {len(table.rows)} rows but there are {len(files)} images"
            advice = f"the column that names the image of every row, of {table.columns}"
            raise UserError(f"{table.label}: {fault}: set {name}.image_of_presentation to {advice}")
        index = np.arange(len(files))
    values = np.stack([table.numbers(column, f"{name}.neurons") for column in neurons], 1)
    rows = Rows(values, index, index, [how, *reading], np.array(neurons, str))
    return with_columns(rows, table, definition, name)


def _index(
    values: np.ndarray, definition: dict[str, Any], files: list[str], name: str, label: str
) -> tuple[np.ndarray, str]:
    """Index of the image of every presentation from names, or from numbers that count files, and a phrase."""
    index, how = image_index(values, files, len(files), definition, name, label)
    if "index_base" not in definition:
        return index, how
    if definition.get("file_order") == "natural":
        _refuse_other_names(index[index != BLANK], definition["index_base"], files, label)
    return index, f"{_check_order(files, definition, name, f'numbers in {label} count files')}; {how}"


def _refuse_other_names(index: np.ndarray, base: int, files: list[str], label: str) -> None:
    """Refuse numbers that count files and at the same time are the numbers in the names of other files."""
    found = [re.fullmatch("([^0-9]*)([0-9]+)", PurePosixPath(file).stem) for file in files]
    names = {(one[1], int(one[2])): place for place, one in enumerate(found) if one}
    starts = {start for start, _ in names}
    named = [names.get((start, number)) for start in starts for number in index + base]
    can_name = len(names) == len(files) and len(starts) == 1 and None not in named
    # Files from im_1 on may be counted from 0; names without a word or with gaps are names.
    if can_name and (index != named).any() and ("" in starts or len(set(index - named)) > 1):
        fault = "numbers count other files than those with the numbers in their names"
        raise UserError(f"{label}: {fault}: write names of files, or correct index_base")


def _from_array(definition: dict[str, Any], files: list[str], name: str) -> Rows:
    location, layout = definition["responses"], definition.get("responses_layout")
    stored, key = read_array(location), f"{name}.responses_layout"
    if "image_of_presentation" not in definition:
        values, names, reading = arrange_responses(stored, ("image", len(files)), layout, key, location)
        labels = names["first"]
        if labels is not None and labels.dtype.kind in "OSU":
            index, how = match(names_of(labels), files, location)
        else:
            order_by_name(None, labels, location, definition["images"])
            how = _check_order(files, definition, name, f"the images of {location} are the files")
            index = np.arange(len(files))
        return rows_of(values, index, None, [reading, how])
    index_from = definition["image_of_presentation"]
    listed = read_any_array(index_from)
    given = as_list(listed.values, index_from, "one name or number per presentation")
    index, how = _index(given, definition, files, name, index_from)
    rows = presented(stored, index, listed, layout, key, location)
    return rows._replace(reading=[*rows.reading, how])
