"""Spike times of neurons, and counts of spikes in the bins of a clip."""

import logging
from typing import Any

import numpy as np

from whatwhere.errors import UserError, some_of
from whatwhere.recordings import matlab
from whatwhere.recordings.archive import open_tree
from whatwhere.recordings.array_files import (
    NamedArray,
    as_list,
    numeric,
    open_arrays,
    parse_npy,
    read_array,
    split_location,
)
from whatwhere.recordings.pictures import in_numeric_order

logger = logging.getLogger(__name__)


def read_trains(location: str, clusters: str | None) -> tuple[list[np.ndarray], list[str] | None]:
    """Spike times of every neuron, float64 in the unit of the file, and names, None for cell arrays.

    With ``clusters``, a file with the neuron of every spike as phy and ALF store it, ``location`` is one
    vector of all spikes. Otherwise it is a cell array or field of a structure array of a MATLAB file,
    ``FILE.mat:NAME``; a .npz file, or a group of an HDF5 file, ``FILE.h5:GROUP``, with one vector per neuron;
    or a folder or zip file of .npy files, one per neuron. Vectors are taken in the order of their names,
    numbers by value. UserError if a vector has several axes or holds anything but finite numbers.
    """
    if clusters is not None:
        every = read_times(location, 1, "spike times")
        neuron = as_list(read_array(clusters).values, clusters, "a neuron per spike")
        if len(neuron) != len(every):
            raise UserError(f"{clusters}: has {len(neuron)} values for {len(every)} spikes of {location}")
        known = np.unique(neuron)
        return [every[neuron == one] for one in known], [str(one) for one in known]
    path, inside = split_location(location)
    trains: dict[str, np.ndarray] = {}
    cells = matlab.read_cells(path, inside or "") if path.suffix.lower() == ".mat" else None
    if cells is not None:
        trains = {f"cell {number}": vector for number, vector in enumerate(cells)}
    elif path.is_dir() or path.suffix.lower() == ".zip":
        with open_tree(path) as tree:
            for file in in_numeric_order([file for file in tree.names if file.endswith(".npy")]):
                trains[file.removesuffix(".npy")] = parse_npy(tree.read(file), tree.label(file))
    else:
        group = f"{inside.strip('/')}/" if inside else ""
        with open_arrays(path) as arrays:
            for name in in_numeric_order([name for name in arrays if name.startswith(group)]):
                trains[name.removeprefix(group)] = arrays[name]().values
    if not trains:
        raise UserError(f"{location}: holds no vector of spike times: give one vector per neuron")
    for name, train in trains.items():
        label = f"{location}, {name}"
        vector = numeric(as_list(train, label, "spike times") if train.size else train.reshape(-1), label)
        if not np.isfinite(vector).all():
            raise UserError(f"{label}: holds spike times that are NaN or infinite: remove them")
        trains[name] = vector.astype(np.float64)
    return [*trains.values()], None if cells is not None else [*trains]


def read_times(location: str, ticks_per_second: float, what: str) -> np.ndarray:
    """A vector of times in s from a file with ``ticks_per_second``; UserError if one is not finite."""
    times = as_list(read_array(location).values, location, what).astype(np.float64) / ticks_per_second
    if not np.isfinite(times).all():
        raise UserError(f"{location}: holds times that are NaN or infinite: correct them")
    return times


def counts_after_onsets(definition: dict[str, Any], key: str) -> NamedArray:
    """Spikes (presentation, neuron) in the ``window`` (ms) after the ``onsets`` of a dataset of images."""
    second, onsets_from = definition.get("ticks_per_second", 1), definition["onsets"]
    trains, names = read_trains(definition["spike_times"], definition.get("spike_clusters"))
    trains = [train / second for train in trains]
    onsets = read_times(onsets_from, second, "one time per presentation")
    counts = count(trains, onsets[:, None] + np.array(definition["window"]) / 1000)[:, 0]
    refuse_silence(counts, trains, onsets, key)
    labels = None if names is None else np.array(names)
    return NamedArray(counts, ("presentation", "neuron"), (None, labels))


def refuse_silence(counts: np.ndarray, trains: list[np.ndarray], shown: np.ndarray, key: str) -> None:
    """UserError if no spike was counted: spikes and stimuli, ``shown`` at these times, have other clocks."""
    if not counts.any():
        spikes = np.concatenate([*trains, np.full(1, np.nan)])
        fault = f"no neuron has a spike with a stimulus, from {shown.min():g} to {shown.max():g} s"
        spread = f"spikes lie from {np.nanmin(spikes):g} to {np.nanmax(spikes):g} s"
        raise UserError(f"{key}: {fault}; {spread}: give all times by one clock, with ticks_per_second")


def count(trains: list[np.ndarray], edges: np.ndarray) -> np.ndarray:
    """Number of spikes in every bin, (repeat, bin, neuron) float32.

    ``trains`` holds the (spike,) times of every neuron, ``edges`` (repeat, bin + 1) where bins begin and end;
    a spike at an edge belongs to the bin that begins there.
    """
    before = [np.searchsorted(np.sort(train), edges) for train in trains]
    return np.diff(np.stack(before, -1), axis=1).astype(np.float32)


def frame_edges(times: np.ndarray, n_frames: int, rate: float, label: str) -> np.ndarray:
    """Starts of frames and the end of the last frame, (frame + 1,) s; warns of frames above 1.5 / rate.

    ``times`` (frame,) or (frame + 1,) are the starts in s, perhaps with the end of the last frame, which
    otherwise lasts 1 / rate. UserError if there are fewer or more times, they do not rise, or their median
    distance is not that of the rate.
    """
    if len(times) not in (n_frames, n_frames + 1):
        advice = "give the start of every frame, and perhaps the end of the last"
        raise UserError(f"{label}: has {len(times)} times but there are {n_frames} frames: {advice}")
    apart = np.diff(times)
    if not (apart > 0).all():
        late = int(np.argmin(apart > 0)) + 1
        raise UserError(f"{label}: frame {late} at {times[late]:g} s does not begin after the frame before")
    middle = float(np.median(apart))
    if abs(middle * rate - 1) > 0.01:
        fault = f"frames last {middle:.6g} s (median) but rate {rate:g} gives {1 / rate:.6g} s"
        raise UserError(f"{label}: {fault}: correct rate or ticks_per_second")
    edges = times if len(times) > n_frames else np.append(times, times[-1] + 1 / rate)
    long = np.flatnonzero(np.diff(edges) > 1.5 / rate)
    if len(long):
        logger.warning("%s: frames %s last longer than 1.5 / rate, as do their bins", label, some_of(long))
    return edges
