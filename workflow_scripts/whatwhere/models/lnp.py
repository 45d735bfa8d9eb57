"""The linear-nonlinear-Poisson model: one filter of image size per neuron (section G.3)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from whatwhere.models.base import ImageShape, Penalties, Start
from whatwhere.models.cores import filter_roughness, normal_
from whatwhere.models.linear import LinearEncoder


class LNP(LinearEncoder):
    """A filter, a bias and an exponential for every neuron; trained by gradient descent.

    Parameters
    ----------
    image_shape
        (channel, y, x).
    n_neurons
        Size of the population.
    config
        A model's ``filter_start`` and ``bias_start``; described in ``config/README.md``.
    """

    def __init__(self, image_shape: ImageShape, n_neurons: int, config: dict[str, Any]) -> None:
        super().__init__(image_shape, n_neurons, "exp")
        self.config = config

    def initialize(self, start: Start) -> None:
        """Draw the filters and set the biases."""
        begin = self.config["filter_start"]
        normal_(self.filters, begin["sd"], begin["truncated"], start.generator)
        self.bias.data.fill_(self.config["bias_start"])

    def smoothness(self) -> Tensor:
        """Laplacian penalty of section G.2, summed over channels, (neuron,)."""
        return filter_roughness(self.filters).sum(1)

    def filter_l1(self) -> Tensor:
        """Sum of absolute filter values (section G.3), (neuron,)."""
        return self.filters.abs().sum((1, 2, 3))

    def penalties(self) -> Penalties:
        """Penalties by their name in a model's grid."""
        return {"smoothness": self.smoothness, "filter_l1": self.filter_l1}
