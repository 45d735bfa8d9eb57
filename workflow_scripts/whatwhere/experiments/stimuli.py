"""Gratings for experiments on a model, in the pixels of the model.

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
    if not len(diameters) or min(diameters) <= 0:
        raise UserError(f"diameters: {list(diameters)} must be one or more positive numbers of pixels")
    if not 0 < contrast <= 1:
        raise UserError(f"contrast: {contrast} must lie above 0 and not above 1")
    if not len(frequencies) or not all(0 < frequency <= 0.5 for frequency in frequencies):
        raise UserError(
            f"frequencies: {list(frequencies)} must lie above 0 and at most at .5 cycles per pixel, "
            "beyond which pixels show another grating"
        )
    down, right = canvas.distances(center)
    radius = np.hypot(down, right)
    axes = [orientations, frequencies, phases, diameters]
    table = pd.MultiIndex.from_product(axes, names=["orientation", "frequency", "phase", "diameter"])
    patterns = []
    for orientation, frequency, phase, diameter in table:
        angle = np.deg2rad(orientation)
        across = right * np.cos(angle) + down * np.sin(angle)
        stripes = np.cos(2 * np.pi * frequency * across + np.deg2rad(phase))
        # In between on the pixels that the edge of the window crosses.
        patterns.append(contrast * stripes * np.clip(diameter / 2 - radius + 0.5, 0, 1))
    return Stimuli(canvas.draw(np.array(patterns)), table.to_frame(index=False))
