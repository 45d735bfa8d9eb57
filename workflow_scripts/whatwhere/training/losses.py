"""Losses and the objective that training minimises (sections C.4 and G.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from whatwhere.models.base import Model


def squared_error(predictions: Tensor, responses: Tensor) -> Tensor:
    """Mean over the batch of squared residuals, (batch, neuron) twice to (neuron,)."""
    return (predictions - responses).square().mean(0)


def poisson_loss(predictions: Tensor, responses: Tensor) -> Tensor:
    """Poisson loss without its constant, mean over the batch, (batch, neuron) twice to (neuron,)."""
    return (predictions - responses * torch.log(predictions + 1e-5)).mean(0)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": squared_error, "poisson": poisson_loss}
REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"mean": Tensor.mean, "sum": Tensor.sum}


class Objective:
    """Loss plus weighted penalties.

    Parameters
    ----------
    loss
        A key of :data:`LOSSES`.
    reduction
        How losses and penalties that have a value per neuron are combined: ``mean`` (section C.4) or
        ``sum`` (section G.2).
    strengths
        Penalty name to strength; strength 0 costs nothing.
    """

    def __init__(self, loss: str, reduction: str, strengths: dict[str, float]) -> None:
        self.loss = LOSSES[loss]
        self.reduce = REDUCTIONS[reduction]
        self.strengths = {name: value for name, value in strengths.items() if value}

    def __call__(self, encoder: Model, images: Tensor, responses: Tensor) -> Tensor:
        """Value to minimise on one batch, a scalar."""
        return self.value(encoder, images, responses, self.strengths)

    def value(
        self, encoder: Model, images: Tensor, responses: Tensor, strengths: Mapping[str, float | Tensor]
    ) -> Tensor:
        """The same with other strengths, which may be tensors (scalars)."""
        predictions = encoder(images)
        total = self.reduce(self.loss(predictions, responses))
        available = encoder.penalties() | {"activity_l1": lambda: predictions.abs().mean(0)}
        for name, strength in strengths.items():
            penalty = available[name]()
            total = total + strength * (self.reduce(penalty) if penalty.ndim else penalty)
        return total
