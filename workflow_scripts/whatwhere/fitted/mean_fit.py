"""The mean of the fits of several seeds as one model on plain arrays; labels are added in ``model``."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whatwhere import barcodes
from whatwhere.errors import UserError
from whatwhere.fitted.seed_fit import SeedFit


@dataclass(frozen=True, eq=False)
class MeanFit:
    """Fits of one model to the same neurons, one per seed; often a single one.

    Of several, feature maps and weights stand side by side along the channels, and masks are averaged: the
    features of different fits have nothing to do with each other, the places do.

    Attributes
    ----------
    seed_fits
        The fits, one per seed.
    """

    seed_fits: Sequence[SeedFit]

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Predicted responses (image, neuron), float32, to images (image, channel, y, x) in stored units."""
        predictions = np.stack([one.predict(images) for one in self.seed_fits])
        return predictions.mean(0, dtype=np.float64).astype(np.float32)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Feature maps (image, channel, y, x) of images as for :meth:`predict`."""
        maps = [one.features(images) for one in self.seed_fits]
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


def _unit(masks: np.ndarray) -> np.ndarray:
    """Masks (neuron, y, x) with their largest absolute value positive and sum of absolute values 1."""
    size = np.abs(masks).reshape(len(masks), -1).sum(1)
    return masks * (barcodes.mask_signs(masks) / np.maximum(size, 1e-12))[:, None, None]
