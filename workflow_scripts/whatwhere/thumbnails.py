"""Small pictures of neurons as text that an HTML page holds: PNG of few colours, in base 64."""

import base64
import io

import numpy as np
from PIL import Image

LARGEST = 48
"""Longest side in px; larger maps are shrunk."""

_COLORS = 16
_NEGATIVE, _POSITIVE = np.array([0.13, 0.4, 0.67]), np.array([0.7, 0.09, 0.17])
"""Ends of a diverging scale with white at zero."""
_MASK = np.array([0.9, 0.45, 0.0])


def encode(rgb: np.ndarray, method: Image.Quantize = Image.Quantize.MEDIANCUT) -> str:
    """PNG of a picture (y, x, colour) of values from 0 to 1, in base 64; ``method`` chooses its colours."""
    pixels = Image.fromarray((rgb * 255).round().clip(0, 255).astype(np.uint8))
    scale = LARGEST / max(pixels.size)
    if scale < 1:
        width, height = (max(round(side * scale), 1) for side in pixels.size)
        pixels = pixels.resize((width, height), Image.Resampling.BOX)
    stream = io.BytesIO()
    pixels.quantize(_COLORS, method, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def _signed(values: np.ndarray) -> np.ndarray:
    """Values relative to the largest absolute one; zeros of a map of zeros."""
    return values / (np.abs(values).max() or 1.0)


def picture(image: np.ndarray) -> str:
    """An image (channel, y, x) stretched to its own contrast; a single channel in grey."""
    middle = np.median(image)
    stretched = 0.5 + 0.5 * _signed(image - middle)
    colors = stretched if len(stretched) == 3 else np.repeat(stretched.mean(0, keepdims=True), 3, axis=0)
    return encode(np.moveaxis(colors, 0, -1))


def mask_on_average(mask: np.ndarray, average: np.ndarray) -> str:
    """A mask (y, x) in orange on an average (y, x) in grey; the smaller mask is centred."""
    grey = np.repeat(0.5 + 0.4 * _signed(average)[..., None], 3, axis=-1)
    strength = np.zeros(average.shape)
    top, left = (np.array(average.shape) - mask.shape) // 2
    strength[top : top + mask.shape[0], left : left + mask.shape[1]] = np.abs(_signed(mask))
    # An octree keeps the few pixels of another hue, which a median cut gives away.
    mixed = grey * (1 - strength[..., None]) + _MASK * strength[..., None]
    return encode(mixed, Image.Quantize.FASTOCTREE)


def barcode(weights: np.ndarray) -> str:
    """Feature weights as one row of blue (negative) to red (positive) pixels."""
    signed = _signed(weights)[:, None]
    ends = np.where(signed < 0, _NEGATIVE, _POSITIVE)
    return encode((1 - np.abs(signed) * (1 - ends))[None])
