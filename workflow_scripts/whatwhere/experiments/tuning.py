"""Experiments on a model instead of an animal: tuning curves, orientation selectivity, size tuning."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from whatwhere.errors import UserError
from whatwhere.experiments.stimuli import Canvas, Stimuli, gratings
from whatwhere.fitted.model import FittedModel

PHASES = np.arange(8) * 45.0
"""Phases of a grating in degrees, as many as its first harmonic takes."""
NEARLY = 0.95
"""Share of the largest response at which a stimulus counts as large enough."""


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
    at_rest = fitted.arrays.predict(canvas.draw(np.zeros((1, *canvas.shape[1:]))))
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
) -> pd.DataFrame:
    """Orientation and frequency that neurons prefer, and how selective they are, from gratings of full size.

    The response to a grating is the mean over phases beyond the response to the background, or the first
    harmonic over phases if that is larger, as for complex and simple cells (De Valois, Albrecht & Thorell
    1982).

    Parameters
    ----------
    fitted
        A fitted model.
    orientations
        In degrees, evenly spread over 180.
    frequencies
        In cycles per pixel.

    Returns
    -------
    One row per neuron: ``neuron``; ``orientation`` in degrees, the direction of the vector sum at the best
    ``frequency``; ``selectivity``, 1 minus the circular variance (Ringach, Shapley & Hawken 2002), 0 for none
    and 1 for a single orientation; ``osi``, (best - orthogonal) / (best + orthogonal); ``modulation``, first
    harmonic over mean, above 1 for simple cells (Skottun et al. 1991); ``response`` to the best grating.
    Neurons that no grating excites have NaN.

    Raises
    ------
    UserError
        If orientations are not evenly spread over 180 degrees, an even number of them.
    """
    angles = np.asarray(orientations, float)
    n = len(angles)
    if n < 4 or n % 2 or not np.allclose(np.diff(angles), 180 / n):
        raise UserError("orientations: must be an even number of at least 4, evenly spread over 180 degrees")
    shown = gratings(
        Canvas.of(fitted.image_space),
        orientations=orientations,
        frequencies=frequencies,
        phases=PHASES.tolist(),
    )
    evoked = _evoked(fitted, shown).reshape(n, len(frequencies), len(PHASES), -1)
    mean, harmonic = _harmonics(evoked)  # (orientation, frequency, neuron)
    strength = np.maximum(np.maximum(mean, harmonic), 0)
    neuron = np.arange(strength.shape[2])
    best, at = np.unravel_index(strength.reshape(-1, len(neuron)).argmax(0), strength.shape[:2])
    curve = strength[:, at, neuron]  # (orientation, neuron)
    vector = (curve * np.exp(2j * np.deg2rad(angles))[:, None]).sum(0)
    largest, orthogonal = curve[best, neuron], curve[(best + n // 2) % n, neuron]
    with np.errstate(invalid="ignore", divide="ignore"):
        table = pd.DataFrame(
            {
                "neuron": fitted.neuron_ids,
                "orientation": np.rad2deg(np.angle(vector)) / 2 % 180,
                "frequency": np.asarray(frequencies)[at],
                "selectivity": np.abs(vector) / curve.sum(0),
                "osi": (largest - orthogonal) / (largest + orthogonal),
                "modulation": harmonic[best, at, neuron] / mean[best, at, neuron],
                "response": largest,
            }
        )
    table.loc[largest <= 0, ["orientation", "frequency", "selectivity", "osi", "modulation"]] = np.nan
    return table


def size_tuning(
    fitted: FittedModel,
    *,
    diameters: Sequence[float],
    preferred: pd.DataFrame,
) -> pd.DataFrame:
    """Response of neurons to gratings of several sizes where they look.

    Parameters
    ----------
    fitted
        A fitted model.
    diameters
        In pixels.
    preferred
        Of :func:`orientation_tuning`: every neuron sees gratings of its own orientation and frequency.

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
            shown = gratings(
                canvas,
                orientations=[preferred["orientation"].iloc[index]],
                frequencies=[preferred["frequency"].iloc[index]],
                phases=PHASES.tolist(),
                diameters=sizes,
                center=(float(center[0]), float(center[1])),
            )
            evoked = _evoked(fitted, shown)[:, [index]].reshape(len(PHASES), len(sizes), 1)
            mean, harmonic = _harmonics(evoked.swapaxes(0, 1))
            response = np.maximum(mean, harmonic)[:, 0]
        rows.append(
            pd.DataFrame({"neuron": fitted.neuron_ids[index], "diameter": sizes, "response": response})
        )
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
    responses = table.to_numpy()
    largest = np.nanmax(np.nan_to_num(responses, nan=-np.inf), axis=1)
    excited = np.isfinite(largest) & (largest > 0)
    enough = (responses >= NEARLY * largest[:, None]).argmax(1)
    scale = np.where(excited, largest, 1.0)
    return pd.DataFrame(
        {
            "neuron": table.index,
            "diameter": np.where(excited, table.columns.to_numpy(float)[enough], np.nan),
            "suppression": np.where(excited, 1 - responses[:, -1] / scale, np.nan),
        }
    )
