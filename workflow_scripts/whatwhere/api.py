"""The library: fit models to arrays as the workflow does, compare them, or load a fitted model."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from whatwhere.comparison import ENSEMBLE, Comparison, compare_fits
from whatwhere.config.files import Config
from whatwhere.config.load import check, definition, library, recording_candidates, require
from whatwhere.config.schema import Sources
from whatwhere.config.traits import traits_of
from whatwhere.definitions import Definition
from whatwhere.errors import UserError
from whatwhere.fit_data import Condition
from whatwhere.fitted import run
from whatwhere.fitted.model import FittedModel
from whatwhere.fitted.selection import most_frequent
from whatwhere.named_fits import NamedFits, one_thread
from whatwhere.recordings import to_contract
from whatwhere.recordings.arrays import by_row, pair
from whatwhere.recordings.covariates import coordinates, held
from whatwhere.recordings.in_memory import as_array, as_numbers, bin_responses, unique_names
from whatwhere.recordings.labels import as_labels, require_splits, split_names
from whatwhere.recordings.layouts import FRAME_AXES, arrange, stated_axes
from whatwhere.recordings.matching import order_by_name
from whatwhere.recordings.movie_contract import Clip, Timing
from whatwhere.recordings.movie_contract import to_contract as movie_to_contract
from whatwhere.recordings.movies import of_bins
from whatwhere.recordings.pooled import pool
from whatwhere.recordings.presentations import Presentations
from whatwhere.recordings.recording import Recording, to_float32
from whatwhere.training.devices import choose_device
from whatwhere.training.transferred import TransferredCore

__all__ = ["compare", "definition", "fit", "load"]

DEFAULT_MODELS = ("factorized_ridge", "factorized_bank", "factorized_pixels", "cnn_3_layers_short")
"""Models of ``config/models.yaml`` of which :func:`fit` returns the best by default."""
LONG = 300.0
"""Estimated seconds from which :func:`fit` leaves out a default model slower than all others together."""
MOVIE_MODELS = ("movie_factorized_ridge", "movie_network")
"""Models of ``config/models.yaml`` of which :func:`fit` returns the best for a movie by default."""
BLOCK_SECONDS = 10
"""Length of the blocks of a movie that are assigned to splits."""
SPLIT = {"validation": 1 / 6, "test": 1 / 6, "folds": 1}
"""Shares of the images that validate and test if none are given."""

State = tuple[Mapping[str, Any], dict[str, str]]
"""Covariates by name, and what is done where they are missing."""
Model = str | Mapping[str, Any] | Definition
"""A name of ``config/models.yaml``, a mapping as under ``models``, or an object of :mod:`definitions`."""


def fit(
    images: Any,
    responses: Any,
    *,
    covariates: Mapping[str, Any] | None = None,
    missing: Mapping[str, str] | None = None,
    model: Model | None = None,
    core_from: FittedModel | None = None,
    fine_tune: bool = False,
    images_layout: Sequence[str] | None = None,
    responses_layout: Sequence[str] | None = None,
    rate: float | None = None,
    lags: int | None = None,
    split: Any = None,
    normalize: str = "per_pixel",
    seed: int = 0,
    device: str = "auto",
    verbose: bool = True,
) -> FittedModel:
    """Fits a model to a recording and scores the model on test images that it has not seen.

    Every setting of the model's grid is fitted; the lowest mean validation loss selects one of them.

    Parameters
    ----------
    images
        (image, y, x) or (image, channel, y, x), finite. Arrays of numpy, torch, xarray, pandas and
        scipy.sparse are understood, here and below. Where images and responses both name images, by an index
        of pandas or a coordinate of xarray, they are matched by name. To fit several sessions together, give
        dictionaries of images, of responses and of splits by the name of the session; images of all sessions
        have one size.
    responses
        (image, neuron), or with repeats, of which NaN, masked and missing ones were not presented. Names of
        columns of pandas, or of a coordinate of xarray, name the neurons.
    covariates
        By name, such as running speed or the position of the eye, for a ``model`` with ``state``: (image,)
        numbers, or with repeats (repeat, image), unless ``responses_layout`` has these axes in another order;
        of a movie (time,) or (repeat, time), or a list of them with one per clip.
    missing
        What is done where a covariate is NaN, by its name: ``leave_out`` the presentation, or for a movie
        ``hold_last``, which takes the last value before.
    model
        A name of ``config/models.yaml``; an object of :mod:`whatwhere.definitions`; or a mapping as under
        ``models`` in the configuration, such as ``{"like": "factorized_bank", "grid": [{}]}``. None fits
        :data:`DEFAULT_MODELS` and returns the model whose predictions correlate best with the validation
        responses, on average over neurons. The screen lists these correlations, and names a default model
        that is left out because it takes too long, see :data:`LONG`.
    core_from
        A fitted network whose core is transferred: the model learns readouts alone. The images have the size
        and the normalization of those of the network. None of the network's training images may be among the
        test images. ``model`` is then the network itself by default. It can be a closed form on features,
        such as ``{"like": "ridge_bank"}`` without ``feature_bank``.
    fine_tune
        Whether the transferred core is trained further, at a tenth of the learning rate.
    images_layout
        The order of the axes of images, such as ``("y", "x", "image")``; needed where names of dimensions
        do not state it and another axis is as long as the number of images.
    responses_layout
        The order of the axes of responses, such as ``("repeat", "image", "neuron")``; needed for three axes,
        and where there are as many neurons as images, unless names of dimensions state it.
    rate, lags
        For a movie: frames per second, and frames of the window before every response. ``images`` are then
        frames (frame, y, x) or (frame, channel, y, x), or a list of clips; ``responses`` are (time, neuron)
        or (repeat, time, neuron), or a list of them; layouts use these words. Blocks of ten seconds are
        assigned to training, validation and test; or ``split`` lists ``train`` or ``test`` for every clip.
    split
        (image,) ``train``, ``validation``, ``test``, or empty for images that are still to be assigned; or 0,
        1, 2 and -1. None assigns all images at random, with the shares of :data:`SPLIT`; copies of an image
        stay together. If ten or more images, but fewer than half, were repeated, those are the test set.
    normalize
        ``none``, ``global`` or ``per_pixel``: subtract the mean and divide by the sd of the training images.
    seed
        Seed of the split, the initial values and the order of batches.
    device
        ``auto``, ``cpu`` or ``cuda``.
    verbose
        Whether progress and the time left are written to the standard error.

    Raises
    ------
    UserError
        If an argument is wrong; one line names it.

    Notes
    -----
    A fit uses one thread, as in a run; the numbers of threads of torch and numpy are restored afterwards.
    """
    if fine_tune and core_from is None:
        raise UserError("fine_tune: there is no core to train further: give core_from a fitted network")
    lent = None
    if core_from is not None:
        one = core_from.seed_fits[0]
        selected_core = most_frequent(one.selected)
        lent = TransferredCore.of_setting(one.content, one.seed, selected_core, core_from.dataset)
    if covariates is not None and model is None:
        raise UserError("covariates: no default model uses them: give a model with state")
    state = None if covariates is None else (covariates, dict(missing or {}))
    dataset = as_dataset(
        images, responses, images_layout, responses_layout, split, normalize, seed, rate, lags, state
    )
    wanted: Mapping[str, Model]
    if model is not None:
        wanted = {model if isinstance(model, str) else "model": model}
    elif lent is not None:
        wanted = {"model": _without_source(lent.definition) | {"cores": [lent.core]}}
    else:
        wanted = {name: name for name in (DEFAULT_MODELS if lags is None else MOVIE_MODELS)}
    models = _models(wanted, ())
    if lent is not None:
        models = _on_core(models, list(wanted), "trained" if fine_tune else "frozen")
    where = choose_device(device)
    with one_thread():
        fits = NamedFits(Condition(dataset, None, None, [seed]), models, wanted, lent, where, verbose)
        best = next(iter(wanted))
        if len(wanted) > 1:
            fitted_names, _ = fits.fit_possible(fits.without_slow(wanted, LONG))
            _, ranking = fits.ensemble("default", fitted_names)
            best = ranking.index[0]
            correlations = ranking["validation_correlation"].items()
            listed = ", ".join(f"{name} {correlation:.3f}" for name, correlation in correlations)
            fits.screen.end(f"mean correlation with validation responses: {listed}")
        selected = fits.selected(fits.fit(best))
        fitted = fits.describe(selected, fits.evaluate(selected))
    correlation = fitted.scores["correlation"].mean()
    fits.screen.end(f"fitted {best}: mean correlation with test responses {correlation:.3f}")
    return fitted


def compare(
    images: Any,
    responses: Any,
    *,
    models: Sequence[str] | Mapping[str, Model] | None = None,
    images_layout: Sequence[str] | None = None,
    responses_layout: Sequence[str] | None = None,
    rate: float | None = None,
    lags: int | None = None,
    split: Any = None,
    normalize: str = "per_pixel",
    seed: int = 0,
    device: str = "auto",
    verbose: bool = True,
) -> Comparison:
    """Fits candidate models to a recording, ranks them by validation, and joins them to an ensemble.

    Neither training nor ranking sees the test images, on which every model is scored once at the end.

    Parameters
    ----------
    images, responses, images_layout, responses_layout, rate, lags, split, normalize, seed, device, verbose
        As for :func:`fit`.
    models
        Names of candidates in ``config/models.yaml`` as ``config/recording.yaml`` extends it; or models as
        for :func:`fit` by a name of your own. None takes the candidates of ``config/recording.yaml``.

    Returns
    -------
    Its ``table`` has a row per candidate, and ``print`` shows the table; ``best``, ``models`` and
    ``ensemble`` are fitted models. A candidate that cannot be fitted to these data, such as a Poisson loss
    to negative responses, is named in ``left_out`` with the reason.

    Raises
    ------
    UserError
        If an argument is wrong, or no candidate can be fitted; one line names it.
    """
    names, recording = recording_candidates()
    if models is None and lags is not None:
        names = list(MOVIE_MODELS)
    given = names if models is None else [models] if isinstance(models, str) else models
    wanted: Mapping[str, Model] = given if isinstance(given, Mapping) else {name: name for name in given}
    if len(wanted) < 2:
        raise UserError(f"models: {list(wanted)} cannot be compared: name two or more")
    if ENSEMBLE in wanted:
        raise UserError(f"models: '{ENSEMBLE}' is what the candidates are joined to: name its members")
    resolved = _models(wanted, (recording,))
    for name in wanted:
        if traits_of(resolved[name]).rule == "fit_ensemble":
            raise UserError(f"models: '{name}' is an ensemble: name its members")
    where = choose_device(device)
    dataset = as_dataset(
        images, responses, images_layout, responses_layout, split, normalize, seed, rate, lags
    )
    with one_thread():
        fits = NamedFits(Condition(dataset, None, None, [seed]), resolved, wanted, None, where, verbose)
        found = compare_fits(fits, wanted)
    fits.screen.end(f"compared {len(found.models)} models")
    return found


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
    rate: float | None = None,
    lags: int | None = None,
    state: State | None = None,
) -> xr.Dataset:
    """Arrays in the form of :mod:`whatwhere.dataset`; parameters and errors as for :func:`fit`."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise UserError(f"seed: {seed!r} is no whole number from 0 on")
    if rate is not None or lags is not None:
        layouts = (images_layout, responses_layout)
        return _movie(images, responses, layouts, rate, lags, split, normalize, seed, state)
    session = partial(_session, (images_layout, responses_layout), normalize, seed)
    given = {"images": images, "responses": responses} | ({} if split is None else {"split": split})
    sessions = {name: list(value) for name, value in given.items() if isinstance(value, dict)}
    if not sessions:
        return session("arrays", "", images, responses, split, state)
    if state is not None:
        raise UserError("covariates: sessions fitted together have none in common: fit them one by one")
    for name in given:
        if sessions.get(name) != sessions.get("images", []):
            raise UserError(
                f"{name}: sessions fitted together need dictionaries with the same names in the same order; "
                f"images has {sessions.get('images')}, {name} has {sessions.get(name)}"
            )
    if len(images) < 2:
        raise UserError(f"images: has the session {list(images)} alone: give the arrays, or two sessions")
    splits = dict.fromkeys(images) if split is None else split
    arguments = ((name, f"[{name!r}]", images[name], responses[name], splits[name]) for name in images)
    return pool({str(one[0]): session(*one) for one in arguments}, "arrays")


