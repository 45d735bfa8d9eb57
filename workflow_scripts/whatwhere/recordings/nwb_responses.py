"""Responses in windows after the onset of images, from spike times or series of an NWB file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.hdf5 import read_dataset


def count_spikes(
    content: h5py.File, onsets: np.ndarray, window: tuple[float, float], path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of every unit in a window after every onset.

    Parameters
    ----------
    content
        An open file with a table ``units``.
    onsets
        (presentation,) s.
    window
        From and to, exclusive, in s after the onset.
    path
        Of the file, for messages.

    Returns
    -------
    counts
        (presentation, neuron) float32.
    units
        (neuron,) their ids, as text.

    Raises
    ------
    UserError
        If there are no spike times.
    """
    units = content.get("units")
    if units is None or "spike_times" not in units or "spike_times_index" not in units:
        raise UserError(f"{path}: holds no spike times of units: set responses to the path of a series")
    size = path.stat().st_size
    times = read_dataset(units["spike_times"], f"{path}:units/spike_times", size)
    ends = read_dataset(units["spike_times_index"], f"{path}:units/spike_times_index", size)
    starts = np.concatenate([[0], ends[:-1]])
    counts = np.empty((len(onsets), len(ends)), np.float32)
    edges = np.stack([onsets + window[0], onsets + window[1]])
    for unit, (start, end) in enumerate(zip(starts, ends, strict=True)):
        first, last = np.searchsorted(np.sort(times[start:end]), edges)
        counts[:, unit] = last - first
    return counts, units["id"][...].astype(str)


def averages(series: h5py.Group, onsets: np.ndarray, window: tuple[float, float], label: str) -> np.ndarray:
    """Mean of a series in a window after every onset, (presentation, neuron) float32.

    Parameters
    ----------
    series
        A series (time, neuron) of an open file.
    onsets
        (presentation,) s.
    window
        From and to, exclusive, in s after the onset.
    label
        What to call the series in messages.

    Raises
    ------
    UserError
        If it has another shape, or no sample lies in a window.
    """
    data = series["data"]
    if data.ndim != 2:
        raise UserError(f"{label}: has shape {data.shape}, expected (time, neuron)")
    times = seconds(series, label)
    if len(times) != len(data):
        raise UserError(f"{label}: has {len(data)} samples but {len(times)} times")
    if (np.diff(times) < 0).any():
        raise UserError(f"{label}: its times do not rise")
    first, last = (np.searchsorted(times, onsets + edge) for edge in window)
    empty = np.flatnonzero(first == last)
    if len(empty):
        raise UserError(
            f"{label}: has no sample from {window[0] * 1000:g} to {window[1] * 1000:g} ms after the onset of "
            f"presentation {empty[0]} at {onsets[empty[0]]:g} s: widen window"
        )
    factor = float(data.attrs.get("conversion", 1)), float(data.attrs.get("offset", 0))
    means = np.empty((len(onsets), data.shape[1]), np.float32)
    for row, (start, end) in enumerate(zip(first, last, strict=True)):
        means[row] = data[start:end].mean(0, dtype=np.float64) * factor[0] + factor[1]
    return means


def seconds(series: h5py.Group, label: str) -> np.ndarray:
    """Times of the samples of a series, s."""
    if "timestamps" in series:
        size = Path(series.file.filename).stat().st_size
        return read_dataset(series["timestamps"], f"{label}/timestamps", size)
    if "starting_time" not in series:
        raise UserError(f"{label}: has neither timestamps nor a starting time")
    start = series["starting_time"]
    return float(start[()]) + np.arange(len(series["data"])) / float(start.attrs["rate"])
