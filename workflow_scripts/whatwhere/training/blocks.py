"""Blocks of data, of which batches are taken: the images and neurons of one recording."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whatwhere.fit_data import FitData
from whatwhere.models.trials import Trials
from whatwhere.sessions import Session, sessions_of
from whatwhere.windows import as_tensor


@dataclass(frozen=True)
class Tensors:
    """Data on the device: images (image, channel, y, x), windows or trials, and responses (row, neuron)."""

    train_images: Any
    train_responses: Tensor
    validation_images: Any
    validation_responses: Tensor


@dataclass(frozen=True)
class Terms:
    """Contribution of one block to the objective."""

    session: Session | None = None  # recording and neurons of the block; None for a single recording
    weight: float = 1.0  # weight of the reduced losses and penalties of the neurons
    share: float = 1.0  # share of penalties that belong to no neuron; the shares of all blocks add up to 1
    missing: bool = False  # whether responses of the block are missing


@dataclass(frozen=True)
class Block:
    """One recording in training: views of the data, and their terms in the objective."""

    data: Tensors
    terms: Terms = Terms()


def blocks_of(data: FitData, device: torch.device, reduction: str) -> list[Block]:
    """Blocks of a fit on the device, one per recording; presentations in place of images for state.

    ``reduction`` is that of the objective over the neurons of all recordings, ``mean`` or ``sum``.
    """
    stimuli = [as_tensor(one).to(device) for one in (data.train_images, data.validation_images)]
    responses = [data.train_responses, data.validation_responses]
    shown: list[Any] = [*stimuli]
    if data.trials is not None:
        pairs = zip(stimuli, data.trials, strict=True)
        shown = [Trials.of(every, one.image, one.covariates) for every, one in pairs]
        responses = [one.responses for one in data.trials]
    measured = [torch.from_numpy(one).to(device) for one in responses]
    tensors = Tensors(shown[0], measured[0], shown[1], measured[1])
    if data.pooled is None:
        both = (tensors.train_responses, tensors.validation_responses)
        missing = any(bool(one.isnan().any()) for one in both)
        return [Block(tensors, Terms(missing=missing))]
    sessions = sessions_of(data.pooled.neurons)
    n_neurons = len(data.pooled.neurons)
    blocks = []
    for session in sessions:
        train, validation = (
            _range_of(recordings, session.recording)
            for recordings in (data.pooled.train, data.pooled.validation)
        )
        of_session = Tensors(
            tensors.train_images[train],
            tensors.train_responses[train, session.neurons],
            tensors.validation_images[validation],
            tensors.validation_responses[validation, session.neurons],
        )
        holes = (of_session.train_responses.isnan().any(), of_session.validation_responses.isnan().any())
        share = (session.neurons.stop - session.neurons.start) / n_neurons
        weight = 1.0 if reduction == "sum" else share
        blocks.append(Block(of_session, Terms(session, weight, share, missing=any(map(bool, holes)))))
    return blocks


def _range_of(recordings: np.ndarray, recording: int) -> slice:
    """Range of the images of a recording, which follow each other."""
    found = np.flatnonzero(recordings == recording)
    return slice(int(found[0]), int(found[-1]) + 1)
