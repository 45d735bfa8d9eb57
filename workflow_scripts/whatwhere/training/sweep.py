"""All fits of one cell (dataset, model, population and data size): every setting of the grid, every seed."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whatwhere import seen
from whatwhere.errors import UserError
from whatwhere.fit_data import FitData, check_responses, evenly_scaled, scale_responses, with_validation
from whatwhere.localization.relocation import relocate
from whatwhere.models.base import LocalizedStart, Model, Start, predict_prepared
from whatwhere.models.encoder import Encoder
from whatwhere.models.feature_bank import StandardizedBank
from whatwhere.models.learned_bank import LearnedBank
from whatwhere.streams import Purpose, stream
from whatwhere.training.blocks import Block, Tensors, blocks_of
from whatwhere.training.carried import CarriedCore
from whatwhere.training.families import FAMILIES, Setting, build, build_bank, settings
from whatwhere.training.fits import Candidates
from whatwhere.training.loop import Fit, Training
from whatwhere.training.losses import Objective, mean_loss
from whatwhere.training.progress import Progress
from whatwhere.training.schedule import with_steps

logger = logging.getLogger(__name__)

_STRUCTURE = ("core",)
"""Hyper-parameters that change the model itself; fits that agree in them train together."""
_NO_PENALTY = (*_STRUCTURE, "start")
"""Keys of a setting that are not the strength of a penalty."""


def n_trainings(definition: dict[str, Any]) -> int:
    """How often :func:`train_seed` trains: every setting, and with ``refit`` all of them again."""
    return len(settings(definition)) * (2 if definition.get("refit") else 1)


def _groups(definition: dict[str, Any]) -> list[list[Setting]]:
    """Settings that train together: the same model with other penalties, at most ``fits_at_once``."""
    at_once = definition["training"]["fits_at_once"]
    same = itertools.groupby(settings(definition), lambda setting: [setting.get(key) for key in _STRUCTURE])
    groups = [list(group) for _, group in same]
    return [group[i : i + at_once] for group in groups for i in range(0, len(group), at_once)]


def _candidates(
    seed: int, data: FitData, loss: str, parameters: list[dict[str, Tensor]], fits: list[Fit]
) -> Candidates:
    mean = seen.mean(data.train_responses)
    responses = torch.from_numpy(data.validation_responses)
    of_mean = mean_loss(loss, torch.from_numpy(mean).expand_as(responses), responses)
    return Candidates(
        seed=seed,
        neurons=data.draw.neurons,
        standardize=data.standardize,
        response_scale=data.response_scale,
        parameters=parameters,
        fits=fits,
        validation_loss_of_mean=of_mean.numpy(),
        response_mean=mean * data.response_scale,
        n_images=data.n_images,
        recording=None if data.pool is None else data.pool.neurons,
    )


def _check(definition: dict[str, Any], data: FitData) -> None:
    check_responses(
        definition, np.concatenate([data.train_responses, data.validation_responses]), data.draw.neurons
    )


def _seeds(seed: int, start: int) -> tuple[int, int, int]:
    """Independent streams for initial values, batch order and dropout.

    ``start`` counts random starts of one seed, which differ only in initial values.
    """
    initial, order, dropout = (
        child.generate_state(start + 1, np.uint64) >> 1 for child in stream(seed, Purpose.TRAINING).spawn(3)
    )
    return int(initial[start]), int(order[0]), int(dropout[0])


def _order_seeds(seed: int, n_recordings: int) -> list[int]:
    """Independent streams for the batch order of every recording; the first is that of :func:`_seeds`."""
    order = stream(seed, Purpose.TRAINING).spawn(3)[1]
    return [int(state) for state in order.generate_state(n_recordings, np.uint64) >> 1]


def _start(
    data: FitData,
    start_maps: dict[str, np.ndarray],
    known_kernel: np.ndarray | None,
    localized: LocalizedStart | None,
    seed: int,
) -> Start:
    return Start(
        generator=torch.Generator().manual_seed(seed),
        response_sd=torch.from_numpy(data.response_sd),
        response_mean=torch.from_numpy(seen.mean(data.train_responses)),
        start_maps=start_maps,
        known_kernel=None if known_kernel is None else torch.from_numpy(known_kernel),
        localized=localized,
    )


def fingerprint(cell: list[Any], files: list[str | Path]) -> str:
    """Digest of everything that determines the fits of a cell: its definition and the files it reads."""
    digest = hashlib.sha256(json.dumps(cell, sort_keys=True).encode())
    for path in files:
        with open(path, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _after_step(definition: dict[str, Any], data: Tensors, progress: Progress) -> Callable[[Training], None]:
    """What happens after every step: neurons are relocated when it is time to, and progress is saved."""
    relocation = definition.get("relocation")

    def after_step(training: Training) -> None:
        if relocation and training.step <= relocation["last"] and training.step % relocation["every"] == 0:
            for run in training.active():
                moved = relocate(run.encoder, data.train_images, data.train_responses)
                logger.info("step %d: %d neurons moved", training.step, len(moved))
        progress(training)

    return after_step


def _seen(
    definition: dict[str, Any], data: FitData, carried: CarriedCore | None
) -> tuple[FitData, StandardizedBank | None]:
    """What a model is fitted to: responses in its units, and maps of its bank, standardised, as images.

    The bank is computed here, once for all settings of a seed. Below a carried core it keeps the statistics
    with which the core was fitted.
    """
    if definition.get("responses", {}).get("scale") == "sd":
        data = scale_responses(data)
    bank = build_bank(definition, data.standardize.image_shape)
    if bank is not None and not (isinstance(bank, LearnedBank) and bank.below is None):
        data = evenly_scaled(data)
    if carried is not None:
        carried.check_images(data.standardize)
        if "cores" in definition:
            carried.check_network(definition)
    if bank is None:
        return data, None
    images = torch.from_numpy(data.train_images)
    with torch.inference_mode():
        if carried is None:
            train = bank.standardize_on(images)
        elif isinstance(bank, LearnedBank):
            bank.carry(carried.state)
            train = bank.standardize_on(images)
        else:
            bank.load_state_dict(carried.of_bank())
            train = bank(images)
        validation = bank(torch.from_numpy(data.validation_images))
    maps = dataclasses.replace(data, train_images=train.numpy(), validation_images=validation.numpy())
    return maps, bank


def _build(
    definition: dict[str, Any], setting: Setting, data: FitData, bank: StandardizedBank | None
) -> Model:
    """The uninitialised model of one setting, with the statistics of its bank."""
    encoder = build(definition, setting, data.standardize.image_shape, data.train_responses.shape[1])
    if bank is not None and encoder.bank is not None:
        encoder.bank.load_state_dict(bank.state_dict())
    return encoder


@dataclasses.dataclass(frozen=True)
class _Shown:
    """What a training sees, on its device."""

    tensors: Tensors
    blocks: list[Block]


def _shown(definition: dict[str, Any], data: FitData, device: torch.device) -> _Shown:
    arrays = (data.train_images, data.train_responses, data.validation_images, data.validation_responses)
    tensors = Tensors(*(torch.from_numpy(array).to(device) for array in arrays))
    weigh = definition["training"].get("weigh_recordings", "neurons")
    return _Shown(tensors, blocks_of(data, tensors, weigh, definition["reduction"]))


def _train(
    definition: dict[str, Any],
    seed: int,
    group: list[Setting],
    initialized: Callable[[Setting], Model],
    shown: _Shown,
    schedule: dict[str, Any],
    progress: Progress,
    *,
    include_start: bool = False,
    last_step: int | None = None,
) -> list[tuple[Fit, dict[str, Tensor]]]:
    """Train settings together, or take what an interrupted job made of them."""
    finished = [one for one in (progress.take() for _ in group) if one is not None]
    if finished:
        return finished
    encoders = [initialized(setting) for setting in group]
    objectives = [
        Objective(
            definition["loss"],
            definition["reduction"],
            {name: value for name, value in setting.items() if name not in _NO_PENALTY},
        )
        for setting in group
    ]
    torch.manual_seed(_seeds(seed, 0)[2])
    orders = [torch.Generator().manual_seed(one) for one in _order_seeds(seed, len(shown.blocks))]
    training = Training(encoders, shown.blocks, objectives, schedule, orders, last_step)
    if include_start:
        training.include_start()
    progress.resume(training)
    after_step = _after_step(definition, shown.tensors, progress)
    done = []
    for setting, encoder, fit in zip(group, encoders, training.run(after_step), strict=True):
        # Copies, because a model that was trained with others shares its memory with them.
        state = {name: value.cpu().clone() for name, value in encoder.state_dict().items()}
        done.append(progress.add(fit, state))
        if last_step is None:
            loss = fit.validation_loss.mean()
            message = "seed %d %s: validation %.6g at step %d of %d"
            logger.info(message, seed, setting, loss, fit.best_step, fit.last_step)
        else:
            logger.info("seed %d %s: %d steps with the validation images, too", seed, setting, last_step)
    return done


def _validation_predictions(
    definition: dict[str, Any], candidates: Candidates, data: FitData, bank: StandardizedBank | None
) -> np.ndarray:
    """What fits that saw training images alone predict of the validation images, (setting, image, neuron)."""
    images = torch.from_numpy(data.validation_images)
    predictions = [
        predict_prepared(_loaded(definition, *one, data, bank), images).numpy()
        for one in zip(settings(definition), candidates.parameters, strict=True)
    ]
    return np.stack(predictions) * candidates.response_scale


def train_seed(
    definition: dict[str, Any],
    seed: int,
    data: FitData,
    start_maps: dict[str, np.ndarray],
    known_kernel: np.ndarray | None,
    localized: LocalizedStart | None,
    device: torch.device,
    progress: Progress,
    carried: CarriedCore | None = None,
) -> Candidates:
    """Train every setting of a model for one seed.

    With ``refit`` every setting is trained again from the same start, to training and validation images
    together, for as many steps of its schedule as were best before. Losses, and predictions of the validation
    images, stay those of the first fits.

    Parameters
    ----------
    definition
        A model of the config.
    seed
        All settings of a seed share data, batch order and, unless they name another ``start``, initial
        values.
    data
        What the fits may see.
    start_maps
        By name: (neuron, y, x) spike-triggered averages of ``data``.
    known_kernel
        (y, x) true receptive field, for ``cnn_known_kernel``.
    localized
        What the model's ``localizer`` found; its maps are among ``start_maps``.
    device
        Where to train.
    progress
        Holds the fits that an interrupted job finished; takes the new ones.
    carried
        The core that the model's ``core_from`` names.

    Raises
    ------
    UserError
        If every setting diverged, or the loss cannot fit negative responses.
    """
    _check(definition, data)
    data, bank = _seen(definition, data, carried)
    include_start = localized is not None

    def initialized(setting: Setting) -> Model:
        encoder = _build(definition, setting, data, bank)
        init_seed = _seeds(seed, int(setting.get("start", 0)))[0]
        encoder.initialize(_start(data, start_maps, known_kernel, localized, init_seed))
        if carried is not None and isinstance(encoder, Encoder):
            frozen = definition["core_from"]["mode"] == "frozen"
            encoder.carry(carried.state, 0.0 if frozen else definition["core_from"]["rate"])
        return encoder.to(device)

    shown = _shown(definition, data, device)
    schedule = with_steps(definition["training"], max(len(one.data.train_images) for one in shown.blocks))
    done: list[tuple[Fit, dict[str, Tensor]]] = []
    for group in _groups(definition):
        done += _train(
            definition, seed, group, initialized, shown, schedule, progress, include_start=include_start
        )
    fits, parameters = (list(part) for part in zip(*done, strict=True))
    if not any(np.isfinite(fit.validation_loss).all() for fit in fits):
        raise UserError(
            f"no fit of seed {seed} has a finite loss: lower the model's learning_rate, "
            "or scale the responses down"
        )
    candidates = _candidates(seed, data, definition["loss"], parameters, fits)
    if not definition.get("refit"):
        return candidates
    everything = _shown(definition, with_validation(data), device)
    again = []
    for setting, fit, first in zip(settings(definition), fits, parameters, strict=True):
        ((second, state),) = _train(
            definition, seed, [setting], initialized, everything, schedule, progress, last_step=fit.best_step
        )
        again.append(state if np.isfinite(second.validation_loss).all() else first)
    predictions = _validation_predictions(definition, candidates, data, bank)
    return dataclasses.replace(candidates, parameters=again, validation_predictions=predictions)


def fit_seed(
    definition: dict[str, Any], seed: int, data: FitData, carried: CarriedCore | None = None
) -> Candidates:
    """Fit every setting of a model that is not trained; parameters and errors as in :func:`train_seed`."""
    _check(definition, data)
    data, bank = _seen(definition, data, carried)
    combinations = settings(definition)
    family = FAMILIES[definition["family"]]
    if family.fit is None:
        raise ValueError(f"{definition['family']} is trained by gradient descent")
    parameters = family.fit(definition, combinations, data)
    images = torch.from_numpy(data.validation_images)
    responses = torch.from_numpy(data.validation_responses)
    fits = []
    for setting, state in zip(combinations, parameters, strict=True):
        predictions = predict_prepared(_loaded(definition, setting, state, data, bank), images)
        if definition["loss"] == "poisson":
            # A linear prediction can be negative where a rate cannot.
            predictions = predictions.clamp(min=0)
        loss = mean_loss(definition["loss"], predictions, responses).numpy()
        logger.info("seed %d %s: validation %.6g", seed, setting, loss.mean())
        fits.append(Fit(loss, 0, 0, np.empty((0, 3)), finished=True))
    return _candidates(seed, data, definition["loss"], parameters, fits)


def _loaded(
    definition: dict[str, Any],
    setting: Setting,
    state: dict[str, Tensor],
    data: FitData,
    bank: StandardizedBank | None,
) -> Model:
    """The model of one setting with its state, which is completed by the statistics of the bank."""
    encoder = _build(definition, setting, data, bank)
    state |= {name: value for name, value in encoder.state_dict().items() if name.startswith("bank.")}
    encoder.load_state_dict(state)
    return encoder


def refit_seed(
    definition: dict[str, Any], candidates: Candidates, data: FitData, carried: CarriedCore | None = None
) -> Candidates:
    """Fit every setting again, to training and validation images together.

    Losses stay those of the first fits, which saw no validation image, and so do their predictions of the
    validation images, by which models are mixed.

    Parameters
    ----------
    candidates
        What :func:`fit_seed` found.
    definition, data, carried
        As there.
    """
    family = FAMILIES[definition["family"]]
    if family.fit is None:
        raise ValueError(f"{definition['family']} is trained by gradient descent")
    data, bank = _seen(definition, data, carried)
    predictions = _validation_predictions(definition, candidates, data, bank)
    parameters = family.fit(definition, settings(definition), with_validation(data))
    for one in zip(settings(definition), parameters, strict=True):
        _loaded(definition, *one, data, bank)
    return dataclasses.replace(candidates, parameters=parameters, validation_predictions=predictions)


def checkpoint_path(fits: str | Path) -> Path:
    """Where the checkpoint of a cell lies: beside its results."""
    return Path(fits).with_name("checkpoint.pt")
