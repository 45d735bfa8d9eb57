"""A model in the units of its dataset: the only place that standardizes images and rescales responses."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from whatwhere.models.base import Model, in_chunks
from whatwhere.models.trials import Trials
from whatwhere.sessions import Session, neurons_of, sessions_of
from whatwhere.standardize import Standardizer
from whatwhere.windows import Windows


class CalibratedModel(nn.Module):
    """A model with the statistics of its training data: takes stored images and predicts stored responses.

    ``input_mean`` and ``input_sd`` are (channel, y, x), or (recording, channel, y, x) for pooled recordings;
    ``response_scale`` (neuron,) is the factor from the output of the model, which takes standardized images,
    to stored responses; ``recording`` (neuron,) the number of the recording of every neuron, None for a
    single recording.
    """

    input_mean: Tensor
    input_sd: Tensor
    response_scale: Tensor

    def __init__(
        self,
        model: Model,
        input_mean: Tensor,
        input_sd: Tensor,
        response_scale: Tensor,
        recording: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.recording = recording
        self.register_buffer("input_mean", input_mean)
        self.register_buffer("input_sd", input_sd)
        self.register_buffer("response_scale", response_scale)

    def statistics(self, recording: Tensor | int | None) -> tuple[Tensor, Tensor]:
        """Mean and sd of the pixels of recordings, (..., channel, y, x) each.

        ``recording`` is the number of a recording or (image,) numbers; None is the first recording. For a
        single recording the statistics are always (channel, y, x).
        """
        if self.input_mean.ndim == 3:
            return self.input_mean, self.input_sd
        number = 0 if recording is None else recording
        return self.input_mean[number], self.input_sd[number]

    def standardize(
        self, images: Tensor | Windows, recording: Tensor | int | None = None
    ) -> Tensor | Windows:
        """Standardized images, (image, channel, y, x); ``recording`` as for :meth:`statistics`."""
        if isinstance(images, Windows):
            number = None if recording is None else np.asarray(recording)
            standardize = Standardizer(self.input_mean.numpy(), self.input_sd.numpy())
            return standardize(images, int(number) if number is not None and not number.ndim else number)
        mean, sd = self.statistics(recording)
        return (images - mean) / sd

    def forward(self, images: Tensor | Windows, session: Session | None = None) -> Tensor:
        """Predicted responses to images (image, channel, y, x) or windows, (image, neuron).

        They are of all neurons, or those of a session.
        """
        prepared = self.model.prepare(
            self.standardize(images, None if session is None else session.recording)
        )
        return in_chunks(self.model, prepared, session) * self.response_scale[neurons_of(session)]

    def of_trials(self, trials: Trials) -> Tensor:
        """Predicted responses to presentations of stored images, (presentation, neuron)."""
        prepared = self.model.prepare(self.standardize(trials.images))
        return self.model.of_trials(replace(trials, images=prepared)) * self.response_scale

    def features(self, images: Tensor) -> Tensor | None:
        """Feature maps (image, channel, y, x) of stored images, None as for :meth:`Model.features`."""
        mean, sd = self.statistics(None)
        return self.model.features(self.model.prepare((images - mean) / sd))

    @property
    def sessions(self) -> Sequence[Session | None]:
        """The pooled recordings; [None] for a single recording."""
        return [None] if self.recording is None else sessions_of(self.recording.numpy())

    def statistics_of(self, neurons: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and sd of the pixels for neurons (neuron,), as :meth:`statistics` returns them."""
        return self.statistics(None if self.recording is None else self.recording[neurons])

    def own_responses(self, images: Tensor, neurons: Tensor) -> Tensor:
        """Predicted response of one neuron to each image, (image,), differentiable.

        ``images`` are (image, channel, y, x) in stored units, ``neurons`` (image,) positions in the
        population. Where possible, no other neuron is computed.
        """
        mean, sd = self.statistics_of(neurons)
        prepared = self.model.prepare((images - mean) / sd)
        readout = self.model.readout
        named = [] if readout is None else [*readout.named_parameters(), *readout.named_buffers()]
        rows = {f"readout.{name}": value for name, value in named}
        if rows and self.model.curve is not None:
            rows |= {f"curve.{name}": value for name, value in self.model.curve.named_buffers()}
        n_neurons = len(self.response_scale)
        if rows and all(value.ndim and len(value) == n_neurons for value in rows.values()):

            def respond(own: dict[str, Tensor], image: Tensor) -> Tensor:
                alone = {name: row[None] for name, row in own.items()}
                return functional_call(self.model, alone, (image[None],))[0, 0]

            own = {name: value[neurons] for name, value in rows.items()}
            return vmap(respond)(own, prepared) * self.response_scale[neurons]
        found = prepared.new_empty(len(prepared))
        for session in self.sessions:
            first, last, _ = neurons_of(session).indices(n_neurons)
            mine = torch.nonzero((first <= neurons) & (neurons < last))[:, 0]
            if len(mine):
                every = self.model(prepared[mine], session)
                found = found.index_copy(0, mine, every.gather(1, neurons[mine, None] - first)[:, 0])
        return found * self.response_scale[neurons]
