"""The data contract: one netCDF-4 file per dataset, the same for simulations and recordings.

==================  ========================  ========  =================================================
variable            dims                      dtype     meaning
==================  ========================  ========  =================================================
images              image, channel, y, x      float32   stimuli in the units of the attribute ``units``
responses           repeat, image, neuron     float32   one value per presentation; NaN: not presented
split               fold, image               int8      0 train, 1 validation, 2 test
rates               image, neuron             float32   simulations: responses without noise
location            neuron, axis              float32   simulations: true centre (y, x) in pixels
cell_type           neuron                    int16     simulations: true cell type, from 0
response_sd         neuron                    float32   simulations: sd of averaged responses (section B)
receptive_field     neuron, ry, rx            float32   simulations: kernel, if all of one size
==================  ========================  ========  =================================================

The first three are required. A dataset has one or more folds: a fold is one complete assignment of the
images to splits, and a fit with seed ``s`` uses fold ``s % n_folds``. Every image has at least one response
of every neuron. Attributes: ``name``, ``source``, ``kind`` (simulated or recorded), ``normalize`` (none,
global or per_pixel; applied with statistics of the training images of each fit), ``noise_free_test`` (1: the
test responses are rates without noise), ``repeat_averages`` (1: responses are published averages and hold
no single trials), ``validation_fraction`` and ``validation_max`` (how many of n images a fit validates on).
Simulations with natural stimuli add ``independent_pixels_train``, ``_validation`` and ``_test``: how many
different pixels of the source the images of a split show, fewer than their pixels where crops overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from whatwhere.errors import UserError
from whatwhere.files import read_netcdf

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLITS = ("train", "validation", "test")
NORMALIZATIONS = ("none", "global", "per_pixel")

_REQUIRED = {
    "images": (("image", "channel", "y", "x"), "float32"),
    "responses": (("repeat", "image", "neuron"), "float32"),
    "split": (("fold", "image"), "int8"),
}
_OPTIONAL = {
    "rates": (("image", "neuron"), "float32"),
    "location": (("neuron", "axis"), "float32"),
    "cell_type": (("neuron",), "int16"),
    "response_sd": (("neuron",), "float32"),
    "receptive_field": (("neuron", "ry", "rx"), "float32"),
}
_ATTRIBUTES = (
    "name",
    "source",
    "kind",
    "normalize",
    "noise_free_test",
    "repeat_averages",
    "validation_fraction",
    "validation_max",
)
_CHUNK = 4096


def check(dataset: xr.Dataset, name: str) -> None:
    """Refuse a dataset that breaks the contract.

    Parameters
    ----------
    dataset
        The dataset.
    name
        What to call it in the message: the file or the config key.

    Raises
    ------
    UserError
        With one line that names the variable and what is wrong with it.
    """
    for attribute in _ATTRIBUTES:
        if attribute not in dataset.attrs:
            raise UserError(f"{name}: attribute '{attribute}' is missing")
    if dataset.attrs["normalize"] not in NORMALIZATIONS:
        raise UserError(f"{name}: attribute 'normalize' must be one of {', '.join(NORMALIZATIONS)}")
    for variable in _REQUIRED:
        if variable not in dataset:
            raise UserError(f"{name}: variable '{variable}' is missing")
    for variable, (dims, dtype) in (_REQUIRED | _OPTIONAL).items():
        if variable not in dataset:
            continue
        array = dataset[variable]
        if array.dims != dims:
            raise UserError(f"{name}: '{variable}' has dims {array.dims}, expected {dims}")
        if array.dtype != dtype:
            raise UserError(f"{name}: '{variable}' has dtype {array.dtype}, expected {dtype}")
        if 0 in array.shape:
            raise UserError(f"{name}: '{variable}' is empty, shape {array.shape}")
    _check_values(dataset, name)
    _check_splits(dataset, name)


def _check_values(dataset: xr.Dataset, name: str) -> None:
    for start in range(0, dataset.sizes["image"], _CHUNK):
        part = dataset.isel(image=slice(start, start + _CHUNK))
        images, responses = part["images"].values, part["responses"].values
        if not np.isfinite(images).all():
            bad = start + np.flatnonzero(~np.isfinite(images).all((1, 2, 3)))[0]
            raise UserError(f"{name}: image {bad} holds NaN or infinite pixels: repair or remove it")
        if np.isinf(responses).any():
            bad = start + np.flatnonzero(np.isinf(responses).any((0, 2)))[0]
            raise UserError(f"{name}: the responses to image {bad} are infinite: repair or remove it")
        missing = np.isnan(responses).all(0)
        if missing.any():
            image, neuron = np.argwhere(missing)[0]
            raise UserError(
                f"{name}: neuron {neuron} has no response to image {start + image}: "
                "remove images or neurons until every neuron has at least one response per image"
            )


def _check_splits(dataset: xr.Dataset, name: str) -> None:
    split = dataset["split"].values
    if not np.isin(split, (TRAIN, VALIDATION, TEST)).all():
        raise UserError(f"{name}: 'split' must be 0 (train), 1 (validation) or 2 (test)")
    for fold, row in enumerate(split):
        for code, label in enumerate(SPLITS):
            if np.count_nonzero(row == code) < 2:
                raise UserError(f"{name}: fold {fold} has fewer than two {label} images")


def open_dataset(path: str | Path) -> xr.Dataset:
    """Open a dataset file lazily and check its structure (not again its values).

    Raises
    ------
    UserError
        If the file is unreadable or a required variable is missing.
    """
    dataset = read_netcdf(path)
    for variable in _REQUIRED:
        if variable not in dataset:
            raise UserError(f"{path}: variable '{variable}' is missing: delete the file and rerun")
    return dataset


def duplicate_groups(images: Iterable[np.ndarray]) -> np.ndarray:
    """Group number of every image, equal for images with identical content.

    Parameters
    ----------
    images
        (image, channel, y, x) or any array with images first, or a list of images.
    """
    seen: dict[bytes, int] = {}
    groups = [seen.setdefault(np.ascontiguousarray(image).tobytes(), len(seen)) for image in images]
    return np.array(groups)


@dataclass(frozen=True)
class Draw:
    """Which neurons and images one fit uses: indices into the dataset.

    Attributes
    ----------
    neurons
        (neuron,) sorted indices.
    train, validation
        (image,) indices, in the order in which a fit of this seed stores its images.
    """

    neurons: np.ndarray
    train: np.ndarray
    validation: np.ndarray


def n_validation(n_images: int, fraction: float, maximum: int) -> int:
    """Size of the validation set among ``n_images`` (sections A.2 and F.1): int(fraction n), capped.

    ``maximum`` 0 means no cap.
    """
    # The small term keeps e.g. 0.2 * 35 = 7.000000000000001 or 6.999999 from flipping a count.
    size = int(fraction * n_images + 1e-9)
    return min(size, maximum) if maximum else size


def draw(dataset: xr.Dataset, n_neurons: int | None, n_images: int | None, seed: int) -> Draw:
    """Draw the neurons and the images of one fit; nested, so that a larger draw holds the smaller ones.

    Parameters
    ----------
    dataset
        A dataset that fulfils the contract.
    n_neurons
        Size of the population; None takes all. With known cell types every type gives the same number.
    n_images
        Training plus validation images; None takes all.
    seed
        Chooses the fold, the neurons and the images, each from its own random stream.

    Raises
    ------
    UserError
        If the dataset has too few neurons or images.
    """
    name = dataset.attrs["name"]
    neuron_rng, image_rng = (
        np.random.default_rng(child) for child in np.random.SeedSequence([seed, 0]).spawn(2)
    )
    split = dataset["split"].values[seed % dataset.sizes["fold"]]
    pools = [image_rng.permutation(np.flatnonzero(split == code)) for code in (TRAIN, VALIDATION)]
    if n_images is not None:
        validation = n_validation(
            n_images,
            float(dataset.attrs["validation_fraction"]),
            int(dataset.attrs["validation_max"]),
        )
        sizes = (n_images - validation, validation)
        if min(sizes) < 1:
            raise UserError(f"{name}: n_images {n_images} leaves no image to validate on")
        for pool, size, label in zip(pools, sizes, SPLITS, strict=False):
            if size > len(pool):
                raise UserError(
                    f"{name}: n_images {n_images} needs {size} {label} images but there are {len(pool)}"
                )
        pools = [pool[:size] for pool, size in zip(pools, sizes, strict=True)]
    return Draw(_draw_neurons(dataset, n_neurons, neuron_rng), *pools)


def _draw_neurons(dataset: xr.Dataset, n_neurons: int | None, rng: np.random.Generator) -> np.ndarray:
    name, available = dataset.attrs["name"], dataset.sizes["neuron"]
    if n_neurons is None:
        return np.arange(available)
    if n_neurons > available:
        raise UserError(f"{name}: n_neurons {n_neurons} is more than the {available} there are")
    if "cell_type" not in dataset:
        return np.sort(rng.permutation(available)[:n_neurons])
    types, counts = np.unique(dataset["cell_type"].values, return_counts=True)
    each, rest = divmod(n_neurons, len(types))
    if rest and n_neurons > len(types):
        raise UserError(f"{name}: n_neurons {n_neurons} is no multiple of its {len(types)} cell types")
    if rest:
        return np.sort(rng.permutation(available)[:n_neurons])
    # The same ranks in every type (section F.1): types are compared at the same positions.
    ranks = rng.permutation(counts.min())[:each]
    members = (np.flatnonzero(dataset["cell_type"].values == t) for t in types)
    return np.sort(np.concatenate([member[ranks] for member in members]))


@dataclass(frozen=True)
class Standardizer:
    """Pixel statistics of the training images of one fit, applied to all images it sees.

    Attributes
    ----------
    mean, sd
        (channel, y, x); ``sd`` is 1 where the training images do not vary.
    """

    mean: np.ndarray
    sd: np.ndarray

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return (images - mean) / sd as float32, (image, channel, y, x)."""
        standardized = images - self.mean
        standardized /= self.sd
        return standardized.astype(np.float32, copy=False)


