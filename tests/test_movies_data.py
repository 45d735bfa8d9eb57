"""Movies in every layout: a stand-in of 200 frames whose neurons have a known filter."""

import re
import runpy
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from conftest import REPOSITORY
from PIL import Image
from recording_files import refuse
from scipy.io import savemat
from tiny_run import configuration, experiment

from whatwhere.check import main
from whatwhere.config.schema import check_schema
from whatwhere.dataset import TEST, TRAIN, UNUSED, VALIDATION, select_images
from whatwhere.errors import UserError
from whatwhere.recordings import input_files, load, stamp

PAGE = REPOSITORY / "docs" / "recordings.md"
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
        np.concatenate(
            [
                np.repeat(start + middle, counts[repeat, :, neuron].astype(int))
                for repeat, start in enumerate(starts)
            ]
        )
        * per_second
        for neuron in range(N_NEURONS)
    ], counts


def movie_of(folder, *clips, **keys):
    return {
        "kind": "movie",
        "rate": RATE,
        "lags": LAGS,
        "block": 2,
        "image": IMAGE,
        "split": SPLIT,
        "clips": [
            {key: f"{folder}/{one}" if key in FILES else one for key, one in clip.items()} for clip in clips
        ],
    } | keys


FILES = ("frames", "responses", "spike_times", "frame_times", "repeat_starts")
ARRAYS = {
    "frames": "frames.npy",
    "frames_axes": ["frame", "y", "x"],
    "responses": "responses.npy",
    "responses_axes": ["time", "neuron"],
}


def write_arrays(folder, n_frames=N_FRAMES):
    np.save(folder / "frames.npy", frames(n_frames))
    np.save(folder / "responses.npy", answers(frames(n_frames)))


def filters(dataset):
    """Lag, y and x of the pixel with which every neuron is correlated by 0.9 or more; None without such."""
    used = np.flatnonzero(dataset["split"].values[0] != UNUSED)
    windows = np.asarray(select_images(dataset, used)).astype(np.float64)
    responses = np.nanmean(dataset["responses"].values[:, used], 0)
    average = np.einsum("in,icyx->ncyx", responses - responses.mean(0), windows - windows.mean(0))
    average /= len(used) * windows.std(0) * responses.std(0)[:, None, None, None]
    places = [np.unravel_index(np.argmax(one), one.shape) for one in average]
    return [
        tuple(map(int, place)) if one[place] > 0.9 else None
        for one, place in zip(average, places, strict=True)
    ]


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
    np.testing.assert_array_equal(dataset["responses"].values[0], answers(frames())[LAGS - 1 :])
    assert dataset.sizes["image"] == N_FRAMES - LAGS + 1
    assert dataset.attrs["seconds_per_bin"] == 1 / RATE


@pytest.mark.parametrize("suffix", ["npz", "h5", "mat"])
def test_any_stated_axes_of_any_file_of_arrays_give_the_same_dataset(tmp_path, suffix):
    write_arrays(tmp_path)
    reference = accepted(movie_of(tmp_path, ARRAYS), tmp_path)
    content = {"movie": frames().transpose(2, 1, 0), "spikes": answers(frames()).T}
    path = tmp_path / f"both.{suffix}"
    if suffix == "npz":
        np.savez(path, **content)
    elif suffix == "mat":
        savemat(path, content)
    else:
        with h5py.File(path, "w") as file:
            for name, values in content.items():
                file[name] = values
    clip = {
        "frames": f"both.{suffix}:movie",
        "frames_axes": ["x", "y", "frame"],
        "responses": f"both.{suffix}:spikes",
        "responses_axes": ["neuron", "time"],
    }
    dataset = accepted(movie_of(tmp_path, clip), tmp_path)
    assert dataset.drop_attrs().equals(reference.drop_attrs())


def test_a_list_of_numbers_is_light_on_the_whole_field_and_bars_have_one_axis(tmp_path):
    np.save(tmp_path / "responses.npy", answers(frames()))
    savemat(tmp_path / "flicker.mat", {"Stim": frames()[:, 0, 0].astype(float)[None]})
    np.save(tmp_path / "bars.npy", frames()[:, 0])
    clip = {"responses": "responses.npy", "responses_axes": ["time", "neuron"]}
    flicker = accepted(movie_of(tmp_path, clip | {"frames": "flicker.mat"}), tmp_path)
    assert flicker["frames"].shape == (N_FRAMES, 1, 1, 1)
    assert flicker["frames"].dtype == np.float32
    bars = clip | {"frames": "bars.npy", "frames_axes": ["frame", "x"]}
    assert accepted(movie_of(tmp_path, bars), tmp_path)["frames"].shape == (N_FRAMES, 1, 1, 5)


