"""Pooled recordings: one dataset with all images and all neurons, without responses across recordings."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from whatwhere.dataset import TEST, UNUSED, check, duplicate_groups, is_movie
from whatwhere.errors import UserError
from whatwhere.recordings.copies import NEAR_COPIES, fingerprints, groups_of_copies, near_copy_counts, seen
from whatwhere.recordings.movie_contract import with_gaps
from whatwhere.recordings.preprocess import PREPARATION

_TIMES = {"rate": "frames_per_second", "bin": "frames_per_bin", "latency": "latency_frames"}
"""Attributes of movies by the keys of the configuration."""
_MANY = 127
"""A code above those of all splits."""


def pool(datasets: dict[str, xr.Dataset], name: str, without: Sequence[str] = ()) -> xr.Dataset:
    """Pools recordings, datasets of :mod:`whatwhere.dataset` by name, into the dataset ``name``.

    Images and neurons are in the order of the recordings, whose names are the coordinates ``image_recording``
    and ``recording``; responses are NaN where the recording of the image is not the recording of the neuron.
    Copies and near copies of an image share a split across recordings, so that no model is fitted to an image
    that tests in another recording: an image that an earlier recording holds takes the split of its copy in
    every fold. The first recording keeps its folds. Images of the datasets that ``without`` names, and near
    copies of them, are not used. The images of movies are windows; gaps between splits are kept.

    UserError if images differ in size or channels, or recordings in folds or normalization, or movies in
    time, or copies leave a recording without images of a split, or images of the published test set of a
    recording train in an earlier one, or the images of ``without`` have another size.
    """
    key = f"datasets.{name}"
    left_out = [data for other, data in datasets.items() if other in without]
    datasets = {other: data for other, data in datasets.items() if other not in without}
    first_name, first = next(iter(datasets.items()))
    for other_name, other in datasets.items():
        _check_alike(first, other, f"{key}.recordings: '{first_name}' and '{other_name}'")
    counts = [(data.sizes["image"], data.sizes["neuron"]) for data in datasets.values()]
    ends = np.cumsum(counts, axis=0)
    n_repeats = max(data.sizes["repeat"] for data in datasets.values())
    responses = np.full((n_repeats, *ends[-1]), np.nan, np.float32)
    for data, (n_images, n_neurons), (image, neuron) in zip(datasets.values(), counts, ends, strict=True):
        block = responses[: data.sizes["repeat"], image - n_images : image, neuron - n_neurons : neuron]
        block[:] = data["responses"].values
    stimuli = _stimuli(list(datasets.values()))
    of_image, of_neuron = (np.repeat([*datasets], numbers) for numbers in zip(*counts, strict=True))
    neurons = np.concatenate([data.get("neuron_id", data["neuron"]).values for data in datasets.values()])
    splits = [data["split"].values for data in datasets.values()]
    groups = _contents(stimuli, first.attrs)
    split = _shared_splits(splits, groups)
    _refuse_trained_tests(datasets, split, key)
    for data in left_out:
        if (
            "images" not in data
            or "images" not in stimuli
            or data["images"].shape[1:] != stimuli["images"].shape[1:]
        ):
            fault = f"'{data.attrs['name']}' has no images of the size of '{first_name}'"
            raise UserError(f"{key}.without_images_of: {fault}: prepare the images alike")
        known = fingerprints(data["images"].values)
        split[:, seen(stimuli["images"].values, known, first.attrs["near_copies"] or NEAR_COPIES)] = UNUSED
    counts_of_copies = {}
    if "images" in stimuli:
        copies = duplicate_groups(stimuli["images"].values)
        counts_of_copies = near_copy_counts(groups, copies, split)
    if is_movie(first):
        last, lags, n_frames = stimuli["last_frame"].values, int(first.attrs["lags"]), stimuli.sizes["frame"]
        split = np.stack([with_gaps(fold, last, lags, n_frames) for fold in split])
    pooled = xr.Dataset(
        {
            **stimuli,
            "responses": (("repeat", "image", "neuron"), responses, {"units": "as stored"}),
            "split": (("fold", "image"), split, first["split"].attrs),
        },
        coords={
            "recording": ("neuron", of_neuron),
            "image_recording": ("image", of_image),
            "neuron_id": (
                "neuron",
                [f"{recording} {neuron}" for recording, neuron in zip(of_neuron, neurons, strict=True)],
            ),
        },
        attrs=first.attrs
        | {
            "name": name,
            "source": "; ".join(dict.fromkeys(data.attrs["source"] for data in datasets.values())),
            "citation": "; ".join(dict.fromkeys(data.attrs["citation"] for data in datasets.values())),
            **counts_of_copies,
            **_preparations([*datasets.values()]),
            "repeat_averages": int(all(data.attrs["repeat_averages"] for data in datasets.values())),
            "reading": "; ".join(
                f"{recording}: {size[0]} images" for recording, size in zip(datasets, counts, strict=True)
            ),
        },
    )
    check(pooled, key)
    return pooled


def _preparations(datasets: list[xr.Dataset]) -> dict[str, str]:
    """Preparation of the images: that of all recordings if they are alike, else a list of them."""
    every = [data.attrs[PREPARATION] for data in datasets if PREPARATION in data.attrs]
    alike = len(set(every)) < 2
    return {} if len(every) < len(datasets) or alike else {PREPARATION: f"[{', '.join(every)}]"}


def _check_alike(first: xr.Dataset, other: xr.Dataset, names: str) -> None:
    dims = ("channel", "y", "x")

    def traits(data: xr.Dataset) -> dict[str, str]:
        return {
            "image.crop and size": " x ".join(str(data.sizes[dim]) for dim in dims) + " (channel, y, x)",
            "image.normalize": data.attrs["normalize"],
            "split.folds": f"{data.sizes['fold']} folds",
            "split.near_copies": f"near copies {data.attrs.get('near_copies', 0):g}",
            "lags": f"{data.attrs['lags']} lags" if is_movie(data) else "still images",
            **{key: f"{key} {data.attrs.get(name, 0):g}" for key, name in _TIMES.items()},
        }

    for (key, found), other_found in zip(traits(first).items(), traits(other).values(), strict=True):
        if found != other_found:
            raise UserError(f"{names} differ, {found} and {other_found}: set {key} of both alike")


def _stimuli(datasets: list[xr.Dataset]) -> xr.Dataset:
    """Images of all recordings; or frames, newest frames and blocks, counted through all recordings."""
    if not is_movie(datasets[0]):
        return xr.concat([data[["images"]] for data in datasets], "image")
    n_frames, n_blocks = (
        [int(count) for count in counts]
        for counts in zip(*((data.sizes["frame"], data["block"].max() + 1) for data in datasets), strict=True)
    )
    found = {"frames": xr.concat([data["frames"] for data in datasets], "frame")}
    for name, sizes in (("last_frame", n_frames), ("block", n_blocks)):
        starts = np.cumsum([0, *sizes[:-1]])
        values = [data[name].values + start for data, start in zip(datasets, starts, strict=True)]
        found[name] = xr.DataArray(np.concatenate(values).astype(np.int32), dims="image")
    return xr.Dataset(found)


def _contents(stimuli: xr.Dataset, attributes: dict[str, Any]) -> np.ndarray:
    """Group numbers (image,), equal for near copies of an image, or for bins with equal windows."""
    if "images" in stimuli:
        return groups_of_copies(stimuli["images"].values, attributes.get("near_copies") or None)
    frame = duplicate_groups(stimuli["frames"].values)
    windows = stimuli["last_frame"].values[:, None] - np.arange(int(attributes["lags"]))
    return np.unique(frame[windows], axis=0, return_inverse=True)[1]


def _shared_splits(splits: list[np.ndarray], groups: np.ndarray) -> np.ndarray:
    """Splits (fold, image) in which images that an earlier recording holds take the split of their copies.

    Where copies in earlier recordings differ in split, their further copies are not used.
    """
    shared = np.concatenate(splits, axis=1)
    ends = np.cumsum([split.shape[1] for split in splits])
    for start, stop in itertools.pairwise(ends):
        for fold in shared:
            low, high = (np.full(int(groups.max()) + 1, code, np.int8) for code in (_MANY, UNUSED))
            np.minimum.at(low, groups[:start], fold[:start])
            np.maximum.at(high, groups[:start], fold[:start])
            mine = groups[start:stop]
            taken = np.where(low[mine] == high[mine], low[mine], UNUSED)
            fold[start:stop] = np.where(low[mine] == _MANY, fold[start:stop], taken)
    return shared


def _refuse_trained_tests(datasets: dict[str, xr.Dataset], split: np.ndarray, key: str) -> None:
    """Refuses a pool in which images of the published test set of a recording no longer test."""
    start = 0
    for name, data in datasets.items():
        stop = start + data.sizes["image"]
        lost = int(((data["split"].values == TEST) & (split[:, start:stop] != TEST)).any(0).sum())
        if data.attrs.get("test_given") and lost:
            raise UserError(
                f"{key}.recordings: {lost} images of the test set of '{name}' train in an earlier recording: "
                f"name '{name}' first"
            )
        start = stop
