"""Base of all models: initial values, predictions, penalties, masks and feature weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor, nn

from whatwhere.models.output_curve import OutputCurve
from whatwhere.models.trials import Trials
from whatwhere.sessions import ALL, Session, neurons_of
from whatwhere.windows import Windows

ImageShape = tuple[int, int, int]
"""(channel, y, x)."""

Penalties = dict[str, Callable[[], Tensor]]
"""Penalty by its name in a model's grid: a scalar, or (neuron,) to be reduced as the loss is."""

EVALUATION_CHUNK = 256
"""Images that are predicted at once; bounds the memory of feature maps."""


@dataclass(frozen=True)
class LocalizedStart:
    """Result of inference from which a network starts."""

    kernels: Tensor
    """(kernel, y, x), L2 norm 1."""
    feature_weights: Tensor
    """(neuron, kernel) share of the kernels in a neuron's amplitude, unit vectors."""


@dataclass(frozen=True)
class Start:
    """Data from which initial values are made.

    Attributes
    ----------
    generator
        Random stream of the initial values.
    response_sd
        (neuron,) scale of the responses.
    response_mean
        (neuron,) mean training response.
    start_maps
        By name (``sta``, ``smoothed_sta``, ``squared_sta``): (neuron, y, x), of image size; masks start at
        their peaks. With ``localized`` also ``posterior``, the probability of the receptive field's center,
        and ``amplitude``, the mask for ``localized.kernels``.
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
    """Selects rows for a slice of neurons, (neuron, ...); a slice of ALL would copy the gradient."""
    return values if neurons == ALL else values[neurons]


def inverse_softplus(response: Tensor) -> Tensor:
    """Drive whose softplus is a mean response (neuron,)."""
    # A silent neuron would start at minus infinity.
    response = response.clamp(min=1e-4)
    # log(exp(r) - 1) without the overflow of exp.
    return response + torch.log(-torch.expm1(-response))


class FixedFeatures(nn.Module):
    """Fixed features on which models stand; every value is standardized on training images.

    Attributes
    ----------
    out_shape
        (channel, y, x) of the features.
    stride
        Pixels from one place of the features to the next.
    gains
        (channel, 1, 1) factors of the standardized maps, or None.
    """

    out_shape: ImageShape
    stride: int
    gains: Tensor | None = None
    mean: Tensor
    sd: Tensor

    def start_at(self, out_shape: ImageShape) -> None:
        """Sets the shape of the features, with mean 0 and sd 1."""
        self.out_shape = out_shape
        self.register_buffer("mean", torch.zeros(out_shape))
        self.register_buffer("sd", torch.ones(out_shape))

    def maps_of(self, images: Tensor) -> Tensor:
        """Features of a few images before they are standardized, (image, channel, y, x)."""
        raise NotImplementedError

    def filters(self) -> Tensor:
        """Filters of all features, for figures, (feature, channel, y, x)."""
        raise NotImplementedError

    def standardize_on(self, images: Tensor | Windows) -> Tensor | Windows:
        """Takes mean and sd of every value of the maps from training images (image, channel, y, x).

        Returns
        -------
        Standardized maps of the training images.
        """
        return self.standardize_maps(self.raw_maps(images))

    def standardize_maps(self, maps: Tensor) -> Tensor:
        """Takes mean and sd from maps of :meth:`raw_maps`; returns the standardized maps."""
        maps = self.compressed(maps)
        sd, mean = torch.std_mean(maps.double(), 0, correction=0)
        self.mean.copy_(mean)
        # A value that never varies becomes 0 and stays there.
        self.sd.copy_(torch.where(sd > 1e-6 * (1 + mean.abs()), sd, 1.0))
        if self.gains is not None:
            self.sd.div_(self.gains)
        return (maps - self.mean) / self.sd

    def forward(self, images: Tensor | Windows) -> Tensor | Windows:
        """Standardized maps, (image, channel, y, x) to (image, *out_shape)."""
        return (self.compressed(self.raw_maps(images)) - self.mean) / self.sd

    def compressed(self, maps: Tensor) -> Tensor:
        """Applies a nonlinearity that needs statistics of training images, (image, *out_shape) both."""
        return maps

    def raw_maps(self, images: Tensor | Windows) -> Tensor:
        """Maps before they are standardized, (image, channel, y, x) to (image, *out_shape)."""
        return torch.cat([self.maps_of(chunk) for chunk in images.split(EVALUATION_CHUNK)])


class Model(nn.Module):
    """Predicts responses (batch, neuron) from prepared images; images are (batch, channel, y, x).

    With a :class:`whatwhere.sessions.Session`, it predicts the neurons of that session alone.

    Attributes
    ----------
    feature_bank
        Fixed features on which the model stands, or None if it sees the images themselves.
    readout
        Module from features to neurons with ``mask`` and ``feature_weights``, or None.
    curve
        Measured nonlinearity of a closed form, or None.
    state
        Functions of covariates, or None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.feature_bank: FixedFeatures | None = None
        self.readout: Any = None
        self.curve: OutputCurve | None = None
        self.state: Any = None

    @property
    def stride(self) -> int:
        """Pixels from one place of the feature maps, and of masks, to the next."""
        return 1 if self.feature_bank is None else self.feature_bank.stride

    @overload
    def prepare(self, images: Tensor) -> Tensor: ...

    @overload
    def prepare(self, images: Windows) -> Tensor | Windows: ...

    def prepare(self, images: Tensor | Windows) -> Tensor | Windows:
        """Returns the images, or the maps of the feature bank, which training computes once."""
        return images if self.feature_bank is None else self.feature_bank(images)

    def initialize(self, start: Start) -> None:
        """Sets all parameters to their initial values."""
        raise NotImplementedError

    def of_windows(self, windows: Windows, session: Session | None) -> Tensor | None:
        """Predicted responses to all windows at once, (image, neuron), where that is faster; else None."""
        return None

    def of_trials(self, trials: Trials, session: Session | None = None) -> Tensor:
        """Predicted responses to presentations, (presentation, neuron).

        Covariates are further regressors of a closed form, added to what is predicted from the images.
        """
        _, offset = self.state.modulation(trials.covariates, neurons_of(session))
        return trials.each(in_chunks(self, trials.images, session)) + offset

    def decayed(self) -> list[nn.Parameter]:
        """Returns the parameters that weight decay shrinks; none unless a model says so."""
        return []

    def transferred(self) -> tuple[list[nn.Parameter], float]:
        """Returns the parameters that another model started, and their rate relative to all others."""
        return [], 1.0

    def penalties(self) -> Penalties:
        """Returns the penalties that a grid may name; none unless a model says so."""
        return {}

    def masks(self) -> Tensor | None:
        """Masks ("where"), (neuron, y, x), without gradient; None for a family without masks."""
        mask = None if self.readout is None else self.readout.mask
        return None if mask is None else mask.detach()

    def feature_weights(self) -> Tensor | None:
        """Feature weights ("what"), (neuron, channel), without gradient; None for a family without them."""
        weights = None if self.readout is None else self.readout.feature_weights
        return None if weights is None else weights.detach()

    def features(self, prepared: Tensor) -> Tensor | None:
        """Feature maps that neurons read, (image, channel, y, x); None for a family that has none."""
        return None if self.feature_bank is None and self.readout is None else prepared

    @property
    def n_layers(self) -> int:
        """Number of layers of filters up to :meth:`features`, the feature bank included."""
        return 1

    def first_layer(self) -> Tensor | None:
        """Filters of the first layer or the feature bank, (kernel, channel, y, x), or None; for figures."""
        return None if self.feature_bank is None else self.feature_bank.filters()

    def pixel_filters(self) -> Tensor | None:
        """Filters of a linear model of pixels, (neuron, channel, y, x), for figures; None for others."""
        return None


def in_chunks(model: Model, prepared: Tensor | Windows | Trials, session: Session | None = None) -> Tensor:
    """Output of a model for prepared images or trials (row, ...), a chunk at a time, (row, neuron)."""
    if isinstance(prepared, Trials):
        return model.of_trials(prepared, session)
    if isinstance(prepared, Windows) and (found := model.of_windows(prepared, session)) is not None:
        return found
    return torch.cat([model(chunk, session) for chunk in prepared.split(EVALUATION_CHUNK)])


def predict_prepared(model: Model, prepared: Tensor | Windows | Trials) -> Tensor:
    """Output in evaluation mode for prepared images or trials, (row, neuron)."""
    model.eval()
    with torch.inference_mode():
        return in_chunks(model, prepared)
