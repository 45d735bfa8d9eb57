"""Artificial stimuli for experiments on a model: gratings, discs and sparse noise, in the model's pixels.

Orientations are directions across the stripes in degrees, from the x axis towards the y axis, which points
down; 0 gives vertical stripes. Lengths are in pixels of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from whatwhere.errors import UserError
from whatwhere.fitted.image_space import ImageSpace


@dataclass(frozen=True)
class Canvas:
    """A uniform background to draw on.

    Attributes
    ----------
    shape
        (channel, y, x).
    background
        Pixel value where nothing is drawn.
    amplitude
        How much a pattern of contrast 1 is brighter or darker.
    """

    shape: tuple[int, int, int]
    background: float
    amplitude: float

    @classmethod
    def of(cls, space: ImageSpace) -> Canvas:
        """A canvas as bright and as contrasted as the training images of a fitted model."""
        room = min(space.mean - space.low.min(), space.high.max() - space.mean)
        return cls(space.shape, space.mean, float(room))

    def draw(self, patterns: np.ndarray) -> np.ndarray:
        """Images (image, channel, y, x), float32, of patterns (image, y, x) from -1 to 1."""
        grey = (self.background + self.amplitude * patterns).astype(np.float32)
        return np.repeat(grey[:, None], self.shape[0], axis=1)

    def distances(self, center: tuple[float, float] | None) -> tuple[np.ndarray, np.ndarray]:
        """Distances down and right of a center (y, x), (y, x) each; None is the middle of the image."""
        _, height, width = self.shape
        row, column = ((height - 1) / 2, (width - 1) / 2) if center is None else center
        down, right = np.meshgrid(np.arange(height) - row, np.arange(width) - column, indexing="ij")
        return down, right


@dataclass(frozen=True)
class Stimuli:
    """Images and what they show.

    Attributes
    ----------
    images
        (image, channel, y, x), float32.
    parameters
        One row per image.
    """

    images: np.ndarray
    parameters: pd.DataFrame


def _disc(down: np.ndarray, right: np.ndarray, diameter: float) -> np.ndarray:
    """1 inside, 0 outside, and in between on the pixels that the edge crosses, (y, x)."""
    return np.clip(diameter / 2 - np.hypot(down, right) + 0.5, 0, 1)


def _check(diameters: Sequence[float], contrast: float) -> None:
    if not len(diameters) or min(diameters) <= 0:
        raise UserError(f"diameters: {list(diameters)} must be one or more positive numbers of pixels")
    if not 0 < contrast <= 1:
        raise UserError(f"contrast: {contrast} must lie above 0 and not above 1")


def blank(canvas: Canvas) -> Stimuli:
    """Returns the background alone."""
    return Stimuli(canvas.draw(np.zeros((1, *canvas.shape[1:]))), pd.DataFrame(index=[0]))


def gratings(
    canvas: Canvas,
    *,
    orientations: Sequence[float],
    frequencies: Sequence[float],
    phases: Sequence[float],
    diameters: Sequence[float] = (np.inf,),
    center: tuple[float, float] | None = None,
    contrast: float = 1.0,
) -> Stimuli:
    """Sinusoidal gratings, every combination of what is given.

    Parameters
    ----------
    canvas
        To draw on.
    orientations
        In degrees.
    frequencies
        In cycles per pixel, above 0 and at most .5.
    phases
        In degrees at the center; 0 is brightest there.
    diameters
        Of the round window; infinite fills the image.
    center
        (y, x) of window and phase; None takes the middle of the image.
    contrast
        Michelson contrast relative to the canvas.

    Returns
    -------
    Stimuli with the parameters ``orientation``, ``frequency``, ``phase`` and ``diameter``.

    Raises
    ------
    UserError
        If a number is out of range.
    """
    _check(diameters, contrast)
    if not len(frequencies) or not all(0 < frequency <= 0.5 for frequency in frequencies):
        raise UserError(
            f"frequencies: {list(frequencies)} must lie above 0 and at most at .5 cycles per pixel, "
            "beyond which pixels show another grating"
        )
    down, right = canvas.distances(center)
    axes = [orientations, frequencies, phases, diameters]
    table = pd.MultiIndex.from_product(axes, names=["orientation", "frequency", "phase", "diameter"])
    patterns = []
    for orientation, frequency, phase, diameter in table:
        angle = np.deg2rad(orientation)
        across = right * np.cos(angle) + down * np.sin(angle)
        stripes = np.cos(2 * np.pi * frequency * across + np.deg2rad(phase))
        patterns.append(contrast * stripes * _disc(down, right, diameter))
    return Stimuli(canvas.draw(np.array(patterns)), table.to_frame(index=False))


def discs(
    canvas: Canvas,
    *,
    diameters: Sequence[float],
    polarities: Sequence[int] = (1, -1),
    center: tuple[float, float] | None = None,
    contrast: float = 1.0,
) -> Stimuli:
    """Bright (polarity 1) and dark (-1) discs; parameters as for :func:`gratings`.

    Returns
    -------
    Stimuli with the parameters ``diameter`` and ``polarity``.
    """
    _check(diameters, contrast)
    down, right = canvas.distances(center)
    table = pd.MultiIndex.from_product([diameters, polarities], names=["diameter", "polarity"])
    patterns = [contrast * polarity * _disc(down, right, diameter) for diameter, polarity in table]
    return Stimuli(canvas.draw(np.array(patterns)), table.to_frame(index=False))


def sparse_noise(
    canvas: Canvas, *, size: int, polarities: Sequence[int] = (1, -1), contrast: float = 1.0
) -> Stimuli:
    """One bright or dark square per image, once at every place of a grid of its size.

    Returns
    -------
    Stimuli with the parameters ``y`` and ``x`` (middle of the square) and ``polarity``.

    Raises
    ------
    UserError
        If the square does not fit into the image.
    """
    _, height, width = canvas.shape
    _check([size], contrast)
    if size > min(height, width):
        raise UserError(f"size: a square of {size} px does not fit into {height} x {width} px")
    rows, columns = (range(0, length - size + 1, size) for length in (height, width))
    table = pd.MultiIndex.from_product([rows, columns, polarities], names=["y", "x", "polarity"])
    patterns = np.zeros((len(table), height, width))
    for pattern, (row, column, polarity) in zip(patterns, table, strict=True):
        pattern[row : row + size, column : column + size] = contrast * polarity
    parameters = table.to_frame(index=False)
    parameters[["y", "x"]] += (size - 1) / 2
    return Stimuli(canvas.draw(patterns), parameters)
