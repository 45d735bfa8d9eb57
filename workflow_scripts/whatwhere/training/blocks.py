"""What one batch may hold: the images of one recording and its neurons; a single recording is one block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from whatwhere.fit_data import FitData
from whatwhere.pool import Part, neurons_of, parts_of

WEIGHINGS = ("neurons", "images", "equally")
"""What recordings count in the objective: by their neurons, by their training images, or all alike."""


@dataclass(frozen=True)
class Tensors:
    """Data on the device: images (image, channel, y, x), responses (image, neuron)."""

    train_images: Tensor
    train_responses: Tensor
    validation_images: Tensor
    validation_responses: Tensor


@dataclass(frozen=True)
class Terms:
    """What one block contributes to the objective.

    Attributes
    ----------
    part
        Its recording and neurons; None: there is only one.
    weight
        Of losses and penalties of its neurons, once they are reduced.
    share
        Of penalties that belong to no neuron; all blocks together have 1.
    missing
        Whether its neurons did not see all of its images.
    """

    part: Part | None = None
    weight: float = 1.0
    share: float = 1.0
    missing: bool = False


@dataclass(frozen=True)
class Block:
    """One recording in training: its data, views of those of all, and what it counts."""

    data: Tensors
    terms: Terms = Terms()


def blocks_of(data: FitData, tensors: Tensors, weighing: str, reduction: str) -> list[Block]:
    """The blocks of a fit.

    An objective is a sum or mean over neurons. Weighed by ``neurons`` it stays that; otherwise the mean over
    the neurons of a recording counts as much as its share of the images, or as that of any other recording.

    Parameters
    ----------
    data
        What the fit may see.
    tensors
        The same on the device.
    weighing
        One of :data:`WEIGHINGS`.
    reduction
        Of the objective over neurons, ``mean`` or ``sum``.
    """
    if data.pool is None:
        missing = any(bool(np.isnan(one).any()) for one in (data.train_responses, data.validation_responses))
        return [Block(tensors, Terms(missing=missing))]
    parts = parts_of(data.pool.neurons)
    sizes = np.array([part.neurons.stop - part.neurons.start for part in parts])
    images = np.array([(data.pool.train == part.recording).sum() for part in parts])
    amounts = {"neurons": sizes, "images": images, "equally": np.ones(len(parts))}[weighing]
    shares = amounts / amounts.sum()
    weights = shares * sizes.sum() / sizes if reduction == "sum" else shares
    return [
        _block(data.pool.train, data.pool.validation, tensors, part, float(weight), float(share))
        for part, weight, share in zip(parts, weights, shares, strict=True)
    ]


def _block(
    train: np.ndarray, validation: np.ndarray, tensors: Tensors, part: Part, weight: float, share: float
) -> Block:
    first, last = (_range_of(recording, part.recording) for recording in (train, validation))
    mine = neurons_of(part)
    data = Tensors(
        tensors.train_images[first],
        tensors.train_responses[first, mine],
        tensors.validation_images[last],
        tensors.validation_responses[last, mine],
    )
    missing = bool(data.train_responses.isnan().any() or data.validation_responses.isnan().any())
    return Block(data, Terms(part, weight, share, missing))


def _range_of(recordings: np.ndarray, recording: int) -> slice:
    """Where the images of a recording lie, which follow each other."""
    found = np.flatnonzero(recordings == recording)
    return slice(int(found[0]), int(found[-1]) + 1)