def test_pictures_and_pages_are_frames_in_the_order_of_their_numbers(tmp_path):
    write_arrays(tmp_path)
    reference = accepted(movie_of(tmp_path, ARRAYS), tmp_path)
    pictures = [Image.fromarray(frame) for frame in frames()]
    pictures[0].save(tmp_path / "pages.tif", save_all=True, append_images=pictures[1:])
    (tmp_path / "folder").mkdir()
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / "folder" / f"frame{number}.png")
    clip = {key: ARRAYS[key] for key in ("responses", "responses_axes")}
    for place in ("pages.tif", "folder"):
        definition = movie_of(tmp_path, clip | {"frames": place})
        assert accepted(definition, tmp_path).drop_attrs().equals(reference.drop_attrs())
    assert input_files(definition) == [str(tmp_path / "folder"), str(tmp_path / "responses.npy")]
    before = stamp(definition)
    pictures[3].save(tmp_path / "folder" / "frame2.png")
    assert stamp(definition) != before
    refuse(
        definition | {"clips": [definition["clips"][0] | {"frames_axes": ["frame", "y", "x"]}]},
        tmp_path,
        "clips[0].frames_axes: is for arrays",
    )
    (tmp_path / "folder" / "frame199.png").rename(tmp_path / "folder" / "other199.png")
    refuse(definition, tmp_path, "other199.png is not frame 199: frames must be numbered")
    (tmp_path / "folder" / "other199.png").rename(tmp_path / "folder" / "frame199.png")
    (tmp_path / "folder" / "frame7.png").unlink()
    refuse(definition, tmp_path, "frame8.png is not frame 7: frames must be numbered without gaps")
    pictures[7].resize((4, 4)).save(tmp_path / "folder" / "frame7.png")
    refuse(
        definition,
        tmp_path,
        "folder: frame 7 has shape (1, 4, 4), the first (1, 6, 5)",
    )


def test_videos_need_a_library_that_a_message_names(tmp_path, monkeypatch):
    write_arrays(tmp_path)
    definition = movie_of(
        tmp_path, {key: ARRAYS[key] for key in ("responses", "responses_axes")} | {"frames": "v.mp4"}
    )
    (tmp_path / "v.mp4").touch()
    monkeypatch.setitem(sys.modules, "av", None)
    refuse(definition, tmp_path, "v.mp4: videos are read by PyAV: pip install av")


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"), [("v.avi", "ffv1", "bgr0"), ("v.mp4", "h264", "yuv420p")]
)
def test_videos_are_decoded_frame_by_frame(tmp_path, name, codec, pix_fmt):
    av = pytest.importorskip("av", reason="videos are read by PyAV, the optional extra video")
    pixels = np.random.default_rng(0).integers(0, 256, (N_FRAMES, 24, 32)).astype(np.uint8)
    with av.open(str(tmp_path / name), "w") as video:
        stream = video.add_stream(codec, rate=RATE, width=32, height=24, pix_fmt=pix_fmt)
        # The highest quality of h264; ffv1 loses nothing.
        stream.options = {"crf": "0"}
        for frame in pixels:
            video.mux(stream.encode(av.VideoFrame.from_ndarray(np.stack([frame] * 3, -1), format="rgb24")))
        video.mux(stream.encode())
    np.save(tmp_path / "responses.npy", answers(pixels))
    clip = {key: ARRAYS[key] for key in ("responses", "responses_axes")} | {"frames": name}
    dataset = accepted(movie_of(tmp_path, clip, image=IMAGE | {"color": "grey"}), tmp_path)
    np.testing.assert_allclose(dataset["frames"].values[:, 0], pixels, atol=0.5 if codec == "ffv1" else 3)
    assert filters(dataset) == PLANTED


SPIKES = {"frames": "frames.npy", "frames_axes": ["frame", "y", "x"], "frame_times": "times.npy"}


def write_spikes(folder, starts=(0.0,), per_second=1.0, suffix="npz"):
    """Frames, their times and spike times in a file of a type; returns the name of the file, and counts."""
    np.save(folder / "frames.npy", frames())
    np.save(folder / "times.npy", np.arange(N_FRAMES) / RATE * per_second)
    np.save(folder / "starts.npy", np.array(starts) * per_second)
    times, counts = trains(frames(), starts, per_second)
    cells = np.empty((1, N_NEURONS), object)
    cells[0] = times
    match suffix:
        case "npz":
            np.savez(folder / "spikes.npz", *times)
        case "folder":
            (folder / "spikes").mkdir()
            for neuron, train in enumerate(times):
                np.save(folder / "spikes" / f"unit{neuron + 9}.npy", train)
            return "spikes", counts
        case "cell":
            savemat(folder / "spikes.mat", {"sp": cells, "other": 1.0})
            return "spikes.mat:sp", counts
        case "structure":
            records = np.array([[(train, 1) for train in times]], [("sp", object), ("channel", object)])
            savemat(folder / "spikes.mat", {"SpTimes": records})
            return "spikes.mat:SpTimes.sp", counts
        case "new cell":
            with h5py.File(folder / "spikes.mat", "w", userblock_size=512) as file:
                kept = [file.create_dataset(f"#refs#/{i}", data=train[None]) for i, train in enumerate(times)]
                cell = file.create_dataset("sp", (N_NEURONS, 1), h5py.ref_dtype)
                cell[:, 0] = [one.ref for one in kept]
                cell.attrs["MATLAB_class"] = np.bytes_("cell")
            return "spikes.mat:sp", counts
        case "group":
            with h5py.File(folder / "spikes.h5", "w") as file:
                for neuron, train in enumerate(times):
                    file[f"units/n{neuron}"] = train
                file["other"] = np.zeros(3)
            return "spikes.h5:units", counts
    return "spikes.npz", counts