def _movie(
    movie: Any,
    responses: Any,
    layouts: tuple[Sequence[str] | None, Sequence[str] | None],
    rate: float | None,
    lags: int | None,
    split: Any,
    normalize: str,
    seed: int,
    state: State | None,
) -> xr.Dataset:
    """A movie, or a list of clips, with responses in every frame."""
    numbers = isinstance(rate, (int, float, np.number)) and isinstance(lags, (int, np.integer))
    if rate is None or lags is None or not numbers or not 0 < rate < np.inf or lags < 1:
        raise UserError(
            f"rate, lags: {rate!r} and {lags!r}: a movie needs frames per second and a number of lags"
        )
    if isinstance(movie, dict):
        raise UserError(
            "images: sessions of movies are pooled by a configuration, kind pooled: give one session"
        )
    several = isinstance(movie, (list, tuple))
    if several and len(movie) != len(responses):
        raise UserError(f"responses: {len(responses)} for {len(movie)} clips of a movie: list one per clip")
    pairs = list(zip(movie, responses, strict=True)) if several else [(movie, responses)]
    uses = [None] * len(pairs) if split is None else list(split)
    if len(uses) != len(pairs) or not set(uses) <= {None, "train", "test"}:
        raise UserError(
            f"split: {split!r} for {len(pairs)} clips of a movie: give 'train' or 'test' per clip"
        )
    wanted = {number: FRAME_AXES[number] for number in (3, 4)}
    clips: list[Clip] = []
    populations: list[tuple[int, list[Any] | None]] = []
    for number, ((frames, measured), use) in enumerate(zip(pairs, uses, strict=True)):
        inside = f"[{number}]" if several else ""
        array = as_numbers(frames, f"images{inside}")
        axes = stated_axes(array, layouts[0], wanted, "images_layout", f"images{inside}")
        values = array.values if axes is None else arrange(array.values, axes, wanted[len(axes)])
        kept = values if values.dtype == np.uint8 else to_float32(values)
        kept = kept if kept.ndim == 4 else kept[:, None]
        found, names = bin_responses(measured, layouts[1], f"responses{inside}")
        if clips and kept.shape[1:] != clips[0].frames.shape[1:]:
            raise UserError(
                f"images{inside}: has frames of {kept.shape[1:]} (channel, y, x) but the first clip of "
                f"{clips[0].frames.shape[1:]}: give all clips one size"
            )
        populations.append((found.shape[2], None if names is None else names.tolist()))
        if populations[-1] != populations[0]:
            raise UserError(
                f"responses{inside}: the number or names of its {found.shape[2]} neurons are not those of "
                "the first clip: give the same neurons in the same order"
            )
        behavior = None
        if state is not None:
            own = {one: of[number] if several else of for one, of in state[0].items()}
            columns = {one: as_numbers(of, f"covariates['{one}']").values for one, of in own.items()}
            behavior = held(of_bins(columns, found, f"covariates{inside}"), [*columns], state[1], "missing")
        clips.append(Clip(kept, found, None if use is None else use == "test", behavior))
    timing = Timing(float(rate), 1, int(lags), 0, max(int(BLOCK_SECONDS * rate), 2 * int(lags)))
    attributes: dict[str, Any] = {"name": "arrays", "kind": "recorded", "source": "arrays in memory"}
    attributes |= {"citation": "", "normalize": normalize, "reading": ""}
    attributes |= {"noise_free_test": 0, "repeat_averages": 0}
    dataset = movie_to_contract(clips, timing, attributes, SPLIT | {"seed": seed}, "images")
    if state is not None:
        dataset = dataset.assign_coords(coordinates([*state[0]], state[1]))
    neurons = unique_names(names, "responses")
    return dataset if neurons is None else dataset.assign_coords(neuron_id=("neuron", neurons))


