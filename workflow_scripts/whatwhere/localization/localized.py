"""The localization family: responses predicted by the posterior mean of kernels and locations."""

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from whatwhere.errors import UserError
from whatwhere.fit_data import FitData
from whatwhere.missing import require_all
from whatwhere.models.base import ImageShape, Model, predict_prepared
from whatwhere.models.cores import correlate_by_fft
from whatwhere.models.spec import ModelSpec, Setting
from whatwhere.sessions import Session, neurons_of
from whatwhere.sta import spike_triggered_average

if TYPE_CHECKING:
    from whatwhere.localization.inference import Localization

logger = logging.getLogger(__name__)

_NEGLIGIBLE_VARIANCE = 1e-3
"""Share of the variance of the responses below which predictions count as constant."""


class LocalizedReadout(nn.Module):
    """Expected amplitude of every kernel at every location (y, x), for every neuron.

    The posterior over kernels and locations, and the log evidence that a neuron has a receptive field, are
    kept with it, though predictions do not need them.
    """

    posterior: Tensor
    evidence: Tensor

    def __init__(self, n_neurons: int, n_kernels: int, map_shape: tuple[int, int]) -> None:
        super().__init__()
        self.amplitude = nn.Parameter(torch.zeros(n_neurons, n_kernels, *map_shape))
        self.bias = nn.Parameter(torch.zeros(n_neurons))
        self.register_buffer("posterior", torch.zeros(n_neurons, n_kernels, *map_shape))
        self.register_buffer("evidence", torch.zeros(n_neurons))

    @property
    def feature_weights(self) -> Tensor:
        """Share of the kernels in the amplitude, unit vectors (neuron, kernel); zeros without amplitude."""
        total = self.amplitude.sum((2, 3))
        return total / total.norm(dim=1, keepdim=True).clamp(min=1e-12)

    @property
    def mask(self) -> Tensor:
        """Masks that with :attr:`feature_weights` come closest to the amplitudes, (neuron, y, x)."""
        return (self.amplitude * self.feature_weights[:, :, None, None]).sum(1)

    def forward(self, features: Tensor) -> Tensor:
        """Drive of every neuron, (batch, kernel, y, x) to (batch, neuron)."""
        return features.flatten(1) @ self.amplitude.flatten(1).T + self.bias


class LocalizedEncoder(Model):
    """Shared kernels of ``patch`` x ``patch`` px and a posterior over locations for every neuron.

    Predictions are linear in the mean over channels of images (channel, y, x).
    """

    def __init__(self, image_shape: ImageShape, n_neurons: int, n_kernels: int, patch: int) -> None:
        super().__init__()
        height, width = (size - patch + 1 for size in image_shape[1:])
        if min(height, width) < 1:
            raise UserError(
                f"kernel: {patch} px do not fit into images of {image_shape[1]} x {image_shape[2]} px: "
                "use smaller kernels or larger images"
            )
        self.n_channels = image_shape[0]
        self.kernels = nn.Parameter(torch.zeros(n_kernels, patch, patch))
        self.readout = LocalizedReadout(n_neurons, n_kernels, (height, width))

    def forward(self, images: Tensor, session: Session | None = None) -> Tensor:
        """Predicted responses, (batch, channel, y, x) to (batch, neuron), of all neurons or a session."""
        drive: Tensor = self.readout(self.features(images))
        return drive[:, neurons_of(session)]

    def features(self, prepared: Tensor) -> Tensor:
        """Outputs of the kernels, (image, kernel, y, x)."""
        return correlate_by_fft(prepared.mean(1, keepdim=True), self.kernels[:, None])

    def first_layer(self) -> Tensor:
        """Kernels, (kernel, channel, y, x); channels are averaged: every channel has an equal share."""
        return self.kernels.detach()[:, None].expand(-1, self.n_channels, -1, -1) / self.n_channels


def build_localized(
    spec: ModelSpec, setting: Setting, image_shape: ImageShape, n_neurons: int
) -> LocalizedEncoder:
    """Constructs the uninitialized model of one setting."""
    return LocalizedEncoder(image_shape, n_neurons, int(setting["n_kernels"]), spec.definition["kernel"])


def shrunken_means(responses: np.ndarray) -> np.ndarray:
    """Mean response of every neuron, shrunk towards that of the population (empirical Bayes), (neuron,).

    The true means are taken as normal; their variance is that of the sample means beyond sampling error.
    """
    mean = responses.mean(0)
    error = responses.var(0) / len(responses)
    spread = max(float(mean.var() - error.mean()), 0.0)
    weight = np.divide(spread, spread + error, out=np.ones_like(error), where=error > 0)
    return mean.mean() + weight * (mean - mean.mean())


