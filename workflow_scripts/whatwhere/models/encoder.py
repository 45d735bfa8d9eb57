"""Encoders: core, readout and output nonlinearity, from images to predicted responses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from whatwhere.errors import UserError
from whatwhere.models.base import EVALUATION_CHUNK, ImageShape, Model, Penalties, Start, inverse_softplus
from whatwhere.models.cores import ACTIVATIONS, ConvCore
from whatwhere.models.gaussian_readout import GaussianMaskReadout, GaussianReadout
from whatwhere.models.readouts import FactorizedReadout, FixedMaskReadout, FullyConnectedReadout, Readout
from whatwhere.models.space_time import SpaceTimeFeatures, n_times
from whatwhere.models.spec import ModelSpec
from whatwhere.models.trials import Trials
from whatwhere.sessions import Session, neurons_of

READOUTS: dict[str, type[Readout]] = {
    "cnn_factorized": FactorizedReadout,
    "cnn_known_kernel": FactorizedReadout,
    "cnn_fixed_mask": FixedMaskReadout,
    "cnn_fully_connected": FullyConnectedReadout,
    "cnn_gaussian": GaussianReadout,
    "cnn_gaussian_mask": GaussianMaskReadout,
}

DRIVES: dict[str, Callable[[Tensor], Tensor]] = {"identity": torch.clone, "softplus": inverse_softplus}
"""Per output nonlinearity: the drive that gives a mean response (neuron,)."""


class Encoder(Model):
    """A convolutional network with one output per neuron.

    Parameters
    ----------
    core, readout
        From images to features, and from features to the drive of every neuron.
    nonlinearity
        A key of :data:`whatwhere.models.cores.ACTIVATIONS`.
    """

    def __init__(self, core: ConvCore, readout: Readout, nonlinearity: str) -> None:
        super().__init__()
        self.core = core
        self.readout = readout
        self.nonlinearity = ACTIVATIONS[nonlinearity]()
        self.drive = DRIVES[nonlinearity]
        self.core_rate: float | None = None

    def initialize(self, start: Start) -> None:
        """Sets all parameters to their initial values (section B); biases give the mean responses."""
        self.core.initialize(start.generator, None if start.localized is None else start.localized.kernels)
        self.readout.initialize(start)
        if self.readout.bias is not None:
            self.readout.bias.data.copy_(self.drive(start.response_mean))
        if self.state is not None:
            self.state.initialize(start.generator)

    def transfer(self, state: dict[str, Tensor], rate: float) -> None:
        """Takes the core, and the statistics of the feature bank, from the state of another network.

        ``rate`` is the learning rate of the core relative to that of the readout; 0 freezes the core and its
        moving averages.
        """
        self.load_state_dict(self.state_dict() | state)
        self.core_rate = rate
        if rate == 0:
            self.core.requires_grad_(False)

    def transferred(self) -> tuple[list[nn.Parameter], float]:
        """The parameters of the core and their rate, if the core was transferred."""
        return ([], 1.0) if self.core_rate is None else (list(self.core.parameters()), self.core_rate)

    def train(self, mode: bool = True) -> Encoder:
        """Sets training or evaluation mode; a frozen core is always in evaluation mode."""
        super().train(mode)
        if self.core_rate == 0:
            self.core.eval()
        return self

    def forward(self, images: Tensor | Trials, session: Session | None = None) -> Tensor:
        """Predicted responses, (batch, channel, y, x) to (batch, neuron), of all neurons or a session.

        A :class:`whatwhere.models.trials.Trials` is predicted with its covariates.
        """
        neurons = neurons_of(session)
        if not isinstance(images, Trials):
            return self.nonlinearity(self.readout(self.core(images), neurons))
        features, shift = self.core(images.images), self.state.shift(images.covariates)
        if shift is None:
            drive = images.each(self.readout(features, neurons))
        else:
            drive = self.readout.shifted(images.each(features), shift / self.stride, neurons)
        gain, offset = self.state.modulation(images.covariates, neurons)
        return self.nonlinearity(drive + offset) * gain

    def of_trials(self, trials: Trials, session: Session | None = None) -> Tensor:
        """Predicted responses to presentations, (presentation, neuron)."""
        return torch.cat([self(batch, session) for batch in trials.split(EVALUATION_CHUNK)])

    def decayed(self) -> list[nn.Parameter]:
        """Masks and weights of the readout."""
        return self.readout.decayed()

    def penalties(self) -> Penalties:
        """Penalties by their name in a model's grid."""
        return {
            "smoothness": self.core.smoothness,
            "temporal_smoothness": self.core.temporal_smoothness,
            "group_sparsity": self.core.group_sparsity,
            **self.readout.penalties(),
            **({} if self.state is None else self.state.penalties()),
        }

    def features(self, prepared: Tensor) -> Tensor:
        """Feature maps of the core, (image, channel, y, x)."""
        features: Tensor = self.core(prepared)
        return features

    @property
    def n_layers(self) -> int:
        """Layers of the core, and the feature bank."""
        return len(self.core.conv_layers()) + (self.feature_bank is not None)

    def first_layer(self) -> Tensor:
        """Kernels of the first layer, or filters of the feature bank below it, (kernel, channel, y, x).

        Kernels on a temporal basis are those on the lags.
        """
        bank, kernels = self.feature_bank, self.core.conv_layers()[0].constrained_kernels()
        if isinstance(bank, SpaceTimeFeatures) and bank.below is None:
            return torch.einsum("kfyx,fc->kcyx", kernels, bank.filters()[:, :, 0, 0])
        return kernels if bank is None else bank.filters()


class KnownKernelEncoder(Encoder):
    """An encoder whose only filter is the true receptive field and stays fixed (Figure 3)."""

    def initialize(self, start: Start) -> None:
        """Sets all parameters; the filter to ``start.known_kernel``."""
        super().initialize(start)
        if start.known_kernel is None:
            raise UserError(
                "cnn_known_kernel needs a simulated dataset whose neurons share one receptive field"
            )
        (layer,) = self.core.conv_layers()
        if start.known_kernel.shape != layer.kernels.shape[2:]:
            raise UserError(
                f"cnn_known_kernel has a kernel of {layer.kernels.shape[-1]} px "
                f"but the true receptive field has {start.known_kernel.shape[-1]} px: set 'kernels' to it"
            )
        layer.kernels.data.copy_(start.known_kernel)
        layer.kernels.requires_grad_(False)


def build_cnn(spec: ModelSpec, core: int, image_shape: ImageShape, n_neurons: int) -> Encoder:
    """Constructs an uninitialized network of a family in :data:`READOUTS`, for images (channel, y, x).

    ``core`` is an index into the ``cores`` of the model.
    """
    convention, _ = spec.trained
    conv_core = ConvCore(image_shape, spec.definition["cores"][core], n_times(spec.definition))
    config = spec.definition["readout"]
    readout = READOUTS[spec.family](conv_core.out_shape, n_neurons, config, convention.bias)
    kind = KnownKernelEncoder if spec.family == "cnn_known_kernel" else Encoder
    return kind(conv_core, readout, convention.nonlinearity)
