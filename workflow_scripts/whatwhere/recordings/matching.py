"""Images that names in a file mean: matched by name, or refused."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.pictures import is_image
from whatwhere.recordings.presentations import BLANK


def match(
    values: Sequence[str], files: Sequence[str], label: str, blanks: Sequence[Any] = ()
) -> tuple[np.ndarray, str]:
    """Index of the file that every value names, and a phrase on how the names were compared.

    All values are paths as in ``files``, or file names with any one folder, or such names of which the ending
    does not count. ``blanks`` are values that name no image; their index is :data:`BLANK`. UserError if a
    value names no image, two values name one, or two images have one name; ``label`` is the list of names.
    """
    values, files = ([unicodedata.normalize("NFC", one.strip()) for one in some] for some in (values, files))
    empty = set(map(str, blanks))
    named = [value for value in dict.fromkeys(values) if value not in empty]
    folders = {value.replace("\\", "/").rpartition("/")[0] for value in named}
    fewest = named
    for how, short in (("path", str), ("file name", _file_name), ("name without ending", _stem)):
        keys, wanted = [short(file) for file in files], [short(value) for value in named]
        index = {key: position for position, key in enumerate(keys)}
        unknown = [value for value, key in zip(named, wanted, strict=True) if key not in index]
        fewest = min(fewest, unknown, key=len)
        if unknown or not named or (how != "path" and len(folders) > 1):
            continue
        times, last = Counter(keys), dict(zip(wanted, named, strict=True))
        for value, key in zip(named, wanted, strict=True):
            if times[key] > 1:
                raise UserError(f"{label}: two images are named '{key}': give their paths, or rename one")
            if last[key] != value:
                both = f"'{value}' and '{last[key]}'"
                raise UserError(f"{label}: {both} name one image: give the names of image files")
        place = {value: index[key] for key, value in last.items()}
        found = np.array([place.get(value, BLANK) for value in values])
        left = f", {(found == BLANK).sum()} presentations of blanks are left out" if blanks else ""
        return found, f"images by {how}{left}"
    advice = "index_base and file_order if numbers count the files, or list what shows no image under blanks"
    raise UserError(
        f"{label}: there is no image '{(fewest or values)[0]}': give names of image files, set {advice}"
    )


def names_of(labels: np.ndarray | Sequence[Any]) -> list[str]:
    """Labels along an axis as text, whole numbers without decimals."""
    return [as_text(one) for one in np.asarray(labels).tolist()]


def as_text(value: Any) -> str:
    """Text of a label: whole numbers without decimals, truth values in lower case."""
    if isinstance(value, bool):
        return str(value).lower()
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def order_by_name(
    images: Sequence[Any] | np.ndarray | None,
    responses: np.ndarray | None,
    label: str,
    other: str,
    what: str = "images",
) -> np.ndarray | slice:
    """Position in the responses of every image, (image,), or a slice if the responses name no images.

    ``images`` and ``responses`` have the (image,) names of the images on each side, or are None if it has
    none; messages call the responses ``label``, the other side ``other`` and the images ``what``. UserError
    if the names of the two sides differ, or the responses alone name images and do not count them in order,
    from 0 or 1.
    """
    if responses is None:
        return slice(None)
    theirs = names_of(responses)
    if images is None:
        if any(theirs == [str(first + row) for row in range(len(theirs))] for first in (0, 1)):
            return slice(None)
        advice = f"give {other} the same names, or leave them out of {label} if both are in one order"
        raise UserError(
            f"{label}: names its images {', '.join(theirs[:3])}, ... but {other} names none: {advice}"
        )
    ours = names_of(images)
    if sorted(ours) != sorted(theirs) or len(set(ours)) < len(ours):
        found = f"{', '.join(theirs[:3])}, ... but {other} names {', '.join(ours[:3])}, ..."
        advice = f"give every {what.removesuffix('s')} one name, the same on both sides"
        raise UserError(f"{label}: names its {what} {found}: {advice}")
    place = {name: position for position, name in enumerate(theirs)}
    return np.array([place[name] for name in ours])


def _file_name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _stem(path: str) -> str:
    name = _file_name(path)
    return PurePosixPath(name).stem if is_image(name) else name