def fit_localized(spec: ModelSpec, data: FitData) -> list[dict[str, Tensor]]:
    """Parameters of a :class:`LocalizedEncoder` for every setting, from the training images alone.

    UserError if there are fewer neurons than kernels.
    """
    # Inference needs large parts of scipy, which other families do not.
    from whatwhere.localization.inference import Search, localize
    from whatwhere.localization.kernel_prior import KernelPrior, stimulus_covariance
    from whatwhere.localization.mixture import StaSpectra

    definition, counts = spec.definition, [int(setting["n_kernels"]) for setting in spec.settings]
    patch = definition["kernel"]
    n_neurons = data.train_responses.shape[1]
    if max(counts) > n_neurons:
        raise UserError(f"n_kernels: {max(counts)} kernels for {n_neurons} neurons: take fewer kernels")
    if not isinstance(data.train_images, np.ndarray):
        raise UserError("localization: infers locations from still images, not from a movie: leave it out")
    require_all(data.train_responses, "localization")
    grey = data.train_images.mean(1, dtype=np.float64)
    responses = data.train_responses.astype(np.float64)
    image_mean, response_mean = np.zeros(grey.shape[1:]), np.zeros(n_neurons)
    if definition["bias"]:
        image_mean, response_mean = grey.mean(0), responses.mean(0)
    centered = grey - image_mean
    sd = responses.std(0)
    standardized = (responses - response_mean) / np.where(sd > 0, sd, 1)
    spectra = StaSpectra.of(spike_triggered_average(centered[:, None], standardized), len(grey))
    covariance = stimulus_covariance(centered, patch)
    prior = KernelPrior(patch, definition["smoothness"], definition["extent"], covariance)
    results = localize(spectra, prior, counts, Search())
    offset = shrunken_means(responses) if definition["bias"] else response_mean
    fits = [_parameters(result, sd, offset, image_mean) for result in results]
    shape = data.train_images.shape[1:]
    for setting, parameters in zip(spec.settings, fits, strict=True):
        encoder = build_localized(spec, setting, (shape[0], shape[1], shape[2]), len(offset))
        encoder.load_state_dict(parameters)
        predicted = predict_prepared(encoder, torch.from_numpy(data.train_images)).numpy()
        _give_up_where_the_mean_is_better(parameters, predicted, responses, offset)
    return fits


def _parameters(
    result: "Localization", sd: np.ndarray, offset: np.ndarray, image_mean: np.ndarray
) -> dict[str, Tensor]:
    kernels = torch.from_numpy(result.kernels.astype(np.float32))
    amplitude = torch.from_numpy(result.amplitude * sd.astype(np.float32)[:, None, None, None])
    mean_image = torch.from_numpy(image_mean.astype(np.float32))[None, None]
    of_mean = correlate_by_fft(mean_image, kernels[:, None]).flatten(1) @ amplitude.flatten(1).T
    return {
        "kernels": kernels,
        "readout.amplitude": amplitude,
        "readout.posterior": torch.from_numpy(result.posterior),
        "readout.evidence": torch.from_numpy(result.evidence.astype(np.float32)),
        "readout.bias": torch.from_numpy(offset.astype(np.float32)) - of_mean[0],
    }


def _give_up_where_the_mean_is_better(
    parameters: dict[str, Tensor], predicted: np.ndarray, responses: np.ndarray, offset: np.ndarray
) -> None:
    """Predicts the mean for neurons whose training responses are explained worse than by the mean.

    There are none if the stimulus fulfils the assumptions of the model, because predictions are shrunken.
    """
    worse = ((responses - predicted) ** 2).mean(0) > ((responses - offset) ** 2).mean(0)
    # Rounding decides about neurons without receptive field, whose predictions are the mean anyway.
    worse &= predicted.var(0) > _NEGLIGIBLE_VARIANCE * responses.var(0)
    if not worse.any():
        return
    logger.warning(
        "%d of %d neurons are explained worse than by their mean, which is predicted instead: the stimulus "
        "may differ from place to place: crop images to where they are alike",
        worse.sum(),
        len(worse),
    )
    rows = torch.from_numpy(worse)
    parameters["readout.posterior"][rows] = 1 / parameters["readout.posterior"][0].numel()
    parameters["readout.amplitude"][rows] = 0
    parameters["readout.bias"][rows] = torch.from_numpy(offset[worse].astype(np.float32))
