"""The library: fit a model to arrays as the workflow does, or load a fitted model."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from whatwhere import sta
from whatwhere.config.load import load as load_config
from whatwhere.config.model_checks import validate_model
from whatwhere.config.traits import traits_of
from whatwhere.dataset import TEST, neuron_names, select_images
from whatwhere.errors import UserError
from whatwhere.fit_data import load_fit_data
from whatwhere.fitted import run
from whatwhere.fitted.image_space import ImageSpace
from whatwhere.fitted.model import FittedModel, named_scores
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.fitted.selection import select
from whatwhere.metrics import scores
from whatwhere.models.spec import ModelSpec
from whatwhere.recordings import to_contract
from whatwhere.recordings.arrays import pair
from whatwhere.recordings.in_memory import as_array, as_numbers, unique_names
from whatwhere.recordings.labels import split_names
from whatwhere.recordings.matching import order_by_name
from whatwhere.recordings.recording import Recording, to_float32
from whatwhere.standardize import standardizer
from whatwhere.training.devices import choose_device, warn_of_imitation
from whatwhere.training.fits import to_tensors, to_validation
from whatwhere.training.progress import Progress
from whatwhere.training.sweep import n_trainings, train_seed

DEFAULT_MODEL = "factorized_three_layers"
"""The model of ``config/models.yaml`` that :func:`fit` takes by default."""
SPLIT = {"validation": 1 / 6, "test": 1 / 6, "folds": 1}
"""Shares of the images that validate and test if none are given."""


def definition(name: str = DEFAULT_MODEL) -> dict[str, Any]:
    """Copies a model of ``config/models.yaml``, to change and to pass to :func:`fit`.

    Raises
    ------
    UserError
        If there is no such model.
    """
    models = load_config([]).config["models"]
    if name not in models:
        raise UserError(f"model: '{name}' is not defined; defined are {', '.join(sorted(models))}")
    return copy.deepcopy(models[name])


def fit(
    images: Any,
    responses: Any,
    *,
    images_layout: Sequence[str] | None = None,
    responses_layout: Sequence[str] | None = None,
    split: Any = None,
    model: dict[str, Any] | None = None,
    normalize: str = "per_pixel",
    seed: int = 0,
    device: str = "auto",
) -> FittedModel:
    """Fits a model to a recording and scores the model on test images that it has not seen.

    Every setting of the model's grid is trained; the lowest mean validation loss selects one of them.

    Parameters
    ----------
    images
        (image, y, x) or (image, channel, y, x), finite. Arrays of numpy, torch, xarray, pandas and
        scipy.sparse are understood, here and below. Where images and responses both name images, by an index
        of pandas or a coordinate of xarray, they are matched by name.
    responses
        (image, neuron), or with repeats, of which NaN, masked and missing ones were not presented.
    images_layout
        The order of the axes of images, such as ``("y", "x", "image")``; needed where names of dimensions
        do not state it and another axis is as long as the number of images.
    responses_layout
        The order of the axes of responses, such as ``("repeat", "image", "neuron")``; needed for three axes,
        and where there are as many neurons as images, unless names of dimensions state it.
    split
        (image,) ``train``, ``validation``, ``test``, or empty for images that are still to be assigned; or 0,
        1, 2 and -1. None assigns all images at random, with the shares of :data:`SPLIT`; copies of an image
        stay together.
    model
        As under ``models`` in the configuration; None takes :func:`definition`.
    normalize
        ``none``, ``global`` or ``per_pixel``: subtract the mean and divide by the sd of the training images.
    seed
        Seed of the split, the initial values and the order of batches.
    device
        ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    UserError
        If an argument is wrong; one line names it.

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
    spec = ModelSpec.of(model)
    warn_of_imitation(spec.trained[1].precision, where)
    if "localizer" in model:
        raise UserError("model: a localizer is another model of a config: start masks at an average instead")
    if "core_from" in model:
        raise UserError("model: core_from is read in a workflow only: leave it out, or run the workflow")
    data = as_dataset(images, responses, images_layout, responses_layout, split, normalize, seed)
    fit_data = load_fit_data(data, None, None, seed)
    stored = select_images(data, fit_data.subset.train)
    defaults = load_config([]).config
    start_maps = sta.all_averages(
        fit_data.train_images,
        standardizer(stored, "global")(stored),
        fit_data.train_responses,
        defaults["sta_smoothing"],
    )
    progress = Progress(n_trainings(spec))
    candidates = [train_seed(spec, seed, fit_data, start_maps, None, None, where, progress)]
    (selected,) = select(to_validation(model, candidates), "population")
    seed_fit = SeedFit.of(to_tensors(model, candidates), seed, selected)
    neurons = seed_fit.neurons
    return FittedModel(
        dataset=data.attrs["name"],
        neurons=neurons,
        neuron_ids=neuron_names(data, neurons),
        scores=_score(data, seed_fit),
        split=data["split"].values[0],
        image_space=ImageSpace.of(stored, seed_fit.standardize(stored), data.attrs),
        seed_fits=(seed_fit,),
    )


