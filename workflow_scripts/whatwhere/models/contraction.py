"""The drive of a factorized readout, computed in the cheapest of three orders.

A drive is a sum over places and channels of features times mask times feature weights. Every order takes the
same number of multiplications; the orders differ in the size of the intermediate product, and on small maps
reading and writing it costs more than the multiplications.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Order = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Features (batch, channel, y, x), masks (neuron, y, x) and weights (neuron, channel) to (batch, neuron)."""


class _KeepLayout(torch.autograd.Function):
    """Identity whose gradient has the memory layout of its input.

    The gradient of flattened features arrives in the other layout otherwise, and batch normalization is three
    times slower where layouts differ.
    """

    @staticmethod
    def forward(features: Tensor) -> Tensor:
        return features.view_as(features)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        last = output.is_contiguous(memory_format=torch.channels_last)
        ctx.layout = torch.channels_last if last else torch.contiguous_format

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.contiguous(memory_format=ctx.layout)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None], features: Tensor) -> tuple[Tensor, int | None]:
        return features, in_dims[0]


def places_first(features: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Sum over places, then over channels; holds (batch, channel, neuron), and features channels-first."""
    flat = features.flatten(2).flatten(0, 1)  # (batch * channel, place)
    pooled = (flat @ mask.flatten(1).T).unflatten(0, features.shape[:2])
    return (pooled * weights.T).sum(1)


def channels_first(features: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Sum over channels, then over places; holds (batch, place, neuron)."""
    flat = features.flatten(2).transpose(1, 2)  # (batch, place, channel)
    return (flat @ weights.T * mask.flatten(1).T).sum(1)


def at_once(features: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """Sum over both with one weight per neuron, place and channel; holds (neuron, place, channel)."""
    flat = features.flatten(2).transpose(1, 2).flatten(1)  # (batch, place * channel)
    product = flat @ (mask.flatten(1)[:, :, None] * weights[:, None]).flatten(1).T
    # Autocast multiplies in bfloat16, and a drive is kept in float32.
    return product.to(weights.dtype)


def cheapest_order(batch: int, channels: int, places: int, neurons: int) -> Order:
    """The order that moves the fewest numbers, forwards and backwards."""
    # An intermediate product is written and multiplied, and its gradient, too: four times. Features come
    # channels-last from convolutions; to sum over places first they are copied, and their gradient back.
    moved: dict[Order, int] = {
        places_first: 4 * batch * channels * neurons + 2 * batch * channels * places * (channels > 1),
        channels_first: 4 * batch * places * neurons,
        at_once: 4 * neurons * places * channels,
    }
    return min(moved, key=moved.__getitem__)


def factorized_drive(features: Tensor, mask: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
    """Sum of features over places and channels, weighted by mask times feature weights (section C.1).

    Features are (batch, channel, y, x), masks (neuron, y, x), weights (neuron, channel) and biases (neuron,);
    the sum is (batch, neuron).
    """
    batch, channels, *_ = features.shape
    order = cheapest_order(batch, channels, mask[0].numel(), len(mask))
    drive = order(_KeepLayout.apply(features), mask, weights)
    return drive if bias is None else drive + bias