def _session(
    layouts: tuple[Sequence[str] | None, Sequence[str] | None],
    normalize: str,
    seed: int,
    name: str,
    inside: str,
    images: Any,
    responses: Any,
    split: Any,
    state: State | None = None,
) -> xr.Dataset:
    """One recording; messages add ``inside`` to the names of arguments."""
    found = pair(
        as_numbers(images, f"images{inside}"),
        as_numbers(responses, f"responses{inside}"),
        layouts,
        ("images_layout", "responses_layout"),
        (f"images{inside}", f"responses{inside}"),
    )
    labels = None
    if split is not None:
        given = as_array(split, f"split{inside}")
        if given.values.shape != (len(found.images),):
            raise UserError(
                f"split{inside}: has shape {given.values.shape} for {len(found.images)} images: "
                "give one per image"
            )
        order = order_by_name(
            found.names, given.names_along("image", ["image"]), f"split{inside}", f"images{inside}"
        )
        labels = split_names(as_labels(given.values, f"split{inside}"))[order]
        advice = "leave the labels of images that are to be assigned empty, or -1"
        require_splits(labels, f"split{inside}", advice)
    covariates, said = None, {} if state is None else state[1]
    if state is not None:
        n_images, n_repeats = found.responses.shape[:2]
        values = {f"covariates['{one}']": as_numbers(of, "covariates").values for one, of in state[0].items()}
        names, rows = [*state[0]], np.arange(n_images * n_repeats).reshape(n_images, n_repeats).T
        columns = by_row(values, {"image": n_images, "repeat": n_repeats}, layouts[1])
        if "hold_last" in said.values():
            raise UserError("missing: images have no order in time for hold_last: set leave_out")
        covariates = names, Presentations(columns, rows[:, found.order])
    recording = Recording(
        covariates=covariates,
        missing=said,
        images=to_float32(found.images),
        responses=to_float32(found.responses[found.order].swapaxes(0, 1)),
        split=labels,
        neurons=unique_names(found.neurons, f"responses{inside}"),
        source="arrays in memory",
        reading=found.reading[1:],
        image_names=found.names,
    )
    return to_contract(recording, name, name, normalize, SPLIT | {"seed": seed})


