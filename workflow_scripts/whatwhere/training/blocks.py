"""Blocks of data, of which batches are taken: the images and neurons of one recording."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from whatwhere.fit_data import FitData
from whatwhere.sessions import FitPool, Session, neurons_of, sessions_of


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
    session
        Its recording and neurons; None: there is only one.
    weight
        Of losses and penalties of its neurons, once they are reduced.
    share
        Of penalties that belong to no neuron; all blocks together have 1.
    missing
        Whether its neurons did not see all of its images.
    """

    session: Session | None = None
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
    if data.pooled is None:
        missing = any(bool(np.isnan(one).any()) for one in (data.train_responses, data.validation_responses))
        return [Block(tensors, Terms(missing=missing))]
    sessions = sessions_of(data.pooled.neurons)
    sizes = np.array([session.neurons.stop - session.neurons.start for session in sessions])
    return [
        _block(data.pooled, tensors, session, 1.0 if reduction == "sum" else float(share), float(share))
        for session, share in zip(sessions, sizes / sizes.sum(), strict=True)
    ]


def _block(pooled: FitPool, tensors: Tensors, session: Session, weight: float, share: float) -> Block:
    first, last = (_range_of(recording, session.recording) for recording in (pooled.train, pooled.validation))
    mine = neurons_of(session)
    data = Tensors(
        tensors.train_images[first],
        tensors.train_responses[first, mine],
        tensors.validation_images[last],
        tensors.validation_responses[last, mine],
    )
    missing = bool(data.train_responses.isnan().any() or data.validation_responses.isnan().any())
    return Block(data, Terms(session, weight, share, missing))


def _range_of(recordings: np.ndarray, recording: int) -> slice:
    """Range of the images of a recording, which follow each other."""
    found = np.flatnonzero(recordings == recording)
    return slice(int(found[0]), int(found[-1]) + 1)
