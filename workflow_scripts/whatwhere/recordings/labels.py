"""Splits and groups that files or columns give to images or presentations."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from whatwhere.dataset import SPLITS
from whatwhere.errors import UserError
from whatwhere.recordings.array_files import NamedArray, as_list, read_any_array, split_location
from whatwhere.recordings.matching import as_text, names_of, order_by_name
from whatwhere.recordings.presentations import BLANK
from whatwhere.recordings.tables import is_table, read_table

LEFT_OUT = "left out"
"""Split of images whose label ``tiers`` does not list."""
ASSIGN = "assign"
"""Key of ``tiers`` for the labels of images that are to be assigned."""
_CODES = dict(zip(("-1", "0", "1", "2"), ("", *SPLITS), strict=True))
"""Splits by the numbers that may stand for them."""


def read_list(location: str) -> NamedArray:
    """Labels in a text file, one a line or ``FILE.csv:COLUMN``, or in a file of arrays."""
    path, column = split_location(location)
    if not is_table(str(path)):
        return read_any_array(location)
    if column is not None:
        return NamedArray(read_table(path).text(column, location), None)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is no text file in UTF-8 that can be read") from error
    wide = next((line for line in lines if set(line) & set(",;\t")), None)
    if wide is not None:
        raise UserError(f"{path}: {wide!r} holds several values, expected a label: write {path}:COLUMN")
    return NamedArray(np.array([line.strip() for line in lines]), None)


def as_labels(array: np.ndarray, label: str) -> np.ndarray:
    """Labels as text: whole numbers without decimals, truth values ``true`` and ``false``."""
    return np.char.rstrip(np.array(names_of(as_list(array, label, "one label per image")), str))


def split_names(labels: np.ndarray) -> np.ndarray:
    """Names of splits from the numbers 0 (train), 1 (validation), 2 (test) and -1 (none), or as they are."""
    return np.array([_CODES[one] for one in labels]) if set(labels) <= set(_CODES) else labels


def read_labels(
    definition: dict[str, Any],
    key: str,
    names: list[str] | None,
    n_images: int,
    image_of_row: np.ndarray | None,
    shown: np.ndarray,
) -> np.ndarray | None:
    """Labels of the images that were shown, from the file that a key names; None without the key.

    The file has a label per image or per presentation. ``names`` are (image,) names, by which labels that
    have names are matched, or None; ``n_images`` counts images shown or not; ``image_of_row`` is the (row,)
    index of the image of every presentation, or None if there is no index; ``shown`` has the indices of the
    images that were shown. UserError if there is another number of labels, or presentations of one image have
    different ones.
    """
    if key not in definition:
        return None
    label = definition[key]
    stored = read_list(label)
    labels = as_labels(stored.values, label)
    if image_of_row is None or len(labels) != len(image_of_row):
        if len(labels) != n_images:
            presentations = "" if image_of_row is None else f" and {len(image_of_row)} presentations"
            raise UserError(f"{label}: has {len(labels)} values for {n_images} images{presentations}")
        order = order_by_name(names, stored.names_along("image", ["image"]), label, "images")
        return labels[order][shown]
    if len(labels) == n_images and (image_of_row != np.arange(n_images)).any():
        raise UserError(f"{label}: may list {n_images} images or presentations: sort presentations by image")
    return labels_of_rows(labels, image_of_row, label)


def labels_of_rows(labels: np.ndarray, image_of_row: np.ndarray, label: str) -> np.ndarray:
    """Labels of the images that were shown from one per presentation; those of an image must be equal."""
    rows = np.flatnonzero(image_of_row != BLANK)
    _, first, place = np.unique(image_of_row[rows], return_index=True, return_inverse=True)
    of_image = labels[rows[first]]
    torn = np.flatnonzero(labels[rows] != of_image[place])
    if len(torn):
        row, other = rows[torn[0]], rows[first[place[torn[0]]]]
        fault = f"show one image but are {str(labels[other])!r} and {str(labels[row])!r}"
        raise UserError(f"{label}: presentations {other} and {row} {fault}: give them one label")
    return of_image


def tiers_of(labels: np.ndarray, tiers: dict[str, list[Any]], key: str) -> np.ndarray:
    """Splits (image,) from the names that a file uses, ``labels`` (image,), empty where the label is.

    ``tiers`` has names by split, and under :data:`ASSIGN` names of images without a split; it is empty if the
    labels are names of splits already. Labels that are not listed keep their meaning if they are names of
    splits, and are :data:`LEFT_OUT` otherwise. UserError if labels are no splits and ``tiers`` is missing, a
    name stands in two splits, or none is there; ``key`` is that of ``tiers``.
    """
    if not tiers:
        image = int(np.argmin(np.isin(labels, (*SPLITS, ""))))
        unknown = str(labels[image])
        if unknown not in (*SPLITS, ""):
            flags = "{assign: [false], test: [true]}"
            example = flags if unknown in ("true", "false") else f"{{test: [{unknown}]}}"
            place = key.rpartition(".")[0]
            expected = f"expected {', '.join(SPLITS)} or empty: say what it is, such as tiers: {example}"
            raise UserError(f"{place}: image {image} is given the split {unknown!r}, {expected}")
        return labels
    split = np.where(np.isin(labels, (*SPLITS, "")), labels, LEFT_OUT).astype("U10")
    used: dict[str, str] = {}
    for target, names in tiers.items():
        for name in map(as_text, names):
            if name in used:
                raise UserError(f"{key}: '{name}' stands under {used[name]} and {target}: choose one")
            used[name] = target
        split[has_one_of(labels.tolist(), names, f"{key}.{target}")] = "" if target == ASSIGN else target
    return split


def given_splits(labels: np.ndarray | None, definition: dict[str, Any], name: str) -> np.ndarray | None:
    """Splits (image,) of the labels of ``splits_from``, by ``tiers`` of a dataset; None without labels."""
    if labels is None:
        return None
    tiers = definition.get("tiers", {})
    if not {as_text(value) for values in tiers.values() for value in values} & set(labels):
        labels = split_names(labels)
    split = tiers_of(labels, tiers, f"{name}.tiers")
    trained = ", ".join(np.unique(labels[split == "train"])) or "NAME"
    remedy = f"list labels that 'split' divides under tiers, such as tiers: {{{ASSIGN}: [{trained}]}}"
    require_splits(split, f"{name}.splits_from", remedy)
    return split


def require_splits(split: np.ndarray, key: str, remedy: str) -> None:
    """Refuses splits without test or validation images, unless other images are left to be assigned.

    ``split`` (image,) has names of splits, empty for images that are to be assigned; ``key`` gives the
    splits, and ``remedy`` is the other way to give all of them.
    """
    missing = [name for name in ("validation", "test") if name not in split]
    if missing and np.isin(split, (*SPLITS, LEFT_OUT)).all():
        none, wanted = " and no ".join(missing), " and ".join(missing)
        raise UserError(f"{key}: gives no {none} image: label some images {wanted}, or {remedy}")


def has_one_of(texts: Sequence[str], values: Sequence[Any], key: str) -> np.ndarray:
    """Whether each text of a column is one of the values that ``key`` lists; UserError if none is a value."""
    wanted = [as_text(value) for value in values]
    missing = next((value for value in wanted if value not in set(texts)), None)
    if missing is not None:
        raise UserError(f"{key}: there is no '{missing}', there are {', '.join(sorted(set(texts))[:10])}")
    return np.isin(texts, wanted)
