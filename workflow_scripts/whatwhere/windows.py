"""Windows of a movie: the frames before every time bin, gathered when they are needed.

A movie is stored once, frame after frame. The stimulus of a time bin is the stack of the last ``lags``
frames, newest first, so that a bin is an image with ``lags`` times as many channels: channel
``lag * n_channels + c`` is color channel ``c``, ``lag`` frames before the bin. Images are the case of one
lag. Windows overlap and take ``lags`` times the memory of the frames, which are all that is kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whatwhere.errors import UserError

_CHUNK = 1024
"""Frames or windows that are computed at once."""
_PRODUCTS = 1 << 26
"""Products of frames and filters that are in memory at a time."""
_LARGEST = 4 << 30
"""Bytes of windows that may be in memory together."""


class Windows:
    """Stimuli of time bins, (image, lags * channel, y, x), in place of an array of images.

    Slices and arrays of indices select windows; a tensor of indices, and :meth:`split`, gather pixels.
    ``frames`` are (frame, channel, y, x) of one or several clips, one after the other; ``last`` (image,) the
    index of the newest frame of every window. ``basis`` (function, lag) are functions of time onto which
    windows are projected: channels are then functions times color channels. None keeps the lags.
    """

    def __init__(self, frames: Tensor, last: Tensor, lags: int, basis: Tensor | None = None) -> None:
        self.frames, self.last, self.lags, self.basis = frames, last, lags, basis

    @classmethod
    def of(cls, frames: np.ndarray, last: np.ndarray, lags: int) -> Windows:
        """Windows of frames (frame, channel, y, x) whose newest frames are ``last`` (image,)."""
        return cls(torch.from_numpy(frames), torch.from_numpy(last), lags)

    @property
    def n_times(self) -> int:
        """Number of lags, or of functions of the basis."""
        return self.lags if self.basis is None else len(self.basis)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(image, channel, y, x)."""
        channels, height, width = self.frames.shape[1:]
        return len(self.last), self.n_times * channels, height, width

    @property
    def dtype(self) -> torch.dtype:
        """Type of the pixels of gathered windows."""
        return self.frames.dtype

    @property
    def device(self) -> torch.device:
        """Device of the frames."""
        return self.frames.device

    def __len__(self) -> int:
        return len(self.last)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, Tensor):
            return self._gather(self.last[key])
        selected = key if isinstance(key, slice) else torch.from_numpy(np.asarray(key))
        return Windows(self.frames, self.last[selected], self.lags, self.basis)

    def _gather(self, last: Tensor) -> Tensor:
        windows = self.frames[last[:, None] - torch.arange(self.lags, device=last.device)]
        if self.basis is not None:
            windows = torch.einsum("kl,il...->ik...", self.basis.to(windows.dtype), windows)
        return windows.flatten(1, 2)

    def project(self, filters: Tensor) -> Tensor:
        """Products with filters (neuron, channel, y, x) of the shape of windows, (image, neuron).

        Frames are multiplied once per lag and never gathered.
        """
        by_time = filters.unflatten(1, (self.n_times, -1))
        if self.basis is not None:
            by_time = torch.einsum("kl,nk...->nl...", self.basis, by_time)
        flat = self.frames.flatten(1)
        found = []
        # A block of neurons bounds the products of all frames.
        for block in by_time.split(max(1, _PRODUCTS // (len(flat) * self.lags))):
            weights = block.flatten(2).flatten(0, 1)
            # Filters of closed forms are zero outside of a window around the receptive field.
            used = torch.nonzero(weights.any(0))[:, 0]
            products = flat[:, used] @ weights[:, used].T if len(used) < flat.shape[1] else flat @ weights.T
            products = products.unflatten(1, (len(block), self.lags))
            found.append(sum(products[self.last - lag, :, lag] for lag in range(self.lags)))
        return torch.cat(found, 1)

    def split(self, size: int) -> Iterator[Tensor]:
        """Yields the pixels of consecutive windows, (image, channel, y, x), at most ``size`` at a time."""
        return (self._gather(last) for last in self.last.split(size))

    def to(self, device: torch.device) -> Windows:
        """Windows on a device."""
        basis = None if self.basis is None else self.basis.to(device)
        return Windows(self.frames.to(device), self.last.to(device), self.lags, basis)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        size = int(np.prod(self.shape, dtype=np.int64)) * self.frames.element_size()
        if size > _LARGEST:
            found = f"{len(self)} windows of {self.lags} frames take {size / 1e9:.0f} GB"
            raise UserError(f"{found}: use fewer lags, smaller frames, or a model that gathers windows")
        pixels = torch.cat([*self.split(_CHUNK)]) if len(self) else self._gather(self.last)
        return pixels.numpy() if dtype is None else pixels.numpy().astype(dtype)

    def crop(self, rows: slice, columns: slice) -> Windows:
        """Windows of a part of the frames."""
        return Windows(self.frames[:, :, rows, columns].contiguous(), self.last, self.lags, self.basis)

    def map_frames(self, function: Callable[[Tensor], Tensor], reach: int = 1) -> Windows:
        """Windows of frames that are computed from frames.

        ``function`` goes from (frame, channel, y, x) to one map per frame from the ``reach``-th frame on. A
        map is computed from ``reach`` frames, the newest of which it takes the place of; windows have ``reach
        - 1`` lags fewer.
        """
        maps = [
            function(self.frames[max(start - reach + 1, 0) : start + _CHUNK])
            for start in range(0, len(self.frames), _CHUNK)
        ]
        return Windows(torch.cat(maps), self.last - (reach - 1), self.lags - reach + 1, self.basis)

    def joined(self, other: Windows) -> Windows:
        """These windows, then those of another movie of the same size."""
        last = torch.cat([self.last, other.last + len(self.frames)])
        return Windows(torch.cat([self.frames, other.frames]), last, self.lags, self.basis)

    def compact(self) -> Windows:
        """The same windows with no other frames than theirs, which keep their order."""
        used = torch.zeros(len(self.frames), dtype=torch.bool)
        used[self.frames_used()] = True
        position = torch.cumsum(used, 0) - 1
        return Windows(self.frames[used], position[self.last], self.lags, self.basis)

    def frames_used(self) -> Tensor:
        """(image, lag) index of every frame of every window, newest first."""
        return self.last[:, None] - torch.arange(self.lags)

    def scaled(self, scale: Any, offset: Any, groups: Any = None) -> Windows:
        """Windows of the frames ``frame * scale + offset``, float32.

        ``scale`` and ``offset`` are (channel, y, x); or (group, channel, y, x), where ``groups`` (image,) is
        the group of every window, which shares no frame with windows of other groups. Arrays or tensors.
        """
        scale, offset = torch.as_tensor(scale), torch.as_tensor(offset)
        frames = self.frames.float()
        if groups is None:
            frames = torch.addcmul(offset, frames, scale)
        else:
            groups = torch.as_tensor(groups)
            frames, of_frame = frames.clone(), torch.zeros(len(frames), dtype=torch.long)
            of_frame[self.frames_used()] = groups[:, None]
            for group in groups.unique():
                mine = of_frame == group
                frames[mine] = torch.addcmul(offset[group], frames[mine], scale[group])
        return Windows(frames, self.last, self.lags, self.basis)

    def pixel_statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sd of every pixel over the frames that windows use, (channel, y, x) each, float64."""
        frames = self.compact().frames
        mean = sum(chunk.double().sum(0) for chunk in frames.split(_CHUNK)) / len(frames)
        square = sum(((chunk.double() - mean) ** 2).sum(0) for chunk in frames.split(_CHUNK)) / len(frames)
        return mean.numpy(), square.sqrt().numpy()


Images = np.ndarray | Windows
"""Images (image, channel, y, x), or windows of a movie in their place."""


def as_tensor(images: Images) -> Tensor | Windows:
    """Images as a tensor without a copy; windows as they are."""
    return images if isinstance(images, Windows) else torch.from_numpy(images)


def as_images(images: Tensor | Windows) -> Images:
    """Images as an array without a copy; windows as they are."""
    return images if isinstance(images, Windows) else images.numpy()
