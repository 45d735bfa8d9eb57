"""What one fit may see: its neurons, its training and validation images, standardised, and no test data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from whatwhere import seen
from whatwhere.dataset import SPLITS, TRAIN, VALIDATION, known_patches, repeat_mean, select_images
from whatwhere.errors import UserError, some_of
from whatwhere.pool import FitPool, Pool
from whatwhere.streams import Purpose, stream

_LEAST_SD = 0.1
"""Least sd of a pixel relative to that of all."""


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
        Size of the population; None takes all. With known cell types every type gives the same number, or
        fewer neurons than types are of different ones.
    n_images
        Training plus validation images; None takes all. Of several recordings, those of the first; all others
        are seen in full.
    seed
        Chooses the fold, the neurons and the images, each from its own random stream.

    Raises
    ------
    UserError
        If the dataset has too few neurons or images.
    """
    name = dataset.attrs["name"]
    together = Pool.of(dataset)
    neuron_rng, image_rng = (np.random.default_rng(child) for child in stream(seed, Purpose.DRAW).spawn(2))
    split = dataset["split"].values[seed % dataset.sizes["fold"]]
    own, further = split, split[:0]
    if together is not None:
        n_first = int((together.images == 0).sum())
        own, further = split[:n_first], split[n_first:]
    pools = [image_rng.permutation(np.flatnonzero(own == code)) for code in (TRAIN, VALIDATION)]
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
    others = [len(own) + np.flatnonzero(further == code) for code in (TRAIN, VALIDATION)]
    seen_images = [np.concatenate(both) for both in zip(pools, others, strict=True)]
    return Draw(_draw_neurons(dataset, n_neurons, neuron_rng), *seen_images)


def _draw_neurons(dataset: xr.Dataset, n_neurons: int | None, rng: np.random.Generator) -> np.ndarray:
    name, available = dataset.attrs["name"], dataset.sizes["neuron"]
    if n_neurons is None or n_neurons == available:
        return np.arange(available)
    if n_neurons > available:
        raise UserError(f"{name}: n_neurons {n_neurons} is more than the {available} there are")
    if "cell_type" not in dataset:
        return np.sort(rng.permutation(available)[:n_neurons])
    types, counts = np.unique(dataset["cell_type"].values, return_counts=True)
    each, rest = divmod(n_neurons, len(types))
    if rest and n_neurons > len(types):
        raise UserError(f"{name}: n_neurons {n_neurons} is no multiple of its {len(types)} cell types")
    # The same ranks in every type (section F.1): types are compared at the same positions.
    ranks = rng.permutation(counts.min())[: max(each, 1)]
    members = [np.flatnonzero(dataset["cell_type"].values == t)[ranks] for t in types]
    if not each:
        # Some of the types, with the neuron that each gives first.
        members = [members[index] for index in rng.permutation(len(types))[:n_neurons]]
    return np.sort(np.concatenate(members))


@dataclass(frozen=True)
class Standardizer:
    """Pixel statistics of the training images of one fit, applied to all images it sees.

    Attributes
    ----------
    mean, sd
        (channel, y, x), or (recording, channel, y, x) for a pool of recordings; ``sd`` is 1 if the training
        images do not vary.
    """

    mean: np.ndarray
    sd: np.ndarray

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channel, y, x)."""
        channel, height, width = self.mean.shape[-3:]
        return channel, height, width

    @property
    def normalize(self) -> str:
        """Which of :data:`whatwhere.dataset.NORMALIZATIONS` it does."""
        if (self.mean == 0).all() and (self.sd == 1).all():
            return "none"
        each = self.mean.reshape(-1, int(np.prod(self.image_shape)))
        return "global" if (each == each[:, :1]).all() else "per_pixel"

    def __call__(self, images: np.ndarray, recording: np.ndarray | int | None = None) -> np.ndarray:
        """Return (images - mean) / sd as float32, (image, channel, y, x).

        Of a pool, ``recording`` tells the number of the recording that the images belong to; None: the first.
        """
        mean, sd = self._of(recording)
        standardized = images - mean
        standardized /= sd
        return standardized.astype(np.float32, copy=False)

    def undo(self, images: np.ndarray, recording: np.ndarray | int | None = None) -> np.ndarray:
        """Images as they were stored, (image, channel, y, x)."""
        mean, sd = self._of(recording)
        return images * sd + mean

    def _of(self, recording: np.ndarray | int | None) -> tuple[np.ndarray, np.ndarray]:
        if self.mean.ndim == 3:
            return self.mean, self.sd
        number = 0 if recording is None else recording
        return self.mean[number], self.sd[number]


def standardizer(images: np.ndarray, normalize: str, recording: np.ndarray | None = None) -> Standardizer:
    """Statistics of training images (image, channel, y, x): none, one pair, or one pair per pixel.

    Pixels that hardly vary, as behind an aperture, are not amplified without end: each counts as varying at
    least a tenth as much as all do in the root mean square. Of a pool, statistics are those of every
    recording, to which ``recording`` (image,) assigns the images.
    """
    if recording is not None:
        each = [standardizer(images[recording == number], normalize) for number in np.unique(recording)]
        return Standardizer(np.stack([one.mean for one in each]), np.stack([one.sd for one in each]))
    shape = images.shape[1:]
    if normalize == "none":
        mean, sd = np.zeros(()), np.ones(())
    elif normalize == "global":
        mean, sd = np.asarray(images.mean(dtype=np.float64)), np.asarray(images.std(dtype=np.float64))
    else:
        mean, sd = images.mean(0, dtype=np.float64), images.std(0, dtype=np.float64)
        sd = np.maximum(sd, _LEAST_SD * np.sqrt((sd**2).mean()))
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
        (image, neuron), float32, averaged over repeats; NaN for images that a neuron did not see.
    response_sd
        (neuron,) scale of the responses for initial values (section B).
    response_scale
        (neuron,) by which the recorded responses were divided.
    standardize
        What was done to the images.
    draw
        Where they come from.
    patch_corner, patch_size
        (neuron, 2) row and column of the top-left pixel of every neuron's true receptive field, and the
        width of its patch; None unless the dataset tells.
    pool
        Which recordings images and neurons belong to, if there are several; both are in their order.
    """

    train_images: np.ndarray
    train_responses: np.ndarray
    validation_images: np.ndarray
    validation_responses: np.ndarray
    response_sd: np.ndarray
    response_scale: np.ndarray
    standardize: Standardizer
    draw: Draw
    patch_corner: np.ndarray | None
    patch_size: int | None
    pool: FitPool | None = None

    @property
    def n_images(self) -> int:
        """Number of training plus validation images; of several recordings, those of the first."""
        if self.pool is not None:
            return int((self.pool.train == 0).sum() + (self.pool.validation == 0).sum())
        return len(self.train_images) + len(self.validation_images)


