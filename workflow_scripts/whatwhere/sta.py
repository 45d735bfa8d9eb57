"""Spike-triggered averages and the mask positions taken from them (section B)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr

from whatwhere import missing
from whatwhere.dataset import select_images
from whatwhere.fit_data import FitData
from whatwhere.standardize import standardizer

if TYPE_CHECKING:
    from whatwhere.windows import Images, Windows

AVERAGES = ("sta", "smoothed_sta", "squared_sta")
"""Names of the averages from which masks can start."""

_CHUNK = 2048


def spike_triggered_average(images: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Response-weighted mean image, without mean subtraction or whitening, (neuron, y, x), float32.

    Channels of images (image, channel, y, x) are averaged first; responses are (image, neuron). Memory beyond
    the result stays below a few thousand images.
    """
    n_images, _, height, width = images.shape
    total = np.zeros((responses.shape[1], height * width))
    for start in range(0, n_images, _CHUNK):
        grey = images[start : start + _CHUNK].mean(1).reshape(-1, height * width)
        total += responses[start : start + _CHUNK].T @ grey
    return (total / n_images).reshape(-1, height, width).astype(np.float32)


def space_time_average(windows: Windows, responses: np.ndarray) -> np.ndarray:
    """Response-weighted mean window, without mean subtraction, (neuron, lag, y, x), float32.

    Channels of the frames are averaged first; responses are (image, neuron).
    """
    order = windows.last.argsort()
    last, measured = windows.last[order], torch.from_numpy(responses)[order].float()
    total = torch.zeros(windows.lags * measured.shape[1], windows.frames[0, 0].numel())
    # Every frame is multiplied once, with the responses at all lags after it.
    for start in range(0, len(windows.frames), _CHUNK):
        frames = windows.frames[start : start + _CHUNK]
        later = torch.zeros(len(frames), windows.lags, measured.shape[1])
        for lag in range(windows.lags):
            first, stop = torch.searchsorted(last, torch.tensor([start, start + len(frames)]) + lag)
            later[:, lag].index_add_(0, last[first:stop] - lag - start, measured[first:stop])
        total += later.flatten(1).T @ frames.float().mean(1).flatten(1)
    height, width = windows.shape[2:]
    average = (total / len(last)).view(windows.lags, -1, height, width)
    return average.transpose(0, 1).contiguous().numpy()


