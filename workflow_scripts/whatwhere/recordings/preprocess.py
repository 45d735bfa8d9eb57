"""Images of a recording as models see them: colour, crop and size (the ``image`` keys of a dataset)."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from whatwhere.errors import UserError

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def preprocess(images: np.ndarray, config: dict[str, Any], name: str) -> np.ndarray:
    """Convert to grey or colour, crop, and resize.

    Parameters
    ----------
    images
        (image, channel, y, x) with 1 or 3 channels.
    config
        ``color`` (grey: luma of ITU-R BT.601, or rgb), ``crop`` (null or top, left, height and width in
        pixels), ``size`` (null or height and width in pixels, after the crop).
    name
        The dataset's key, for messages.

    Returns
    -------
    (image, channel, y, x), float32, in the units of ``images``.

    Raises
    ------
    UserError
        If there are no such channels or the crop leaves the image.
    """
    channels = images.shape[1]
    if channels not in (1, 3):
        raise UserError(f"{name}.images: have {channels} channels, expected 1 (grey) or 3 (colour)")
    if config["crop"] is not None:
        top, left, height, width = config["crop"]
        if top + height > images.shape[2] or left + width > images.shape[3]:
            raise UserError(
                f"{name}.image.crop: {config['crop']} leaves the image of {images.shape[2]} x "
                f"{images.shape[3]} px: the order is top, left, height, width"
            )
        images = images[:, :, top : top + height, left : left + width]
    images = images.astype(np.float32)
    if config["color"] == "grey" and channels == 3:
        images = np.tensordot(images, _LUMA, (1, 0))[:, None]
    elif config["color"] == "rgb" and channels == 1:
        raise UserError(f"{name}.image.color: rgb is set but the images are grey: set grey")
    if config["size"] is not None and tuple(config["size"]) != images.shape[2:]:
        images = _resize(images, tuple(config["size"]))
    return np.ascontiguousarray(images)


def _resize(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    resized = np.empty((*images.shape[:2], *size), np.float32)
    for index in np.ndindex(images.shape[:2]):
        # Pillow widens the filter when it shrinks, so that fine detail does not alias.
        picture = Image.fromarray(images[index]).resize(size[::-1], Image.Resampling.LANCZOS)
        resized[index] = np.asarray(picture)
    return resized
