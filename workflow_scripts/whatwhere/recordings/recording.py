"""What every loader returns."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass

import numpy as np

logger = logging.getLogger(__name__)

_ROUNDING = 1e-6
"""Rounding noise of responses, relative to the sd of a neuron."""


@dataclass(frozen=True)
class Recording:
    """A recording as its publisher or owner stores it.

    Attributes
    ----------
    images
        (image, channel, y, x), any numeric type; a list of (channel, y, x) if their sizes differ.
    responses
        (repeat, image, neuron) float32, NaN for missing repeats.
    split
        (image,) ``train``, ``validation``, ``test`` or the empty string for images that are still to be
        assigned; None if all are.
    neurons
        (neuron,) names that the publisher or owner gives, or None.
    source
        Where the data were taken from.
    citation
        What to cite, empty if unknown.
    repeat_averages
        Whether responses are published averages, so that single trials are unknown.
    """

    images: np.ndarray | list[np.ndarray]
    responses: np.ndarray
    split: np.ndarray | None
    neurons: np.ndarray | None
    source: str
    citation: str
    repeat_averages: bool


def clip_rounding(responses: np.ndarray, name: str) -> np.ndarray:
    """Responses with what lies below zero by rounding set to 0, and a warning that says so.

    Deconvolved calcium and averages of rates hold values such as -5e-8 beside an sd of 2.8, on which a loss
    for rates has no business to fail. A neuron that is truly negative anywhere is left as it is.

    Parameters
    ----------
    responses
        (repeat, image, neuron), NaN for missing repeats.
    name
        The dataset's key, for the warning.
    """
    with warnings.catch_warnings():
        # Neurons without any response are refused elsewhere.
        warnings.simplefilter("ignore", RuntimeWarning)
        lowest, sd = np.nanmin(responses, axis=(0, 1)), np.nanstd(responses, axis=(0, 1), dtype=np.float64)
    clipped = (lowest < 0) & (lowest > -_ROUNDING * sd)
    if not clipped.any():
        return responses
    logger.warning(
        "%s: %d neurons hold rounding noise below zero, down to %.1g: set to 0",
        name,
        clipped.sum(),
        lowest[clipped].min(),
    )
    # A comparison with NaN is False, so that missing repeats stay missing.
    return np.where(clipped & (responses < 0), np.float32(0), responses)


def to_float32(array: np.ndarray) -> np.ndarray:
    """Array as float32; what is too large becomes infinite, which the data contract refuses."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def stack_repeats(image_of_trial: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Sort single presentations by image.

    Parameters
    ----------
    image_of_trial
        (trial,) index of the image shown, each of 0 to n - 1 at least once.
    trials
        (trial, neuron) responses.

    Returns
    -------
    (repeat, image, neuron) float32, repeats in the order of the trials, NaN where an image had fewer.
    """
    counts = np.bincount(image_of_trial)
    order = np.argsort(image_of_trial, kind="stable")
    repeat = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    stacked = np.full((counts.max(), len(counts), trials.shape[1]), np.nan, np.float32)
    stacked[repeat, image_of_trial[order]] = to_float32(trials[order])
    return stacked
