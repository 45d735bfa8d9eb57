"""Pooled recordings: the recording of every image and every neuron.

A dataset of pooled recordings names them in the coordinates ``recording`` (neuron) and ``image_recording``
(image). Neurons of a recording follow each other, as its images do, and see no images of other recordings.
Recordings are numbered in the order of the configuration.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import xarray as xr


@dataclass(frozen=True)
class Session:
    """Number of one of the pooled recordings, and its neurons among the neurons of a model."""

    recording: int
    neurons: slice


ALL = slice(None)
"""All neurons of a model."""


def neurons_of(session: Session | None) -> slice:
    """Neurons of a session; all neurons of a model if there is none."""
    return ALL if session is None else session.neurons


def sessions_of(neurons: np.ndarray) -> list[Session]:
    """Sessions of a population, from the number of the recording of every neuron, which rises."""
    found, first, size = np.unique(neurons, return_index=True, return_counts=True)
    return [
        Session(int(recording), slice(int(start), int(start + n)))
        for recording, start, n in zip(found, first, size, strict=True)
    ]


@dataclass(frozen=True)
class PooledRecordings:
    """Names of the recordings of a dataset; number of the recording of every image and every neuron."""

    names: list[str]
    images: np.ndarray
    neurons: np.ndarray

    @classmethod
    def of(cls, dataset: xr.Dataset) -> Self | None:
        """Pooled recordings of a dataset; None for a single recording or a simulation."""
        if "recording" not in dataset.coords:
            return None
        images, names = pd.factorize(dataset["image_recording"].values.astype(str))
        neurons = pd.Index(names).get_indexer(dataset["recording"].values.astype(str))
        return cls(names.tolist(), images, neurons)


@dataclass(frozen=True)
class FitPool:
    """Number of the recording of every image and every neuron of one fit."""

    train: np.ndarray
    validation: np.ndarray
    neurons: np.ndarray
