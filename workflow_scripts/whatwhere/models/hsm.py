"""The hierarchical structural model of Antolik et al. 2016, the state of the art before the paper."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from whatwhere.models.base import ImageShape, Model, Start, inverse_softplus, rows
from whatwhere.sessions import Session, neurons_of

SMALLEST = 0.5  # smallest sd of a center, px: below it a Gaussian is narrower than a pixel
N_FILTERS = 9
"""Number of difference-of-Gaussians filters (Antolik et al. 2016)."""
HIDDEN_RATIO = 0.2
"""Number of hidden units relative to the number of neurons (Antolik et al. 2016)."""
LARGEST_RATIO = 5.0  # largest ratio of the sds of surround and center


class HSM(Model):
    """Three layers after the visual hierarchy: a few filters, shared hidden units, neurons.

    The first layer has difference-of-Gaussians filters with learned centers, sizes and weights (the thalamic
    input). Hidden units and neurons have a threshold and the nonlinearity log(1 + exp(x)). Color channels are
    averaged. Centers stay inside the image. Sds of centers lie between :data:`SMALLEST` and a quarter of the
    image, surrounds are larger by up to :data:`LARGEST_RATIO`, and both weights are positive; the sign of a
    filter is that of its weights to the hidden units.
    """

    def __init__(self, image_shape: ImageShape, n_neurons: int, n_filters: int = N_FILTERS) -> None:
        super().__init__()
        self.size = image_shape[1:]
        n_hidden = max(1, round(HIDDEN_RATIO * n_neurons))
        self.raw_center = nn.Parameter(torch.zeros(n_filters, 2))
        self.raw_sd = nn.Parameter(torch.zeros(n_filters))
        self.raw_ratio = nn.Parameter(torch.zeros(n_filters))
        self.raw_weights = nn.Parameter(torch.zeros(n_filters, 2))
        self.hidden_weights = nn.Parameter(torch.zeros(n_hidden, n_filters))
        self.hidden_threshold = nn.Parameter(torch.zeros(n_hidden))
        self.output_weights = nn.Parameter(torch.zeros(n_neurons, n_hidden))
        self.output_threshold = nn.Parameter(torch.zeros(n_neurons))

    def initialize(self, start: Start) -> None:
        """Spreads the filters over the image; the population starts near its mean response.

        Validation selects among random starts, which find different places for the filters.
        """
        generator = start.generator
        with torch.no_grad():
            # Uniform over the inner 80 percent of the image, and over the logarithm of the sizes.
            for raw in (self.raw_center, self.raw_sd, self.raw_ratio):
                raw.uniform_(0.1, 0.9, generator=generator).logit_()
            self.raw_weights.copy_(inverse_softplus(torch.ones_like(self.raw_weights)))
            for weights in (self.hidden_weights, self.output_weights):
                weights.normal_(0, 1 / math.sqrt(weights.shape[1]), generator=generator)
            self.hidden_threshold.zero_()
            at_rest = self.output_weights.sum(1) * math.log(2)
            self.output_threshold.copy_(at_rest - inverse_softplus(start.response_mean))

    @property
    def center(self) -> Tensor:
        """Centers of the filters (y, x) in pixels, (filter, 2)."""
        shares = self.raw_center.sigmoid().unbind(1)
        return torch.stack([(n - 1) * share for n, share in zip(self.size, shares, strict=True)], 1)

    @property
    def sds(self) -> Tensor:
        """Sds of center and surround in pixels, (filter, 2)."""
        largest = max(min(self.size) / 4, 2 * SMALLEST)
        center = SMALLEST * (largest / SMALLEST) ** self.raw_sd.sigmoid()
        return torch.stack([center, center * LARGEST_RATIO ** self.raw_ratio.sigmoid()], 1)

    @property
    def weights(self) -> Tensor:
        """Volumes under center and surround, (filter, 2)."""
        return functional.softplus(self.raw_weights)

    def filters(self) -> Tensor:
        """Center minus surround, (filter, y, x)."""
        rows, columns = (torch.arange(length, device=self.raw_center.device) for length in self.size)
        y, x = rows - self.center[:, :1], columns - self.center[:, 1:]
        squared = (y[:, :, None].square() + x[:, None, :].square())[:, None]
        variances = self.sds.square()[:, :, None, None]
        gaussians = torch.exp(-squared / (2 * variances)) / (2 * math.pi * variances)
        center, surround = (self.weights[:, :, None, None] * gaussians).unbind(1)
        return center - surround

    def forward(self, images: Tensor, session: Session | None = None) -> Tensor:
        """Predicted responses, (batch, channel, y, x) to (batch, neuron), of all neurons or a session."""
        inputs = images.mean(1).flatten(1) @ self.filters().flatten(1).T
        hidden = functional.softplus(inputs @ self.hidden_weights.T - self.hidden_threshold)
        mine = neurons_of(session)
        return functional.softplus(
            hidden @ rows(self.output_weights, mine).T - rows(self.output_threshold, mine)
        )
