"""Readouts: from shared features to one drive per neuron (sections C.1, F.5, G.2 and G.3).

Penalties return one value per neuron, so that the objective reduces them over neurons exactly as it
reduces the loss; their strengths then mean the same for any population size.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from whatwhere.models.base import ImageShape, Penalties, Start, rows
from whatwhere.models.contraction import factorized_drive
from whatwhere.models.cores import normal_
from whatwhere.sessions import ALL
from whatwhere.sta import crop_to_mask, mask_peak


def _mask_start(config: dict[str, Any], mask: Tensor, start: Start) -> None:
    """Fills a mask (neuron, y, x): noise, then one pixel at the peak of an average (sections B and G.3).

    A uniform mask has the same value everywhere. From inferred locations, the whole posterior is added, or
    the expected amplitude at every location.
    """
    position, height, shape = config["position"], config["height"], (mask.shape[1], mask.shape[2])
    normal_(mask, config["noise_sd"], config["truncated"], start.generator)
    value = start.response_sd if height == "response_sd" else height
    with torch.no_grad():
        if position == "uniform":
            mask.add_(height / mask[0].numel())
        elif position == "posterior" and height == "amplitude":
            mask.add_(torch.from_numpy(crop_to_mask(start.start_maps["amplitude"], shape)))
        elif position == "posterior":
            scale = value[:, None, None] if height == "response_sd" else float(height)
            mask.add_(torch.from_numpy(crop_to_mask(start.start_maps["posterior"], shape)) * scale)
        elif position != "random":
            row, column = peaks(position, start, shape).T
            mask[np.arange(len(mask)), row, column] = torch.as_tensor(value, dtype=mask.dtype)


def peaks(position: str, start: Start, shape: tuple[int, int]) -> np.ndarray:
    """Row and column of the peak of every neuron's average, on maps of a shape (y, x); (neuron, 2)."""
    return mask_peak(start.start_maps[position], shape, crop=position != "squared_sta")


def feature_start_(config: dict[str, Any], weights: Tensor, start: Start) -> None:
    """Fills feature weights (neuron, channel) with N(mean, sd) (section B)."""
    means: dict[Any, Any] = {
        "response_sd": float(start.response_sd.mean()),
        "inverse_channels": 1 / weights.shape[1],
        "posterior": None if start.localized is None else start.localized.feature_weights,
    }
    normal_(weights, config["sd"], config["truncated"], start.generator)
    with torch.no_grad():
        weights.add_(means.get(config["mean"], config["mean"]))


class Readout(nn.Module):
    """Drive of every neuron from features that all neurons share.

    Parameters
    ----------
    feature_shape
        (channel, y, x).
    n_neurons
        Size of the population.
    config
        A model's ``readout``; its keys are described in ``config/README.md``.
    bias
        Whether neurons have an output bias.
    """

    decaying: tuple[str, ...]
    """Parameters that weight decay shrinks."""
    penalized: tuple[str, ...]
    """Methods that return a penalty of a model's grid, (neuron,)."""

    def __init__(
        self, feature_shape: ImageShape, n_neurons: int, config: dict[str, Any], bias: bool = True
    ) -> None:
        super().__init__()
        self.config = config
        self.feature_shape = feature_shape
        self.add_parameters(n_neurons, *feature_shape)
        self.bias = nn.Parameter(torch.zeros(n_neurons)) if bias else None

    def add_parameters(self, n_neurons: int, channels: int, height: int, width: int) -> None:
        """Adds all parameters but the bias."""
        raise NotImplementedError

    def initialize(self, start: Start) -> None:
        """Sets all parameters but the bias to their initial values."""
        raise NotImplementedError

    def shifted(self, features: Tensor, shift: Tensor, neurons: slice = ALL) -> Tensor:
        """Drive of neurons whose masks are shifted (y, x) by pixels of the maps, (batch, 2).

        Features are read between pixels by bilinear interpolation; they are 0 outside of the maps.
        """
        # As if the corners of the pixels were at -1 and 1, which a map of one pixel needs, too.
        y, x = (
            torch.linspace(1 / n - 1, 1 - 1 / n, n, device=shift.device) + shift[:, axis, None] * (2 / n)
            for axis, n in enumerate(features.shape[2:])
        )
        grid = torch.stack(torch.broadcast_tensors(x[:, None], y[:, :, None]), -1)
        return self(functional.grid_sample(features, grid, align_corners=False), neurons)

    def decayed(self) -> list[nn.Parameter]:
        """Parameters that weight decay shrinks."""
        return [getattr(self, name) for name in self.decaying]

    def penalties(self) -> Penalties:
        """Penalties by their name in a model's grid."""
        return {name: getattr(self, name) for name in self.penalized}


