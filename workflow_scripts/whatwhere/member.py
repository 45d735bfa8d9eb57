"""The fits of one seed from which validation chose, ready to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whatwhere.errors import UserError
from whatwhere.models.base import EVALUATION_CHUNK, Model, predict
from whatwhere.models.spec import Setting, settings
from whatwhere.pool import ALL, Part, parts_of
from whatwhere.selection import MEAN_RESPONSE, most_frequent
from whatwhere.standardize import Standardizer
from whatwhere.training.fits import load_fit


@dataclass(frozen=True)
class Member:
    """The fits of one seed that validation chose: one for all neurons, or one for each.

    Attributes
    ----------
    seed
        The seed.
    content
        As in ``fits.pt``, for this seed and the chosen settings alone; ``parameters`` are by setting.
    choice
        (neuron,) index of the chosen setting, or :data:`whatwhere.selection.MEAN_RESPONSE`.
    """

    seed: int
    content: dict[str, Any]
    choice: np.ndarray

    @classmethod
    def of(cls, content: dict[str, Any], seed: int, choice: np.ndarray) -> Member:
        """Take the chosen fits of one seed from the content of ``fits.pt``."""
        stored = content["seeds"][seed]
        kept = {*choice[choice != MEAN_RESPONSE].tolist(), most_frequent(choice)}
        parameters = {setting: stored["parameters"][setting] for setting in sorted(kept)}
        kept_content = content | {"seeds": {seed: stored | {"parameters": parameters}}}
        # A copy, because a column of a table is read-only, which tensors are not.
        return cls(seed, kept_content, np.array(choice))

    @property
    def stored(self) -> dict[str, Any]:
        """What ``fits.pt`` holds about the seed."""
        return self.content["seeds"][self.seed]

    @cached_property
    def models(self) -> dict[int, Model]:
        """The chosen models by their setting, in evaluation mode and not to be trained any more."""
        models = {
            setting: load_fit(self.content, self.seed, setting).encoder
            for setting in self.stored["parameters"]
        }
        for model in models.values():
            model.eval().requires_grad_(False)
        return models

    @property
    def shown(self) -> Model:
        """The model that most neurons chose: parameters of different fits cannot be compared."""
        return self.models[most_frequent(self.choice)]

    @property
    def setting(self) -> Setting:
        """Hyper-parameters of :attr:`shown`."""
        return settings(self.content["definition"])[most_frequent(self.choice)]

    @cached_property
    def standardize(self) -> Standardizer:
        """What is done to images before the model."""
        return Standardizer(self.stored["input_mean"].numpy(), self.stored["input_sd"].numpy())

    @cached_property
    def parts(self) -> Sequence[Part | None]:
        """The recordings that it was fitted to together; of a single one, None."""
        return parts_of(self.stored["recording"].numpy()) if "recording" in self.stored else [None]

    def statistics(self, neurons: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and sd of pixels in the images that neurons (neuron,) were shown.

        Each (neuron, channel, y, x), or of a single recording (1, channel, y, x).
        """
        each = self.stored["input_mean"], self.stored["input_sd"]
        if each[0].ndim == 3:
            return each[0][None], each[1][None]
        recording = self.stored["recording"][neurons]
        return each[0][recording], each[1][recording]

    @property
    def readout(self) -> Any:
        """The readout of :attr:`shown`, with masks and feature weights."""
        readout = getattr(self.shown, "readout", None)
        if not (hasattr(readout, "mask") and hasattr(readout, "feature_weights")):
            raise UserError("this model has no masks and no feature weights: fit a factorized one")
        return readout

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Predicted responses, (image, channel, y, x) in stored units to (image, neuron).

        Of several recordings, every neuron is shown the images as those of its own recording.
        """
        predictions = np.repeat(self.stored["response_mean"].numpy()[None], len(images), axis=0)
        scale = self.stored["response_scale"].numpy()
        for part in self.parts:
            recording, neurons = (None, ALL) if part is None else (part.recording, part.neurons)
            standardized = torch.from_numpy(self.standardize(images, recording))
            for setting, model in self.models.items():
                mine = self.choice[neurons] == setting
                if mine.any():
                    scaled = predict(model, standardized, part).numpy() * scale[neurons]
                    predictions[:, neurons][:, mine] = scaled[:, mine]
        return predictions

    def features(self, images: np.ndarray) -> np.ndarray:
        """Feature maps of :attr:`shown`, (image, channel, y, x) in stored units to the same axes.

        Of several recordings, images are taken for those of the first.
        """
        model: Any = self.shown
        if model.bank is None and not hasattr(model, "core"):
            raise UserError("this model has no feature maps: fit a network, or a model on a bank")
        core = getattr(model, "core", torch.nn.Identity())
        with torch.inference_mode():
            chunks = torch.from_numpy(self.standardize(images)).split(EVALUATION_CHUNK)
            return torch.cat([core(model.prepare(chunk)) for chunk in chunks]).numpy()

    @property
    def masks(self) -> np.ndarray:
        """Masks of :attr:`shown`, (neuron, y, x)."""
        return _array(self.readout.mask)

    @property
    def feature_weights(self) -> np.ndarray:
        """Feature weights of :attr:`shown`, (neuron, channel)."""
        return _array(self.readout.feature_weights)


def _array(parameter: Tensor) -> np.ndarray:
    return parameter.detach().numpy()
