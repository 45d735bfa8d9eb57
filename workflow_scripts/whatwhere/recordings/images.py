"""Picture files with a table or an array of responses (kind ``images``)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.archive import open_tree
from whatwhere.recordings.array_files import as_list, read_any_array, read_array
from whatwhere.recordings.arrays import indexed_responses, shape_responses
from whatwhere.recordings.columns import understand
from whatwhere.recordings.labels import image_labels, labels_of_rows, split_names, tiers_of
from whatwhere.recordings.layouts import check_order
from whatwhere.recordings.matching import match
from whatwhere.recordings.pictures import decode_image, decode_stack, in_numeric_order, is_image
from whatwhere.recordings.presentations import Presentations, by_image, index_numbers, shown_images
from whatwhere.recordings.recording import Recording
from whatwhere.recordings.tables import Table, is_table, read_table

logger = logging.getLogger(__name__)


def load(definition: dict[str, Any], name: str) -> Recording:
    """Load pictures and their responses.

    Parameters
    ----------
    definition
        ``images``: folder, zip file or one file of several pages; files are taken in numeric order of their
        names. ``responses``: a table with one row per presentation and one column per neuron, see
        :func:`whatwhere.recordings.columns.understand`; or an array as in kind ``arrays``, by order or with
        ``image_of_presentation``. Pictures without a row are left out.
    name
        The dataset's key, for messages.

    Raises
    ------
    UserError
        If a file is unreadable, or pictures and responses do not belong together.
    """
    files, pictures = _read_pictures(definition, name)
    location = definition["responses"]
    source = f"files {definition['images']} and {location}"
    neurons, covariates, image_of_row = None, None, None
    responses: np.ndarray | Presentations
    table = read_table(Path(location)) if is_table(location) else None
    if table is not None:
        columns = understand(table, files, definition, name)
        neurons, reading, values = columns.neurons, columns.reading, columns.responses
        image_of_row = columns.image_of_row
        if image_of_row is None:
            _check_count(len(values), len(files), location)
            _say_order(files, location)
            image_of_row = np.arange(len(files))
        shown, local = shown_images(image_of_row)
        responses = by_image(local, values)
        if columns.covariates is not None:
            names, measured = columns.covariates
            covariates = names, Presentations(measured, responses.row, responses.image, responses.repeat)
    else:
        shown, responses, reading, image_of_row = _from_array(definition, files, name)
    if len(shown) < len(files):
        logger.warning("%s: %d images have no row and are left out", location, len(files) - len(shown))
    labels = _labels("splits_from", definition, table, len(files), image_of_row, shown)
    kept = [pictures[index] for index in shown]
    return Recording(
        images=np.stack(kept) if len({picture.shape for picture in kept}) == 1 else kept,
        responses=responses,
        split=tiers_of(labels, definition.get("tiers"), f"{name}.tiers"),
        neurons=neurons,
        source=source,
        citation="",
        repeat_averages=definition.get("repeat_averages", False),
        groups=_labels("groups_from", definition, table, len(files), image_of_row, shown),
        covariates=covariates,
        reading=reading,
        image_names=[files[index] for index in shown],
    )


def _read_pictures(definition: dict[str, Any], name: str) -> tuple[list[str], list[np.ndarray]]:
    location, background = definition["images"], definition["image"].get("background")
    if is_image(location) and Path(location).is_file():
        pages = decode_stack(Path(location).read_bytes(), location, background)
        files = [f"{Path(location).name}, page {page}" for page in range(len(pages))]
        return files, pages
    with open_tree(location) as tree:
        files = in_numeric_order([file for file in tree.names if is_image(file)])
        if not files:
            raise UserError(f"{tree.path}: holds no PNG, JPEG, TIFF, BMP, GIF or WEBP file")
        others = [file for file in tree.names if not is_image(file)]
        if others:
            some = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
            logger.warning("%s: %d files that are no images are left out: %s", tree.path, len(others), some)
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


def _check_count(rows: int, n_images: int, location: str) -> None:
    if rows != n_images:
        raise UserError(
            f"{location}: has {rows} rows without names of images but there are {n_images} images: name the "
            "image of every row"
        )


def _say_order(files: list[str], location: str) -> None:
    """Say in which order rows belong to pictures, which names do not tell."""
    order = ", ".join(files[:3])
    plain = files if ", page " in files[0] else sorted(files)  # pages have no other order
    if plain == files:
        logger.warning(
            "%s: names no images: rows belong to them in the order of their names: %s", location, order
        )
        return
    logger.warning(
        "%s: names no images: rows belong to them in the order of the numbers in their names, %s, ..., and "
        "not in the order %s, ... in which programs list them: name the image of every row if that is wrong",
        location,
        order,
        ", ".join(plain[:3]),
    )


def _from_array(
    definition: dict[str, Any], files: list[str], name: str
) -> tuple[np.ndarray, np.ndarray | Presentations, list[str], np.ndarray | None]:
    """Images shown, responses, how they were read, and the image of every presentation if a file tells."""
    location, layout = definition["responses"], definition.get("responses_layout")
    stored, key = read_array(location), f"{name}.responses_layout"
    if "image_of_presentation" not in definition:
        responses, read, labels = shape_responses(stored, len(files), layout, key, location)
        check_order(None, labels, location, str(definition["images"]))
        _say_order(files, location)
        return np.arange(len(files)), responses, [read], None
    index_from = definition["image_of_presentation"]
    given = as_list(read_any_array(index_from).values, index_from, "one name or number per presentation")
    if given.dtype.kind == "U":
        index, how = match(given.tolist(), files, index_from)
        how = f"images by {how}"
    else:
        base = definition.get("index_base")
        index, how = index_numbers(given, len(files), base, f"{name}.index_base", index_from)
        _say_order(files, index_from)
    values, rows, read = indexed_responses(stored, index, layout, key, location)
    shown, local = shown_images(rows)
    return shown, by_image(local, values), [read, how], index


def _labels(
    key: str,
    definition: dict[str, Any],
    table: Table | None,
    n_images: int,
    image_of_row: np.ndarray | None,
    shown: np.ndarray,
) -> np.ndarray | None:
    """Labels of the images shown from a column of the table or from a file."""
    location = definition.get(key)
    if location is None:
        return None
    if table is not None and location in table.header:
        found = table.text(location).to_numpy(str)
        if set(np.unique(np.char.lower(found))) <= {"true", "false"}:
            found = np.char.lower(found)
        assert image_of_row is not None  # the loader counts rows that name no image
        return labels_of_rows(found, image_of_row, shown, f"{table.path}, column '{location}'")
    found = read_any_array(location).values
    found = split_names(found, location) if key == "splits_from" else found.astype(str)
    return image_labels(found, n_images, image_of_row, shown, location)
