"""The fits of one seed with the settings that validation selected: everything predicts through them.

The mean of several seeds is here as well, as one model on plain arrays; labels are added in ``model``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from whatwhere import barcodes
from whatwhere.errors import UserError
from whatwhere.files import read_table, read_tensors
from whatwhere.fitted.selection import MEAN_RESPONSE, most_frequent
from whatwhere.models.base import EVALUATION_CHUNK, Model
from whatwhere.models.calibrated import CalibratedModel
from whatwhere.models.spec import Setting, settings
from whatwhere.models.trials import Trials
from whatwhere.sessions import neurons_of
from whatwhere.training.fits import load_model
from whatwhere.windows import Images, Windows, as_images


@dataclass(frozen=True, eq=False, repr=False)
class SeedFit:
    """The fits of one seed: one setting for all neurons, or one for each neuron."""

    seed: int
    # As in `fits.pt`, for this seed and the selected settings; `parameters` are by setting.
    content: dict[str, Any]
    selected: np.ndarray  # (neuron,) index of the selected setting, or `MEAN_RESPONSE`

    @classmethod
    def of(cls, content: dict[str, Any], seed: int, selected: np.ndarray | int) -> "SeedFit":
        """Takes the selected fits, or the one setting for all neurons, from the content of ``fits.pt``."""
        stored = content["seeds"][seed]
        # A copy, because a column of a table is read-only, which tensors are not.
        of_neurons = np.array(np.broadcast_to(selected, len(stored["neurons"])))
        kept = {*of_neurons[of_neurons != MEAN_RESPONSE].tolist(), most_frequent(of_neurons)}
        parameters = {setting: stored["parameters"][setting] for setting in sorted(kept)}
        return cls(seed, content | {"seeds": {seed: stored | {"parameters": parameters}}}, of_neurons)

    def of_most_neurons(self) -> "SeedFit":
        """The fit that most neurons selected, for all neurons: parameters of fits cannot be compared."""
        return SeedFit.of(self.content, self.seed, most_frequent(self.selected))

    @property
    def stored(self) -> dict[str, Any]:
        """Content of ``fits.pt`` for this seed."""
        return self.content["seeds"][self.seed]

    @property
    def neurons(self) -> np.ndarray:
        """(neuron,) indices into the dataset."""
        return self.stored["neurons"].numpy()

    @property
    def sizes(self) -> dict[str, int]:
        """Neurons, training plus validation images and seed, as columns of tables."""
        return {"n_neurons": len(self.neurons), "n_images": self.stored["n_images"], "seed": self.seed}

    @property
    def setting(self) -> Setting:
        """Hyper-parameters that most neurons selected."""
        return settings(self.content["definition"])[most_frequent(self.selected)]

    @cached_property
    def calibrated(self) -> dict[int, CalibratedModel]:
        """The selected models by their setting, in evaluation mode and without gradients."""
        mean, sd, scale = (self.stored[name] for name in ("input_mean", "input_sd", "response_scale"))
        recording = self.stored.get("recording")
        return {
            setting: CalibratedModel(load_model(self.content, self.seed, setting), mean, sd, scale, recording)
            .eval()
            .requires_grad_(False)
            for setting in self.stored["parameters"]
        }

    @property
    def module(self) -> CalibratedModel:
        """The model that most neurons selected, from stored images to stored responses."""
        return self.calibrated[most_frequent(self.selected)]

    @property
    def model(self) -> Model:
        """The model that most neurons selected, from standardized images."""
        return self.module.model

    def predict(self, images: Images, recording: np.ndarray | None = None) -> np.ndarray:
        """Predicted responses (image, neuron) to images (image, channel, y, x), both in stored units.

        Neurons that selected no setting have their mean training response. For pooled recordings,
        ``recording`` (image,) has the number of the recording of an image: a prediction for a neuron of
        another recording is NaN. None: every neuron is shown all images as images of its recording.
        """
        predictions = np.repeat(self.stored["response_mean"].numpy()[None], len(images), axis=0)
        for session in self.module.sessions:
            columns = np.arange(len(self.selected))[neurons_of(session)]
            mine: np.ndarray | slice = slice(None)
            if session is not None and recording is not None:
                mine = np.flatnonzero(recording == session.recording)
            shown = _tensor(images[mine])
            for setting, model in self.calibrated.items():
                wanted = self.selected[columns] == setting
                if wanted.any():
                    found = np.full((len(images), wanted.sum()), np.nan, np.float32)
                    # Not every transform of torch takes an empty batch.
                    if len(shown):
                        with torch.inference_mode():
                            found[mine] = model(shown, session).numpy()[:, wanted]
                    predictions[:, columns[wanted]] = found
        return predictions

    def predict_trials(self, images: Images, image: np.ndarray, covariates: np.ndarray) -> np.ndarray:
        """Predicted responses of a model with state to presentations, (presentation, neuron).

        They are of images (image, channel, y, x) in stored units; ``image`` and ``covariates`` are those of
        :class:`whatwhere.presentations.Shown`.
        """
        predictions = np.repeat(self.stored["response_mean"].numpy()[None], len(image), axis=0)
        trials = Trials.of(_tensor(images), image, covariates)
        with torch.inference_mode():
            for setting, model in self.calibrated.items():
                wanted = self.selected == setting
                predictions[:, wanted] = model.of_trials(trials).numpy()[:, wanted]
        return predictions

    def own_responses(self, images: Tensor, neurons: Tensor) -> Tensor:
        """Predicted response of one neuron to each image, (image,), differentiable.

        ``images`` are (image, channel, y, x) in stored units, ``neurons`` (image,) positions in the
        population.
        """
        selected = torch.from_numpy(self.selected)[neurons]
        responses = torch.where(selected == MEAN_RESPONSE, self.stored["response_mean"][neurons], 0.0)
        for setting, model in self.calibrated.items():
            mine = torch.nonzero(selected == setting)[:, 0]
            if len(mine):
                responses = responses.index_add(0, mine, model.own_responses(images[mine], neurons[mine]))
        return responses

    def standardize(self, images: Images, recording: np.ndarray | None = None) -> Images:
        """Standardized images (image, channel, y, x); ``recording`` (image,) has the number of each.

        Without ``recording``, images of pooled recordings count as images of the first recording.
        """
        number = None if recording is None else torch.from_numpy(recording)
        return as_images(self.module.standardize(_tensor(images), number))

    def features(self, images: Images) -> np.ndarray:
        """Feature maps of :attr:`model`, (image, channel, y, x) in stored units to the same axes.

        Images of pooled recordings count as images of the first recording. UserError if there are no feature
        maps.
        """
        with torch.inference_mode():
            chunks = [self.module.features(one) for one in _tensor(images).split(EVALUATION_CHUNK)]
        if chunks[0] is None:
            raise UserError("this model has no feature maps: fit a network, or a model on a feature bank")
        return torch.cat([chunk for chunk in chunks if chunk is not None]).numpy()

    @property
    def masks(self) -> np.ndarray:
        """Masks of :attr:`model`, (neuron, y, x); an error as for :func:`_numpy`."""
        return _numpy(self.model.masks())

    @property
    def feature_weights(self) -> np.ndarray:
        """Feature weights of :attr:`model`, (neuron, channel); an error as for :func:`_numpy`."""
        return _numpy(self.model.feature_weights())


def _tensor(images: Images) -> Tensor | Windows:
    """Images as a tensor, which can always be written to; windows as they are."""
    if isinstance(images, Windows):
        return images
    return torch.from_numpy(np.require(images, np.float32, ["C", "W"]))


def _numpy(values: Tensor | None) -> np.ndarray:
    """Values as an array, or a UserError if the family has none."""
    if values is None:
        raise UserError("this model has no masks and no feature weights: fit a factorized one")
    return values.numpy()


@dataclass(frozen=True, eq=False)
class MeanFit:
    """Fits of one model to the same neurons, one per seed; often a single one.

    Of several, feature maps and weights stand side by side along the channels, and masks are averaged: the
    features of different fits have nothing to do with each other, the places do.
    """

    seed_fits: Sequence[SeedFit]

    def predict(self, images: Images) -> np.ndarray:
        """Predicted responses (image, neuron), float32, to images (image, channel, y, x) in stored units."""
        predictions = np.stack([one.predict(images) for one in self.seed_fits])
        return predictions.mean(0, dtype=np.float64).astype(np.float32)

    def predict_trials(self, images: Images, image: np.ndarray, covariates: np.ndarray) -> np.ndarray:
        """Predicted responses to presentations, as for :meth:`SeedFit.predict_trials`."""
        found = np.stack([one.predict_trials(images, image, covariates) for one in self.seed_fits])
        return found.mean(0, dtype=np.float64).astype(np.float32)

    def features(self, images: Images) -> np.ndarray:
        """Feature maps (image, channel, y, x) of images as for :meth:`predict`."""
        maps = [one.features(images) for one in self.seed_fits]
        if len({one.shape[2:] for one in maps}) > 1:
            raise UserError("feature maps of these seeds differ in size: ask one of 'seed_fits'")
        return np.concatenate(maps, axis=1)

    @property
    def masks(self) -> np.ndarray:
        """Masks ("where"), (neuron, y, x); of several fits, the mean with signs settled, sum 1."""
        masks = [one.masks for one in self.seed_fits]
        if len(masks) == 1:
            return masks[0]
        if len({mask.shape for mask in masks}) > 1:
            raise UserError("masks of these seeds differ in size: ask one of 'seed_fits'")
        return np.stack([_unit(mask) for mask in masks]).mean(0)

    @property
    def feature_weights(self) -> np.ndarray:
        """Feature weights ("what"), (neuron, channel)."""
        return np.concatenate([one.feature_weights for one in self.seed_fits], axis=1)

    @property
    def barcodes(self) -> np.ndarray:
        """Feature weights with sign and scale settled, unit vectors (neuron, channel)."""
        codes = [barcodes.normalize(one.feature_weights, one.masks) for one in self.seed_fits]
        return np.concatenate(codes, axis=1) / np.sqrt(len(codes))


def _unit(masks: np.ndarray) -> np.ndarray:
    """Masks (neuron, y, x) with signs settled and sum of absolute values 1."""
    size = np.abs(masks).reshape(len(masks), -1).sum(1)
    return masks * (barcodes.mask_signs(masks) / np.maximum(size, 1e-12))[:, None, None]


class SelectedFit(NamedTuple):
    """The fits that one selection rule selected for one seed of a condition, such as ``n100-d4096``.

    ``converged`` and ``at_edge`` (neuron,) tell whether training of the selected setting converged, and
    whether one of its penalties lies at the edge of its grid.
    """

    fit: SeedFit
    condition: str
    rule: str
    converged: np.ndarray
    at_edge: np.ndarray


def selected_fits(
    selection: str | Path, conditions: Sequence[str], fits: Sequence[str | Path]
) -> Iterator[SelectedFit]:
    """Yields the selected fits: by condition, then by rule and seed in the order of the table ``selection``.

    ``conditions`` and ``fits`` are folder and ``fits.pt`` of every condition, smallest first. One file is
    read at a time.
    """
    table = read_table(selection)
    for condition, path in zip(conditions, fits, strict=True):
        content = read_tensors(path)
        mine = table[table["condition"] == condition]
        for _, rows in mine.groupby(["selection", "seed"], sort=False):
            rule, seed = rows["selection"].iloc[0], int(rows["seed"].iloc[0])
            fit = SeedFit.of(content, seed, rows["setting"].to_numpy())
            converged, at_edge = (rows[name].to_numpy() for name in ("converged", "at_edge"))
            yield SelectedFit(fit, condition, rule, converged, at_edge)
