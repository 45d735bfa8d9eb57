"""The model as a library: fit it to arrays, with the code and the defaults of the workflow."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from whatwhere import sta
from whatwhere.config.load import load
from whatwhere.config.traits import traits_of
from whatwhere.config.validation import validate_model
from whatwhere.dataset import TEST, select_images
from whatwhere.errors import UserError
from whatwhere.fit_data import load_fit_data, standardizer
from whatwhere.metrics import scores
from whatwhere.models.gaussian_readout import GaussianMaskReadout
from whatwhere.models.readouts import FactorizedReadout
from whatwhere.recordings import to_contract
from whatwhere.recordings.array_files import NamedArray, numeric
from whatwhere.recordings.arrays import shape_images, shape_responses
from whatwhere.recordings.in_memory import as_array
from whatwhere.recordings.labels import split_names
from whatwhere.recordings.recording import Recording, to_float32
from whatwhere.selection import select
from whatwhere.training.families import settings
from whatwhere.training.fits import Fitted, load_fit, to_tensors, to_validation
from whatwhere.training.loop import choose_device
from whatwhere.training.progress import Progress
from whatwhere.training.sweep import train_seed

DEFAULT_MODEL = "factorized_three_layers"
"""The model of ``config/config.yaml`` that :func:`fit` takes unless told otherwise."""
SPLIT = {"validation": 1 / 6, "test": 1 / 6, "folds": 1}
"""Shares of the images that validate and test if none are given."""


@dataclass(frozen=True)
class FittedModel:
    """A fitted factorized model.

    Attributes
    ----------
    scores
        One row per neuron with the columns of :data:`whatwhere.metrics.SCORES`, on the test images, which
        neither training nor the choice of hyper-parameters saw.
    setting
        The hyper-parameters that validation chose from the grid.
    dataset
        What was fitted, as :mod:`whatwhere.dataset` describes it; its ``split`` says which images tested.
    fitted
        The encoder and what it needs to predict.
    """

    scores: pd.DataFrame
    setting: dict[str, float]
    dataset: xr.Dataset
    fitted: Fitted

    def predict(self, images: Any) -> np.ndarray:
        """Predicted responses to images in the units and the shape of those fitted.

        Parameters
        ----------
        images
            (image, y, x) or (image, channel, y, x).

        Returns
        -------
        (image, neuron), float32.

        Raises
        ------
        UserError
            If the images have another shape than those fitted.
        """
        shaped, expected = _shape_images(images), self.dataset["images"].shape[1:]
        if shaped.shape[1:] != expected:
            raise UserError(f"images: have shape {shaped.shape[1:]} (channel, y, x), expected {expected}")
        return self.fitted.predict(shaped)

    @property
    def masks(self) -> np.ndarray:
        """Masks ("where"), (neuron, y, x)."""
        return self._readout.mask.detach().numpy()

    @property
    def feature_weights(self) -> np.ndarray:
        """Feature weights ("what"), (neuron, channel)."""
        return self._readout.feature_weights.detach().numpy()

    @property
    def _readout(self) -> FactorizedReadout | GaussianMaskReadout:
        readout = getattr(self.fitted.encoder, "readout", None)
        if not isinstance(readout, FactorizedReadout | GaussianMaskReadout):
            raise UserError("this model has no masks and no feature weights: fit a factorized one")
        return readout


def definition(name: str = DEFAULT_MODEL) -> dict[str, Any]:
    """A model of ``config/config.yaml`` to start from, a copy: change it and pass it to :func:`fit`.

    Raises
    ------
    UserError
        If there is no such model.
    """
    models = load([]).config["models"]
    if name not in models:
        raise UserError(f"model: '{name}' is not defined; defined are {', '.join(sorted(models))}")
    return copy.deepcopy(models[name])


def fit(
    images: Any,
    responses: Any,
    *,
    responses_layout: Sequence[str] | None = None,
    split: Any = None,
    model: dict[str, Any] | None = None,
    normalize: str = "per_pixel",
    seed: int = 0,
    device: str = "auto",
) -> FittedModel:
    """Fit a model to a recording and score it on images it has not seen.

    Every setting of the model's grid is trained; the lowest mean validation loss decides.

    Parameters
    ----------
    images
        (image, y, x) or (image, channel, y, x), finite. Arrays of numpy, torch, xarray, pandas and
        scipy.sparse are understood, here and below.
    responses
        (image, neuron), or with repeats, of which NaN, masked and missing ones were not presented.
    responses_layout
        The order of the axes of responses, such as ``("repeat", "image", "neuron")``; needed for three axes
        that have no names.
    split
        (image,) ``train``, ``validation``, ``test``, or empty for images that are still to be assigned; or 0,
        1, 2 and -1. None
        assigns all at random, with the shares of :data:`SPLIT`; copies of an image stay together.
    model
        As under ``models`` in the configuration; None takes :func:`definition`.
    normalize
        ``none``, ``global`` or ``per_pixel``: subtract the mean and divide by the sd of the training images.
    seed
        Of the split, the initial values and the order of batches.
    device
        ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    UserError
        With one line on what is wrong with an argument.

    Notes
    -----
    Progress and the time left go to the log: ``logging.basicConfig(level="INFO")`` shows them.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise UserError(f"seed: {seed!r} is no whole number from 0 on")
    where = choose_device(device)
    model = definition() if model is None else model
    validate_model(model)
    if traits_of(model).rule != "train":
        raise UserError(f"model: {model['family']} is no network: use a family that is trained")
    if "localizer" in model:
        raise UserError("model: a localizer is another model of a config: start masks at an average instead")
    data = _dataset(images, responses, responses_layout, split, normalize, seed)
    seen = load_fit_data(data, None, None, seed)
    stored = select_images(data, seen.draw.train)
    defaults = load([]).config
    start_maps = sta.all_averages(
        seen.train_images,
        standardizer(stored, "global")(stored),
        seen.train_responses,
        defaults["sta_smoothing"],
        defaults["sta_whitening"],
    )
    progress = Progress(len(settings(model)))
    candidates = [train_seed(model, seed, seen, start_maps, None, None, where, progress)]
    (chosen,) = np.unique(select(to_validation(model, candidates), "population"))
    fitted = load_fit(to_tensors(model, candidates), seed, int(chosen))
    return FittedModel(_score(data, fitted), settings(model)[int(chosen)], data, fitted)


