"""Recordings that were put together: which images and which neurons belong to which of them.

A dataset of several recordings has the coordinates ``recording`` (neuron) and ``image_recording`` (image),
names; neurons of a recording follow each other, as its images do, and see no others. Recordings are counted
in the order in which the configuration names them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr


@dataclass(frozen=True)
class Session:
    """One recording of a pool, as a model of the pool sees it.

    Attributes
    ----------
    recording
        Its number.
    neurons
        Its neurons among those of the model.
    """

    recording: int
    neurons: slice


ALL = slice(None)
"""Neurons of a model that is asked for all of them."""


def neurons_of(session: Session | None) -> slice:
    """Neurons that are asked for; without a part, all."""
    return ALL if session is None else session.neurons


def sessions_of(neurons: np.ndarray) -> list[Session]:
    """The recordings of a population, from the number of the recording of every neuron, which rises."""
    found, first, size = np.unique(neurons, return_index=True, return_counts=True)
    return [
        Session(int(recording), slice(int(start), int(start + n)))
        for recording, start, n in zip(found, first, size, strict=True)
    ]


@dataclass(frozen=True)
class PooledRecordings:
    """The recordings of a dataset.

    Attributes
    ----------
    names
        Of the recordings.
    images, neurons
        (image,) and (neuron,) number of the recording.
    """

    names: list[str]
    images: np.ndarray
    neurons: np.ndarray

    @classmethod
    def of(cls, dataset: xr.Dataset) -> PooledRecordings | None:
        """The pool that a dataset is, or None if it is a single recording or simulation."""
        if "recording" not in dataset.coords:
            return None
        of_neurons, of_images = (
            dataset[name].values.astype(str) for name in ("recording", "image_recording")
        )
        names = list(dict.fromkeys(of_images.tolist()))
        number = {name: index for index, name in enumerate(names)}
        return cls(
            names,
            np.array([number[name] for name in of_images]),
            np.array([number[name] for name in of_neurons]),
        )


@dataclass(frozen=True)
class FitPool:
    """The recordings of what one fit sees: (image,) and (neuron,) numbers of the recording."""

    train: np.ndarray
    validation: np.ndarray
    neurons: np.ndarray
