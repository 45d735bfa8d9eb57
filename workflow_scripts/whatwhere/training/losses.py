"""Losses and the objective that training minimizes (sections C.4 and G.2)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from whatwhere.models.base import Model, rows
from whatwhere.sessions import neurons_of
from whatwhere.training.blocks import Terms

WHOLE = Terms()  # terms of a batch of a single recording


def squared_error(predictions: Tensor, responses: Tensor) -> Tensor:
    """Squared residuals, elementwise."""
    return (predictions - responses).square()


def poisson_loss(predictions: Tensor, responses: Tensor) -> Tensor:
    """Poisson loss without its constant, elementwise."""
    return predictions - responses * torch.log(predictions + 1e-5)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": squared_error, "poisson": poisson_loss}


def mean_loss(loss: str, predictions: Tensor, responses: Tensor, missing: bool | None = None) -> Tensor:
    """Mean of a loss over the images that a neuron saw, (batch, neuron) twice to (neuron,).

    ``loss`` is a key of :data:`LOSSES`. NaN responses are missing and count nothing; a neuron that saw none
    of the batch has loss 0. ``missing`` tells whether responses may be missing; None looks, for which a GPU
    has to wait.
    """
    of_pair = LOSSES[loss]
    if not (bool(responses.isnan().any()) if missing is None else missing):
        return of_pair(predictions, responses).mean(0)
    present = ~responses.isnan()
    losses = of_pair(predictions, torch.where(present, responses, 0.0))
    return torch.where(present, losses, 0.0).sum(0) / present.sum(0).clamp(min=1)


REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"mean": Tensor.mean, "sum": Tensor.sum}


class Objective:
    """Loss, a key of :data:`LOSSES`, plus weighted penalties.

    ``reduction``, over neurons of losses and of penalties with one value per neuron, is ``mean`` (section
    C.4) or ``sum`` (section G.2). ``strengths`` are by name of the penalty; strength 0 costs nothing.
    """

    def __init__(self, loss: str, reduction: str, strengths: dict[str, float]) -> None:
        self.loss_name = loss
        self.reduce = REDUCTIONS[reduction]
        self.strengths = {name: value for name, value in strengths.items() if value}

    def loss(self, predictions: Tensor, responses: Tensor, missing: bool) -> Tensor:
        """Loss of every neuron, (batch, neuron) twice to (neuron,)."""
        return mean_loss(self.loss_name, predictions, responses, missing)

    def __call__(
        self,
        encoder: Model,
        images: Tensor,
        responses: Tensor,
        terms: Terms = WHOLE,
        strengths: Mapping[str, float | Tensor] | None = None,
    ) -> Tensor:
        """Value to minimize on one batch, a scalar; for pooled recordings, the term of one recording.

        ``strengths`` (numbers or scalar tensors) replace those of the objective.
        """
        predictions = encoder(images, terms.session)
        total = self.reduce(self.loss(predictions, responses, terms.missing)) * terms.weight
        own = neurons_of(terms.session)
        available = encoder.penalties()
        for name, strength in (self.strengths if strengths is None else strengths).items():
            penalty = predictions.abs().mean(0) if name == "activity_l1" else available[name]()
            if penalty.ndim == 0:
                total = total + strength * penalty * terms.share
            else:
                of_neurons = penalty if name == "activity_l1" else rows(penalty, own)
                total = total + strength * self.reduce(of_neurons) * terms.weight
        return total
