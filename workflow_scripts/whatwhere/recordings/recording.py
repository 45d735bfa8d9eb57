"""What every loader returns."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from whatwhere.recordings.presentations import Presentations


@dataclass(frozen=True)
class Recording:
    """A recording as its publisher or owner stores it.

    Attributes
    ----------
    images
        (image, channel, y, x), any numeric type; a list of (channel, y, x) if their sizes differ.
    responses
        Presentations, or (repeat, image, neuron) float32, NaN for missing repeats.
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
    groups
        (image,) equal for images that may not be divided by a split, or None.
    covariates
        Running speed, pupil and the like, (repeat, image, covariate) or presentations of them, and their
        names; used by no model.
    reading
        What was taken for what, a phrase each.
    image_names
        What the owner calls the images, or None.
    """

    images: np.ndarray | list[np.ndarray]
    responses: np.ndarray | Presentations
    split: np.ndarray | None
    neurons: np.ndarray | None
    source: str
    citation: str
    repeat_averages: bool
    groups: np.ndarray | None = None
    covariates: tuple[list[str], np.ndarray | Presentations] | None = None
    reading: list[str] = field(default_factory=list)
    image_names: list[str] | None = None

    def keep(self, images: np.ndarray) -> Recording:
        """The recording of some of its images: (image,) truth values."""
        chosen = np.flatnonzero(images)

        def part(values: np.ndarray | Presentations) -> np.ndarray | Presentations:
            return values[:, chosen] if isinstance(values, np.ndarray) else values.keep(images)

        stimuli = self.images
        return dataclasses.replace(
            self,
            images=stimuli[chosen] if isinstance(stimuli, np.ndarray) else [stimuli[i] for i in chosen],
            responses=part(self.responses),
            split=None if self.split is None else self.split[chosen],
            image_names=None if self.image_names is None else [self.image_names[i] for i in chosen],
            groups=None if self.groups is None else self.groups[chosen],
            covariates=self.covariates and (self.covariates[0], part(self.covariates[1])),
        )


def to_float32(array: np.ndarray) -> np.ndarray:
    """Array as float32; what is too large becomes infinite, which the data contract refuses."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)
