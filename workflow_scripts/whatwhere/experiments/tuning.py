"""Experiments on a model instead of an animal: gratings, tuning curves, orientation selectivity, size tuning.

Orientations are directions across the stripes in degrees, from the x axis towards the y axis, which points
down; 0 gives vertical stripes. Where the model takes a movie, gratings drift in that direction: 0 is to the
right, 90 is down. Lengths are in pixels of the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from whatwhere.errors import UserError
from whatwhere.fitted.image_space import ImageSpace
from whatwhere.fitted.model import FittedModel

PHASES = np.arange(8) * 45.0
"""Phases of a grating in degrees, as many as its first harmonic takes."""
NEARLY = 0.95
"""Share of the largest response at which a stimulus counts as large enough."""
_ROUNDING = 1e-6
"""Responses of this share of the largest response, in absolute value, and less count as rounding."""


@dataclass(frozen=True)
class Canvas:
    """A uniform background to draw on.

    Attributes
    ----------
    shape
        (channel, y, x); of a movie, of a window of frames.
    background
        Pixel value where nothing is drawn.
    amplitude
        How much a pattern of contrast 1 is brighter or darker.
    times
        (lag,) times before the response at which frames are shown, s, newest first; 0 for still images.
    """

    shape: tuple[int, int, int]
    background: float
    amplitude: float
    times: tuple[float, ...] = (0.0,)

    @classmethod
    def of(cls, space: ImageSpace) -> "Canvas":
        """A canvas as bright and as contrasted as the training images of a fitted model."""
        room = min(space.mean - space.low.min(), space.high.max() - space.mean)
        timing = space.timing
        times = (0.0,) if timing is None else tuple(lag / timing.rate for lag in range(timing.lags))
        return cls(space.shape, space.mean, float(room), times)

    def draw(self, patterns: np.ndarray) -> np.ndarray:
        """Images (image, channel, y, x), float32, of patterns (image, y, x) from -1 to 1.

        Patterns of a movie are (image, lag, y, x).
        """
        grey = (self.background + self.amplitude * patterns).astype(np.float32)
        grey = grey.reshape(len(grey), len(self.times), *self.shape[1:])
        return np.repeat(grey, self.shape[0] // len(self.times), axis=1)

    def distances(self, center: tuple[float, float] | None) -> tuple[np.ndarray, np.ndarray]:
        """Distances down and right of a center (y, x), (y, x) each; None is the middle of the image."""
        _, height, width = self.shape
        row, column = ((height - 1) / 2, (width - 1) / 2) if center is None else center
        down, right = np.meshgrid(np.arange(height) - row, np.arange(width) - column, indexing="ij")
        return down, right


class Stimuli(NamedTuple):
    """Images (image, channel, y, x), float32, and the parameters of what they show, one row per image."""

    images: np.ndarray
    parameters: pd.DataFrame


def gratings(
    canvas: Canvas,
    *,
    orientations: Sequence[float],
    frequencies: Sequence[float],
    phases: Sequence[float],
    temporal_frequencies: Sequence[float] = (0.0,),
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
        In degrees at the center, of a movie in the newest frame; 0 is brightest there.
    temporal_frequencies
        In cycles per second, at most half of the frame rate; still images have 0.
    diameters
        Of the round window; infinite fills the image.
    center
        (y, x) of window and phase; None takes the middle of the image.
    contrast
        Michelson contrast relative to the canvas.

    Returns
    -------
    Stimuli with the parameters ``orientation``, ``frequency``, ``phase``, ``diameter``, and of a movie
    ``temporal_frequency``.

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
    fastest = 0.0 if len(canvas.times) == 1 else 0.5 / canvas.times[1]
    if not len(temporal_frequencies) or not all(0 <= one <= fastest for one in temporal_frequencies):
        raise UserError(
            f"temporal_frequencies: {list(temporal_frequencies)} must lie between 0 and {fastest:g} cycles "
            "per second, half of the frame rate"
        )
    down, right = canvas.distances(center)
    radius = np.hypot(down, right)
    before = np.array(canvas.times)[:, None, None]
    axes = [orientations, frequencies, phases, temporal_frequencies, diameters]
    names = ["orientation", "frequency", "phase", "temporal_frequency", "diameter"]
    table = pd.MultiIndex.from_product(axes, names=names)
    patterns = []
    for orientation, frequency, phase, temporal, diameter in table:
        angle = np.deg2rad(orientation)
        across = right * np.cos(angle) + down * np.sin(angle)
        cycles = frequency * across + temporal * before
        stripes = np.cos(2 * np.pi * cycles + np.deg2rad(phase))
        # In between on the pixels that the edge of the window crosses.
        patterns.append(contrast * stripes * np.clip(diameter / 2 - radius + 0.5, 0, 1))
    parameters = table.to_frame(index=False)
    parameters = parameters if fastest else parameters.drop(columns="temporal_frequency")
    return Stimuli(canvas.draw(np.array(patterns)), parameters)


def tuning(fitted: FittedModel, stimuli: Stimuli) -> pd.DataFrame:
    """Response of every neuron to every stimulus.

    Returns
    -------
    One row per neuron and image: ``neuron``, the parameters of the stimuli, and ``response``.
    """
    responses = fitted.arrays.predict(stimuli.images)
    neurons = fitted.neuron_ids
    table = stimuli.parameters.loc[stimuli.parameters.index.repeat(len(neurons))].reset_index(drop=True)
    table.insert(0, "neuron", neurons * len(responses))
    return table.assign(response=responses.ravel())


def _evoked(fitted: FittedModel, stimuli: Stimuli) -> np.ndarray:
    """Responses beyond those to the background, (image, neuron)."""
    canvas = Canvas.of(fitted.image_space)
    at_rest = fitted.arrays.predict(canvas.draw(np.zeros((1, len(canvas.times), *canvas.shape[1:]))))
    return fitted.arrays.predict(stimuli.images).astype(np.float64) - at_rest


def _harmonics(responses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and first harmonic over :data:`PHASES`, (..., phase, neuron) to (..., neuron) twice."""
    waves = np.exp(1j * np.deg2rad(PHASES))[:, None]
    return responses.mean(-2), 2 * np.abs((responses * waves).mean(-2))


