"""Blocks of data, of which batches are taken: the images and neurons of one recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from whatwhere.fit_data import FitData
from whatwhere.pool import FitPool, Part, neurons_of, parts_of


@dataclass(frozen=True)
class Tensors:
    """Data on the device: images (image, channel, y, x), responses (image, neuron)."""

    train_images: Tensor
    train_responses: Tensor
    validation_images: Tensor
    validation_responses: Tensor


@dataclass(frozen=True)
class Terms:
    """Contribution of one block to the objective.

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


def blocks_of(data: FitData, tensors: Tensors, reduction: str) -> list[Block]:
    """Blocks of a fit; its objective is the sum or the mean over the neurons of all recordings.

    Parameters
    ----------
    data
        Data available to the fit.
    tensors
        The same on the device.
    reduction
        Of the objective over neurons, ``mean`` or ``sum``.
    """
    if data.pool is None:
        missing = any(bool(np.isnan(one).any()) for one in (data.train_responses, data.validation_responses))
        return [Block(tensors, Terms(missing=missing))]
    parts = parts_of(data.pool.neurons)
    sizes = np.array([part.neurons.stop - part.neurons.start for part in parts])
    return [
        _block(data.pool, tensors, part, 1.0 if reduction == "sum" else float(share), float(share))
        for part, share in zip(parts, sizes / sizes.sum(), strict=True)
    ]


def _block(pool: FitPool, tensors: Tensors, part: Part, weight: float, share: float) -> Block:
    first, last = (_range_of(recording, part.recording) for recording in (pool.train, pool.validation))
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
    """Range of the images of a recording, which follow each other."""
    found = np.flatnonzero(recordings == recording)
    return slice(int(found[0]), int(found[-1]) + 1)