def load(
    path: str | Path,
    *,
    experiment: str | None = None,
    dataset: str | None = None,
    model: str | None = None,
    n_neurons: int | str | None = None,
    n_images: int | str | None = None,
    selection: str | None = None,
    seed: int | str | None = None,
) -> FittedModel:
    """Loads a fit of a run, or a file of :meth:`whatwhere.fitted.model.FittedModel.save`.

    Parameters
    ----------
    path
        Folder of a run, such as ``results/quick``, or a file.
    experiment, dataset, model, n_neurons, n_images, selection
        Which fit of a run, as the configuration names them; None where there is only one.
    seed
        Of the fit; ``all`` gives the mean of all seeds as one model.

    Raises
    ------
    UserError
        If there is no such fit, or several: the line lists what to choose from.

    Examples
    --------
    >>> fitted = load("results/quick", dataset="v1_like", model="cnn_3_layers", seed=0)  # doctest: +SKIP
    """
    wanted = dict(
        zip(run.KEYS, (experiment, dataset, model, n_neurons, n_images, selection, seed), strict=True)
    )
    if Path(path).is_dir():
        return run.load(path, wanted)
    if any(value is not None for value in wanted.values()):
        raise UserError(f"{path}: is no folder of a run, so there is nothing to choose: give the path alone")
    return FittedModel.read(path)


def as_dataset(
    images: Any,
    responses: Any,
    images_layout: Sequence[str] | None,
    responses_layout: Sequence[str] | None,
    split: Any,
    normalize: str,
    seed: int,
) -> xr.Dataset:
    """Arrays in the form of :mod:`whatwhere.dataset`; parameters and errors as for :func:`fit`."""
    found = pair(
        as_numbers(images, "images"),
        as_numbers(responses, "responses"),
        (images_layout, responses_layout),
        ("images_layout", "responses_layout"),
        ("images", "responses"),
    )
    labels = None
    if split is not None:
        given = as_array(split, "split")
        if given.values.shape != (len(found.images),):
            raise UserError(
                f"split: has shape {given.values.shape} for {len(found.images)} images: give one per image"
            )
        order = order_by_name(found.names, given.names_along("image", ["image"]), "split", "images")
        labels = split_names(given.values, "split")[order]
    recording = Recording(
        images=to_float32(found.images),
        responses=to_float32(found.responses[found.order].swapaxes(0, 1)),
        split=labels,
        neurons=unique_names(found.neurons),
        source="arrays in memory",
        citation="",
        repeat_averages=False,
        reading=found.reading[1:],
        image_names=found.names,
    )
    return to_contract(recording, "arrays", "arrays", normalize, SPLIT | {"seed": seed})


def _score(data: xr.Dataset, fit: SeedFit) -> pd.DataFrame:
    test = np.flatnonzero(data["split"].values[0] == TEST)
    predictions = fit.predict(select_images(data, test))
    rated = scores(predictions, data["responses"].values[:, test], noise_free=False)
    return named_scores(
        {"seed": np.full(len(fit.neurons), fit.seed)} | rated, neuron_names(data, fit.neurons)
    )
