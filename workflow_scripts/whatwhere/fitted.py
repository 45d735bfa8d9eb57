"""A fitted model in the hand: what it predicts, and what it says about every neuron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from whatwhere import barcodes
from whatwhere.errors import UserError
from whatwhere.locations import peaks
from whatwhere.member import Member
from whatwhere.stimuli import Canvas
from whatwhere.synthesis import most_exciting_images
from whatwhere.training.families import Setting
from whatwhere.viewing import Viewing


@dataclass(frozen=True)
class FittedModel:
    """A fitted model, or the mean of several that were fitted to the same neurons with other seeds.

    Of several, feature maps and weights stand side by side along the channels, and masks are averaged: the
    features of different fits have nothing to do with each other, the places do.

    Attributes
    ----------
    dataset
        Name of what was fitted.
    neurons
        (neuron,) indices into the dataset.
    neuron_ids
        (neuron,) what their owner calls them.
    scores
        One row per seed and neuron with the columns of :data:`whatwhere.metrics.SCORES`, on the test images,
        which neither training nor the choice of hyper-parameters saw.
    split
        (image,) what the images were for, first seed: 0 train, 1 validation, 2 test.
    viewing
        The images that the model takes.
    members
        The fits, one per seed.
    """

    dataset: str
    neurons: np.ndarray
    neuron_ids: list[str]
    scores: pd.DataFrame
    split: np.ndarray
    viewing: Viewing
    members: tuple[Member, ...]

    @property
    def setting(self) -> Setting:
        """The hyper-parameters that validation chose from the grid, for most neurons of the first seed."""
        return self.members[0].setting

    @property
    def canvas(self) -> Canvas:
        """What artificial stimuli are drawn on: as bright and as contrasted as the training images."""
        viewing = self.viewing
        room = min(viewing.mean - viewing.low.min(), viewing.high.max() - viewing.mean)
        return Canvas(viewing.shape, viewing.mean, float(room))

    def predict(self, images: np.ndarray | Sequence[np.ndarray], *, preprocessed: bool = False) -> np.ndarray:
        """Predicted responses to images as the user has them.

        Colour, crop and size become those of the fit, as in the workflow; so does the normalisation. Pixels
        are in the units of the images that were fitted.

        Parameters
        ----------
        images
            (image, y, x), (image, channel, y, x) or (image, y, x, channel); or a list of images of any size.
        preprocessed
            Colour, crop and size are already those of the model.

        Returns
        -------
        (image, neuron), float32.

        Raises
        ------
        UserError
            If the images cannot be made into images of the model.
        """
        shown = self.viewing.prepare(images, preprocessed=preprocessed)
        predictions = np.stack([member.predict(shown) for member in self.members])
        return predictions.mean(0, dtype=np.float64).astype(np.float32)

    def features(
        self, images: np.ndarray | Sequence[np.ndarray], *, preprocessed: bool = False
    ) -> np.ndarray:
        """Feature maps (image, channel, y, x); parameters as for :meth:`predict`."""
        shown = self.viewing.prepare(images, preprocessed=preprocessed)
        return _side_by_side([member.features(shown) for member in self.members], "feature maps")

    @property
    def masks(self) -> np.ndarray:
        """Masks ("where"), (neuron, y, x); of several fits, the mean with largest value positive, sum 1."""
        masks = [member.masks for member in self.members]
        if len(masks) == 1:
            return masks[0]
        if len({mask.shape for mask in masks}) > 1:
            raise UserError("masks of these seeds differ in size: ask one of 'members'")
        return np.stack([_unit(mask) for mask in masks]).mean(0)

    @property
    def feature_weights(self) -> np.ndarray:
        """Feature weights ("what"), (neuron, channel)."""
        return np.concatenate([member.feature_weights for member in self.members], axis=1)

    @property
    def barcodes(self) -> np.ndarray:
        """Feature weights with sign and scale settled, unit vectors (neuron, channel)."""
        codes = [barcodes.normalize(member.feature_weights, member.masks) for member in self.members]
        return np.concatenate(codes, axis=1) / np.sqrt(len(codes))

    @property
    def positions(self) -> np.ndarray:
        """Where neurons look: the peaks of their masks (neuron, 2), as (y, x) in pixels of the model."""
        return peaks(self.masks, self.viewing.shape[1:], self.members[0].shown.stride)

    @property
    def locations(self) -> pd.DataFrame:
        """Where neurons look in the user's images, one row per neuron.

        Columns ``neuron``, ``neuron_id``, ``y`` and ``x`` in pixels of the original image, from the middle of
        the first one, and, if the configuration gives ``degrees_per_pixel``, ``y_degrees`` and ``x_degrees``
        from the middle of the image, downwards and to the right.
        """
        original = self.viewing.to_original(self.positions)
        table = pd.DataFrame({"neuron": self.neurons, "neuron_id": self.neuron_ids})
        table["y"], table["x"] = original.T
        degrees = self.viewing.to_degrees(original)
        if degrees is not None:
            table["y_degrees"], table["x_degrees"] = degrees.T
        return table

    def most_exciting_images(
        self,
        neurons: Sequence[int] | None = None,
        *,
        norm: float | None = None,
        steps: int = 20,
        n_starts: int = 2,
        seed: int = 0,
        least: bool = False,
        confirm: FittedModel | None = None,
    ) -> xr.Dataset:
        """Images that neurons respond to most, see :func:`whatwhere.synthesis.most_exciting_images`."""
        return most_exciting_images(
            self,
            neurons,
            norm=norm,
            steps=steps,
            n_starts=n_starts,
            seed=seed,
            least=least,
            confirm=confirm,
        )

    def save(self, path: str | Path) -> None:
        """Write everything to one file, which :func:`whatwhere.api.load` reads."""
        from whatwhere.fitted_file import write

        write(self, path)


def together(models: Sequence[FittedModel]) -> FittedModel:
    """One model of several fits of the same neurons; predictions are their mean.

    Raises
    ------
    UserError
        If they were fitted to different neurons.
    """
    first = models[0]
    for other in models[1:]:
        if other.dataset != first.dataset or not np.array_equal(other.neurons, first.neurons):
            raise UserError("these fits are of different neurons: load one seed, or fit all neurons")
    return FittedModel(
        dataset=first.dataset,
        neurons=first.neurons,
        neuron_ids=first.neuron_ids,
        scores=pd.concat([model.scores for model in models], ignore_index=True),
        split=first.split,
        viewing=first.viewing,
        members=tuple(member for model in models for member in model.members),
    )


def _unit(masks: np.ndarray) -> np.ndarray:
    """Masks (neuron, y, x) with their largest absolute value positive and sum of absolute values 1."""
    flat = masks.reshape(len(masks), -1)
    peak = flat[np.arange(len(flat)), np.abs(flat).argmax(1)]
    scale = np.where(peak < 0, -1, 1) / np.maximum(np.abs(flat).sum(1), 1e-12)
    return masks * scale[:, None, None]


def _side_by_side(maps: list[np.ndarray], name: str) -> np.ndarray:
    if len({one.shape[2:] for one in maps}) > 1:
        raise UserError(f"{name} of these seeds differ in size: ask one of 'members'")
    return np.concatenate(maps, axis=1)
