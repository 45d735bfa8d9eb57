"""Decoding picture files."""

import io
import re

import numpy as np
from PIL import Image, ImageFile, ImageOps

from whatwhere.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
_KINDS = "PNG, JPEG, TIFF, BMP, GIF or WEBP"
_STORED_AS_NUMBERS = ("L", "RGB", "I;16", "I;16B", "I", "F")
_CUT = ("RGB", "RGBA", "LA", "CMYK")
"""Modes that Pillow cuts to 8 bits."""


def is_image(name: str) -> bool:
    """Whether a file name ends like a picture's."""
    return name.lower().endswith(SUFFIXES)


def in_numeric_order(names: list[str]) -> list[str]:
    """File names sorted with numbers inside them by value: a2 comes before a10."""

    def key(name: str) -> list[str | int]:
        # Every second part is a number.
        return [int(part) if odd % 2 else part for odd, part in enumerate(re.split("([0-9]+)", name))]

    return sorted(names, key=key)


def decode_image(content: bytes, label: str) -> np.ndarray:
    """Decodes one opaque picture, (channel, y, x) with 1 or 3 channels, in the type that the file stores."""
    pages = decode_pages(content, label)
    if len(pages) != 1:
        raise UserError(f"{label}: holds {len(pages)} pages, expected one image: save every page as a file")
    return pages[0]


def decode_pages(content: bytes, label: str) -> list[np.ndarray]:
    """Decode every page of a file; parameters as in :func:`decode_image`."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.mode in _CUT and any(";16" in str(tile.args) for tile in image.tile):
                advice = "save 8 bits per channel, or give all images as an array (kind arrays)"
                raise UserError(f"{label}: has color of 16 bits, of which 8 would be lost: {advice}")
            pages = range(getattr(image, "n_frames", 1))
            return [_page(image, page, label) for page in pages]
    except UserError:
        raise
    except Exception as error:  # Pillow raises errors of a dozen types for damaged files
        raise UserError(f"{label}: not a readable {_KINDS} image") from error


def _page(image: ImageFile.ImageFile, page: int, label: str) -> np.ndarray:
    """Pixels of a page, upright; UserError if some are transparent."""
    if getattr(image, "n_frames", 1) > 1:
        image.seek(page)
        label = f"{label}, page {page}"
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        grey = upright.mode in ("1", "L", "LA", "La")
        rgba = upright.convert("RGBA")
        *colors, alpha = np.moveaxis(np.asarray(rgba.convert("LA") if grey else rgba), -1, 0)
        if (alpha < 255).any():
            raise UserError(
                f"{label}: has transparent pixels: save it in front of what was shown behind them"
            )
        return np.stack(colors)
    if upright.mode not in _STORED_AS_NUMBERS:
        upright = upright.convert("L" if upright.mode == "1" else "RGB")
    pixels = np.asarray(upright)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
