"""Presentations of images, one by one, as a batch that takes the place of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whatwhere.windows import Windows


@dataclass(frozen=True)
class Trials:
    """Images, the image of every presentation, and its covariates.

    Attributes
    ----------
    images
        (image, channel, y, x), or windows of a movie.
    image
        (presentation,) position among the images, rising; None where every presentation has its own image.
    covariates
        (presentation, column), see :func:`whatwhere.presentations.columns_of`.
    places
        ``image`` as numbers, for which a GPU need not be asked; None for a batch.
    """

    images: Any
    image: Tensor | None
    covariates: Tensor
    places: list[int] | None = None

    @classmethod
    def of(cls, images: Tensor | Windows, image: np.ndarray, covariates: np.ndarray) -> Trials:
        """Trials of arrays, on the device of the images."""
        place, state = (torch.from_numpy(one).to(images.device) for one in (image, covariates))
        return cls(images, place, state, image.tolist())

    def __len__(self) -> int:
        return len(self.covariates)

    @property
    def device(self) -> torch.device:
        """Device of the images."""
        return self.covariates.device

    def __getitem__(self, key: Tensor) -> Trials:
        # Copies of an image are rare in a random batch, and to find them a GPU would have to wait.
        return Trials(self.each(self.images, key), None, self.covariates[key])

    def each(self, of_images: Any, key: Tensor | slice = slice(None)) -> Any:
        """Values of some presentations, (presentation, ...), from those of the images."""
        return of_images if self.image is None else of_images[self.image[key]]

    def split(self, size: int) -> Iterator[Trials]:
        """Yields consecutive presentations, at most ``size`` at a time, with every image once."""
        if self.image is None or self.places is None:
            raise ValueError("a batch cannot be split")
        for start in range(0, len(self), size):
            places, some = self.places[start : start + size], slice(start, start + size)
            images = self.images[places[0] : places[-1] + 1]
            if isinstance(images, Windows):
                (images,) = images.split(len(images))
            yield Trials(images, self.image[some] - places[0], self.covariates[some])
