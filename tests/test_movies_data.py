"""Movies in every layout: a stand-in of 200 frames whose neurons have a known filter."""

import re

import h5py
import numpy as np
import pytest
import yaml
from conftest import REPOSITORY
from PIL import Image
from recording_files import refuse
from scipy.io import savemat

from whatwhere.config.load import load as load_config
from whatwhere.config.schema import check_schema
from whatwhere.dataset import TEST, TRAIN, UNUSED, VALIDATION, select_images
from whatwhere.errors import UserError
from whatwhere.recordings import input_files, load, stamp

RATE, N_FRAMES, LAGS, N_NEURONS = 10, 200, 4, 3
IMAGE = {"color": "stored", "crop": None, "size": None, "normalize": "global"}
SPLIT = {"validation": 0.2, "test": 0.2, "folds": 1, "seed": 1}
DELAY, PIXEL = (0, 1, 2), ((1, 2), (0, 3), (4, 4))
"""Lag in frames and pixel (y, x) to which each neuron answers."""


def frames(n_frames=N_FRAMES, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n_frames, 6, 5)).astype(np.uint8)


def answers(movie):
    """Responses (time, neuron): twice the pixel of the neuron, its delay before, plus 1."""
    shifted = [np.roll(movie[:, y, x], lag) for lag, (y, x) in zip(DELAY, PIXEL, strict=True)]
    return 1 + 2 * np.stack(shifted, 1).astype(np.float32)


def trains(movie, starts, per_second=1.0):
    """Spike times: a spike in the middle of a frame for every 32 steps of grey of the pixel of the neuron."""
    counts = np.stack([answers(movie) // 64] * len(starts))
    middle = np.arange(len(movie)) / RATE + 0.5 / RATE
    return [
        np.concatenate([
            np.repeat(start + middle, counts[repeat, :, neuron].astype(int)) for repeat, start in enumerate(starts)
        ])
        * per_second
        for neuron in range(N_NEURONS)
    ], counts


def movie_of(folder, *clips, **keys):
    return {
        "kind": "movie", "rate": RATE, "lags": LAGS, "block": 2, "image": IMAGE, "split": SPLIT,
        "clips": [{key: f"{folder}/{one}" if key in FILES else one for key, one in clip.items()} for clip in clips],
    } | keys


FILES = ("frames", "responses", "spike_times", "frame_times", "repeat_starts")
ARRAYS = {
    "frames": "frames.npy", "frames_axes": ["frame", "y", "x"],
    "responses": "responses.npy", "responses_axes": ["time", "neuron"],
}


def write_arrays(folder, n_frames=N_FRAMES):
    np.save(folder / "frames.npy", frames(n_frames))
    np.save(folder / "responses.npy", answers(frames(n_frames)))


def filters(dataset):
    """Lag, y and x of the largest weight of every neuron's spike-triggered average, all bins together."""
    used = np.flatnonzero(dataset["split"].values[0] != UNUSED)
    windows = np.asarray(select_images(dataset, used)).astype(np.float64)
    responses = np.nanmean(dataset["responses"].values[:, used], 0)
    average = np.einsum("in,icyx->ncyx", responses - responses.mean(0), windows - windows.mean(0))
    places = [np.unravel_index(np.argmax(one), one.shape) for one in average]
    return [tuple(map(int, place)) for place in places]


PLANTED = [(lag, *pixel) for lag, pixel in zip(DELAY, PIXEL, strict=True)]


def accepted(definition, folder):
    """The dataset of a definition that its schema allows."""
    check_schema(definition, "datasets", ("datasets", "mine"), [("mine.yaml", definition)])
    return load("mine", definition, folder, None)


def test_arrays_keep_bytes_and_the_planted_filter(tmp_path):
    write_arrays(tmp_path)
    dataset = accepted(movie_of(tmp_path, ARRAYS), tmp_path)
    assert filters(dataset) == PLANTED
    assert dataset["frames"].dtype == np.uint8
    np.testing.assert_array_equal(dataset["frames"].values[:, 0], frames())
    assert dataset.sizes["image"] == N_FRAMES - LAGS + 1
    assert dataset.attrs["seconds_per_bin"] == 1 / RATE