def _models(wanted: Mapping[str, Model], base: Sources) -> Config:
    """Resolved models by name: those of the library that ``base`` extends, and those of the user."""
    added: Config = {}
    known = library(base)
    for name, model in wanted.items():
        if not isinstance(model, (str, Mapping, Definition)):
            raise UserError(f"model: {model!r} is no name, mapping or object of whatwhere.definitions")
        if isinstance(model, str):
            require(model, known)
        if model == name:
            continue
        if name in known:
            raise UserError(
                f"models: '{name}' is the name of another model of the configuration: choose another"
            )
        given = {"like": model} if isinstance(model, str) else model
        added[name] = dict(given) if isinstance(given, Mapping) else given.definition()
    return library([*base, ("model", {"models": added})])


def _on_core(models: Config, names: Sequence[str], mode: str) -> Config:
    """Models that take a core; of closed forms, the core replaces the feature bank."""
    added = {}
    for name in names:
        definition = _without_source(models[name])
        if "cores" not in definition:
            definition.pop("feature_bank", None)
        added[name] = definition | {"core_from": {"file": "core_from", "mode": mode}}
    check(models | added, names, [("core_from", {"models": added})])
    return models | added


def _without_source(definition: Config) -> Config:
    return {key: value for key, value in definition.items() if key != "core_from"}