def _dataset(
    images: Any,
    responses: Any,
    responses_layout: Sequence[str] | None,
    split: Any,
    normalize: str,
    seed: int,
) -> xr.Dataset:
    shaped = _shape_images(images)
    labels = None if split is None else as_array(split, "split").values
    if labels is not None and labels.shape != (len(shaped),):
        raise UserError(f"split: has shape {labels.shape} for {len(shaped)} images: give one per image")
    numbers = _numbers(responses, "responses")
    dense, reading = shape_responses(numbers, len(shaped), responses_layout, "responses_layout", "responses")
    recording = Recording(
        images=shaped,
        responses=dense,
        split=None if labels is None else split_names(labels, "split"),
        neurons=None,
        source="arrays in memory",
        citation="",
        repeat_averages=False,
        reading=[reading],
    )
    return to_contract(recording, "arrays", "arrays", normalize, SPLIT | {"seed": seed})


def _numbers(values: Any, name: str) -> NamedArray:
    array, axes = as_array(values, name)
    return NamedArray(numeric(array, name), axes)


def _shape_images(images: Any) -> np.ndarray:
    array = _numbers(images, "images")
    shape = array.values.shape
    if array.axes is None and len(shape) == 4 and shape[1] > 4 >= shape[3]:
        raise UserError(f"images: have shape {shape}, channels last: give np.moveaxis(images, -1, 1)")
    if len(shape) not in (3, 4) or 0 in shape:
        raise UserError(f"images: have shape {shape}, expected (image, y, x) or (image, channel, y, x)")
    return to_float32(shape_images(array, "nchw", "images", "images")[0])


def _score(data: xr.Dataset, fitted: Fitted) -> pd.DataFrame:
    test = np.flatnonzero(data["split"].values[0] == TEST)
    predictions = fitted.predict(select_images(data, test))
    table = pd.DataFrame(scores(predictions, data["responses"].values[:, test], noise_free=False))
    table.insert(0, "neuron", fitted.neurons)
    return table
