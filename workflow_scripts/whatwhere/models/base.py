"""Interface of every model: a module that starts somewhere, predicts, and has penalties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from whatwhere.pool import ALL, Part

ImageShape = tuple[int, int, int]
"""(channel, y, x)."""

Penalties = dict[str, Callable[[], Tensor]]
"""Penalty by its name in a model's grid: a scalar, or (neuron,) to be reduced as the loss is."""


Parts = dict[str, tuple[tuple[str, ...], np.ndarray]]
"""Dims and values of the parts of a model by name, as xarray takes them; every neuron's along ``neuron``."""

EVALUATION_CHUNK = 256
"""Images that are predicted at once; bounds the memory of feature maps."""


@dataclass(frozen=True)
class LocalizedStart:
    """Result of inference, for networks that start from it.

    Attributes
    ----------
    kernels
        (kernel, y, x), L2 norm 1.
    feature_weights
        (neuron, kernel) share of the kernels in a neuron's amplitude, unit vectors.
    """

    kernels: Tensor
    feature_weights: Tensor


@dataclass(frozen=True)
class Start:
    """Ingredients of initial values.

    Attributes
    ----------
    generator
        Random stream of the initial values.
    response_sd
        (neuron,) scale of the responses.
    response_mean
        (neuron,) mean training response.
    start_maps
        By name (``sta``, ``smoothed_sta``, ``squared_sta``): (neuron, y, x), of image size;
        masks start where they peak. With ``localized`` also ``posterior``, the probability of the receptive
        field's centre, and ``amplitude``, the mask for ``localized.kernels``.
    known_kernel
        (y, x) true receptive field of a simulated homogeneous population, else None.
    localized
        Result of the model's ``localizer``, if it names one.
    """

    generator: torch.Generator
    response_sd: Tensor
    response_mean: Tensor
    start_maps: dict[str, np.ndarray]
    known_kernel: Tensor | None = None
    localized: LocalizedStart | None = None


def rows(values: Tensor, neurons: slice) -> Tensor:
    """Values of neurons, (neuron, ...); of all of them the values themselves.

    The gradient of a slice is copied into a tensor of zeros, also where the slice is all there is.
    """
    return values if neurons == ALL else values[neurons]


def inverse_softplus(response: Tensor) -> Tensor:
    """Drive whose softplus is a mean response; a silent neuron would start at minus infinity."""
    response = response.clamp(min=1e-4)
    # log(exp(r) - 1) without the overflow of exp.
    return response + torch.log(-torch.expm1(-response))


class Bank(nn.Module):
    """Fixed features on which models stand, (image, channel, y, x) to (image, *out_shape).

    Attributes
    ----------
    out_shape
        (channel, y, x) of the features.
    stride
        Pixels from one place of the features to the next.
    """

    out_shape: ImageShape
    stride: int

    def filters(self) -> Tensor:
        """Filter of every feature, for figures, (feature, channel, y, x)."""
        raise NotImplementedError


class Model(nn.Module):
    """Predicts responses (batch, neuron) from what :meth:`prepare` makes of images (batch, channel, y, x).

    Called with a :class:`whatwhere.pool.Part` too, it predicts the neurons of that recording alone.

    Attributes
    ----------
    bank
        Fixed features on which the model stands, or None if it sees the images themselves.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bank: Bank | None = None

    @property
    def stride(self) -> int:
        """Pixels from one place of the feature maps, and of masks, to the next."""
        return 1 if self.bank is None else self.bank.stride

    def prepare(self, images: Tensor) -> Tensor:
        """Return what is called with: the images, or the maps of the bank, which training computes once."""
        return images if self.bank is None else self.bank(images)

    def initialize(self, start: Start) -> None:
        """Set all parameters to their initial values."""
        raise NotImplementedError

    def decayed(self) -> list[nn.Parameter]:
        """Return the parameters that weight decay shrinks; none unless a model says so."""
        return []

    def carried(self) -> tuple[list[nn.Parameter], float]:
        """Return the parameters that another model started, and their rate relative to all others."""
        return [], 1.0

    def penalties(self) -> Penalties:
        """Return the penalties that a grid may name; none unless a model says so."""
        return {}

    def parts(self, image: Tensor) -> Parts:
        """Parts of the model that figures show, by name: features of an image, kernels, masks, ...

        Parameters
        ----------
        image
            (1, channel, y, x), standardised.
        """
        return {"stride": ((), np.array(self.stride))}


def predict(encoder: Model, images: Tensor, part: Part | None = None) -> Tensor:
    """Predicted responses in evaluation mode, (image, channel, y, x) to (image, neuron), of all or a part."""
    with torch.inference_mode():
        return predict_prepared(encoder, encoder.prepare(images), part)


def predict_prepared(encoder: Model, prepared: Tensor, part: Part | None = None) -> Tensor:
    """The same from what :meth:`Model.prepare` made of the images."""
    encoder.eval()
    with torch.inference_mode():
        return torch.cat([encoder(chunk, part) for chunk in prepared.split(EVALUATION_CHUNK)])
