"""Picture files with a table or an array of responses (kind ``images``)."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.archive import open_tree
from whatwhere.recordings.array_files import as_list, read_any_array, read_array
from whatwhere.recordings.arrays import indexed_responses, shape_responses
from whatwhere.recordings.labels import labels_of_rows, read_labels, tiers_of
from whatwhere.recordings.matching import match, names_of, order_by_name
from whatwhere.recordings.pictures import decode_image, decode_stack, in_numeric_order, is_image
from whatwhere.recordings.presentations import (
    BLANK,
    Presentations,
    by_image,
    index_numbers,
    shown_images,
)
from whatwhere.recordings.recording import Recording
from whatwhere.recordings.tables import Table, columns_of, is_table, read_table

logger = logging.getLogger(__name__)

ORDERS: dict[str, Callable[[list[str]], list[str]]] = {"natural": in_numeric_order, "sorted": sorted}
"""Orders of file names, ``file_order``: numbers by value, so that a2 comes before a10, or as Python sorts."""


class _Rows(NamedTuple):
    """Responses by row.

    Attributes
    ----------
    image
        (row,) index of the image, -1 for blanks.
    values
        (row, neuron).
    given
        (presentation,) index of the image as the file gives it, -1 for blanks; one row each unless the
        responses have an axis of repeats; None if no file gives it.
    neurons
        (neuron,) names, or None.
    covariates
        Names of columns, and (row, covariate); None if there are none.
    reading
        Phrases on how they were read.
    """

    image: np.ndarray
    values: np.ndarray
    given: np.ndarray | None
    neurons: np.ndarray | None
    covariates: tuple[list[str], np.ndarray] | None
    reading: list[str]


def load(definition: dict[str, Any], name: str) -> Recording:
    """Load pictures and their responses.

    Parameters
    ----------
    definition
        ``images``: folder, zip file or one file of several pages. ``responses``: a table with one row per
        presentation, of which ``neurons`` lists the columns of responses, or an array as in kind ``arrays``.
        ``image_of_presentation``: names of images, or numbers from ``index_base`` that count the files in
        ``file_order``; without it, responses follow the files in this order. Images that were never shown
        are left out.
    name
        The dataset's key, for messages.

    Raises
    ------
    UserError
        If a file is unreadable, or does not say how pictures and responses belong together.
    """
    files, pictures = _read_pictures(definition, name)
    location = definition["responses"]
    table = read_table(Path(location)) if is_table(location) else None
    rows = (
        _from_array(definition, files, name) if table is None else _from_table(table, definition, files, name)
    )
    shown, local = shown_images(rows.image)
    if len(shown) < len(files):
        logger.warning("%s: %d images have no row and are left out", location, len(files) - len(shown))
    responses = by_image(local, rows.values)
    covariates = rows.covariates and (
        rows.covariates[0],
        Presentations(rows.covariates[1], responses.row, responses.image, responses.repeat),
    )
    labels, groups = (
        _labels(key, definition, table, files, rows, shown) for key in ("splits_from", "groups_from")
    )
    kept = [pictures[index] for index in shown]
    return Recording(
        images=np.stack(kept) if len({picture.shape for picture in kept}) == 1 else kept,
        responses=responses,
        split=tiers_of(labels, definition.get("tiers"), f"{name}.tiers"),
        neurons=rows.neurons,
        source=f"files {definition['images']} and {location}",
        citation="",
        repeat_averages=definition.get("repeat_averages", False),
        groups=groups,
        covariates=covariates,
        reading=rows.reading,
        image_names=[files[index] for index in shown],
    )


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


def _read_pictures(definition: dict[str, Any], name: str) -> tuple[list[str], list[np.ndarray]]:
    location, background = definition["images"], definition["image"].get("background")
    if is_image(location) and Path(location).is_file():
        pages = decode_stack(Path(location).read_bytes(), location, background)
        return [f"{Path(location).name}, page {page}" for page in range(len(pages))], pages
    files = ORDERS[definition.get("file_order", "natural")](list_pictures(location))
    with open_tree(location) as tree:
        pictures = [decode_image(tree.read(file), tree.label(file), background) for file in files]
        labels = [tree.label(file) for file in files]
    _check_alike(pictures, labels, files, definition["image"], name)
    return files, pictures


def _check_alike(
    pictures: list[np.ndarray], labels: list[str], files: list[str], image: dict[str, Any], name: str
) -> None:
    first = pictures[0]
    for picture, label in zip(pictures, labels, strict=True):
        if picture.dtype != first.dtype:
            raise UserError(
                f"{label}: has {picture.dtype} pixels but {files[0]} has {first.dtype}: save all images with "
                "the same depth"
            )
        if picture.shape[1:] != first.shape[1:] and image["size"] is None and image["crop"] is None:
            raise UserError(
                f"{label}: has shape {picture.shape} but {files[0]} has {first.shape} (channel, y, x): set "
                f"{name}.image.size or image.crop"
            )


def _check_order(files: list[str], definition: dict[str, Any], name: str, what: str) -> str:
    """Returns a phrase on the order of files that rows or numbers follow; UserError if it is not stated.

    Pages of one file have one order only.
    """
    start = ", ".join(files[:3])
    if "file_order" in definition or ", page " in files[0]:
        return f"{what} in the order {start}, ..."
    other = ", ".join(sorted(files)[:3])
    raise UserError(
        f"{name}.file_order: is missing: {what}: set natural for {start}, ..., sorted for {other}, ..., or "
        "set image_of_presentation to names of the images"
    )


def _from_table(table: Table, definition: dict[str, Any], files: list[str], name: str) -> _Rows:
    listed = ", ".join(table.header[:20]) + (", ..." if len(table.header) > 20 else "")
    if "neurons" not in definition:
        raise UserError(
            f"{name}.neurons: is missing: list the columns of {table.path} that are neurons, * for any text, "
            f"of {listed}"
        )
    neurons = columns_of(table, definition["neurons"], f"{name}.neurons")
    covariates = columns_of(table, definition.get("covariates", []), f"{name}.covariates")
    left_out = definition.get("leave_out", {})
    others = {column: "covariates" for column in covariates} | dict.fromkeys(left_out, "leave_out")
    for what in ("image_of_presentation", "splits_from", "groups_from"):
        if definition.get(what) in table.header:
            others[definition[what]] = what
    both = next((column for column in neurons if column in others), None)
    if both is not None:
        raise UserError(f"{name}.neurons: '{both}' is also under {others[both]}: choose one")
    reading = [f"{len(neurons)} neurons: {', '.join(neurons[:5])}{', ...' if len(neurons) > 5 else ''}"]
    ignored = [column for column in table.header if column not in neurons and column not in others]
    if ignored:
        reading.append(f"ignored: {', '.join(ignored)}")
    if "image_of_presentation" in definition:
        index, how = _index_of_table(table, definition, files, name)
    else:
        how = _check_order(files, definition, name, f"row 1 of {table.path} is image 1 and so on")
        if len(table.rows) != len(files):
            raise UserError(
                f"{table.path}: has {len(table.rows)} rows but there are {len(files)} images: set "
                f"{name}.image_of_presentation to the column that names the image of every row, of {listed}"
            )
        index = np.arange(len(files))
    for column, values in left_out.items():
        kept = ~_is_one_of(table, column, values, f"{name}.leave_out")
        reading.append(f"{(~kept).sum()} rows of {column} {', '.join(map(str, values))} are left out")
        index = np.where(kept, index, BLANK)
    measured = np.stack([table.numbers(c) for c in covariates], 1) if covariates else None
    return _Rows(
        image=index,
        values=np.stack([table.numbers(column) for column in neurons], 1),
        given=index,
        neurons=np.array(neurons, str),
        covariates=None if measured is None else (covariates, measured),
        reading=[how, *reading],
    )


def _index_of_table(
    table: Table, definition: dict[str, Any], files: list[str], name: str
) -> tuple[np.ndarray, str]:
    column, blanks = definition["image_of_presentation"], definition.get("blanks", [])
    if column not in table.header:
        found = ", ".join(table.header)
        raise UserError(f"{name}.image_of_presentation: {table.path} has no column '{column}' but {found}")
    label = f"{table.path}, column '{column}'"
    if "index_base" not in definition:
        index, how = match(table.text(column).tolist(), files, label, blanks)
        left = f", {(index == BLANK).sum()} presentations of blanks are left out" if blanks else ""
        return index, f"images from the column '{column}' by {how}{left}"
    order = _check_order(files, definition, name, f"numbers in the {label} count files")
    words = table.text(column).isin([blank for blank in blanks if isinstance(blank, str)]).to_numpy()
    numbers = table.numbers(column, ~words)
    base = definition["index_base"]
    index, how = index_numbers(numbers, len(files), base, f"{name}.index_base", label, blanks)
    return index, f"{order}; {how}"


def _is_one_of(table: Table, column: str, values: list[Any], key: str) -> np.ndarray:
    """(row,) whether a column holds one of some values; UserError if there is no such column or value."""
    if column not in table.header:
        raise UserError(f"{key}: {table.path} has no column '{column}'")
    text = table.text(column)
    missing = next((value for value in values if not (text == str(value)).any()), None)
    if missing is not None:
        found = ", ".join(sorted(set(text))[:10])
        raise UserError(f"{key}.{column}: there is no '{missing}', there are {found}")
    return text.isin([str(value) for value in values]).to_numpy()


def _from_array(definition: dict[str, Any], files: list[str], name: str) -> _Rows:
    location, layout = definition["responses"], definition.get("responses_layout")
    stored, key = read_array(location), f"{name}.responses_layout"
    if "image_of_presentation" not in definition:
        dense, read, labels = shape_responses(stored, len(files), layout, key, location)
        if labels is not None and labels.dtype.kind in "OSU":
            index, how = match(names_of(labels), files, location)
            how = f"images by {how}"
        else:
            order_by_name(None, labels, location, definition["images"])
            how = _check_order(files, definition, name, f"the images of {location} are the files")
            index = np.arange(len(files))
        rows = np.tile(index, len(dense))
        return _Rows(rows, dense.reshape(len(rows), -1), None, None, None, [read, how])
    index_from, blanks = definition["image_of_presentation"], definition.get("blanks", [])
    listed = read_any_array(index_from)
    given = as_list(listed.values, index_from, "one name or number per presentation")
    if given.dtype.kind in "OU":
        index, how = match(given.tolist(), files, index_from, blanks)
        how = f"images by {how}"
    else:
        base = definition.get("index_base")
        index, how = index_numbers(given, len(files), base, f"{name}.index_base", index_from, blanks)
        how = f"{_check_order(files, definition, name, f'numbers in {index_from} count files')}; {how}"
    values, image, read = indexed_responses(
        stored, index, listed.names_along("presentation", ["presentation"]), layout, key, location
    )
    return _Rows(image, values, index, None, None, [read, how])


def _labels(
    key: str,
    definition: dict[str, Any],
    table: Table | None,
    files: list[str],
    rows: _Rows,
    shown: np.ndarray,
) -> np.ndarray | None:
    """Labels of the images shown from a column of the table or from a file."""
    if table is None or definition.get(key) not in table.header:
        return read_labels(definition, key, files, len(files), rows.given, shown)
    found = table.text(definition[key]).to_numpy(str)
    if set(np.unique(np.char.lower(found))) <= {"true", "false"}:
        found = np.char.lower(found)
    return labels_of_rows(found, rows.image, shown, f"{table.path}, column '{definition[key]}'")
