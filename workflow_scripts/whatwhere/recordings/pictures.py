"""Decoding picture files."""

import io
import re
import struct
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps

from whatwhere.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
_KINDS = "PNG, JPEG, TIFF, BMP, GIF or WEBP"
_STORED_AS_NUMBERS = ("L", "RGB", "I;16", "I;16B", "I", "F")
_TO_GREY = ("1", "LA", "La")
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    MemoryError,
    AttributeError,
    struct.error,
    EOFError,
    Image.DecompressionBombError,
)
_HIGH_AND_LOW = {
    f"{mode};16{order}": (f"{mode};16B", f"{mode};16L") for mode in ("RGB", "RGBA") for order in "B"
}
_HIGH_AND_LOW |= {
    f"{mode};16{order}": (f"{mode};16L", f"{mode};16B") for mode in ("RGB", "RGBA") for order in "L"
}
"""How Pillow unpacks the higher and the lower byte of colour of 16 bits, which it cannot keep."""


class Picture(NamedTuple):
    """A decoded picture.

    Attributes
    ----------
    pixels
        (channel, y, x) with 1 or 3 channels, in the type that the file stores, upright.
    opacity
        (y, x) from 0, clear, to 1; None if the file has no transparency.
    """

    pixels: np.ndarray
    opacity: np.ndarray | None


def is_image(name: str) -> bool:
    """Whether a file name ends like a picture's."""
    return name.lower().endswith(SUFFIXES)


def in_numeric_order(names: list[str]) -> list[str]:
    """File names sorted with numbers inside them by value: a2 comes before a10."""

    def key(name: str) -> list[str | int]:
        # Every second part is a number.
        return [int(part) if odd % 2 else part for odd, part in enumerate(re.split("([0-9]+)", name))]

    return sorted(names, key=key)


def decode_image(content: bytes, label: str, background: float | None = None) -> np.ndarray:
    """Decode one picture, (channel, y, x) with 1 or 3 channels, in the type that the file stores.

    Parameters
    ----------
    content
        Of the file.
    label
        What to call it in messages.
    background
        Value of the pixels behind transparent ones; None refuses transparency.

    Raises
    ------
    UserError
        If the content is no such picture, is damaged, holds several pages, or is transparent and nothing says
        before what.
    """
    (picture,) = _decode(content, label, single=True)
    return blend(picture, background, label)


def decode_stack(content: bytes, label: str, background: float | None) -> list[np.ndarray]:
    """Decode every page of a file; parameters as in :func:`decode_image`."""
    return [
        blend(picture, background, f"{label}, page {page}")
        for page, picture in enumerate(_decode(content, label, single=False))
    ]


def blend(picture: Picture, background: float | None, label: str) -> np.ndarray:
    """Pixels of a picture in front of a uniform background."""
    pixels, opacity = picture
    if opacity is None or (opacity == 1).all():
        return pixels
    if background is None:
        raise UserError(
            f"{label}: has transparent pixels: set image.background to the value that was shown behind them"
        )
    mixed = opacity * pixels + (1 - opacity) * background
    return np.round(mixed).astype(pixels.dtype) if pixels.dtype.kind == "u" else mixed.astype(pixels.dtype)


def _decode(content: bytes, label: str, single: bool) -> list[Picture]:
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            pages = getattr(image, "n_frames", 1)
            found = [] if single and pages > 1 else [_page(content, image, page) for page in range(pages)]
    except _UNREADABLE as error:
        raise UserError(f"{label}: not a readable {_KINDS} image") from error
    if not found:
        raise UserError(f"{label}: holds {pages} pages, expected one image: save every page as a file")
    return found


def _page(content: bytes, image: ImageFile.ImageFile, page: int) -> Picture:
    if page or getattr(image, "n_frames", 1) > 1:
        image.seek(page)
    modes = {
        str(tile.args if isinstance(tile.args, str) else tile.args[0]) for tile in image.tile if tile.args
    }
    deep = next((mode for mode in modes if mode in _HIGH_AND_LOW), None)
    if deep is not None:
        high, low = (_unpacked(content, page, mode) for mode in _HIGH_AND_LOW[deep])
        return _with_opacity(high.astype(np.uint16) * np.uint16(256) + low, 65535)
    if any(";16" in mode and mode[:2] in ("RG", "LA", "CM") for mode in modes):
        raise ValueError  # would be cut to 8 bits
    upright = ImageOps.exif_transpose(image)
    if upright.mode in _STORED_AS_NUMBERS and "transparency" not in upright.info:
        return _with_opacity(np.asarray(upright), 1)
    if upright.has_transparency_data:
        grey = upright.mode in ("1", "L", "LA", "La")
        return _with_opacity(
            np.asarray(upright.convert("RGBA").convert("LA") if grey else upright.convert("RGBA")), 255
        )
    return _with_opacity(np.asarray(upright.convert("L" if upright.mode in _TO_GREY else "RGB")), 1)


def _unpacked(content: bytes, page: int, mode: str) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
        image.seek(page)
        image.tile = [
            tile._replace(args=(mode, *tile.args[1:]) if isinstance(tile.args, tuple) else mode)
            for tile in image.tile
        ]
        return np.asarray(ImageOps.exif_transpose(image))


def _with_opacity(pixels: np.ndarray, opaque: int) -> Picture:
    """Divide (y, x) or (y, x, channel) into colour and opacity, the last of 2 or 4 channels."""
    if pixels.ndim == 2:
        return Picture(pixels[None], None)
    channels = np.moveaxis(pixels, -1, 0)
    if len(channels) in (2, 4):
        return Picture(channels[:-1], channels[-1] / opaque)
    return Picture(channels, None)