def load_fit_data(dataset: xr.Dataset, n_neurons: int | None, n_images: int | None, seed: int) -> FitData:
    """Draw and load what a fit may see; parameters as in :func:`draw`."""
    drawn = draw(dataset, n_neurons, n_images, seed)
    train = select_images(dataset, drawn.train)
    pool = Pool.of(dataset)
    mine = None
    if pool is not None:
        mine = FitPool(pool.images[drawn.train], pool.images[drawn.validation], pool.neurons[drawn.neurons])
    of_train, of_validation = (None, None) if mine is None else (mine.train, mine.validation)
    standardize = standardizer(train, dataset.attrs["normalize"], of_train)
    responses = [repeat_mean(dataset, part, drawn.neurons) for part in (drawn.train, drawn.validation)]
    if "response_sd" in dataset:
        response_sd = dataset["response_sd"].values[drawn.neurons]
    else:
        response_sd = seen.sd(responses[0])
    corner, size = known_patches(dataset)
    return FitData(
        train_images=standardize(train, of_train),
        train_responses=responses[0],
        validation_images=standardize(select_images(dataset, drawn.validation), of_validation),
        validation_responses=responses[1],
        response_sd=response_sd,
        response_scale=np.ones(len(drawn.neurons), np.float32),
        standardize=standardize,
        draw=drawn,
        patch_corner=None if corner is None else corner[drawn.neurons],
        patch_size=size,
        pool=mine,
    )


def with_validation(data: FitData) -> FitData:
    """The same with the validation images among the training images, standardised as before."""
    images, responses = (
        np.concatenate(parts)
        for parts in (
            (data.train_images, data.validation_images),
            (data.train_responses, data.validation_responses),
        )
    )
    if data.pool is None:
        return dataclasses.replace(data, train_images=images, train_responses=responses)
    recording = np.concatenate([data.pool.train, data.pool.validation])
    order = np.argsort(recording, kind="stable")
    return dataclasses.replace(
        data,
        train_images=images[order],
        train_responses=responses[order],
        pool=dataclasses.replace(data.pool, train=recording[order]),
    )


def evenly_scaled(data: FitData) -> FitData:
    """The same with images that are z-scored as a whole, whatever was done to their pixels before."""
    of = (None, None) if data.pool is None else (data.pool.train, data.pool.validation)
    parts = zip((data.train_images, data.validation_images), of, strict=True)
    images = [data.standardize.undo(part, recording) for part, recording in parts]
    standardize = standardizer(images[0], "global", of[0])
    return dataclasses.replace(
        data,
        train_images=standardize(images[0], of[0]),
        validation_images=standardize(images[1], of[1]),
        standardize=standardize,
    )


def scale_responses(data: FitData) -> FitData:
    """The same with responses in units of each neuron's sd over training images; a constant one keeps its."""
    sd = seen.sd(data.train_responses)
    sd = np.where(sd > 0, sd, 1).astype(np.float32)
    return dataclasses.replace(
        data,
        train_responses=data.train_responses / sd,
        validation_responses=data.validation_responses / sd,
        response_sd=data.response_sd / sd,
        response_scale=data.response_scale * sd,
    )


def check_responses(definition: dict[str, Any], responses: np.ndarray, neurons: np.ndarray) -> None:
    """Refuse responses that a model cannot predict.

    A Poisson loss falls without end where negative responses are predicted as 0, and an output that is never
    negative has no gradient where responses are negative on average.

    Parameters
    ----------
    definition
        A model of the config.
    responses
        (image, neuron), training and validation.
    neurons
        (neuron,) what to call them.

    Raises
    ------
    UserError
        If there are such neurons.
    """
    negative, below = neurons[(responses < 0).any(0)], neurons[seen.mean(responses) < 0]
    if definition["loss"] == "poisson" and len(negative):
        if "nonlinearity" in definition:
            advice = "set the model's loss to mse and its nonlinearity to identity"
        elif "training" in definition:
            advice = f"a {definition['family']} predicts rates only: leave it out, or take ridge or a cnn"
        else:
            advice = "set the model's loss to mse"
        raise UserError(
            f"a poisson loss cannot fit negative responses, and {len(negative)} neurons have some "
            f"({some_of(negative)}): {advice}"
        )
    output = definition.get("nonlinearity", "identity")
    if output != "identity" and len(below):
        raise UserError(
            f"an output of {output} is never negative, but the mean response of {len(below)} neurons is "
            f"({some_of(below)}): set the model's nonlinearity to identity"
        )
