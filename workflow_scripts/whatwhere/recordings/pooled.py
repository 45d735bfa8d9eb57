"""Several recordings as one dataset: images of all, neurons of all, and no response across recordings."""

import numpy as np
import xarray as xr

from whatwhere.dataset import check
from whatwhere.errors import UserError


def pool(datasets: dict[str, xr.Dataset], name: str) -> xr.Dataset:
    """Put recordings together.

    Copies of a picture share a split across recordings, so that nothing is fitted to a picture that tests
    elsewhere: images that an earlier recording holds follow it in every fold. The first recording thus
    keeps the folds that it has alone.

    Parameters
    ----------
    datasets
        Recordings as :mod:`whatwhere.dataset` describes them, by name, in order.
    name
        Of the pool.

    Returns
    -------
    Images and neurons in the order of the recordings, with the name of theirs in the coordinates
    ``image_recording`` and ``recording``; responses are NaN where recordings differ.

    Raises
    ------
    UserError
        If images differ in size or channels, or recordings in folds or normalisation, or copies leave a
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
        block = (
            slice(data.sizes["repeat"]),
            slice(image - n_images, image),
            slice(neuron - n_neurons, neuron),
        )
        responses[block] = data["responses"].values
    images = np.concatenate([data["images"].values for data in datasets.values()])
    of_image, of_neuron = (np.repeat([*datasets], [count[axis] for count in counts]) for axis in range(2))
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
            "neuron_id": ("neuron", np.concatenate([_neuron_names(*item) for item in datasets.items()])),
        },
        attrs=first.attrs
        | {
            "name": name,
            "source": "; ".join(dict.fromkeys(data.attrs["source"] for data in datasets.values())),
            "citation": "; ".join(dict.fromkeys(data.attrs["citation"] for data in datasets.values())),
            "repeat_averages": int(all(data.attrs["repeat_averages"] for data in datasets.values())),
            "reading": "; ".join(
                f"{one}: {size[0]} images" for one, size in zip(datasets, counts, strict=True)
            ),
        },
    )
    check(pooled, key)
    return pooled


def _check_alike(first: xr.Dataset, other: xr.Dataset, which: str) -> None:
    shapes = [data["images"].shape[1:] for data in (first, other)]
    if shapes[0] != shapes[1]:
        sizes = " and ".join(f"{c} x {y} x {x}" for c, y, x in shapes)
        raise UserError(f"{which} have images of {sizes} (channel, y, x): set the same colour and size")
    normalize = [data.attrs["normalize"] for data in (first, other)]
    if normalize[0] != normalize[1]:
        raise UserError(f"{which} are normalised as {' and '.join(normalize)}: set the same image.normalize")
    folds = [data.sizes["fold"] for data in (first, other)]
    if folds[0] != folds[1]:
        raise UserError(f"{which} have {folds[0]} and {folds[1]} folds: set the same split.folds")


def _shared_splits(splits: list[np.ndarray], images: np.ndarray) -> np.ndarray:
    """Splits (fold, image) in which copies of images of earlier recordings follow these."""
    shared = np.concatenate(splits, axis=1)
    recording = np.repeat(np.arange(len(splits)), [split.shape[1] for split in splits])
    first_seen: dict[bytes, int] = {}
    for index, image in enumerate(images):
        earlier = first_seen.setdefault(image.tobytes(), index)
        if recording[earlier] != recording[index]:
            shared[:, index] = shared[:, earlier]
    return shared


def _neuron_names(name: str, data: xr.Dataset) -> np.ndarray:
    """Names of neurons that tell their recording."""
    if "neuron_id" in data.coords:
        known = data["neuron_id"].values.astype(str)
    else:
        known = np.arange(data.sizes["neuron"]).astype(str)
    return np.array([f"{name} {one}" for one in known])
