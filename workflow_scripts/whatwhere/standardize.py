"""Standardization of images by the pixel statistics of training images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    from whatwhere.windows import Images, Windows

_LEAST_SD = 0.1
"""Least sd of a pixel relative to the root mean square of the sds of all pixels."""


@dataclass(frozen=True)
class Standardizer:
    """Pixel statistics of the training images of one fit, applied to all images of the fit.

    ``mean`` and ``sd`` are (channel, y, x), or (recording, channel, y, x) for pooled recordings; ``sd`` is 1
    if the training images do not vary. Windows of a movie have the same statistics at every lag.
    """

    mean: np.ndarray
    sd: np.ndarray

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channel, y, x)."""
        channel, height, width = self.mean.shape[-3:]
        return channel, height, width

    @property
    def normalize(self) -> str:
        """Name of the normalization, one of :data:`whatwhere.dataset.NORMALIZATIONS`."""
        if (self.mean == 0).all() and (self.sd == 1).all():
            return "none"
        each = self.mean.reshape(-1, int(np.prod(self.image_shape)))
        return "global" if (each == each[:, :1]).all() else "per_pixel"

    @overload
    def __call__(self, images: np.ndarray, recording: np.ndarray | int | None = None) -> np.ndarray: ...

    @overload
    def __call__(self, images: Windows, recording: np.ndarray | int | None = None) -> Windows: ...

    def __call__(self, images: Images, recording: np.ndarray | int | None = None) -> Images:
        """Returns (images - mean) / sd as float32, (image, channel, y, x).

        With pooled recordings, ``recording`` has the number of the recording of the images; None: the first.
        """
        if not isinstance(images, np.ndarray):
            return self._scaled(images, 1 / self.sd, -self.mean / self.sd, recording)
        mean, sd = self._of(recording)
        standardized = images - mean
        standardized /= sd
        return standardized.astype(np.float32, copy=False)

    def undo(self, images: Images, recording: np.ndarray | int | None = None) -> Images:
        """Images as they were stored, (image, channel, y, x)."""
        if not isinstance(images, np.ndarray):
            return self._scaled(images, self.sd, self.mean, recording)
        mean, sd = self._of(recording)
        return images * sd + mean

    def _scaled(
        self, windows: Windows, scale: np.ndarray, offset: np.ndarray, recording: np.ndarray | int | None
    ) -> Windows:
        n_channels = windows.frames.shape[1]
        scale, offset = (one[..., :n_channels, :, :] for one in (scale, offset))
        if self.mean.ndim == 3:
            return windows.scaled(scale, offset)
        if isinstance(recording, np.ndarray):
            return windows.scaled(scale, offset, recording)
        number = recording or 0
        return windows.scaled(scale[number], offset[number])

    def _of(self, recording: np.ndarray | int | None) -> tuple[np.ndarray, np.ndarray]:
        if self.mean.ndim == 3:
            return self.mean, self.sd
        number = 0 if recording is None else recording
        return self.mean[number], self.sd[number]


def standardizer(images: Images, normalize: str, recording: np.ndarray | None = None) -> Standardizer:
    """Statistics of training images (image, channel, y, x): none, one pair, or one pair per pixel.

    Pixels that hardly vary, as behind an aperture, are not amplified without end: the least sd of a pixel is
    a tenth of the root mean square of all. Pooled recordings, whose number for every image is ``recording``
    (image,), have statistics of their own.
    """
    if recording is not None:
        each = [standardizer(images[recording == number], normalize) for number in np.unique(recording)]
        return Standardizer(np.stack([one.mean for one in each]), np.stack([one.sd for one in each]))
    shape = images.shape[1:]
    if normalize == "none":
        mean, sd = np.zeros(()), np.ones(())
    elif not isinstance(images, np.ndarray):
        mean, sd = images.pixel_statistics()
        if normalize == "global":
            sd = np.sqrt((sd**2).mean() + mean.var())
            mean = mean.mean()
        mean, sd = (np.tile(one, (images.lags, 1, 1)) if one.ndim else one for one in (mean, sd))
    elif normalize == "global":
        mean, sd = np.asarray(images.mean(dtype=np.float64)), np.asarray(images.std(dtype=np.float64))
    else:
        mean, sd = images.mean(0, dtype=np.float64), images.std(0, dtype=np.float64)
    if normalize == "per_pixel":
        sd = np.maximum(sd, _LEAST_SD * np.sqrt((sd**2).mean()))
    sd = np.where(sd > 1e-12 * (1 + np.abs(mean)), sd, 1.0)
    full = (np.broadcast_to(np.asarray(value, np.float32), shape).copy() for value in (mean, sd))
    return Standardizer(*full)
