"""Responses in windows after the onset of images, from spike times or series of an NWB file."""

import logging

import h5py
import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.hdf5 import dataset_at, label_of, read_dataset

logger = logging.getLogger(__name__)


def count_spikes(
    content: h5py.File, onsets: np.ndarray, window: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Counts the spikes of every unit in a window after every onset.

    ``onsets`` (presentation,) are in s, ``window`` is from and to, exclusive, in s after the onset. Returns
    counts (presentation, neuron) float32, NaN where a unit was not observed in the whole window, and ids of
    the units (neuron,) as text. UserError if there are no spike times, or no spike lies in any window.
    """
    path, units = content.filename, content.get("units")
    if units is None or "spike_times" not in units or "spike_times_index" not in units:
        raise UserError(f"{path}: holds no spike times of units: set responses to the path of a series")
    times = _rows(units, "spike_times")
    edges = np.stack([onsets + window[0], onsets + window[1]])
    counts = np.empty((len(onsets), len(times)), np.float32)
    for unit, train in enumerate(times):
        first, last = np.searchsorted(np.sort(train), edges)
        counts[:, unit] = last - first
    spikes = np.concatenate([*times, np.full(1, np.nan)])
    if not counts.any():
        span = f"spikes lie from {np.nanmin(spikes):g} to {np.nanmax(spikes):g} s"
        shown = f"presentations from {onsets.min():g} to {onsets.max():g} s"
        fault = f"no unit has a spike in any window: {span}, {shown}"
        raise UserError(f"{path}: {fault}: give both by one clock, in seconds")
    outside = (edges[1] < np.nanmin(spikes)) | (edges[0] > np.nanmax(spikes))
    if outside.any():
        text = "%s: %d presentations lie before the first or after the last spike and count as silence"
        logger.warning(f"{text}: list them under leave_out if nothing was recorded", path, outside.sum())
    if "obs_intervals" in units:
        for unit, intervals in enumerate(_rows(units, "obs_intervals")):
            counts[~_covered(intervals, edges), unit] = np.nan
    return counts, units["id"][...].astype(str)


def _rows(units: h5py.Group, column: str) -> list[np.ndarray]:
    """Values of every unit in a column of lists."""
    values, ends = (read_dataset(dataset_at(units, name)) for name in (column, f"{column}_index"))
    return np.split(values, ends[:-1].astype(np.int64))


def _covered(intervals: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Whether windows, (2, window), lie within the union of intervals, (interval, 2)."""
    if not len(intervals):
        return np.zeros(edges.shape[1], bool)
    start, stop = intervals[np.argsort(intervals[:, 0])].T
    stop = np.maximum.accumulate(stop)
    apart = start[1:] > stop[:-1]
    start, stop = start[np.append(True, apart)], stop[np.append(apart, True)]
    place = np.searchsorted(start, edges[0], "right") - 1
    return (place >= 0) & (edges[1] <= stop[place])


def invalid(content: h5py.File, onsets: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Whether windows overlap with the file's table of invalid times, (presentation,)."""
    table = content.get("intervals/invalid_times")
    found = np.zeros(len(onsets), bool)
    if table is not None:
        starts, stops = (read_dataset(dataset_at(table, name)) for name in ("start_time", "stop_time"))
        for start, stop in zip(starts, stops, strict=True):
            found |= (onsets + window[0] < stop) & (onsets + window[1] > start)
    return found


def averages(series: h5py.Group, onsets: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Mean of a series in a window after every onset, (presentation, neuron) float32.

    ``onsets`` and ``window`` as for :func:`count_spikes`. The series is stored (time, neuron), or (neuron,
    time) if the number of its times or of its regions of interest says so. UserError if no sample lies in a
    window.
    """
    label, data = label_of(series), dataset_at(series, "data")
    is_turned = _is_turned(series, data.shape, label)
    times = sample_times(series, data.shape[-1] if is_turned else data.shape[0])
    if not (np.diff(times) >= 0).all():
        raise UserError(f"{label}: its times do not rise")
    first, last = (np.searchsorted(times, onsets + edge) for edge in window)
    empty = np.flatnonzero(first == last)
    if len(empty):
        first_empty = f"presentation {empty[0]} at {onsets[empty[0]]:g} s"
        edges = f"from {window[0] * 1000:g} to {window[1] * 1000:g} ms after the onset of {first_empty}"
        span = f"its {len(times)} samples, of shape {data.shape}, lie from {times[0]:g} to {times[-1]:g} s"
        raise UserError(f"{label}: has no sample {edges}: {span}: widen window")
    factor = float(data.attrs.get("conversion", 1)), float(data.attrs.get("offset", 0))
    means = []
    for start, end in zip(first, last, strict=True):
        samples = data[:, start:end].T if is_turned else data[start:end]
        means.append(np.atleast_1d(samples.mean(0, dtype=np.float64)) * factor[0] + factor[1])
    return np.stack(means).astype(np.float32)


def _is_turned(series: h5py.Group, shape: tuple[int, ...], label: str) -> bool:
    """Whether a series is stored (neuron, time)."""
    times = len(series["timestamps"]) if "timestamps" in series else None
    regions = next((len(series[name]) for name in ("rois", "electrodes") if name in series), None)
    for is_turned, stored in ((False, shape), (True, shape[::-1])):
        n_times, n_neurons = stored if len(stored) == 2 else (*stored, 1)[:2]
        if len(shape) in (1, 2) and times in (None, n_times) and regions in (None, n_neurons):
            return is_turned
    known = [f", {n} {what}" for n, what in ((times, "times"), (regions, "neurons")) if n is not None]
    raise UserError(f"{label}: has shape {shape}, expected (time, neuron){''.join(known)}")


def sample_times(series: h5py.Group, n_samples: int) -> np.ndarray:
    """Times of the samples of a series, (n_samples,) s; UserError if it has none."""
    label = label_of(series)
    if "timestamps" in series:
        times = read_dataset(dataset_at(series, "timestamps"))
        if times.shape != (n_samples,):
            raise UserError(f"{label}: has {n_samples} samples but {len(times)} times")
        return times
    start = series.get("starting_time")
    if start is None:
        raise UserError(f"{label}: has neither timestamps nor a starting time")
    return float(start[()]) + np.arange(n_samples) / float(start.attrs["rate"])
