"""Gaussian readouts: a learned center and width per neuron instead of a free mask.

A free mask has a number for every pixel; a center and widths are three or four. :class:`GaussianReadout`
draws a location from the Gaussian (Lurz et al., ICLR 2021); :class:`GaussianMaskReadout` takes the Gaussian,
the mean of all draws, as the mask of the factorized readout.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from whatwhere.models.base import Start, rows
from whatwhere.models.readouts import SeparableReadout, feature_start_, peaks
from whatwhere.sessions import ALL


class GaussianReadout(SeparableReadout):
    """Feature weights at one location per neuron, between pixels.

    In training, the location is drawn anew for every image, and the gradient reaches mean and width through
    the draw (reparametrization). At test it is the mean. Locations are (y, x) from -1 to 1, the middles of
    the outermost pixels of the feature maps. Parameters as for :class:`whatwhere.models.readouts.Readout`.
    """

    widths: tuple[int, ...] = ()
    """Shape of the widths of a neuron."""

    def add_parameters(self, n_neurons: int, channels: int, height: int, width: int) -> None:
        """Adds locations in the middle of the maps, widths and feature weights of ones."""
        self.height, self.width = height, width
        self.mean = nn.Parameter(torch.zeros(n_neurons, 2))
        self.log_sd = nn.Parameter(torch.zeros(n_neurons, *self.widths))
        self.raw_feature_weights = nn.Parameter(torch.ones(n_neurons, channels))

    def initialize(self, start: Start) -> None:
        """Sets all parameters but the bias.

        The mean is the center, the peak of an average, or random in the middle half of both sides.
        """
        with torch.no_grad():
            self.log_sd.fill_(float(np.log(self.config["sd"])))
            self.mean.uniform_(-0.5, 0.5, generator=start.generator)
            if self.config["position"] == "center":
                self.mean.zero_()
            elif self.config["position"] != "random":
                peak = torch.from_numpy(peaks(self.config["position"], start, (self.height, self.width)))
                last = torch.tensor([max(self.height - 1, 1), max(self.width - 1, 1)])
                self.mean.copy_(peak / last * 2 - 1)
        feature_start_(self.config["feature_start"], self.raw_feature_weights, start)

    def _axis_sd(self) -> tuple[float, float]:
        """Half the longer side in units of half of each, (y, x): an sd is the same in pixels along both."""
        longer = max(self.height, self.width) - 1
        return longer / max(self.height - 1, 1), longer / max(self.width - 1, 1)

    def _places(self, size: int) -> Tensor:
        """Middles of the pixels along a side of the maps, (pixel,)."""
        return torch.linspace(-1, 1, size, device=self.mean.device, dtype=self.mean.dtype)

    @property
    def mask(self) -> Tensor:
        """Normal density of the location on the pixels, sum 1, (neuron, y, x)."""
        y, x = (self._places(size) for size in (self.height, self.width))
        down, right = self._axis_sd()
        squared = ((y[:, None] - self.mean[:, 0, None, None]) / down) ** 2
        squared = squared + ((x - self.mean[:, 1, None, None]) / right) ** 2
        log_density = -squared / (2 * self.log_sd.exp()[:, None, None] ** 2)
        return log_density.flatten(1).softmax(1).view(len(self.mean), self.height, self.width)

    def forward(self, features: Tensor, neurons: slice = ALL) -> Tensor:
        """Drive of neurons, (batch, channel, y, x) to (batch, neuron)."""
        return self._at(rows(self.mean, neurons).expand(len(features), -1, -1), features, neurons)

    def shifted(self, features: Tensor, shift: Tensor, neurons: slice = ALL) -> Tensor:
        """Drive of neurons whose locations are shifted (y, x) by pixels of the maps, (batch, 2)."""
        return self._at(rows(self.mean, neurons) + self._relative(shift)[:, None], features, neurons)

    def _relative(self, shift: Tensor) -> Tensor:
        """Pixels of the maps (..., 2) in units of half of each side."""
        sides = enumerate((self.height, self.width))
        return torch.stack([shift[..., axis] * (2 / max(side - 1, 1)) for axis, side in sides], -1)

    def _at(self, location: Tensor, features: Tensor, neurons: slice) -> Tensor:
        location = location.clamp(-1, 1)
        if self.training:
            noise = torch.randn_like(location)
            sd = rows(self.log_sd, neurons).exp()
            spread = torch.stack([sd * relative for relative in self._axis_sd()], 1)
            location = (location + noise * spread).clamp(-1, 1)
        # grid_sample takes (x, y).
        grid = location.flip(-1)[:, :, None]
        sampled = functional.grid_sample(features, grid, align_corners=True)[..., 0]
        drive = (sampled * rows(self.feature_weights, neurons).T).sum(1)
        return drive if self.bias is None else drive + rows(self.bias, neurons)


class GaussianMaskReadout(GaussianReadout):
    """A factorized readout whose masks are Gaussians of learned center and two widths, along y and x.

    The features are averaged over all places, weighted by the mask, in training as at test: the expectation
    of :class:`GaussianReadout` over its draws.
    """

    widths = (2,)

    @property
    def mask(self) -> Tensor:
        """Normal density on the pixels, sum 1: the product of one profile per side, (neuron, y, x)."""
        rows, columns = (self._profile(axis, size) for axis, size in enumerate((self.height, self.width)))
        return rows[:, :, None] * columns[:, None]

    def _profile(self, axis: int, size: int) -> Tensor:
        """Density along one side of the maps, sum 1, (neuron, pixel)."""
        distance = self._places(size) - self.mean[:, axis, None]
        return (-(distance**2) / (2 * self.log_sd[:, axis, None].exp() ** 2)).softmax(1)

    def shifted(self, features: Tensor, shift: Tensor, neurons: slice = ALL) -> Tensor:
        """Drive of neurons with shifted masks, as for :class:`GaussianReadout`."""
        sizes = (self.height, self.width)
        centers = rows(self.mean, neurons) + self._relative(shift)[:, None]
        variances = rows(self.log_sd, neurons).exp() ** 2
        down, right = (
            (
                -((self._places(size) - centers[..., axis, None]) ** 2) / (2 * variances[:, axis, None])
            ).softmax(-1)
            for axis, size in enumerate(sizes)
        )
        # Columns first: (batch, channel, y, neuron) is the largest product.
        summed = features.flatten(1, 2) @ right.movedim(1, 2)
        by_channel = (summed.unflatten(1, features.shape[1:3]) * down.movedim(1, 2)[:, None]).sum(2)
        drive = (by_channel * rows(self.feature_weights, neurons).T).sum(1)
        return drive if self.bias is None else drive + rows(self.bias, neurons)

    def forward(self, features: Tensor, neurons: slice = ALL) -> Tensor:
        """Drive of neurons, (batch, channel, y, x) to (batch, neuron)."""
        # The whole mask: contracting columns before rows takes as many operations, and memory for every row.
        return SeparableReadout.forward(self, features, neurons)
