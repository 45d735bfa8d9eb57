"""Images and responses in array files (kind ``arrays``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from whatwhere.dataset import SPLITS
from whatwhere.errors import UserError
from whatwhere.recordings.array_files import read_any_array, read_array
from whatwhere.recordings.recording import Recording, to_float32


def read_labels(location: str) -> np.ndarray:
    """Splits of images from an array file: their names, or 0, 1, 2 in their order and -1 for none.

    Raises
    ------
    UserError
        If the file is unreadable or no list of names or such numbers.
    """
    return split_names(read_any_array(location), location)


def split_names(array: np.ndarray, label: str) -> np.ndarray:
    """Names of splits, (image,), from names or numbers as in :func:`read_labels`; ``label`` names them."""
    if array.ndim != 1:
        raise UserError(f"{label}: has shape {array.shape}, expected one split per image")
    if array.dtype.kind in "biu":
        if not np.isin(array, (-1, 0, 1, 2)).all():
            raise UserError(f"{label}: numbers must be 0 (train), 1 (validation), 2 (test) or -1 (none)")
        return np.array([*SPLITS, ""])[array.astype(int)]
    if array.dtype.kind == "S":
        return np.char.decode(array, "latin-1")
    if array.dtype.kind == "U" or all(isinstance(value, str) for value in array.tolist()):
        return array.astype(str)
    raise UserError(f"{label}: holds {array.dtype}, expected names of splits")


def shape_responses(responses: np.ndarray, n_images: int, label: str) -> np.ndarray:
    """Responses as (repeat, image, neuron) float32.

    Parameters
    ----------
    responses
        (image, neuron) or (repeat, image, neuron).
    n_images
        How many images there are.
    label
        The file, for messages.

    Raises
    ------
    UserError
        If the shape is neither; transposed axes are pointed out.
    """
    if responses.ndim not in (2, 3):
        raise UserError(
            f"{label}: has shape {responses.shape}, expected (image, neuron) or (repeat, image, neuron)"
        )
    if responses.shape[-2] != n_images:
        transposed = n_images in responses.shape
        hint = ": the axes look transposed" if transposed else ": one row per image is needed"
        raise UserError(
            f"{label}: has shape {responses.shape[-2:]} for (image, neuron) but there are "
            f"{n_images} images{hint}"
        )
    return to_float32(responses if responses.ndim == 3 else responses[None])


def load(definition: dict[str, Any], name: str) -> Recording:
    """Load a pair of arrays.

    Parameters
    ----------
    definition
        ``images``: (image, y, x), or with ``layout`` nchw (image, channel, y, x) or nhwc (image, y, x,
        channel). ``responses``: (image, neuron) or (repeat, image, neuron), NaN for missing repeats.
        ``splits_from``: optional, see :func:`read_labels`.
    name
        The dataset's key, for messages.

    Raises
    ------
    UserError
        If a file is unreadable or the shapes do not belong together.
    """
    images = _shape_images(read_array(definition["images"]), definition, name)
    location = definition["responses"]
    responses = shape_responses(read_array(location), len(images), location)
    split = None
    if "splits_from" in definition:
        split = read_labels(definition["splits_from"])
        if len(split) != len(images):
            raise UserError(f"{definition['splits_from']}: has {len(split)} splits for {len(images)} images")
    return Recording(
        images=images,
        responses=responses,
        split=split,
        neurons=None,
        source=f"files {definition['images']} and {location}",
        citation="",
        repeat_averages=False,
    )


def _shape_images(images: np.ndarray, definition: dict[str, Any], name: str) -> np.ndarray:
    location = definition["images"]
    if images.ndim not in (3, 4):
        raise UserError(
            f"{location}: has shape {images.shape}, expected (image, y, x) or four axes with channels"
        )
    if 0 in images.shape:
        raise UserError(f"{location}: is empty, shape {images.shape}")
    if images.ndim == 3:
        return images[:, None]
    if "layout" not in definition:
        raise UserError(
            f"{name}.layout: is missing: say whether the four axes of {location} are nchw or nhwc"
        )
    channels_last = definition["layout"] == "nhwc"
    here, other = (-1, 1) if channels_last else (1, -1)
    if images.shape[here] not in (1, 3) and images.shape[other] in (1, 3):
        better = "nchw" if channels_last else "nhwc"
        raise UserError(f"{name}.layout: {location} has shape {images.shape}, which looks like {better}")
    return np.moveaxis(images, -1, 1) if channels_last else images