@pytest.mark.parametrize(
    ("suffix", "per_second"),
    [("npz", 1), ("folder", 1), ("cell", 1), ("structure", 10_000), ("new cell", 10_000), ("group", 10_000)],
)
def test_spike_times_of_every_kind_are_counted_per_frame(tmp_path, suffix, per_second):
    place, counts = write_spikes(tmp_path, per_second=per_second, suffix=suffix)
    unit = {} if per_second == 1 else {"ticks_per_second": per_second}
    dataset = accepted(movie_of(tmp_path, SPIKES | {"spike_times": place} | unit), tmp_path)
    np.testing.assert_array_equal(dataset["responses"].values, counts[:, LAGS - 1 :])
    assert filters(dataset) == PLANTED
    if suffix == "folder":
        assert dataset["neuron_id"].values.tolist() == ["unit9", "unit10", "unit11"]


def test_repeats_begin_at_their_starts_and_test(tmp_path):
    place, counts = write_spikes(tmp_path, starts=(30, 70.03, 200))
    test = SPIKES | {"spike_times": place, "repeat_starts": "starts.npy", "test": True}
    np.save(tmp_path / "more.npy", frames(seed=5))
    np.save(tmp_path / "responses.npy", answers(frames(seed=5)) // 64)
    more = ARRAYS | {"frames": "more.npy"}
    dataset = accepted(movie_of(tmp_path, more, test), tmp_path)
    tests = dataset["split"].values[0] == TEST
    assert (dataset["last_frame"].values[tests] >= N_FRAMES).all()
    assert tests.sum() == N_FRAMES - LAGS + 1
    np.testing.assert_array_equal(dataset["responses"].values[:, tests], counts[:, LAGS - 1 :])
    assert np.isnan(dataset["responses"].values[1:, ~tests]).all()
    assert filters(dataset) == PLANTED


def test_repeats_without_any_spike_are_told(tmp_path, caplog):
    place, _ = write_spikes(tmp_path, starts=(30, 70))
    np.save(tmp_path / "starts.npy", [30, 70, 500])
    accepted(movie_of(tmp_path, SPIKES | {"spike_times": place, "repeat_starts": "starts.npy"}), tmp_path)
    assert "datasets.mine.clips[0]: no neuron has a spike in repeats [2]" in caplog.text


def test_bins_of_two_frames_latency_and_bins_that_are_skipped(tmp_path):
    place, counts = write_spikes(tmp_path)
    clip = SPIKES | {"spike_times": place}
    dataset = accepted(movie_of(tmp_path, clip, bin=2), tmp_path)
    np.testing.assert_array_equal(
        dataset["responses"].values, counts.reshape(1, -1, 2, N_NEURONS).sum(2)[:, 1:]
    )
    late = accepted(movie_of(tmp_path, clip, latency=1), tmp_path)
    assert filters(late) == [None, *((lag - 1, *pixel) for lag, *pixel in PLANTED[1:])]
    skipped = accepted(movie_of(tmp_path, clip, skip=50), tmp_path)
    assert skipped.sizes["image"] == N_FRAMES - 50
    np.testing.assert_array_equal(skipped["responses"].values, counts[:, 50:])
    assert filters(skipped) == PLANTED
    short = accepted(movie_of(tmp_path, clip, skip=2), tmp_path)
    assert short.sizes["image"] == N_FRAMES - LAGS + 1


def test_lags_in_milliseconds_are_whole_frames(tmp_path):
    write_arrays(tmp_path)
    dataset = accepted(movie_of(tmp_path, ARRAYS, lags="400 ms"), tmp_path)
    assert dataset.attrs["lags"] == 4
    refuse(
        movie_of(tmp_path, ARRAYS, lags="440 ms"),
        tmp_path,
        "lags: 440 ms are 4.4 frames at rate 10, expected a whole number of frames",
    )
    refuse(
        movie_of(tmp_path, ARRAYS, block=0.4),
        tmp_path,
        "block: 0.4 s are 4 frames, no more than the 4 of a window",
    )
    refuse(movie_of(tmp_path, ARRAYS, block=2.55, bin=10, rate=10), tmp_path, "2.55 bins at rate 10")


def test_what_is_cropped_keeps_bytes_and_what_is_resized_does_not(tmp_path):
    write_arrays(tmp_path)
    cropped = accepted(movie_of(tmp_path, ARRAYS, image=IMAGE | {"crop": [1, 0, 4, 5]}), tmp_path)
    np.testing.assert_array_equal(cropped["frames"].values[:, 0], frames()[:, 1:5])
    assert cropped["frames"].dtype == np.uint8
    resized = accepted(movie_of(tmp_path, ARRAYS, image=IMAGE | {"size": [3, 5]}), tmp_path)
    assert resized["frames"].shape == (N_FRAMES, 1, 3, 5)
    assert resized["frames"].dtype == np.float32


def test_a_planted_frame_too_early_and_a_reversed_time_are_seen_in_the_filters(tmp_path):
    place, _ = write_spikes(tmp_path)
    clip = SPIKES | {"spike_times": place}
    np.save(tmp_path / "times.npy", np.arange(N_FRAMES) / RATE - 1 / RATE)
    early = accepted(movie_of(tmp_path, clip), tmp_path)
    assert filters(early) == [(lag + 1, *pixel) for lag, *pixel in PLANTED]
    np.save(tmp_path / "times.npy", np.arange(N_FRAMES) / RATE)
    np.save(tmp_path / "frames.npy", frames()[::-1])
    assert filters(accepted(movie_of(tmp_path, clip), tmp_path)) == [None] * N_NEURONS


def test_no_window_crosses_the_start_of_a_clip(tmp_path):
    clips = []
    for number in range(2):
        np.save(tmp_path / f"f{number}.npy", frames(100, seed=number))
        np.save(tmp_path / f"r{number}.npy", answers(frames(100, seed=number)))
        clips.append(ARRAYS | {"frames": f"f{number}.npy", "responses": f"r{number}.npy"})
    dataset = accepted(movie_of(tmp_path, *clips), tmp_path)
    last = dataset["last_frame"].values
    np.testing.assert_array_equal(last // 100, (last - LAGS + 1) // 100)
    assert len(last) == 2 * (100 - LAGS + 1)
    assert filters(dataset) == PLANTED
    assert len(np.unique(dataset["block"].values)) == 10


def shared_frames(dataset):
    """Number of frames in windows of two splits."""
    last, split = dataset["last_frame"].values, dataset["split"].values[0]
    held = [set((last[split == code][:, None] - np.arange(LAGS)).flat) for code in (TRAIN, VALIDATION, TEST)]
    return sum(len(held[one] & held[other]) for one, other in ((0, 1), (0, 2), (1, 2)))


def test_no_frame_leaks_from_a_neighboring_block(tmp_path, monkeypatch):
    write_arrays(tmp_path)
    dataset = accepted(movie_of(tmp_path, ARRAYS), tmp_path)
    assert shared_frames(dataset) == 0
    assert (dataset["split"].values == UNUSED).any()
    monkeypatch.setattr("whatwhere.recordings.movie_contract.with_gaps", lambda split, *_: split)
    assert shared_frames(load("mine", movie_of(tmp_path, ARRAYS), tmp_path, None)) > 0


@pytest.mark.parametrize(
    ("files", "keys", "message"),
    [
        ({"responses": answers(frames())[:-1]}, {}, "200 frames make 200 bins of 1 frames, but there are"),
        ({"responses": answers(frames()).T}, {}, "but there are responses in 3 bins"),
        ({}, {"responses_axes": None}, "not stated: set datasets.mine.clips[0].responses_axes to [time, n"),
        ({}, {"frames_axes": None}, "datasets.mine.clips[0].frames_axes to the words frame, y, x in the"),
        ({}, {"frames_axes": ["frame", "x"]}, "frames_axes: [frame, x] does not describe"),
        ({}, {"responses_axes": ["repeat", "time", "neuron"]}, "responses_axes: [repeat, time, neuron] does"),
        ({"frames": np.full((200, 6, 5), np.nan)}, {}, "frame 0 holds NaN or infinite pixels"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(tmp_path, files, keys, message):
    write_arrays(tmp_path)
    for name, values in files.items():
        np.save(tmp_path / f"{name}.npy", values)
    clip = {key: value for key, value in (ARRAYS | keys).items() if value is not None}
    refuse(movie_of(tmp_path, clip), tmp_path, message)


TIMES = np.arange(N_FRAMES) / RATE


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (TIMES[:-1], "has 199 times but there are 200 frames"),
        (np.append(TIMES, [20, 20.1]), "has 202 times but there are 200 frames"),
        (TIMES * 1000, "frames last 100 s (median) but rate 10 gives 0.1 s: correct rate or ticks_"),
        (TIMES + 1000, "no neuron has a spike with a stimulus, from 1000 to 1020 s; spikes lie from 0"),
        (np.where(np.arange(N_FRAMES) == 7, 0, TIMES), "frame 7 at 0 s does not begin after the frame"),
        (np.where(np.arange(N_FRAMES) == 7, np.nan, TIMES), "holds times that are NaN or infinite"),
        (TIMES.reshape(10, 20), "times.npy: has shape (10, 20), expected one time per frame"),
    ],
)  # fmt: skip
def test_times_of_frames_that_do_not_fit_are_refused(tmp_path, times, message):
    place, _ = write_spikes(tmp_path)
    np.save(tmp_path / "times.npy", times)
    refuse(movie_of(tmp_path, SPIKES | {"spike_times": place}), tmp_path, message)


def test_the_end_of_the_last_frame_may_be_given_and_long_frames_are_told(tmp_path, caplog):
    place, counts = write_spikes(tmp_path)
    definition = movie_of(tmp_path, SPIKES | {"spike_times": place})
    np.save(tmp_path / "times.npy", np.append(TIMES, 19.96))
    dataset = accepted(definition, tmp_path)
    np.testing.assert_array_equal(dataset["responses"].values, counts[:, LAGS - 1 :])
    assert "longer" not in caplog.text
    np.save(tmp_path / "times.npy", np.append(TIMES, 20.2))
    accepted(definition, tmp_path)
    assert "frames [199] last longer than 1.5 / rate" in caplog.text


def test_spikes_that_cannot_be_meant_are_refused(tmp_path):
    place, _ = write_spikes(tmp_path)
    definition = movie_of(tmp_path, SPIKES | {"spike_times": place})
    np.savez(tmp_path / "spikes.npz", a=np.array([1, np.nan]), b=np.arange(3.0))
    refuse(definition, tmp_path, "spikes.npz, a: holds spike times that are NaN or infinite")
    np.savez(tmp_path / "spikes.npz", a=np.ones((2, 3)))
    refuse(definition, tmp_path, "has shape (2, 3), expected spike times")
    np.savez(tmp_path / "spikes.npz")
    refuse(definition, tmp_path, "holds no vector of spike times: give one vector per neuron")
    np.save(tmp_path / "spikes.npy", np.array([np.ones(2), np.ones(3)], object))
    refuse(movie_of(tmp_path, SPIKES | {"spike_times": "spikes.npy"}), tmp_path, "holds pickled objects")
    cells = np.empty((2, 2), object)
    cells[:] = [[np.ones(2), np.ones(3)]] * 2
    savemat(tmp_path / "spikes.mat", {"sp": cells})
    refuse(
        movie_of(tmp_path, SPIKES | {"spike_times": "spikes.mat:sp"}), tmp_path, "has cells of shape (2, 2)"
    )


def test_a_second_of_a_test_clip_in_another_clip_is_refused(tmp_path):
    write_arrays(tmp_path)
    test = {"frames": "part.npy", "responses": "part_responses.npy", "test": True}
    np.save(tmp_path / "part_responses.npy", answers(frames())[:40])
    clips = [ARRAYS, ARRAYS | test]
    copied = frames(seed=1)[:40].copy()
    copied[20:30] = frames()[111:121]
    np.save(tmp_path / "part.npy", copied)
    message = "clips[0]: its frames 111 to 120 are frames 20 to 29 of clips[1], which tests: remove them"
    refuse(movie_of(tmp_path, *clips), tmp_path, f"datasets.mine.{message}")
    refuse(movie_of(tmp_path, clips[0] | {"test": False}, clips[1]), tmp_path, message)
    # Less than a second, and a still frame, may be alike by chance.
    copied[25] += 1
    copied[:12] = 128
    np.save(tmp_path / "part.npy", copied)
    np.save(tmp_path / "frames.npy", np.concatenate([copied[:12], frames()[12:]]))
    accepted(movie_of(tmp_path, *clips), tmp_path)


def test_clips_of_other_neurons_sizes_or_tests_are_refused(tmp_path):
    write_arrays(tmp_path)
    np.save(tmp_path / "fewer.npy", answers(frames())[:, :2])
    np.save(tmp_path / "small.npy", frames()[:, :5])
    refuse(
        movie_of(tmp_path, ARRAYS, ARRAYS | {"responses": "fewer.npy"}),
        tmp_path,
        "datasets.mine.clips[1]: has 2 neurons, of which number or names",
    )
    refuse(
        movie_of(tmp_path, ARRAYS, ARRAYS | {"frames": "small.npy"}),
        tmp_path,
        "clips[1]: has frames of (1, 5, 5)",
    )
    refuse(
        movie_of(tmp_path, ARRAYS | {"test": False}),
        tmp_path,
        "clips: none tests: set 'test: true' for a clip",
    )
    refuse(
        movie_of(tmp_path, ARRAYS, ARRAYS | {"test": True}),
        tmp_path,
        "fold 0 has fewer than two train images",
    )
    refuse(
        movie_of(tmp_path, ARRAYS, split=SPLIT | {"test_repeated": True}),
        tmp_path,
        "test_repeated: is for images",
    )
    refuse(movie_of(tmp_path, ARRAYS, lags=201, block=100), tmp_path, "200 frames hold no window of 201")
    for name, units in (("one", "ab"), ("two", "ba")):
        np.savez(tmp_path / f"{name}.npz", **{unit: TIMES + 0.01 for unit in units})
    np.save(tmp_path / "times.npy", TIMES)
    named = [SPIKES | {"spike_times": f"{name}.npz"} for name in ("one", "two")]
    accepted(movie_of(tmp_path, *named), tmp_path)
    np.savez(tmp_path / "two.npz", a=TIMES + 0.01, c=TIMES + 0.01)
    refuse(
        movie_of(tmp_path, *named),
        tmp_path,
        "clips[1]: has 2 neurons, of which number or names are not those",
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": None}, "key 'rate' is missing"),
        ({"lags": "half a second"}, "'half a second' is no duration: write frames, such as 15, or a text"),
        ({"lags": 2.5}, "2.5 has the wrong type; it must be integer or string"),
        ({"lag": 3}, "unknown key 'lag'; allowed are"),
        ({"clips": []}, "needs at least 1 element(s)"),
        ({"clips": [{"frames": "a.npy"}]}, "key 'responses' is missing"),
        ({"clips": [{"frames": "a.npy", "spike_times": "b.npz"}]}, "'spike_times' says nothing without"),
        (
            {"clips": [{"frames": "a.npy", "responses": "c.npy", "spike_times": "b", "frame_times": "d"}]},
            "cannot stand beside spike_times: remove one",
        ),
        ({"clips": [{"frames": "a.npy", "responses": "c.npy", "frame_times": "d"}]}, "says nothing without"),
    ],
)  # fmt: skip
def test_keys_that_cannot_be_meant_are_refused(tmp_path, changes, message):
    definition = {key: one for key, one in (movie_of(tmp_path, ARRAYS) | changes).items() if one is not None}
    with pytest.raises(UserError) as error:
        check_schema(
            definition, "datasets", ("datasets", "mine"), [("mine.yaml", {"datasets": {"mine": definition}})]
        )
    assert message in str(error.value)
    assert "\n" not in str(error.value)


REPEATS = 3


def write_nwb(folder, path="session.nwb", rate=RATE, template="one", shown="shown"):
    """A template of 200 frames, shown three times; spikes, and calcium sampled thrice per frame."""
    starts = np.array([10.0, 40.0, 70.1])
    onsets = (starts[:, None] + TIMES * RATE / rate).reshape(-1)
    rng = np.random.default_rng(2)
    onsets += rng.uniform(-0.1, 0.1, len(onsets)) / rate
    counts = np.tile((answers(frames()) // 64).astype(int), (REPEATS, 1))
    spikes = [np.sort(np.repeat(onsets, counts[:, neuron]) + 0.5 / rate) for neuron in range(N_NEURONS)]
    with h5py.File(folder / path, "w") as file:
        typed = {f"stimulus/templates/{template}": "ImageSeries", f"intervals/{shown}": "TimeIntervals"}
        typed |= {"units": "Units", "processing/ophys/dff": "RoiResponseSeries"}
        for name, kind in typed.items():
            file.create_group(name).attrs["neurodata_type"] = kind
        file[f"stimulus/templates/{template}/data"] = frames()
        table = file[f"intervals/{shown}"]
        table.attrs["colnames"] = ["start_time", "frame", "block"]
        # Rows of another stimulus, which show no frame, lie between.
        table["start_time"] = np.append(onsets, [5.0, 35.0])
        table["frame"] = np.append(np.tile(np.arange(N_FRAMES), REPEATS), [-1, -1])
        table["block"] = np.append(np.repeat(np.arange(REPEATS), N_FRAMES), [9, 9])
        file["units/id"] = [7, 8, 9]
        file["units/spike_times"] = np.concatenate(spikes)
        file["units/spike_times_index"] = np.cumsum([len(train) for train in spikes])
        at = np.arange(0, 100, 1 / (3 * RATE))
        before = np.maximum(np.searchsorted(onsets, at, "right") - 1, 0)
        file["processing/ophys/dff/data"] = np.tile(answers(frames()), (REPEATS, 1))[before]
        file["processing/ophys/dff/timestamps"] = at
    return {
        "kind": "nwb",
        "path": str(folder / path),
        "images": "one",
        "presentations": "shown",
        "image_of_presentation": "frame",
        "index_base": 0,
        "movie": {"rate": RATE, "lags": LAGS, "block": 2},
        "image": IMAGE,
        "split": SPLIT,
    }


def test_nwb_movies_are_read_from_the_table_of_frames(tmp_path):
    definition = write_nwb(tmp_path)
    dataset = accepted(definition, tmp_path)
    expected = (answers(frames()) // 64)[LAGS - 1 :]
    np.testing.assert_array_equal(dataset["responses"].values, np.stack([expected] * REPEATS))
    assert filters(dataset) == PLANTED
    assert dataset["neuron_id"].values.tolist() == ["7", "8", "9"]
    assert "200 frames from stimulus/templates/one, shown 3 times" in dataset.attrs["reading"]
    assert input_files(definition) == [definition["path"]]


def test_series_of_nwb_files_are_averaged_within_bins(tmp_path):
    definition = write_nwb(tmp_path) | {"responses": "processing/ophys/dff"}
    dataset = accepted(definition, tmp_path)
    assert filters(dataset) == PLANTED
    pairs = accepted(definition | {"movie": definition["movie"] | {"bin": 2}}, tmp_path)
    assert pairs.sizes["image"] == N_FRAMES // 2 - 1
    expected = answers(frames()).reshape(-1, 2, N_NEURONS).mean(1)[1:]
    found = pairs["responses"].values.mean(0)
    assert all(np.corrcoef(found[:, i], expected[:, i])[0, 1] > 0.95 for i in range(N_NEURONS))


def test_nwb_movies_that_cannot_be_meant_are_refused(tmp_path):
    definition = write_nwb(tmp_path)
    refuse(
        definition | {"movie": definition["movie"] | {"rate": 30}},
        tmp_path,
        "presentation 0 of the movie: frames last 0.1",
    )
    for number, message in (
        (3, "row 202 breaks a presentation of the 200 frames of stimulus/templates/one"),
        (-1, "row 203"),
    ):
        with h5py.File(definition["path"], "a") as file:
            file["intervals/shown/frame"][202] = number
        refuse(definition, tmp_path, message)
    left = definition | {"leave_out": {"block": [1]}}
    assert accepted(left, tmp_path).sizes["repeat"] == REPEATS - 1
    with pytest.raises(UserError, match="is for images, and movie is set: remove one"):
        accepted(definition | {"window": [0, 100]}, tmp_path)
    with pytest.raises(UserError, match="key 'window' is missing"):
        accepted({key: one for key, one in definition.items() if key != "movie"}, tmp_path)


def write_videos(folder, name="session"):
    """Six trials of four videos of 60 to 70 frames, with NaN up to frame 72; video 0 tests in three."""
    session = folder / name
    for part in ("data/videos", "data/responses", "meta/trials", "meta/neurons"):
        (session / part).mkdir(parents=True)
    shown, lengths = [0, 1, 0, 2, 0, 3], [60, 62, 64, 70]
    for trial, video in enumerate(shown):
        movie = frames(lengths[video], seed=10 + video)
        padded = np.full((6, 5, 72), np.nan, np.float32)
        padded[..., : len(movie)] = movie.transpose(1, 2, 0)
        values = np.full((N_NEURONS, 72), np.nan, np.float32)
        values[:, : len(movie)] = answers(movie).T + trial
        np.save(session / "data/videos" / f"{trial}.npy", padded)
        np.save(session / "data/responses" / f"{trial}.npy", values)
    np.save(session / "meta/trials/tiers.npy", np.array(["oracle", "train"] * 3))
    np.save(session / "meta/neurons/unit_ids.npy", np.array([5, 6, 7]))
    return {
        "kind": "sensorium",
        "path": str(session),
        "tiers": {"test": ["oracle"]},
        "movie": {"rate": RATE, "lags": LAGS, "block": 2, "skip": 20},
        "image": IMAGE,
        "split": SPLIT,
    }


def test_trials_of_videos_are_clips_and_trials_of_one_video_repeats(tmp_path):
    definition = write_videos(tmp_path)
    dataset = accepted(definition, tmp_path)
    # Windows of the first bin reach into the frames of the bins that are skipped.
    assert dataset.sizes["image"] == 60 + 62 + 64 + 70 - 4 * 20
    tests = dataset["split"].values[0] == TEST
    assert tests.sum() == 60 - 20
    np.testing.assert_array_equal(
        dataset["responses"].values[:, tests],
        np.stack([answers(frames(60, seed=10))[20:] + trial for trial in (0, 2, 4)]),
    )
    assert filters(dataset) == PLANTED
    assert dataset["neuron_id"].values.tolist() == ["5", "6", "7"]
    assert "3 neurons, 6 trials of 4 videos" in dataset.attrs["reading"]
    full = accepted(definition | {"movie": definition["movie"] | {"skip": 0, "bin": 2}}, tmp_path)
    assert full.sizes["image"] == (60 + 62 + 64 + 70) // 2 - 4


def test_trials_of_videos_that_cannot_be_meant_are_refused(tmp_path):
    definition = write_videos(tmp_path)
    images = {key: one for key, one in definition.items() if key != "movie"}
    refuse(images, tmp_path, "is a session of videos: set movie, with rate, lags, block and skip")
    with pytest.raises(UserError, match="'movie' says nothing without 'split'"):
        accepted({key: one for key, one in definition.items() if key != "split"}, tmp_path)
    tiers = tmp_path / "session/meta/trials/tiers.npy"
    np.save(tiers, np.array(["oracle", "train", "train", "train", "oracle", "train"]))
    # A video that tests in one trial tests in all.
    tests = accepted(definition, tmp_path)["split"].values[0] == TEST
    assert tests.sum() == 60 - 20
    file = tmp_path / "session/data/responses/3.npy"
    values = np.load(file)
    np.save(file, values[:, :-1])
    refuse(definition, tmp_path, "videos/3.npy: has 72 frames that end after 64, but the responses are to 71")
    values[:, 63] = np.nan
    np.save(file, values)
    refuse(
        definition, tmp_path, "that end after 64, but the responses are to 72 and end after 63: repair one"
    )
    np.save(file, values[0])
    refuse(definition, tmp_path, "3.npy: has shape (72,), expected (neuron, time)")


WRITERS = {"arrays": lambda folder: write_arrays(folder) or movie_of(folder, ARRAYS), "nwb": write_nwb}
WRITERS["sensorium"] = write_videos


@pytest.mark.parametrize("layout", sorted(WRITERS))
def test_a_movie_is_checked(tmp_path, monkeypatch, capsys, layout):
    monkeypatch.chdir(tmp_path)
    config = configuration(
        datasets={"mine": WRITERS[layout](tmp_path)},
        experiments=[experiment(datasets=["mine"])],
    )
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    assert main([str(tmp_path / "mine.yaml")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"Frames: \d+ of 1 x 6 x 5 \(channel, y, x\), 0\.\d min at 10 Hz", printed)
    assert "of 100 ms" in printed
    assert "Windows: 4 frames, 400 ms" in printed
    assert "in gaps between splits" in printed


def entries():
    """Entries of datasets in the page on recordings, by name."""
    blocks = re.findall(r"```yaml no-test: [^\n]*\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return {name: one for block in blocks for name, one in yaml.safe_load(block)["datasets"].items()}


def write_stand_in(clip, n_frames, rate, seed):
    """Files of a clip of kind movie in the current folder, with the types and axes that the clip states."""
    rng = np.random.default_rng(seed)
    words = {
        "frame": n_frames,
        "channel": 2,
        "y": 6,
        "x": 5,
        "repeat": REPEATS,
        "time": n_frames,
        "neuron": N_NEURONS,
    }
    per_second = clip.get("ticks_per_second", 1)
    shape = [words[word] for word in clip.get("frames_axes", ["frame"])]
    arrays = {clip["frames"]: rng.integers(0, 256, shape).astype(np.uint8)}
    if "responses" in clip:
        arrays[clip["responses"]] = rng.poisson(2, [words[word] for word in clip["responses_axes"]])
    else:
        arrays[clip["frame_times"]] = np.arange(n_frames) / rate * per_second
        if "repeat_starts" in clip:
            arrays[clip["repeat_starts"]] = np.arange(REPEATS) * per_second
        cells = np.empty(N_NEURONS, object)
        cells[:] = [np.sort(rng.uniform(0, n_frames / rate, 300)) * per_second for _ in range(N_NEURONS)]
        arrays[clip["spike_times"]] = cells
    for location, values in arrays.items():
        path, _, name = location.partition(":")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".npy"):
            np.save(path, values)
        elif path.endswith(".mat"):
            savemat(path, {name: values})
        elif path.endswith(".h5"):
            with h5py.File(path, "a") as file:
                file[name] = values
        else:
            pictures = [Image.fromarray(frame) for frame in frames(n_frames, seed)]
            if path.endswith(".tif"):
                pictures[0].save(path, save_all=True, append_images=pictures[1:])
            else:
                Path(path).mkdir()
                for number, picture in enumerate(pictures):
                    picture.save(Path(path, f"{number:04}.png"))


ENTRIES = entries()
RAN1 = "5ed02f0b409cf6cb"


def test_the_page_on_recordings_has_an_entry_for_every_layout():
    assert {one["kind"] for one in ENTRIES.values()} == {"movie", "nwb", "sensorium"}
    assert len(ENTRIES) == 6


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_entry_of_the_page_on_recordings_loads(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    entry = ENTRIES[name]
    Path("recordings").mkdir()
    if entry["kind"] == "nwb":
        names = entry["images"], entry["presentations"]
        write_nwb(tmp_path, entry["path"], entry["movie"]["rate"], *names)
    elif entry["kind"] == "sensorium":
        write_videos(tmp_path, entry["path"])
    else:
        for seed, clip in enumerate(entry["clips"]):
            write_stand_in(clip, int(6 * entry["block"] * entry["rate"]), entry["rate"], seed)
    dataset = accepted(entry, tmp_path)
    assert dataset.sizes["neuron"] == N_NEURONS
    assert {TRAIN, VALIDATION, TEST} <= set(dataset["split"].values.flat)


def convert(script, *arguments):
    runpy.run_path(str(REPOSITORY / "examples" / script))["main"](*arguments)


def test_the_publishers_files_of_the_flicker_become_arrays(tmp_path, capsys):
    """Units that fire twice in every bright frame; the first repeat is wrong and left out."""
    rng = np.random.default_rng(0)
    unique, repeated = rng.normal(size=1000), rng.normal(size=601)
    starts = 100 + 333 * np.arange(1000)
    begun = 1 + 333 * 601 * np.arange(10)
    contrast = np.tile(np.repeat(repeated, 333), 10)
    contrast[: 333 * 601] = 5
    bright = 333 * np.flatnonzero(repeated > 0)
    twice = [np.repeat(starts[unique > 0] + 5, 2), np.arange(3)]
    again = np.sort(
        np.concatenate([np.repeat(begun + 5, 2 * len(bright)) + np.tile(np.repeat(bright, 2), 10)])
    )
    content = {
        "SpTimes": np.array([[(train,) for train in twice]], [("sp", object)]),
        "RepSpTimes": np.array([[(again,), (np.arange(3),)]], [("sp", object)]),
        "Stim": unique[None],
        "stimtimes": starts[None],
        "RepStimulusExtended": np.stack([contrast, np.zeros(len(contrast))]),
        "repeatStimulusTimes": begun[None],
    }
    for name, values in content.items():
        savemat(tmp_path / f"{name}.mat", {name: values})
    convert("convert_salamander_flicker.py", tmp_path, tmp_path / "out")
    assert capsys.readouterr().out == "1 of 2 units, 8 repeats of 600 frames\n"
    read = {
        name: np.load(tmp_path / "out" / f"{name}.npy")
        for name in ("responses", "test_frames", "test_responses")
    }
    np.testing.assert_array_equal(read["responses"][:, 0], 2 * (unique > 0))
    np.testing.assert_allclose(read["test_frames"], repeated[:600], rtol=1e-6)
    np.testing.assert_array_equal(read["test_responses"][..., 0], np.tile(2 * (repeated[:600] > 0), (8, 1)))


def test_the_publishers_file_of_the_checkerboard_becomes_arrays(tmp_path):
    """The first bits of ran1 of Numerical Recipes in C with the seed -10000."""
    fields = [("onset", object), ("frame", object), ("Nframes", object), ("param", object)]
    checks = np.array([(80, 40, 10, 10, -10000)], [(name, object) for name in ("x", "y", "dx", "dy", "seed")])
    stimuli = np.array([[(1.0, 0.5, 5, checks)] * 3], fields)
    spikes = np.empty((2, 3), object)
    spikes[:] = [[np.array([0.9, 1.0, 1.2, 1.6, 3.1])] * 3, [np.array([1.7, 1.8])] * 3]
    savemat(tmp_path / "R1.mat", {"stimulus": stimuli, "spikes": spikes})
    convert("convert_mouse_checkerboard.py", tmp_path / "R1.mat", tmp_path / "out")
    movie = np.load(tmp_path / "out" / "frames.npy")
    assert movie.shape == (4, 4, 8)
    assert np.packbits(movie.swapaxes(1, 2)[:2]).tobytes().hex() == RAN1
    assert np.load(tmp_path / "out" / "responses.npy").tolist() == [[2, 0], [1, 2], [0, 0], [0, 0]]
    assert np.load(tmp_path / "out" / "test_frames.npy").shape == (1, 4, 8)
    assert np.load(tmp_path / "out" / "test_responses.npy").tolist() == [[1, 0]]
