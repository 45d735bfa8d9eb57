"""Image files with a table or an array of responses (kind ``images``)."""

from __future__ import annotations

import io
import logging
import re
import struct
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from whatwhere.errors import UserError
from whatwhere.recordings.archive import Tree, open_tree
from whatwhere.recordings.array_files import read_array
from whatwhere.recordings.arrays import shape_responses
from whatwhere.recordings.recording import Recording, stack_repeats
from whatwhere.recordings.tables import read_responses

logger = logging.getLogger(__name__)

_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
_STORED_AS_NUMBERS = ("L", "RGB", "I;16", "I;16B", "I", "F")
_TO_GREY = ("1", "LA", "La")


def is_image(name: str) -> bool:
    """Whether a file name ends like PNG, JPEG or TIFF."""
    return name.lower().endswith(_SUFFIXES)


def in_numeric_order(names: list[str]) -> list[str]:
    """File names sorted with numbers inside them by value: a2 comes before a10."""
    return sorted(names, key=lambda name: [int(p) if p.isdigit() else p for p in re.split("([0-9]+)", name)])


def decode_image(content: bytes, label: str) -> np.ndarray:
    """Decode PNG, JPEG or TIFF.

    Returns
    -------
    (channel, y, x) with 1 or 3 channels, in the type that the file stores; palettes and transparency
    become plain RGB or grey.

    Raises
    ------
    UserError
        If the content is no such image, is damaged, or holds several pages.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "TIFF")) as image:
            pages = getattr(image, "n_frames", 1)
            if image.mode not in _STORED_AS_NUMBERS:
                pixels = np.asarray(image.convert("L" if image.mode in _TO_GREY else "RGB"))
            else:
                pixels = np.asarray(image)
    except (
        OSError,
        SyntaxError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OverflowError,
        MemoryError,
        struct.error,
        Image.DecompressionBombError,
    ) as error:
        raise UserError(f"{label}: not a readable PNG, JPEG or TIFF image") from error
    if pages > 1:
        raise UserError(f"{label}: holds {pages} pages, expected one image")
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def load(definition: dict[str, Any], name: str) -> Recording:
    """Load a folder or zip of images and their responses.

    Parameters
    ----------
    definition
        ``images``: the folder or zip; files are taken in numeric order of their names. ``responses``:
        CSV with one row per presentation and one column per neuron, matched by the names in its first
        column if there are any (path within the folder, file name, or file name without its ending), or
        else by order; or an array as in kind ``arrays``, by order. Images without a row are left out.
    name
        The dataset's key, for messages.

    Raises
    ------
    UserError
        If a file is unreadable, or images and responses do not belong together.
    """
    with open_tree(definition["images"]) as tree:
        names = in_numeric_order([name for name in tree.names if is_image(name)])
        if not names:
            raise UserError(f"{tree.path}: holds no PNG, JPEG or TIFF file")
        others = len(tree.names) - len(names)
        if others:
            logger.warning("%s: %d files that are no images are left out", tree.path, others)
        images = [decode_image(tree.read(name), tree.label(name)) for name in names]
        _check_types(images, names, tree)
        sizes = [image.shape[1:] for image in images]
        if (
            len(set(sizes)) > 1
            and definition["image"]["size"] is None
            and definition["image"]["crop"] is None
        ):
            odd = next(index for index, size in enumerate(sizes) if size != sizes[0])
            raise UserError(
                f"{tree.label(names[odd])}: has shape {images[odd].shape} but {names[0]} has "
                f"{images[0].shape} (channel, y, x): set {name}.image.size or image.crop"
            )
    location = definition["responses"]
    neurons = None
    if location.lower().endswith(".csv"):
        responses, neurons, shown = _responses(Path(location), names)
        images = [images[index] for index in shown]
    else:
        responses = shape_responses(read_array(location), len(images), location)
    return Recording(
        images=np.stack(images) if len({image.shape for image in images}) == 1 else images,
        responses=responses,
        split=None,
        neurons=neurons,
        source=f"files {definition['images']} and {location}",
        citation="",
        repeat_averages=False,
    )


def _check_types(images: list[np.ndarray], names: list[str], tree: Tree) -> None:
    for image, name in zip(images, names, strict=True):
        if image.dtype != images[0].dtype:
            raise UserError(
                f"{tree.label(name)}: has {image.dtype} pixels but {names[0]} has {images[0].dtype}: "
                "save all images with the same depth"
            )


def _responses(path: Path, files: list[str]) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Responses (repeat, image, neuron), names of neurons, and indices of the images that were shown."""
    names, neurons, trials = read_responses(path)
    if names is None:
        logger.warning("%s: names no images: rows belong to them in the order of their names", path)
        return shape_responses(trials, len(files), str(path)), neurons, list(range(len(files)))
    rows = _match(names.tolist(), files, path)
    shown = sorted(set(rows))
    if len(shown) < len(files):
        logger.warning("%s: %d images have no row and are left out", path, len(files) - len(shown))
    return stack_repeats(np.searchsorted(shown, rows), trials), neurons, shown


def _match(names: list[str], files: list[str], path: Path) -> list[int]:
    """Index of the file that every name means: a path, a file name, or one without its ending."""
    forms = ([file, PurePosixPath(file).name, PurePosixPath(file).stem] for file in files)
    for keys in zip(*forms, strict=True):
        if set(names) <= set(keys):
            position = {key: index for index, key in enumerate(keys)}
            doubles = {key for index, key in enumerate(keys) if position[key] != index}
            double = next((name for name in names if name in doubles), None)
            if double is not None:
                raise UserError(f"{path}: two images are named '{double}': give their paths, or rename one")
            return [position[name] for name in names]
    known = set(files) | {PurePosixPath(file).name for file in files}
    unknown = next((name for name in names if name not in known), names[0])
    raise UserError(f"{path}: there is no image '{unknown}': give the names of image files")
