"""Color, crop and size of the images of a recording (the ``image`` keys of a dataset)."""

import json
from typing import Any

import numpy as np
from PIL import Image

from whatwhere.errors import UserError
from whatwhere.recordings.recording import to_float32

PREPARATION = "preparation"
"""Attribute of a recorded dataset with the result of :func:`preparation`."""

SQUEEZE = 0.02  # difference in aspect that images may have, from rounding to pixels
_LUMA = (0.299, 0.587, 0.114)


def preprocess(
    images: np.ndarray | list[np.ndarray],
    config: dict[str, Any],
    name: str,
    image_names: list[str] | None = None,
) -> np.ndarray:
    """Converts to grey or color, crops, and resizes; returns (image, channel, y, x) float32.

    ``images`` are (image, channel, y, x), or a list of (channel, y, x) of different sizes, whose names or
    numbers a message names; their units are kept, and equal images remain equal. ``config`` has ``color``
    (grey: luma of ITU-R BT.601; rgb; or stored: the channels as they are, any number), ``crop`` (null or top,
    left, height and width, px) and ``size`` (null, or height and width after the crop, px, one number for
    squares).
    """
    if isinstance(images, np.ndarray):
        return _prepare(images, config, name)
    labels = image_names or range(len(images))
    aspects = np.log([image.shape[1] / image.shape[2] for image in images])
    other = int(np.abs(aspects - aspects[0]).argmax())
    if config["crop"] is None and abs(aspects[other] - aspects[0]) > SQUEEZE:
        shapes = f"{images[0].shape[1:]} and {images[other].shape[1:]} (y, x)"
        advice = "bring them to one shape before, or set image.crop"
        raise UserError(f"{name}.images: {labels[0]} and {labels[other]} have shapes {shapes}: {advice}")
    prepared = [_prepare(image[None], config, name) for image in images]
    for label, image in zip(labels, prepared, strict=True):
        if image.shape != prepared[0].shape:
            shapes = f"{prepared[0].shape[1:]} and {image.shape[1:]} (channel, y, x)"
            raise UserError(f"{name}.images: {labels[0]} and {label} have shapes {shapes}: set image.size")
    return np.concatenate(prepared)


def _prepare(images: np.ndarray, config: dict[str, Any], name: str) -> np.ndarray:
    channels = images.shape[1]
    if config["color"] != "stored" and channels not in (1, 3):
        fault = f"have {channels} channels, not 1 (grey) or 3 (color)"
        raise UserError(f"{name}.images: {fault}: set image.color to stored to keep them as they are")
    if config["color"] == "rgb" and channels == 1:
        raise UserError(f"{name}.image.color: rgb is set but the images are grey: set grey")
    if config["crop"] is not None:
        top, left, height, width = config["crop"]
        y, x = images.shape[2:]
        if min(top, left) < 0 or min(height, width) < 1 or top + height > y or left + width > x:
            fault = f"{config['crop']} leaves the image of {y} x {x} px"
            raise UserError(f"{name}.image.crop: {fault}: the order is top, left, height, width")
        images = images[:, :, top : top + height, left : left + width]
    images = to_float32(images)
    if config["color"] == "grey" and channels == 3:
        # Pixel by pixel: a matrix product may round equal images differently.
        red, green, blue = (np.float32(weight) * images[:, [i]] for i, weight in enumerate(_LUMA))
        images = red + green + blue
    size = config["size"]
    size = (size, size) if isinstance(size, int) else tuple(size or images.shape[2:])
    return np.ascontiguousarray(images if size == images.shape[2:] else _resize(images, size))


def _resize(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    resized = np.empty((*images.shape[:2], *size), np.float32)
    for index in np.ndindex(images.shape[:2]):
        # Pillow widens the filter when it shrinks, so that fine detail does not alias.
        picture = Image.fromarray(images[index]).resize(size[::-1], Image.Resampling.LANCZOS)
        resized[index] = np.asarray(picture)
    return resized


def preparation(images: np.ndarray | list[np.ndarray], config: dict[str, Any]) -> str:
    """JSON of the keys to prepare later images alike, and to find a pixel in the original image.

    ``color``, ``crop`` and ``size`` as in :func:`preprocess`, ``original`` (height and width of the images as
    stored, null if they differ) and ``degrees_per_pixel`` of the original (null if unknown).
    """
    sizes = {image.shape[1:] for image in images}
    kept = {key: config[key] for key in ("color", "crop", "size")}
    original = list(sizes.pop()) if len(sizes) == 1 else None
    return json.dumps(kept | {"original": original, "degrees_per_pixel": config.get("degrees_per_pixel")})
