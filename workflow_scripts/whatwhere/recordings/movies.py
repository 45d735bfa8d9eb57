"""Movies in files: clips of frames with responses per bin or spike times (kind ``movie``)."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xarray as xr

from whatwhere.errors import UserError, some_of
from whatwhere.recordings.array_files import read_array
from whatwhere.recordings.covariates import coordinates, held
from whatwhere.recordings.frames import prepare_frames, read_frames
from whatwhere.recordings.layouts import BIN_AXES, arrange, likely_axes, stated_axes
from whatwhere.recordings.matching import names_of
from whatwhere.recordings.movie_contract import Clip, Timing, to_contract
from whatwhere.recordings.preprocess import PREPARATION, preparation
from whatwhere.recordings.recording import clip_rounding, to_float32
from whatwhere.recordings.spike_trains import count, frame_edges, read_times, read_trains, refuse_silence

logger = logging.getLogger(__name__)

_TOLERANCE = 0.01
"""Largest relative distance of a duration from a whole number of frames or bins."""


@dataclass(frozen=True)
class Movie:
    """A movie as every loader of movies returns it: frames as stored, with responses, and their time.

    ``neurons`` are (neuron,) names that the owner gives, or None; ``covariates`` the names of the covariates
    of all clips.
    """

    clips: list[Clip]
    timing: Timing
    source: str
    neurons: list[str] | None = None
    reading: list[str] = field(default_factory=list)
    covariates: list[str] = field(default_factory=list)


def timing_of(definition: dict[str, Any], key: str) -> Timing:
    """Time of a movie from ``rate``, ``lags``, ``bin``, ``latency`` and ``block`` of a definition.

    UserError if ``lags`` in ms or ``block`` is no whole number of frames or bins, or a block is no longer
    than a window.
    """
    rate, per_bin, lags = definition["rate"], definition.get("bin", 1), definition["lags"]
    if isinstance(lags, str):
        lags = _whole(float(lags.removesuffix("ms")) / 1000 * rate, f"{key}.lags: {lags}", "frames", rate)
    seconds = definition["block"]
    block = _whole(seconds * rate / per_bin, f"{key}.block: {seconds} s", "bins", rate)
    if block * per_bin <= lags:
        fault = f"{seconds} s are {block * per_bin} frames, no more than the {lags} of a window"
        raise UserError(f"{key}.block: {fault}: set a longer block, or gaps between splits take every bin")
    return Timing(rate, per_bin, lags, definition.get("latency", 0), block)


def _whole(number: float, what: str, unit: str, rate: float) -> int:
    nearest = round(number)
    if nearest < 1 or abs(number - nearest) > _TOLERANCE * number:
        raise UserError(f"{what} are {number:.4g} {unit} at rate {rate:g}, expected a whole number of {unit}")
    return nearest


def load(definition: dict[str, Any], name: str) -> Movie:
    """Loads the clips of a movie; UserError if frames and responses of a clip do not fit.

    ``clips`` have ``frames`` and ``frames_axes`` as for :func:`whatwhere.recordings.frames.read_frames`; and
    ``responses`` and ``responses_axes``, or ``spike_times``, ``frame_times``, ``repeat_starts`` and
    ``ticks_per_second``.
    """
    timing = timing_of(definition, name)
    clips: list[Clip] = []
    reading, known, covariates = [], None, list[str]()
    for number, entry in enumerate(definition["clips"]):
        key = f"{name}.clips[{number}]"
        frames = read_frames(entry["frames"], entry.get("frames_axes"), f"{key}.frames_axes")
        read = _count_spikes if "spike_times" in entry else _read_responses
        values, neurons, phrase = read(entry, len(frames), timing, key)
        known = known or neurons
        n_neurons = (clips[0].responses if clips else values).shape[2]
        if values.shape[2] != n_neurons or neurons not in (None, known):
            fault = f"has {values.shape[2]} neurons, of which number or names are not those before"
            raise UserError(f"{key}: {fault}: give the same neurons in the same order")
        names, state = _read_covariates(entry, values, key)
        if number and names != covariates:
            raise UserError(f"{key}.covariates: {names} are not those of the first clip, {covariates}")
        covariates = names
        clips.append(Clip(frames, values, entry.get("test"), state))
        reading.append(f"clip {number}: {len(frames)} frames, {phrase}")
    source = f"files {', '.join(clip['frames'] for clip in definition['clips'])}"
    return Movie(clips, timing, source, known, reading, covariates)


def _read_covariates(
    entry: dict[str, Any], responses: np.ndarray, key: str
) -> tuple[list[str], np.ndarray | None]:
    """Names and values (repeat, bin, covariate) of files of (time,) or (repeat, time) numbers of a clip."""
    found = {name: read_array(file).values for name, file in entry.get("covariates", {}).items()}
    return list(found), of_bins(found, responses, f"{key}.covariates") if found else None


def of_bins(found: Mapping[str, np.ndarray], responses: np.ndarray, key: str) -> np.ndarray:
    """Covariates by name, (bin,) or (repeat, bin) each, as (repeat, bin, covariate).

    ``responses`` are (repeat, bin, neuron). UserError if a covariate, ``key.NAME``, has another shape.
    """
    for name, values in found.items():
        if np.squeeze(values).shape != np.squeeze(responses[..., 0]).shape:
            raise UserError(
                f"{key}.{name}: has shape {values.shape}, expected {responses.shape[:2]} (repeat, time), one "
                "value per bin: average within bins, up to the end of each"
            )
    columns = [values.reshape(responses.shape[:2]) for values in found.values()]
    return to_float32(np.stack(columns, -1))


def _read_responses(
    entry: dict[str, Any], n_frames: int, timing: Timing, key: str
) -> tuple[np.ndarray, list[str] | None, str]:
    """Responses (repeat, bin, neuron) from an array, names of neurons or None, and a phrase."""
    stored, label = read_array(entry["responses"]), entry["responses"]
    axes = stated_axes(stored, entry.get("responses_axes"), BIN_AXES, f"{key}.responses_axes", label)
    if axes is None:
        shape = stored.values.shape
        found = likely_axes(shape, BIN_AXES[len(shape)], "time", n_frames // timing.frames_per_bin)
        readings = " or to ".join(f"[{', '.join(words)}]" for words in found or [[*BIN_AXES[len(shape)]]])
        raise UserError(f"{label}: its axes {shape} are not stated: set {key}.responses_axes to {readings}")
    values = arrange(stored.values, axes, [word for word in BIN_AXES[3] if word in axes])
    values = to_float32(values[None] if values.ndim == 2 else values)
    neurons, phrase = stored.names_along("neuron", axes), f"{len(values)} repeats of {values.shape[1]} bins"
    return values, None if neurons is None else names_of(neurons), phrase


def _count_spikes(
    entry: dict[str, Any], n_frames: int, timing: Timing, key: str
) -> tuple[np.ndarray, list[str] | None, str]:
    """Spikes per bin (repeat, bin, neuron), names of neurons or None, and a phrase."""
    second = entry.get("ticks_per_second", 1)
    trains, names = read_trains(entry["spike_times"], entry.get("spike_clusters"))
    trains = [train / second for train in trains]
    starts = np.zeros(1)
    if "repeat_starts" in entry:
        starts = read_times(entry["repeat_starts"], second, "one time per repeat")
    times = read_times(entry["frame_times"], second, "one time per frame")
    edges = frame_edges(times, n_frames, timing.rate, entry["frame_times"])
    bins = starts[:, None] + edges[:: timing.frames_per_bin]
    counts = count(trains, bins)
    silent = ~counts.any((1, 2))
    refuse_silence(counts, trains, bins, key)
    if silent.any():
        logger.warning("%s: no neuron has a spike in repeats %s", key, some_of(np.flatnonzero(silent)))
    return counts, names, f"{len(counts)} repeats, {counts.sum():.0f} spikes of {len(trains)} neurons"


def _skipped(clip: Clip, timing: Timing, skip: int) -> Clip:
    """The clip without its first ``skip`` bins; their frames remain as far as windows of later bins reach."""
    without_window = -(-(timing.lags + timing.latency) // timing.frames_per_bin) - 1
    cut = max(0, skip - without_window)
    kept = None if clip.covariates is None else clip.covariates[:, cut:]
    frames = clip.frames[cut * timing.frames_per_bin :]
    return replace(clip, frames=frames, responses=clip.responses[:, cut:], covariates=kept)


def dataset_of(movie: Movie, name: str, key: str, definition: dict[str, Any]) -> xr.Dataset:
    """Brings a movie into the form of :mod:`whatwhere.dataset`."""
    skip, shares = definition.get("movie", definition).get("skip", 0), definition["split"]
    if "test_repeated" in shares:
        raise UserError(f"{key}.split.test_repeated: is for images: set 'test' of a clip, and remove the key")
    original, missing = [clip.frames[0] for clip in movie.clips], definition.get("missing", {})
    clips: list[Clip] = []
    for number, clip in enumerate(movie.clips):
        clip = replace(clip, frames=prepare_frames(clip.frames, definition["image"], key))
        if number and clip.frames.shape[1:] != clips[0].frames.shape[1:]:
            shapes = f"{clip.frames.shape[1:]} (channel, y, x) but clip 0 of {clips[0].frames.shape[1:]}"
            raise UserError(f"{key}.clips[{number}]: has frames of {shapes}: set image.size")
        if clip.covariates is not None:
            values = held(clip.covariates, movie.covariates, missing, f"{key}.missing")
            clip = replace(clip, covariates=values)
        clips.append(_skipped(clip, movie.timing, skip))
    attributes = {
        "name": name,
        "kind": "recorded",
        "source": movie.source,
        "citation": "",
        "normalize": definition["image"]["normalize"],
        "noise_free_test": 0,
        "repeat_averages": 0,
        "reading": "; ".join(movie.reading),
        PREPARATION: preparation(original, definition["image"]),
    }
    dataset = to_contract(clips, movie.timing, attributes, shares, key)
    dataset["responses"].values = clip_rounding(dataset["responses"].values, key)
    if movie.covariates:
        dataset = dataset.assign_coords(coordinates(movie.covariates, missing))
    return dataset if movie.neurons is None else dataset.assign_coords(neuron_id=("neuron", movie.neurons))