def standardizer(images: np.ndarray, normalize: str) -> Standardizer:
    """Statistics of training images (image, channel, y, x): none, one pair, or one pair per pixel."""
    shape = images.shape[1:]
    if normalize == "none":
        mean, sd = np.zeros(()), np.ones(())
    elif normalize == "global":
        mean, sd = np.asarray(images.mean(dtype=np.float64)), np.asarray(images.std(dtype=np.float64))
    else:
        mean, sd = images.mean(0, dtype=np.float64), images.std(0, dtype=np.float64)
    sd = np.where(sd > 1e-12 * (1 + np.abs(mean)), sd, 1.0)
    full = (np.broadcast_to(np.asarray(value, np.float32), shape).copy() for value in (mean, sd))
    return Standardizer(*full)


@dataclass(frozen=True)
class FitData:
    """Everything one fit may see: standardized images and repeat-averaged responses, no test data.

    Attributes
    ----------
    train_images, validation_images
        (image, channel, y, x), float32.
    train_responses, validation_responses
        (image, neuron), float32, averaged over repeats.
    response_sd
        (neuron,) scale of the responses for initial values (section B).
    standardize
        What was done to the images.
    draw
        Where they come from.
    patch_corner, patch_size
        (neuron, 2) row and column of the top-left pixel of every neuron's true receptive field, and the
        width of its patch; None unless the dataset tells.
    """

    train_images: np.ndarray
    train_responses: np.ndarray
    validation_images: np.ndarray
    validation_responses: np.ndarray
    response_sd: np.ndarray
    standardize: Standardizer
    draw: Draw
    patch_corner: np.ndarray | None
    patch_size: int | None


