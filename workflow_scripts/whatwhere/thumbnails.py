"""Small pictures of neurons as text that an HTML page holds: PNG of few colours, or GIF, in base 64."""

import base64
import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

LARGEST = 48
"""Longest side in px; larger maps are shrunk."""

FRAME_MS = 100
"""Time for which an animation shows a frame: windows of movies last too short to be seen."""

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


def stretched(image: np.ndarray) -> np.ndarray:
    """An image of any axes with its own contrast, 0 to 1, gray where it equals the median."""
    return 0.5 + 0.5 * _signed(image - np.median(image))


def _colors(image: np.ndarray) -> np.ndarray:
    """Colours (y, x, colour) of an image (channel, y, x); of one or many channels, the mean in grey."""
    colors = image if len(image) == 3 else np.repeat(image.mean(0, keepdims=True), 3, axis=0)
    return np.moveaxis(colors, 0, -1)


def picture(image: np.ndarray) -> str:
    """An image (channel, y, x) stretched to its own contrast; a single channel in grey."""
    return encode(_colors(stretched(image)))


def frames_of(clip: np.ndarray, lags: int) -> np.ndarray:
    """Frames (frame, channel, y, x), oldest first, of a window (lag * channel, y, x)."""
    return clip.reshape(lags, -1, *clip.shape[1:])[::-1]


def save_gif(frames: np.ndarray, target: str | Path | BinaryIO, side: int) -> None:
    """Writes an animation of frames (frame, channel, y, x) from 0 to 1, whose longer side is ``side`` px."""
    scale = side / max(frames.shape[2:])
    size = [max(round(length * scale), 1) for length in reversed(frames.shape[2:])]
    pixels = [(_colors(frame) * 255).round().clip(0, 255).astype(np.uint8) for frame in frames]
    method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
    shown = [Image.fromarray(one).resize((size[0], size[1]), method) for one in pixels]
    if frames.shape[1] != 3:
        shown = [one.convert("L") for one in shown]
    keys = {"save_all": True, "append_images": shown[1:], "duration": FRAME_MS, "loop": 0}
    shown[0].save(target, "GIF", **keys)


def animation(clip: np.ndarray, lags: int) -> str:
    """GIF in base 64 of a window (lag * channel, y, x), stretched to its own contrast."""
    stream = io.BytesIO()
    save_gif(frames_of(stretched(clip), lags), stream, min(LARGEST, max(clip.shape[1:])))
    return base64.b64encode(stream.getvalue()).decode()


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
