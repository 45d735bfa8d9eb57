"""State of the animal in a model: gains and offsets by covariates, and masks that follow the eye.

A response is ``nonlinearity(drive + offset) * gain``. Log gain and offset of a neuron are functions of the
standardized covariates that are 0 at their mean, so that a prediction without covariates is the prediction at
mean covariates. The gaze moves all masks of a recording by one shift, which is 0 at the mean gaze.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from whatwhere.models.base import Penalties, rows
from whatwhere.presentations import columns_of

_STEP = 5.0
"""Pixels of a weight of the gaze map that is 1: steps of Adam have one size for all parameters."""
_LARGEST = 3.0
"""Largest absolute log gain, which bounds predictions far from the mean covariates."""


class State(nn.Module):
    """Functions of the covariates.

    Parameters
    ----------
    definition
        A model's ``state``; its keys are described in ``config/README.md``.
    n_neurons
        Size of the population.
    gains
        Whether responses are multiplied; closed forms have offsets alone.
    """

    mean: Tensor
    sd: Tensor
    calibration: Tensor

    def __init__(self, definition: dict[str, Any], n_neurons: int, gains: bool) -> None:
        super().__init__()
        columns = columns_of(definition)
        modulation, gaze = definition.get("modulation", {}), definition.get("gaze")
        self.n_gaze = 0 if gaze is None else len(gaze["covariates"])
        self.n_modulating = len(columns) - self.n_gaze
        self.register_buffer("mean", torch.zeros(len(columns)))
        self.register_buffer("sd", torch.ones(len(columns)))
        self.hidden = _hidden(self.n_modulating, modulation.get("hidden"))
        width = modulation.get("hidden", self.n_modulating)
        self.gain_weights = nn.Parameter(torch.zeros(n_neurons, width)) if gains else None
        self.offset_weights = nn.Parameter(torch.zeros(n_neurons, width))
        if gaze is not None:
            calibration = torch.tensor(
                gaze.get("calibration", [[0.0] * self.n_gaze] * 2), dtype=torch.float32
            )
            self.register_buffer("calibration", calibration.T.contiguous())
            self.gaze_weights = nn.Parameter(torch.zeros(self.n_gaze, 2))
            self.gaze_hidden = _hidden(self.n_gaze, gaze.get("hidden"))
            if self.gaze_hidden is not None:
                self.gaze_output = nn.Parameter(torch.zeros(gaze["hidden"], 2))

    def initialize(self, generator: torch.Generator) -> None:
        """Sets hidden layers to random values; all functions start at 0, the gaze at its calibration."""
        for layer in (self.hidden, getattr(self, "gaze_hidden", None)):
            if layer is not None:
                layer.weight.data.normal_(generator=generator)
                layer.bias.data.normal_(generator=generator)

    def standardize_on(self, covariates: np.ndarray) -> None:
        """Takes mean and sd of every covariate from training presentations (presentation, column)."""
        sd = covariates.std(0, dtype=np.float64)
        self.mean.copy_(torch.from_numpy(covariates.mean(0, dtype=np.float64)))
        self.sd.copy_(torch.from_numpy(np.where(sd > 0, sd, 1.0)))

    def modulation(self, covariates: Tensor, neurons: slice) -> tuple[Tensor | float, Tensor]:
        """Gains, and offsets of the drive, (presentation, neuron) each, from covariates as stored."""
        inputs = _functions(((covariates - self.mean) / self.sd)[:, : self.n_modulating], self.hidden)
        offset = inputs @ rows(self.offset_weights, neurons).T
        if self.gain_weights is None:
            return 1.0, offset
        return (inputs @ rows(self.gain_weights, neurons).T).clamp(-_LARGEST, _LARGEST).exp(), offset

    def shift(self, covariates: Tensor) -> Tensor | None:
        """Shift (y, x) of all masks in pixels of the image, (presentation, 2); None without a gaze."""
        if not self.n_gaze:
            return None
        # Columns of the gaze come last, and may be given alone.
        raw = covariates[:, -self.n_gaze :] - self.mean[self.n_modulating :]
        gaze = raw / self.sd[self.n_modulating :]
        moved = gaze @ self.gaze_weights
        if self.gaze_hidden is not None:
            moved = moved + _functions(gaze, self.gaze_hidden) @ self.gaze_output
        return raw @ self.calibration + _STEP * moved

    def penalties(self) -> Penalties:
        """Penalties by their name in a model's grid."""
        return {"modulation_l2": self._modulation_l2, "gaze_l2": self._gaze_l2}

    def _modulation_l2(self) -> Tensor:
        """Sum of squared weights of log gain and offset, (neuron,)."""
        squares = self.offset_weights.square().sum(1)
        return squares if self.gain_weights is None else squares + self.gain_weights.square().sum(1)

    def _gaze_l2(self) -> Tensor:
        """Sum of squared weights of the difference from the calibration, in px per sd of the gaze."""
        squares = self.gaze_weights.square().sum()
        if self.gaze_hidden is not None:
            squares = squares + self.gaze_output.square().sum()
        return _STEP**2 * squares


def _hidden(n_inputs: int, n_units: int | None) -> nn.Linear | None:
    return None if n_units is None else nn.Linear(n_inputs, n_units)


def _functions(inputs: Tensor, layer: nn.Linear | None) -> Tensor:
    """Inputs themselves, or outputs of a hidden layer that are 0 where all inputs are 0."""
    return inputs if layer is None else layer(inputs).tanh() - layer.bias.tanh()
