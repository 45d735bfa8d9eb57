"""Responses of one neuron to one image each, without those of all neurons to all images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from whatwhere.member import Member
from whatwhere.models.base import Model
from whatwhere.pool import Part, neurons_of
from whatwhere.selection import MEAN_RESPONSE


def _own_tensors(model: Model, n_neurons: int) -> dict[str, Tensor] | None:
    """Parameters and buffers of the readout by name, of which every neuron has its own row.

    Readouts have neurons first everywhere; None if this one does not, or if the model has no readout.
    """
    readout = getattr(model, "readout", None)
    if readout is None:
        return None
    named = [*readout.named_parameters(), *readout.named_buffers()]
    own = {f"readout.{name}": value for name, value in named}
    return own if all(value.ndim and len(value) == n_neurons for value in own.values()) else None


def own_responses(
    model: Model, n_neurons: int, parts: Sequence[Part | None], images: Tensor, neurons: Tensor
) -> Tensor:
    """Response of a neuron to its own image, (image,).

    Parameters
    ----------
    model
        In evaluation mode.
    n_neurons
        Size of its population.
    parts
        The recordings that it was fitted to together; of a single one, None.
    images
        (image, channel, y, x), standardized.
    neurons
        (image,) which neuron sees the image: positions in the population.
    """
    own = _own_tensors(model, n_neurons)
    images = model.prepare(images)
    if own is None:
        found = images.new_empty(len(images))
        for part in parts:
            first, last, _ = neurons_of(part).indices(n_neurons)
            mine = torch.nonzero((first <= neurons) & (neurons < last))[:, 0]
            if len(mine):
                every = model(images[mine], part)
                found = found.index_copy(0, mine, every.gather(1, neurons[mine, None] - first)[:, 0])
        return found

    def respond(rows: dict[str, Tensor], image: Tensor) -> Tensor:
        alone = {name: row[None] for name, row in rows.items()}
        return functional_call(model, alone, (image[None],))[0, 0]

    return vmap(respond)({name: value[neurons] for name, value in own.items()}, images)


def responses(members: tuple[Member, ...], images: Tensor, neurons: Tensor) -> Tensor:
    """Mean response of several fits to every neuron's own image, (image,).

    Parameters
    ----------
    members
        The fits.
    images
        (image, channel, y, x) in the units of the dataset.
    neurons
        (image,) positions in the population.
    """
    total = images.new_zeros(len(images))
    for member in members:
        mean, sd = member.statistics(neurons)
        standardized = (images - mean) / sd
        choice = torch.from_numpy(member.choice)[neurons]
        constant = member.stored["response_mean"][neurons]
        total = total + torch.where(choice == MEAN_RESPONSE, constant, 0.0)
        for setting, model in member.models.items():
            mine = torch.nonzero(choice == setting)[:, 0]
            if len(mine):
                own = own_responses(
                    model, len(member.choice), member.parts, standardized[mine], neurons[mine]
                )
                total = total.index_add(0, mine, own * member.stored["response_scale"][neurons[mine]])
    return total / len(members)
