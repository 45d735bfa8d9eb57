"""Features of movies: maps of every frame, motion energies, and a basis for their course in time.

The stimulus of a time bin is a window of frames (:mod:`whatwhere.windows`). Maps are computed once per frame,
and windows of maps take the place of windows of frames. Motion energies are those of Adelson & Bergen (1985):
quadrature pairs in space and time. The temporal basis are the raised cosines of Pillow et al. (2008).
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from whatwhere.errors import UserError
from whatwhere.models.base import FixedFeatures, ImageShape
from whatwhere.models.feature_bank import GaborFeatureBank, gabor_outputs
from whatwhere.windows import Windows


def raised_cosines(number: int, n_lags: int) -> np.ndarray:
    """Raised cosines in the logarithm of the lag, (function, lag), unit vectors; UserError if too many.

    Peaks are evenly spaced in the logarithm, from the newest frame to the oldest (Pillow et al. 2008).
    """
    if not 2 <= number <= n_lags:
        raise UserError(f"temporal_basis: {number} raised cosines for {n_lags} lags: use 2 to {n_lags}")
    # The offset makes the first functions as wide as a lag.
    offset = n_lags / number
    stretched = np.log(np.arange(n_lags) + offset)
    peaks = np.linspace(stretched[0], stretched[-1], number)
    phase = (stretched - peaks[:, None]) * math.pi / (2 * (peaks[1] - peaks[0]))
    basis = (np.cos(np.clip(phase, -math.pi, math.pi)) + 1) / 2
    return basis / np.linalg.norm(basis, axis=1, keepdims=True)


def fixed_features(image_shape: ImageShape, definition: dict[str, Any]) -> FixedFeatures | None:
    """Feature bank and temporal basis of a definition; None without both."""
    bank, basis = definition.get("feature_bank"), definition.get("temporal_basis")
    if "lags" in definition and (bank is not None or basis is not None):
        return SpaceTimeFeatures(image_shape, definition["lags"], bank, basis and basis["raised_cosines"])
    return None if bank is None else GaborFeatureBank(image_shape, bank)


def n_times(definition: dict[str, Any]) -> int:
    """Lags, or functions of time, that the channels below the core of a definition have; 1 for images."""
    if "lags" not in definition:
        return 1
    if "temporal_basis" in definition:
        return int(definition["temporal_basis"]["raised_cosines"])
    motion = (definition.get("feature_bank") or {}).get("motion", {})
    return int(definition["lags"]) - motion.get("frames", 1) + 1


class SpaceTimeFeatures(FixedFeatures):
    """Features of windows of a movie: maps by time, (time * map, y, x); times are lags or functions.

    Windows of ``lags`` frames are (lags * channel, y, x). ``bank`` is a model's ``feature_bank``, or None for
    the frames themselves. Its ``motion`` adds energies of motion: ``frames``, the length of the filters in
    time, and ``cycles_per_frame``, their temporal frequencies. Windows of maps have ``frames - 1`` lags less.
    ``n_functions`` raised cosines are functions onto which times are projected; None keeps the lags.
    """

    basis: Tensor | None

    def __init__(
        self, image_shape: ImageShape, lags: int, bank: dict[str, Any] | None, n_functions: int | None
    ) -> None:
        super().__init__()
        self.lags = lags
        self.frame_channels = image_shape[0] // lags
        frame_shape = (self.frame_channels, *image_shape[1:])
        motion = {} if bank is None else bank.get("motion", {})
        self.reach = motion.get("frames", 1)
        self.frequencies: list[float] = motion.get("cycles_per_frame", [])
        if self.reach > lags:
            raise UserError(f"feature_bank.motion: filters of {self.reach} frames, but 'lags' is {lags}")
        self.below = None if bank is None else GaborFeatureBank(frame_shape, bank)
        self.stride = 1 if self.below is None else self.below.stride
        n_lags = lags - self.reach + 1
        basis = None
        if n_functions is not None:
            basis = torch.from_numpy(raised_cosines(n_functions, n_lags)).float()
        self.register_buffer("basis", basis)
        self.n_times = n_lags if n_functions is None else n_functions
        of_frame = frame_shape if self.below is None else self.below.out_shape
        n_motion = 0 if self.below is None else 2 * len(self.below.pairs) * len(self.frequencies)
        # Statistics of maps, alike at all times.
        self.start_at((of_frame[0] + n_motion, *of_frame[1:]))
        self.out_shape = (self.n_times * self.out_shape[0], *self.out_shape[1:])

    def filters(self) -> Tensor:
        """Filters of the maps of a frame, (map, channel, y, x); of motion, those in space, twice each.

        Without a feature bank, the functions of time in place of maps, (function * color, lag * color, 1, 1).
        """
        if self.below is None:
            basis = torch.eye(self.lags) if self.basis is None else self.basis
            return torch.kron(basis, torch.eye(self.frame_channels))[:, :, None, None]
        filters = self.below.filters()
        n_pairs = len(self.below.pairs)
        return torch.cat([filters, *[filters[:n_pairs]] * (2 * len(self.frequencies))])

    def _maps(self, frames: Tensor) -> Tensor:
        """Maps of clips, (clip, frame, channel, y, x) to (clip, frame - reach + 1, map, y, x)."""
        if self.below is None:
            return frames
        flat = frames.flatten(0, 1)
        still = self.below.maps_of(flat).unflatten(0, frames.shape[:2])[:, self.reach - 1 :]
        if not self.frequencies:
            return still
        grey = flat.mean(1)
        pairs = [torch.complex(*gabor_outputs(grey, *pair)) for pair in self.below.pairs]
        responses = torch.stack(pairs, 1).unflatten(0, frames.shape[:2])
        age = torch.arange(self.reach, dtype=torch.float32, device=frames.device)
        envelope = torch.exp(-2 * ((age - (self.reach - 1) / 2) / (self.reach / 2)) ** 2)
        energies = []
        for frequency in self.frequencies:
            for direction in (1, -1):
                wave = envelope * torch.exp(2j * math.pi * direction * frequency * age) / envelope.norm()
                # Unfolded windows are oldest first.
                moved = responses.unfold(1, self.reach, 1) @ wave.flip(0)
                energies.append(moved.abs())
        motion = torch.cat(energies, 2)
        pooled = functional.avg_pool2d(
            motion.flatten(0, 1), self.stride, ceil_mode=True, count_include_pad=False
        )
        return torch.cat([still, pooled.unflatten(0, motion.shape[:2])], 2)

    def _mapped(self, images: Windows) -> Windows:
        return images.map_frames(lambda frames: self._maps(frames[None])[0], self.reach)

    def _standardized(self, maps: Windows) -> Windows:
        scaled = maps if self.below is None else maps.scaled(1 / self.sd, -self.mean / self.sd)
        return Windows(scaled.frames, scaled.last, scaled.lags, self.basis)

    def standardize_on(self, images: Tensor | Windows) -> Tensor | Windows:
        """Takes mean and sd of every value of the maps from the frames of windows; returns the maps."""
        if not isinstance(images, Windows):
            raise TypeError("statistics of maps are those of frames: give windows")
        maps = self._mapped(images)
        if self.below is not None:
            mean, sd = (torch.from_numpy(one) for one in maps.pixel_statistics())
            self.mean.copy_(mean)
            self.sd.copy_(torch.where(sd > 1e-6 * (1 + mean.abs()), sd, 1.0))
        return self._standardized(maps)

    def forward(self, images: Tensor | Windows) -> Tensor | Windows:
        """Standardized maps of windows, (image, lags * channel, y, x) to (image, *out_shape)."""
        if isinstance(images, Windows):
            return self._standardized(self._mapped(images))
        # Oldest first, and newest first again.
        maps = self._maps(images.unflatten(1, (self.lags, -1)).flip(1))
        if self.below is not None:
            maps = (maps - self.mean) / self.sd
        maps = maps.flip(1)
        if self.basis is not None:
            maps = torch.einsum("kl,il...->ik...", self.basis, maps)
        return maps.flatten(1, 2)
