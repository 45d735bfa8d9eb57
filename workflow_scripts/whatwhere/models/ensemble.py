"""Several fitted models as one: for every neuron a weighted sum of their predictions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from whatwhere.missing import groups, select
from whatwhere.models.base import Model
from whatwhere.models.calibrated import CalibratedModel
from whatwhere.sessions import Session, neurons_of

SHRINKAGE = 160
"""Images as which a neuron's distance from the weights of the population counts.

With 160 images of two V4 sessions, 50 to 1600 are equally good, and 0 costs 0.002 to 0.005 of correlation.
With 10 images of a third session, 160 is better than 10 by 0.015.
"""


class Ensemble(Model):
    """A weighted sum of the predictions of fits, and a bias, for every neuron.

    ``builders`` construct the model of every fit that may have weight. Fits to which no neuron gives weight
    are neither kept nor computed.
    """

    weights: Tensor
    bias: Tensor

    def __init__(self, builders: Sequence[Callable[[], Model]], n_neurons: int) -> None:
        super().__init__()
        self.builders = builders
        self.members = nn.ModuleDict()
        self.register_buffer("weights", torch.zeros(len(builders), n_neurons))
        self.register_buffer("bias", torch.zeros(n_neurons))

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Builds the members that have weight, and loads all parameters."""
        taking_part = torch.nonzero(state_dict["weights"].any(1))[:, 0].tolist()
        names = ("input_mean", "input_sd", "response_scale")
        self.members = nn.ModuleDict()
        for index in taking_part:
            statistics = (torch.empty_like(state_dict[f"members.{index}.{name}"]) for name in names)
            self.members[str(index)] = CalibratedModel(self.builders[index](), *statistics)
        return super().load_state_dict(state_dict, strict, assign)

    def forward(self, images: Tensor, session: Session | None = None) -> Tensor:
        """Predicted responses to stored images, (batch, channel, y, x) to (batch, neuron)."""
        mine = neurons_of(session)
        total = self.bias[mine].expand(len(images), -1)
        for index, member in self.members.items():
            total = total + self.weights[int(index), mine] * member(images, session)
        return total


def mix(predictions: np.ndarray, responses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative weights (model, neuron) and biases (neuron,) with which predictions fit responses.

    The weights of a neuron minimize its squared error plus the squared distance from the weights that fit the
    whole population best, which counts as :data:`SHRINKAGE` images: a few hundred noisy images say little
    about a single neuron. Where that leaves a neuron worse off than its best single model, its weights move
    as far as needed towards those with the smallest error, so that on these images no single model has a
    smaller error. All weights are found by non-negative least squares (Lawson & Hanson 1974), without means.
    Neurons with responses to the same images are a population. ``predictions`` are (model, image, neuron),
    ``responses`` (image, neuron), NaN where missing.
    """
    weights, bias = np.zeros((len(predictions), responses.shape[1])), np.zeros(responses.shape[1])
    for images, neurons in groups(responses):
        predicted = predictions[:, images][:, :, neurons]
        weights[:, neurons], bias[neurons] = _mix(predicted, select(responses, images, neurons))
    return weights, bias


def _mix(predictions: np.ndarray, responses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean_prediction, mean_response = predictions.mean(1), responses.mean(0)
    centered = predictions - mean_prediction[:, None]
    target = responses - mean_response
    variance = np.where(target.any(0), (target**2).mean(0), 1.0)
    gram = np.einsum("min,kin->nmk", centered, centered) / (len(responses) * variance[:, None, None])
    cross = np.einsum("min,in->nm", centered, target) / (len(responses) * variance[:, None])
    shared = _non_negative(gram.mean(0), cross.mean(0))
    strength = SHRINKAGE / len(responses)
    weights = np.stack([_mixed(*moments, shared, strength) for moments in zip(gram, cross, strict=True)], 1)
    return weights, mean_response - (weights * mean_prediction).sum(0)


def _mixed(gram: np.ndarray, cross: np.ndarray, shared: np.ndarray, strength: float) -> np.ndarray:
    """Weights (model,) of one neuron from its moments and the shared weights.

    ``strength`` is that of the distance from ``shared``, in units of the mean variance of the predictions.
    """
    pull = strength * np.trace(gram) / len(gram)
    shrunk = _non_negative(gram + pull * np.eye(len(gram)), cross + pull * shared)
    free = _non_negative(gram, cross)
    allowed = (np.diag(gram) - 2 * cross).min()
    # The error, without the variance of the responses, is a parabola between shrunk and free weights.
    step = free - shrunk
    constant = shrunk @ gram @ shrunk - 2 * shrunk @ cross - allowed
    slope, curvature = 2 * step @ (gram @ shrunk - cross), step @ gram @ step
    if constant <= 0 or curvature <= 0:
        return shrunk
    root = (-slope - np.sqrt(max(slope**2 - 4 * curvature * constant, 0.0))) / (2 * curvature)
    return np.maximum(shrunk + min(max(root, 0.0), 1.0) * step, 0.0)


def _non_negative(gram: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """Minimizes w G w - 2 w c over weights w (model,) that are not negative."""
    from scipy.optimize import nnls

    values, vectors = np.linalg.eigh(gram)
    roots = np.sqrt(np.maximum(values, 1e-12 * max(values[-1], 1e-12)))
    weights, _ = nnls((vectors * roots).T, (vectors / roots).T @ cross)
    return weights