class SeparableReadout(Readout):
    """A mask ("where") times feature weights ("what") for every neuron."""

    raw_feature_weights: nn.Parameter
    decaying: tuple[str, ...] = ("raw_feature_weights",)
    penalized: tuple[str, ...] = ("feature_l1",)

    @property
    def mask(self) -> Tensor:
        """Masks as they are applied, (neuron, y, x)."""
        raise NotImplementedError

    @property
    def feature_weights(self) -> Tensor:
        """Feature weights as they are applied, (neuron, channel)."""
        weights = self.raw_feature_weights
        return weights.abs() if self.config["positive_features"] else weights

    def forward(self, features: Tensor, neurons: slice = ALL) -> Tensor:
        """Drive of neurons, (batch, channel, y, x) to (batch, neuron)."""
        bias = None if self.bias is None else rows(self.bias, neurons)
        mask, weights = rows(self.mask, neurons), rows(self.feature_weights, neurons)
        return factorized_drive(features, mask, weights, bias)

    def feature_l1(self) -> Tensor:
        """Sum of absolute feature weights (section C.4), (neuron,)."""
        return self.raw_feature_weights.abs().sum(1)


class FactorizedReadout(SeparableReadout):
    """A mask with one value per pixel times feature weights; parameters as for :class:`Readout`.

    With a single channel there is nothing to weigh and the feature weights are fixed at 1 (section C.1).
    """

    trains_mask = True
    decaying = ("raw_mask", "raw_feature_weights")
    penalized = ("mask_l1", "feature_l1", "joint_l1")

    def add_parameters(self, n_neurons: int, channels: int, height: int, width: int) -> None:
        """Adds masks of zeros and feature weights of ones."""
        self.raw_mask = nn.Parameter(torch.zeros(n_neurons, height, width), requires_grad=self.trains_mask)
        self.raw_feature_weights = nn.Parameter(torch.ones(n_neurons, channels), requires_grad=channels > 1)

    def initialize(self, start: Start) -> None:
        """Sets all parameters but the bias (section B)."""
        _mask_start(self.config["mask_start"], self.raw_mask, start)
        if self.raw_feature_weights.requires_grad:
            feature_start_(self.config["feature_start"], self.raw_feature_weights, start)

    @property
    def mask(self) -> Tensor:
        """Masks as they are applied, (neuron, y, x)."""
        return self.raw_mask.abs() if self.config["positive_mask"] else self.raw_mask

    def mask_l1(self) -> Tensor:
        """Sum of absolute mask values (section C.4), (neuron,)."""
        # Half the time of a sum of absolute values: no copy of the masks is made on the way.
        return torch.linalg.vector_norm(self.raw_mask, 1, (1, 2))

    def joint_l1(self) -> Tensor:
        """Product of both sums, the L1 norm of mask times weights (section G.2), (neuron,)."""
        return self.mask_l1() * self.feature_l1()


class FixedMaskReadout(FactorizedReadout):
    """Feature weights at one pixel, which is taken from an average and never trained (F.5, G.3)."""

    trains_mask = False


class FullyConnectedReadout(Readout):
    """One weight per neuron, channel and pixel; parameters as for :class:`Readout`."""

    mask = None
    feature_weights = None
    decaying = ("weights",)
    penalized = ("readout_l2",)

    def add_parameters(self, n_neurons: int, channels: int, height: int, width: int) -> None:
        """Adds weights of zeros."""
        self.weights = nn.Parameter(torch.zeros(n_neurons, channels, height, width))
        self.dropout = nn.Dropout(self.config["dropout"])

    def initialize(self, start: Start) -> None:
        """Draws the weights, Xavier-uniform (section G.3) or N(0, sd) (section F.5)."""
        if self.config["weight_sd"] == "xavier":
            nn.init.xavier_uniform_(self.weights.data.view(len(self.weights), -1), generator=start.generator)
        else:
            normal_(self.weights, self.config["weight_sd"], False, start.generator)

    def forward(self, features: Tensor, neurons: slice = ALL) -> Tensor:
        """Drive of neurons, (batch, channel, y, x) to (batch, neuron)."""
        # Autocast multiplies in bfloat16, and a bias would be added in float32.
        weights = rows(self.weights, neurons).flatten(1)
        drive = (self.dropout(features.flatten(1)) @ weights.T).to(weights.dtype)
        return drive if self.bias is None else drive + rows(self.bias, neurons)

    def readout_l2(self) -> Tensor:
        """Sum of squared weights (section F.5), (neuron,)."""
        return self.weights.square().sum((1, 2, 3))
