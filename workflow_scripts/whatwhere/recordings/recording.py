"""What every loader returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Recording:
    """A recording as its publisher or owner stores it.

    Attributes
    ----------
    images
        (image, channel, y, x), any numeric type.
    responses
        (repeat, image, neuron) float32, NaN for missing repeats.
    source
        Where the data come from, with citation.
    given_split
        (image,) ``train``, ``validation``, ``test`` or ``pool``; images of the pool are divided as the
        config says. None if all are.
    repeat_averages
        Whether responses are published averages, so that single trials are unknown.
    """

    images: np.ndarray
    responses: np.ndarray
    source: str
    given_split: np.ndarray | None = field(default=None)
    repeat_averages: bool = False
