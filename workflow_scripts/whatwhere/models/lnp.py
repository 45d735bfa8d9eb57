"""Linear-nonlinear-Poisson model: one filter of image size per neuron (section G.3)."""

from torch import Tensor

from whatwhere.models.base import Penalties, Start
from whatwhere.models.cores import filter_roughness, normal_
from whatwhere.models.linear import LinearEncoder

FILTER_SD = 0.01  # sd of the initial filters, which are redrawn beyond two sd (section G.3)
FIRST_BIAS = -1.0  # initial logarithm of the predicted rate (section G.3)


class LNP(LinearEncoder):
    """A filter, a bias and an exponential for every neuron; trained by gradient descent."""

    output = "exp"

    def initialize(self, start: Start) -> None:
        """Draws the filters and sets the biases."""
        normal_(self.filters, FILTER_SD, True, start.generator)
        self.bias.data.fill_(FIRST_BIAS)

    def smoothness(self) -> Tensor:
        """Laplacian penalty of section G.2, summed over channels, (neuron,)."""
        return filter_roughness(self.filters).sum(1)

    def filter_l1(self) -> Tensor:
        """Sum of absolute filter values (section G.3), (neuron,)."""
        return self.filters.abs().sum((1, 2, 3))

    def penalties(self) -> Penalties:
        """Penalties by their name in a model's grid."""
        return {"smoothness": self.smoothness, "filter_l1": self.filter_l1}