def orientation_tuning(
    fitted: FittedModel,
    *,
    orientations: Sequence[float] = tuple(range(0, 180, 15)),
    frequencies: Sequence[float] = (0.04, 0.06, 0.08, 0.12, 0.16, 0.24),
    temporal_frequencies: Sequence[float] = (1, 2, 4, 8),
) -> pd.DataFrame:
    """Orientation and frequency that neurons prefer, and how selective they are, from gratings of full size.

    The response to a grating is the mean over phases beyond the response to the background, or the first
    harmonic over phases if that is larger, as for complex and simple cells (De Valois, Albrecht & Thorell
    1982). A model of a movie is shown gratings that drift in both directions across their stripes.

    Parameters
    ----------
    fitted
        A fitted model.
    orientations
        In degrees, evenly spread over 180.
    frequencies
        In cycles per pixel.
    temporal_frequencies
        In cycles per second, for a model of a movie.

    Returns
    -------
    One row per neuron: ``neuron``; ``orientation`` in degrees, the direction of the vector sum at the best
    ``frequency``; ``selectivity``, 1 minus the circular variance (Ringach, Shapley & Hawken 2002), 0 for none
    and 1 for a single orientation; ``osi``, (best - orthogonal) / (best + orthogonal); ``modulation``, first
    harmonic over mean, above 1 for simple cells (Skottun et al. 1991); ``response`` to the best grating.
    Neurons that no grating excites have NaN. Of a movie, orientations are means over both directions, and
    there are ``temporal_frequency``, that of the best grating; ``direction`` in degrees, that of the vector
    sum over directions; and ``direction_selectivity``, (best - opposite) / (best + opposite).

    Raises
    ------
    UserError
        If orientations are not evenly spread over 180 degrees, an even number of them.
    """
    angles = np.asarray(orientations, float)
    n = len(angles)
    if n < 4 or n % 2 or not np.allclose(np.diff(angles), 180 / n):
        raise UserError("orientations: must be an even number of at least 4, evenly spread over 180 degrees")
    canvas = Canvas.of(fitted.image_space)
    movie = fitted.image_space.timing is not None
    directions = np.concatenate([angles, angles + 180]) if movie else angles
    speeds = np.asarray(temporal_frequencies if movie else (0.0,), float)
    evoked = []
    for speed in speeds:
        shown = gratings(
            canvas,
            orientations=directions.tolist(),
            frequencies=frequencies,
            phases=PHASES.tolist(),
            temporal_frequencies=[speed],
        )
        evoked.append(_evoked(fitted, shown).reshape(len(directions), len(frequencies), len(PHASES), -1))
    responses = np.stack(evoked, 1)
    mean, harmonic = _harmonics(responses)  # (direction, speed, frequency, neuron)
    strength = np.maximum(np.maximum(mean, harmonic), 0)
    neuron = np.arange(strength.shape[3])
    strength[strength <= _ROUNDING * np.abs(responses).max((0, 1, 2, 3))] = 0
    best, fast, at = np.unravel_index(strength.reshape(-1, len(neuron)).argmax(0), strength.shape[:3])
    curve = strength[:, fast, at, neuron]  # (direction, neuron)
    of_orientation, preferred = curve.reshape(-1, n, len(neuron)).mean(0), best % n
    vector = (of_orientation * np.exp(2j * np.deg2rad(angles))[:, None]).sum(0)
    largest, orthogonal = of_orientation[preferred, neuron], of_orientation[(preferred + n // 2) % n, neuron]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {
            "orientation": np.rad2deg(np.angle(vector)) / 2 % 180,
            "frequency": np.asarray(frequencies)[at],
            "selectivity": np.abs(vector) / of_orientation.sum(0),
            "osi": (largest - orthogonal) / (largest + orthogonal),
            "modulation": harmonic[best, fast, at, neuron] / mean[best, fast, at, neuron],
        }
        if movie:
            towards = (curve * np.exp(1j * np.deg2rad(directions))[:, None]).sum(0)
            most, opposite = curve[best, neuron], curve[(best + n) % (2 * n), neuron]
            found["temporal_frequency"] = speeds[fast]
            found["direction"] = np.rad2deg(np.angle(towards)) % 360
            found["direction_selectivity"] = (most - opposite) / (most + opposite)
    response = curve[best, neuron]
    table = pd.DataFrame({"neuron": fitted.neuron_ids, **found, "response": response})
    table.loc[response <= 0, [*found]] = np.nan
    return table


def size_tuning(fitted: FittedModel, *, diameters: Sequence[float], preferred: pd.DataFrame) -> pd.DataFrame:
    """Response of neurons to gratings of several sizes where they look.

    Parameters
    ----------
    fitted
        A fitted model.
    diameters
        In pixels.
    preferred
        Of :func:`orientation_tuning`: every neuron sees gratings of its own orientation, or direction, and
        frequencies.

    Returns
    -------
    One row per neuron and diameter: ``neuron``, ``diameter`` and ``response`` beyond that to the background.
    """
    sizes = [float(diameter) for diameter in diameters]
    canvas = Canvas.of(fitted.image_space)
    rows = []
    for index, center in enumerate(fitted.positions):
        if np.isnan(preferred["orientation"].iloc[index]):
            response = np.full(len(sizes), np.nan)
        else:
            own = preferred.iloc[index]
            shown = gratings(
                canvas,
                orientations=[own.get("direction", own["orientation"])],
                frequencies=[own["frequency"]],
                phases=PHASES.tolist(),
                temporal_frequencies=[own.get("temporal_frequency", 0.0)],
                diameters=sizes,
                center=(float(center[0]), float(center[1])),
            )
            evoked = _evoked(fitted, shown)[:, [index]].reshape(len(PHASES), len(sizes), 1)
            mean, harmonic = _harmonics(evoked.swapaxes(0, 1))
            response = np.maximum(mean, harmonic)[:, 0]
        curve = {"neuron": fitted.neuron_ids[index], "diameter": sizes, "response": response}
        rows.append(pd.DataFrame(curve))
    return pd.concat(rows, ignore_index=True)


def preferred_sizes(curves: pd.DataFrame) -> pd.DataFrame:
    """Preferred diameter and surround suppression of every neuron, from the table of :func:`size_tuning`.

    Returns
    -------
    One row per neuron: ``neuron``; ``diameter``, the smallest with :data:`NEARLY` the largest response; and
    ``suppression``, 1 minus the response to the largest stimulus over the largest response. NaN for neurons
    that no stimulus excites.
    """
    table = curves.pivot(index="neuron", columns="diameter", values="response")
    largest = table.max(axis=1)
    preferred = table.ge(NEARLY * largest, axis=0).idxmax(axis=1)
    sizes = pd.DataFrame({"diameter": preferred, "suppression": 1 - table.iloc[:, -1] / largest})
    return sizes.where(largest > 0).reset_index()
