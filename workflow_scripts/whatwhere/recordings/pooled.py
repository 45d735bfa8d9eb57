"""Pooled recordings: one dataset with all images and all neurons, without responses across recordings."""

import numpy as np
import xarray as xr

from whatwhere.dataset import check
from whatwhere.errors import UserError


def pool(datasets: dict[str, xr.Dataset], name: str) -> xr.Dataset:
    """Pools recordings, datasets of :mod:`whatwhere.dataset` by name, into the dataset ``name``.

    Copies of an image share a split across recordings, so that no model is fitted to an image that tests in
    another recording: an image that an earlier recording holds takes the split of its copy in every fold. The
    first recording keeps its folds.

    Returns
    -------
    Images and neurons in the order of the recordings, whose names are the coordinates ``image_recording`` and
    ``recording``; responses are NaN where the recording of the image is not the recording of the neuron.

    Raises
    ------
    UserError
        If images differ in size or channels, or recordings in folds or normalization, or copies leave a
        recording without images of a split.
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
    images = np.concatenate([data["images"].values for data in datasets.values()])
    of_image, of_neuron = (np.repeat([*datasets], numbers) for numbers in zip(*counts, strict=True))
    neurons = np.concatenate([data.get("neuron_id", data["neuron"]).values for data in datasets.values()])
    split = _shared_splits([data["split"].values for data in datasets.values()], images)
    pooled = xr.Dataset(
        {
            "images": (("image", "channel", "y", "x"), images, first["images"].attrs),
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
    def traits(data: xr.Dataset) -> dict[str, str]:
        return {
            "image.crop and size": " x ".join(map(str, data["images"].shape[1:])) + " (channel, y, x)",
            "image.normalize": data.attrs["normalize"],
            "split.folds": f"{data.sizes['fold']} folds",
        }

    for (key, found), other_found in zip(traits(first).items(), traits(other).values(), strict=True):
        if found != other_found:
            raise UserError(f"{names} differ, {found} and {other_found}: set {key} of both alike")


def _shared_splits(splits: list[np.ndarray], images: np.ndarray) -> np.ndarray:
    """Splits (fold, image) in which images that an earlier recording holds take the split of their copies."""
    shared = np.concatenate(splits, axis=1)
    recording = np.repeat(np.arange(len(splits)), [split.shape[1] for split in splits])
    first_seen: dict[bytes, int] = {}
    for index, image in enumerate(images):
        earlier = first_seen.setdefault(image.tobytes(), index)
        if recording[earlier] != recording[index]:
            shared[:, index] = shared[:, earlier]
    return shared
