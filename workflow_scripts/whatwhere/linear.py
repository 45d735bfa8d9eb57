"""Models that are linear in the pixels, alone or before one nonlinearity."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from whatwhere.cores import ACTIVATIONS
from whatwhere.dataset import FitData
from whatwhere.model import ImageShape, Model, Penalties


class LinearEncoder(Model):
    """One filter of image size per neuron, a bias and a nonlinearity.

    Parameters
    ----------
    image_shape
        (channel, y, x).
    n_neurons
        Size of the population.
    nonlinearity
        A key of :data:`whatwhere.cores.ACTIVATIONS`.
    """

    def __init__(self, image_shape: ImageShape, n_neurons: int, nonlinearity: str) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.zeros(n_neurons, *image_shape))
        self.bias = nn.Parameter(torch.zeros(n_neurons))
        self.nonlinearity = ACTIVATIONS[nonlinearity]()

    def forward(self, images: Tensor) -> Tensor:
        """Predicted responses, (batch, channel, y, x) to (batch, neuron)."""
        return self.nonlinearity(images.flatten(1) @ self.filters.flatten(1).T + self.bias)

    def penalties(self) -> Penalties:
        """No penalties: the fits in this module are closed-form."""
        return {}


def fit_mean(data: FitData) -> dict[str, Tensor]:
    """Parameters of the :class:`LinearEncoder` that predicts the mean training response."""
    mean = data.train_responses.mean(0, dtype=np.float64)
    n_neurons = data.train_responses.shape[1]
    filters = np.zeros((n_neurons, *data.train_images.shape[1:]))
    return _parameters(filters, mean)


def fit_ridge(data: FitData, penalties: list[float]) -> list[dict[str, Tensor]]:
    """Ridge regression with an intercept, for all neurons and penalties from one decomposition.

    Minimises ||y - X w - b||^2 + penalty ||w||^2 (scikit-learn's objective, section D).

    Parameters
    ----------
    data
        What the fit may see.
    penalties
        Strengths, not negative.

    Returns
    -------
    Parameters of a :class:`LinearEncoder` for every penalty.
    """
    shape = data.train_images.shape[1:]
    images = data.train_images.reshape(len(data.train_images), -1).astype(np.float64)
    image_mean = images.mean(0)
    response_mean = data.train_responses.mean(0, dtype=np.float64)
    left, singular, right = np.linalg.svd(images - image_mean, full_matrices=False)
    projected = left.T @ (data.train_responses - response_mean)
    # Directions without variance carry no weight, also at penalty 0.
    keep = singular > singular.max(initial=0) * 1e-10
    fits = []
    for penalty in penalties:
        shrink = np.where(keep, singular / (singular**2 + penalty + ~keep), 0.0)
        weights = right.T @ (shrink[:, None] * projected)
        bias = response_mean - image_mean @ weights
        fits.append(_parameters(weights.T.reshape(-1, *shape), bias))
    return fits


def _parameters(filters: np.ndarray, bias: np.ndarray) -> dict[str, Tensor]:
    return {
        "filters": torch.from_numpy(filters.astype(np.float32)),
        "bias": torch.from_numpy(bias.astype(np.float32)),
    }
