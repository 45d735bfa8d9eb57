"""Data available to one fit: training and validation images, standardized, and responses; no test data."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from whatwhere import missing
from whatwhere.dataset import is_movie, known_patches, repeat_mean, select_images
from whatwhere.errors import UserError
from whatwhere.presentations import Shown, presentations_of
from whatwhere.sessions import FitPool, PooledRecordings
from whatwhere.standardize import Standardizer, standardizer
from whatwhere.subset import Subset, choose_subset

if TYPE_CHECKING:
    from whatwhere.windows import Images


@dataclass(frozen=True)
class FitData:
    """Data available to one fit: standardized images and repeat-averaged responses, no test data."""

    # Images are (image, channel, y, x), float32, or windows of a movie; responses (image, neuron), float32,
    # averaged over repeats, NaN where missing.
    train_images: "Images"
    train_responses: np.ndarray
    validation_images: "Images"
    validation_responses: np.ndarray
    response_sd: np.ndarray  # (neuron,) scale of the responses for initial values (section B)
    response_scale: np.ndarray  # (neuron,) by which the recorded responses were divided
    standardize: Standardizer
    subset: Subset  # indices of the neurons and images in the dataset
    # (neuron, 2) row and column of the top-left pixel of every neuron's true receptive field, and the width
    # of its patch; None if unknown.
    patch_corner: np.ndarray | None
    patch_size: int | None
    pooled: FitPool | None = None  # sessions of images and neurons of pooled recordings, in order
    # Presentations of the training and of the validation images, for a model with state.
    trials: tuple[Shown, Shown] | None = None

    @property
    def n_images(self) -> int:
        """Number of training plus validation images; with pooled recordings, images of the first session."""
        if self.pooled is not None:
            return int((self.pooled.train == 0).sum() + (self.pooled.validation == 0).sum())
        return len(self.train_images) + len(self.validation_images)


def load_fit_data(dataset: xr.Dataset, n_neurons: int | None, n_images: int | None, seed: int) -> FitData:
    """Selects and loads the data of one fit; parameters and errors as for :func:`choose_subset`."""
    subset = choose_subset(dataset, n_neurons, n_images, seed)
    train = select_images(dataset, subset.train)
    pooled = PooledRecordings.of(dataset)
    mine, of_train, of_validation = None, None, None
    if pooled is not None:
        of_train, of_validation = pooled.images[subset.train], pooled.images[subset.validation]
        mine = FitPool(of_train, of_validation, pooled.neurons[subset.neurons])
    standardize = standardizer(train, dataset.attrs["normalize"], of_train)
    responses = [repeat_mean(dataset, images, subset.neurons) for images in (subset.train, subset.validation)]
    known_sd = dataset["response_sd"].values[subset.neurons] if "response_sd" in dataset else None
    corner, size = known_patches(dataset)
    return FitData(
        train_images=standardize(train, of_train),
        train_responses=responses[0],
        validation_images=standardize(select_images(dataset, subset.validation), of_validation),
        validation_responses=responses[1],
        response_sd=missing.sd(responses[0]) if known_sd is None else known_sd,
        response_scale=np.ones(len(subset.neurons), np.float32),
        standardize=standardize,
        subset=subset,
        patch_corner=None if corner is None else corner[subset.neurons],
        patch_size=size,
        pooled=mine,
    )


@dataclass(frozen=True)
class Condition:
    """A dataset, and the neurons and images of the dataset to which models are fitted."""

    dataset: xr.Dataset
    # Sizes, as for `choose_subset`; None is all.
    n_neurons: int | None
    n_images: int | None
    seeds: Sequence[int]

    def completed(self, definition: dict[str, Any]) -> dict[str, Any]:
        """A model with the ``lags`` of the movie that it is fitted to; the model itself for still images."""
        lags = {"lags": int(self.dataset.attrs["lags"])} if is_movie(self.dataset) else {}
        return definition | lags

    def data(self, seed: int, state: dict[str, Any] | None = None) -> FitData:
        """Data available to the fits of one seed; for a model with ``state``, with presentations."""
        data = load_fit_data(self.dataset, self.n_neurons, self.n_images, seed)
        if state is None:
            return data
        if data.pooled is not None:
            raise UserError("state: pooled recordings have no covariates in common: fit them one by one")
        both = (data.subset.train, data.subset.validation)
        train, validation = (
            presentations_of(self.dataset, images, data.subset.neurons, state, seed) for images in both
        )
        return dataclasses.replace(data, trials=(train, validation))


def joined(images: "Images", others: "Images") -> "Images":
    """Images, then other images, which are arrays as well or windows as well."""
    if isinstance(images, np.ndarray) or isinstance(others, np.ndarray):
        return np.concatenate([images, others])
    return images.joined(others)


def with_validation(data: FitData) -> FitData:
    """Data with the validation images among the training images, standardized as before."""
    images = joined(data.train_images, data.validation_images)
    responses = np.concatenate([data.train_responses, data.validation_responses])
    if data.pooled is None:
        trials = data.trials and (
            data.trials[0].joined(data.trials[1], len(data.train_images)),
            data.trials[1],
        )
        return dataclasses.replace(data, train_images=images, train_responses=responses, trials=trials)
    recording = np.concatenate([data.pooled.train, data.pooled.validation])
    order = np.argsort(recording, kind="stable")
    return dataclasses.replace(
        data,
        train_images=images[order],
        train_responses=responses[order],
        pooled=dataclasses.replace(data.pooled, train=recording[order]),
    )


def evenly_scaled(data: FitData) -> FitData:
    """Data with images that are z-scored as a whole, whatever their standardization before."""
    pooled = data.pooled
    of_train, of_validation = (None, None) if pooled is None else (pooled.train, pooled.validation)
    train = data.standardize.undo(data.train_images, of_train)
    validation = data.standardize.undo(data.validation_images, of_validation)
    standardize = standardizer(train, "global", of_train)
    return dataclasses.replace(
        data,
        train_images=standardize(train, of_train),
        validation_images=standardize(validation, of_validation),
        standardize=standardize,
    )


def scale_responses(data: FitData) -> FitData:
    """Data with responses in units of each neuron's sd over training images, or unchanged if that is 0."""
    sd = missing.sd(data.train_responses)
    sd = np.where(sd > 0, sd, 1).astype(np.float32)
    return dataclasses.replace(
        data,
        train_responses=data.train_responses / sd,
        validation_responses=data.validation_responses / sd,
        response_sd=data.response_sd / sd,
        response_scale=data.response_scale * sd,
        trials=data.trials and (data.trials[0].scaled(sd), data.trials[1].scaled(sd)),
    )