def _pieces(variable: xr.DataArray, images: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions in ``images`` and the values of a variable there, a bounded number at a time.

    Read in contiguous pieces: netCDF files answer scattered indices one by one, hundreds of times slower.
    """
    axis = variable.get_axis_num("image")
    for start in range(0, variable.sizes["image"], _CHUNK):
        inside = np.flatnonzero((images >= start) & (images < start + _CHUNK))
        if len(inside):
            piece = variable.isel(image=slice(start, start + _CHUNK)).values
            yield inside, piece.take(images[inside] - start, axis)


def select_images(dataset: xr.Dataset, images: np.ndarray) -> np.ndarray:
    """Images by index, (image, channel, y, x)."""
    stored = dataset["images"]
    selected = np.empty((len(images), *stored.shape[1:]), stored.dtype)
    for inside, piece in _pieces(stored, images):
        selected[inside] = piece
    return selected


def repeat_mean(dataset: xr.Dataset, images: np.ndarray, neurons: np.ndarray) -> np.ndarray:
    """Mean over the repeats that exist, (image, neuron), float32."""
    mean = np.empty((len(images), len(neurons)), np.float32)
    for inside, piece in _pieces(dataset["responses"], images):
        mine = piece[:, :, neurons]
        mean[inside] = mine[0] if len(mine) == 1 else np.nanmean(mine, axis=0, dtype=np.float64)
    return mean


def known_patches(dataset: xr.Dataset) -> tuple[np.ndarray | None, int | None]:
    """Top-left pixels (neuron, 2) and width of the patches that hold the true receptive fields.

    None twice where the dataset does not tell, or where a patch is not square or leaves the image.
    """
    if not {"receptive_field", "location"} <= set(dataset.variables):
        return None, None
    height, width = dataset.sizes["ry"], dataset.sizes["rx"]
    # Centres lie at most half a pixel from the middle pixel of their patch.
    corner = np.rint(dataset["location"].values).astype(int) - height // 2
    last = np.array([dataset.sizes["y"], dataset.sizes["x"]]) - height
    if height != width or (corner < 0).any() or (corner > last).any():
        return None, None
    return corner, height


def fit_data(dataset: xr.Dataset, n_neurons: int | None, n_images: int | None, seed: int) -> FitData:
    """Draw and load what a fit may see; parameters as in :func:`draw`."""
    drawn = draw(dataset, n_neurons, n_images, seed)
    train = select_images(dataset, drawn.train)
    standardize = standardizer(train, dataset.attrs["normalize"])
    responses = [repeat_mean(dataset, part, drawn.neurons) for part in (drawn.train, drawn.validation)]
    if "response_sd" in dataset:
        response_sd = dataset["response_sd"].values[drawn.neurons]
    else:
        response_sd = responses[0].std(0)
    corner, size = known_patches(dataset)
    return FitData(
        train_images=standardize(train),
        train_responses=responses[0],
        validation_images=standardize(select_images(dataset, drawn.validation)),
        validation_responses=responses[1],
        response_sd=response_sd,
        standardize=standardize,
        draw=drawn,
        patch_corner=None if corner is None else corner[drawn.neurons],
        patch_size=size,
    )
