"""Fitted models: predictions for images of a user, and masks, feature weights and locations of neurons."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from whatwhere import barcodes
from whatwhere.errors import UserError
from whatwhere.fitted import file
from whatwhere.fitted.image_space import ImageSpace
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.locations import peaks
from whatwhere.models.spec import Setting


@dataclass(frozen=True)
class FittedModel:
    """A fitted model, or the mean of several that were fitted to the same neurons with other seeds.

    Of several, feature maps and weights stand side by side along the channels, and masks are averaged: the
    features of different fits have nothing to do with each other, the places do.

    Attributes
    ----------
    dataset
        Name of the dataset.
    neurons
        (neuron,) indices into the dataset.
    neuron_ids
        (neuron,) names of the neurons in the recording.
    scores
        One row per seed and neuron with the columns of :data:`whatwhere.metrics.SCORES`, on the test images,
        which neither training nor the selection of hyper-parameters saw.
    split
        (image,) use of the images, first seed: 0 train, 1 validation, 2 test.
    image_space
        The images that the model takes.
    seed_fits
        The fits, one per seed.
    """

    dataset: str
    neurons: np.ndarray
    neuron_ids: list[str]
    scores: pd.DataFrame
    split: np.ndarray
    image_space: ImageSpace
    seed_fits: tuple[SeedFit, ...]

    @property
    def setting(self) -> Setting:
        """The hyper-parameters that validation selected from the grid, for most neurons of the first seed."""
        return self.seed_fits[0].setting

    @property
    def stride(self) -> int:
        """Pixels of the model from one place of the masks to the next."""
        return self.seed_fits[0].model.stride

    def predict(self, images: np.ndarray | Sequence[np.ndarray], *, preprocessed: bool = False) -> np.ndarray:
        """Predicted responses to images as the user has them.

        Color, crop and size become those of the fit, as in the workflow; so does the normalization. Pixels
        are in the units of the images that were fitted.

        Parameters
        ----------
        images
            (image, y, x), (image, channel, y, x) or (image, y, x, channel); or a list of images of any size.
        preprocessed
            Color, crop and size are already those of the model.

        Returns
        -------
        (image, neuron), float32.

        Raises
        ------
        UserError
            If the images cannot be made into images of the model.
        """
        shown = self.image_space.prepare(images, preprocessed=preprocessed)
        predictions = np.stack([one.predict(shown) for one in self.seed_fits])
        return predictions.mean(0, dtype=np.float64).astype(np.float32)

    def features(
        self, images: np.ndarray | Sequence[np.ndarray], *, preprocessed: bool = False
    ) -> np.ndarray:
        """Feature maps (image, channel, y, x); parameters as for :meth:`predict`."""
        shown = self.image_space.prepare(images, preprocessed=preprocessed)
        maps = [one.features(shown) for one in self.seed_fits]
        if len({one.shape[2:] for one in maps}) > 1:
            raise UserError("feature maps of these seeds differ in size: ask one of 'seed_fits'")
        return np.concatenate(maps, axis=1)

    @property
    def masks(self) -> np.ndarray:
        """Masks ("where"), (neuron, y, x); of several fits, the mean with largest value positive, sum 1."""
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

    @property
    def positions(self) -> np.ndarray:
        """Locations of neurons: the peaks of their masks (neuron, 2), as (y, x) in pixels of the model."""
        return peaks(self.masks, self.image_space.shape[1:], self.stride)

    @property
    def locations(self) -> pd.DataFrame:
        """Locations of neurons in the images of the user, one row per neuron.

        Columns ``neuron``, ``neuron_id``, ``y`` and ``x`` in pixels of the original image, from the middle of
        the first one, and, if the configuration gives ``degrees_per_pixel``, ``y_degrees`` and ``x_degrees``
        from the middle of the image, downwards and to the right.
        """
        original = self.image_space.to_original(self.positions)
        table = pd.DataFrame({"neuron": self.neurons, "neuron_id": self.neuron_ids})
        table["y"], table["x"] = original.T
        degrees = self.image_space.to_degrees(original)
        if degrees is not None:
            table["y_degrees"], table["x_degrees"] = degrees.T
        return table

    def save(self, path: str | Path) -> None:
        """Writes the model to one file, which :func:`whatwhere.api.load` reads."""
        space = self.image_space
        content = {
            "dataset": self.dataset,
            "neurons": _tensor(self.neurons),
            "neuron_ids": self.neuron_ids,
            "scores": {str(name): _tensor(column) for name, column in self.scores.items()},
            "split": _tensor(self.split),
            "image_space": dataclasses.asdict(space)
            | {"low": _tensor(space.low), "high": _tensor(space.high)},
            "seed_fits": [
                {"seed": one.seed, "content": one.content, "selected": _tensor(one.selected)}
                for one in self.seed_fits
            ],
        }
        file.write(content, path)

    @classmethod
    def read(cls, path: str | Path) -> FittedModel:
        """Reads a file of :meth:`save`; errors as for :func:`whatwhere.fitted.file.read`."""
        content = file.read(path)
        space = content["image_space"]
        limits = {limit: space[limit].numpy() for limit in ("low", "high")}
        return cls(
            dataset=content["dataset"],
            neurons=content["neurons"].numpy(),
            neuron_ids=content["neuron_ids"],
            scores=pd.DataFrame({name: column.numpy() for name, column in content["scores"].items()}),
            split=content["split"].numpy(),
            image_space=ImageSpace(**space | limits),
            seed_fits=tuple(
                SeedFit(one["seed"], one["content"], one["selected"].numpy()) for one in content["seed_fits"]
            ),
        )


def together(models: Sequence[FittedModel]) -> FittedModel:
    """The mean of several fitted models of the same neurons.

    Raises
    ------
    UserError
        If they were fitted to different neurons.
    """
    first = models[0]
    for other in models[1:]:
        if other.dataset != first.dataset or not np.array_equal(other.neurons, first.neurons):
            raise UserError("these fits are of different neurons: load one seed, or fit all neurons")
    return dataclasses.replace(
        first,
        scores=pd.concat([model.scores for model in models], ignore_index=True),
        seed_fits=tuple(one for model in models for one in model.seed_fits),
    )


def _unit(masks: np.ndarray) -> np.ndarray:
    """Masks (neuron, y, x) with their largest absolute value positive and sum of absolute values 1."""
    size = np.abs(masks).reshape(len(masks), -1).sum(1)
    return masks * (barcodes.mask_signs(masks) / np.maximum(size, 1e-12))[:, None, None]


def _tensor(values: np.ndarray | pd.Series) -> torch.Tensor:
    # A copy, because a column of a table may be read-only.
    return torch.from_numpy(np.array(values))