def separate(average: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Course in time at the peak of every average (neuron, lag, y, x), and what it finds in space.

    Singular vectors would be those of the noise where a receptive field is small and the picture large.
    Returns filters (neuron, y, x), the average weighted by the course; and courses (neuron, lag), unit
    vectors whose largest absolute value is positive.
    """
    flat = average.reshape(*average.shape[:2], -1)
    peak = np.abs(flat).max(1).argmax(1)
    course = np.take_along_axis(flat, peak[:, None, None], 2)[:, :, 0]
    largest = np.take_along_axis(course, np.abs(course).argmax(1)[:, None], 1)
    norm = np.linalg.norm(course, axis=1, keepdims=True)
    course = course * np.sign(largest) / np.where(norm > 0, norm, 1)
    return np.einsum("nl,nlp->np", course, flat).reshape(len(average), *average.shape[2:]), course


def smooth(sta: np.ndarray, size: int) -> np.ndarray:
    """Convolves every STA (neuron, y, x) with a radial normal density, zero-padded to the same size.

    The density is ``size`` px wide with sd size**0.25 px, its peak not renormalized (section B).
    """
    axis = np.arange(size) - (size - 1) / 2
    variance = size**0.5
    return _convolve(sta, np.exp(-(axis**2) / (2 * variance)) / (2 * np.pi * variance) ** 0.25)


def smooth_square(sta: np.ndarray) -> np.ndarray:
    """Squared deviation of every STA (neuron, y, x) from its median, smoothed (section G.3).

    All pixels of the STA must be on one scale, that of globally z-scored images in the paper.
    The window is 25 x 25 px, exp(-(u^2 + v^2) / 2) with u, v from -2.5 to 2.5.
    """
    profile = np.exp(-(np.linspace(-2.5, 2.5, 25) ** 2) / 2)
    centered = sta - np.median(sta, axis=(1, 2), keepdims=True)
    return _convolve(centered**2, profile)


def _convolve(sta: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """Convolves rows and columns of every STA (neuron, y, x) with a profile (pixel,)."""
    from scipy.ndimage import convolve1d

    rows = convolve1d(sta.astype(np.float64), profile, axis=1, mode="constant")
    return convolve1d(rows, profile, axis=2, mode="constant").astype(np.float32)


def all_averages(
    images: Images, evenly_scaled: Images, responses: np.ndarray, smoothing: int
) -> dict[str, np.ndarray]:
    """All :data:`AVERAGES` by name, (neuron, y, x) each.

    ``images`` and ``responses`` are as for :func:`spike_triggered_average`; responses that are NaN do not
    count. Of windows of a movie, the average is the part in space of :func:`space_time_average`.
    ``evenly_scaled`` are images with all pixels on one scale, as after a global z-score, for the squared
    average (section G.3). ``smoothing`` is the width of the kernel of :func:`smooth`, px.
    """
    groups, averages = missing.groups(responses), []
    for some, neurons in groups:
        mine = missing.select(responses, some, neurons)
        raw, even = (_average(of[some], mine) for of in (images, evenly_scaled))
        squared = smooth_square(even)
        averages.append((raw, smooth(raw, smoothing), squared))
    back = np.argsort(np.concatenate([neurons for _, neurons in groups]))
    return {
        name: np.concatenate(of)[back] for name, of in zip(AVERAGES, zip(*averages, strict=True), strict=True)
    }


def _average(images: Images, responses: np.ndarray) -> np.ndarray:
    if isinstance(images, np.ndarray):
        return spike_triggered_average(images, responses)
    return separate(space_time_average(images, responses - responses.mean(0)))[0]


def averages_of_fit(dataset: xr.Dataset, data: FitData, smoothing: int) -> dict[str, np.ndarray]:
    """All averages of the training images of a fit to a dataset; returns as :func:`all_averages`."""
    even = data.train_images
    if dataset.attrs["normalize"] == "per_pixel":
        # The squared average needs all pixels on one scale.
        stored = select_images(dataset, data.subset.train)
        recording = None if data.pooled is None else data.pooled.train
        even = standardizer(stored, "global", recording)(stored, recording)
    return all_averages(data.train_images, even, data.train_responses, smoothing)


def crop_to_mask(sta: np.ndarray, mask_shape: tuple[int, int]) -> np.ndarray:
    """Central part of every STA (neuron, y, x) that the mask covers, offset int((image - mask) / 2)."""
    top, left = _offset(sta, mask_shape)
    return sta[:, top : top + mask_shape[0], left : left + mask_shape[1]]


def mask_peak(sta: np.ndarray, mask_shape: tuple[int, int], crop: bool) -> np.ndarray:
    """Row and column in the mask of the largest absolute value of every STA (neuron, y, x), (neuron, 2).

    With ``crop`` only pixels that the mask covers count (section B); otherwise a peak outside of the mask
    moves to the nearest pixel inside (section G.3).
    """
    counted = crop_to_mask(sta, mask_shape) if crop else sta
    flat = np.abs(counted.reshape(len(counted), -1)).argmax(1)
    peak = np.stack(np.unravel_index(flat, counted.shape[1:]), 1)
    return peak if crop else np.clip(peak - _offset(sta, mask_shape), 0, np.array(mask_shape) - 1)


def _offset(sta: np.ndarray, mask_shape: tuple[int, int]) -> tuple[int, int]:
    height, width = sta.shape[1:]
    return (height - mask_shape[0]) // 2, (width - mask_shape[1]) // 2
