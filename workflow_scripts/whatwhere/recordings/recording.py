"""A recording as every loader returns it."""

import logging
from dataclasses import dataclass, field

import numpy as np

from whatwhere.recordings.presentations import Presentations

logger = logging.getLogger(__name__)

_ROUNDING = 1e-6
"""Rounding noise of responses, relative to the sd of a neuron."""


Images = np.ndarray | list[np.ndarray]
"""(image, channel, y, x), any numeric type; a list of (channel, y, x) if their sizes differ."""


@dataclass(frozen=True)
class Recording:
    """A recording as its publisher or owner stores it.

    Attributes
    ----------
    images
        As :data:`Images`.
    responses
        Presentations, or (repeat, image, neuron) float32, NaN for missing repeats.
    split
        (image,) ``train``, ``validation``, ``test`` or the empty string for images that are still to be
        assigned; None if all are.
    neurons, image_names
        (neuron,) and (image,) names that the publisher or owner gives, or None.
    source, citation
        Where the data were taken from, and what to cite, empty if unknown.
    repeat_averages
        Whether responses are published averages, so that single trials are unknown.
    groups
        (image,) equal for images that may not be divided by a split, or None.
    covariates
        Names of running speed, pupil and the like, and presentations of them (repeat, image, covariate);
        used by models with state.
    missing
        What is done where a covariate is missing, ``leave_out`` or ``hold_last`` by name.
    reading
        What was taken for what, a phrase each.
    """

    images: Images
    responses: np.ndarray | Presentations
    split: np.ndarray | None
    neurons: np.ndarray | None
    source: str
    citation: str = ""
    repeat_averages: bool = False
    groups: np.ndarray | None = None
    covariates: tuple[list[str], Presentations] | None = None
    missing: dict[str, str] = field(default_factory=dict)
    reading: list[str] = field(default_factory=list)
    image_names: list[str] | None = None


def select_images(images: Images, indices: np.ndarray) -> Images:
    """Some of the images of :class:`Recording`."""
    return images[indices] if isinstance(images, np.ndarray) else [images[index] for index in indices]


def clip_rounding(responses: np.ndarray, name: str) -> np.ndarray:
    """Responses (..., neuron) with what lies below zero by rounding set to 0, and a warning that says so.

    Deconvolved calcium and averages of rates hold values such as -5e-8 beside an sd of 2.8, on which a loss
    for rates has no business to fail. A neuron that is truly negative anywhere is left as it is.
    """
    if not responses.size:
        return responses
    axes = tuple(range(responses.ndim - 1))
    lowest = np.fmin.reduce(responses, axis=axes)
    below = np.flatnonzero(lowest < 0)
    # Infinite responses are refused elsewhere.
    with np.errstate(invalid="ignore"):
        sd = np.nanstd(responses[..., below], axis=axes, dtype=np.float64)
    clipped = below[lowest[below] > -_ROUNDING * sd]
    if not len(clipped):
        return responses
    text = "%s: %d neurons hold rounding noise below zero, down to %.1g: set to 0"
    logger.warning(text, name, len(clipped), lowest[clipped].min())
    responses = responses.copy()
    mine = responses[..., clipped]
    # A comparison with NaN is False, so that missing repeats stay missing.
    responses[..., clipped] = np.where(mine < 0, 0, mine)
    return responses


def to_float32(array: np.ndarray) -> np.ndarray:
    """Array as float32; what is too large becomes infinite, which the data contract refuses."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)
