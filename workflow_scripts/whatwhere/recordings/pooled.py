"""Pooled recordings: one dataset with all images and all neurons, without responses across recordings."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from whatwhere.dataset import check, is_movie
from whatwhere.errors import UserError
from whatwhere.recordings.movie_contract import with_gaps

_TIMES = {"rate": "frames_per_second", "bin": "frames_per_bin", "latency": "latency_frames"}
"""Attributes of movies by the keys of the configuration."""


def pool(datasets: dict[str, xr.Dataset], name: str) -> xr.Dataset:
    """Pools recordings, datasets of :mod:`whatwhere.dataset` by name, into the dataset ``name``.

    Images and neurons are in the order of the recordings, whose names are the coordinates ``image_recording``
    and ``recording``; responses are NaN where the recording of the image is not the recording of the neuron.
    Copies of an image share a split across recordings, so that no model is fitted to an image that tests in
    another recording: an image that an earlier recording holds takes the split of its copy in every fold. The
    first recording keeps its folds. The images of movies are windows; gaps between splits are kept.

    UserError if images differ in size or channels, or recordings in folds or normalization, or movies in
    time, or copies leave a recording without images of a split.
    """
    key = f"datasets.{name}"
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
    split = _shared_splits(splits, _contents(stimuli, first.attrs))
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
            "repeat_averages": int(all(data.attrs["repeat_averages"] for data in datasets.values())),
            "reading": "; ".join(
                f"{recording}: {size[0]} images" for recording, size in zip(datasets, counts, strict=True)
            ),
        },
    )
    check(pooled, key)
    return pooled


def _check_alike(first: xr.Dataset, other: xr.Dataset, names: str) -> None:
    dims = ("channel", "y", "x")

    def traits(data: xr.Dataset) -> dict[str, str]:
        return {
            "image.crop and size": " x ".join(str(data.sizes[dim]) for dim in dims) + " (channel, y, x)",
            "image.normalize": data.attrs["normalize"],
            "split.folds": f"{data.sizes['fold']} folds",
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


def _contents(stimuli: xr.Dataset, attributes: dict[str, Any]) -> Iterator[bytes]:
    """Content of every image, or of the window of every bin: equal for copies."""
    if "images" in stimuli:
        yield from (image.tobytes() for image in stimuli["images"].values)
        return
    numbers: dict[bytes, int] = {}
    frame = np.array([numbers.setdefault(one.tobytes(), len(numbers)) for one in stimuli["frames"].values])
    for last in stimuli["last_frame"].values:
        yield frame[last + 1 - int(attributes["lags"]) : last + 1].tobytes()


def _shared_splits(splits: list[np.ndarray], contents: Iterable[bytes]) -> np.ndarray:
    """Splits (fold, image) in which images that an earlier recording holds take the split of their copies."""
    shared = np.concatenate(splits, axis=1)
    recording = np.repeat(np.arange(len(splits)), [split.shape[1] for split in splits])
    first_seen: dict[bytes, int] = {}
    for index, content in enumerate(contents):
        earlier = first_seen.setdefault(content, index)
        if recording[earlier] != recording[index]:
            shared[:, index] = shared[:, earlier]
    return shared
