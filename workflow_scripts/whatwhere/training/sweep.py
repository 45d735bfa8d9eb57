"""Training of all fits of one condition (dataset, model and sizes) and seed: every setting of the grid."""

import itertools
import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whatwhere import missing
from whatwhere.dataset import shared_kernel
from whatwhere.errors import UserError
from whatwhere.fit_data import Condition, FitData, with_validation
from whatwhere.models.base import LocalizedStart, Model, Start
from whatwhere.models.encoder import Encoder
from whatwhere.models.spec import ModelSpec, Schedule, Setting
from whatwhere.models.trials import Trials
from whatwhere.streams import Purpose, stream
from whatwhere.training.blocks import Block, Tensors, blocks_of
from whatwhere.training.devices import warn_of_imitation
from whatwhere.training.fits import Candidates, ModelFits
from whatwhere.training.loop import Fit, Training
from whatwhere.training.losses import Objective
from whatwhere.training.prepare import build_on, candidates_of, prepared, validation_predictions
from whatwhere.training.progress import Progress
from whatwhere.training.starts import start_from
from whatwhere.training.transferred import TransferredCore
from whatwhere.windows import as_tensor

logger = logging.getLogger(__name__)

_STRUCTURE = ("core",)
"""Hyper-parameters that change the model itself; fits that agree in them train together."""
_NO_PENALTY = (*_STRUCTURE, "start")
"""Keys of a setting that are not the strength of a penalty."""
_CORE_RATE = 0.1
"""Learning rate of a transferred core that is fine-tuned, relative to that of the readout."""


def n_trainings(spec: ModelSpec) -> int:
    """Number of trainings of :func:`train_seed`: every setting, and with ``refit`` all of them again."""
    return len(spec.settings) * (2 if spec.refit else 1)


def _groups(spec: ModelSpec) -> list[list[Setting]]:
    """Settings that train together: the same model with other penalties, at most ``fits_at_once``."""
    at_once = spec.trained[1].fits_at_once
    same = itertools.groupby(spec.settings, lambda setting: [setting.get(key) for key in _STRUCTURE])
    groups = [list(group) for _, group in same]
    return [group[i : i + at_once] for group in groups for i in range(0, len(group), at_once)]


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
        response_mean=torch.from_numpy(missing.mean(data.train_responses)),
        start_maps=start_maps,
        known_kernel=None if known_kernel is None else torch.from_numpy(known_kernel),
        localized=localized,
    )


def _blocks(spec: ModelSpec, data: FitData, device: torch.device) -> list[Block]:
    """Data of every recording on the device; for a model with state, presentations in place of images."""
    images = [as_tensor(one).to(device) for one in (data.train_images, data.validation_images)]
    responses = [data.train_responses, data.validation_responses]
    shown: list[Any] = [*images]
    if data.trials is not None:
        pairs = zip(images, data.trials, strict=True)
        shown = [Trials.of(images, one.image, one.covariates) for images, one in pairs]
        responses = [one.responses for one in data.trials]
    train, validation = (torch.from_numpy(one).to(device) for one in responses)
    tensors = Tensors(shown[0], train, shown[1], validation)
    return blocks_of(data, tensors, spec.trained[0].reduction)


def _train(
    spec: ModelSpec,
    seed: int,
    group: list[Setting],
    initialized: Callable[[Setting], Model],
    blocks: list[Block],
    schedule: Schedule,
    progress: Progress,
    *,
    include_start: bool = False,
    last_step: int | None = None,
) -> list[tuple[Fit, dict[str, Tensor]]]:
    """Trains settings together, or takes the fits that an interrupted job completed."""
    completed = [one for one in (progress.take() for _ in group) if one is not None]
    if completed:
        return completed
    encoders = [initialized(setting) for setting in group]
    objectives = [
        Objective(
            spec.loss,
            spec.trained[0].reduction,
            {name: value for name, value in setting.items() if name not in _NO_PENALTY},
        )
        for setting in group
    ]
    torch.manual_seed(_seeds(seed, 0)[2])
    orders = [torch.Generator().manual_seed(one) for one in _order_seeds(seed, len(blocks))]
    training = Training(encoders, blocks, objectives, schedule, orders, last_step)
    if include_start:
        training.include_start()
    progress.resume(training)
    done = []
    for setting, encoder, fit in zip(group, encoders, training.run(progress), strict=True):
        # Copies, because a model that was trained with others shares its memory with them.
        state = {name: value.cpu().clone() for name, value in encoder.state_dict().items()}
        progress.add(fit, state)
        done.append((fit, state))
        if last_step is None:
            loss = fit.validation_loss.mean()
            message = "seed %d %s: validation %.6g at step %d of %d"
            logger.info(message, seed, setting, loss, fit.best_step, fit.last_step)
        else:
            logger.info("seed %d %s: %d steps with the validation images, too", seed, setting, last_step)
    return done


def train_seed(
    spec: ModelSpec,
    seed: int,
    data: FitData,
    start_maps: dict[str, np.ndarray],
    known_kernel: np.ndarray | None,
    localized: LocalizedStart | None,
    device: torch.device,
    progress: Progress,
    transferred: TransferredCore | None = None,
) -> Candidates:
    """Trains every setting of a model for one seed.

    With ``refit`` every setting is trained again from the same start, to training and validation images
    together, for as many steps of its schedule as were best before. Losses, and predictions of the validation
    images, stay those of the first fits.

    Parameters
    ----------
    spec
        A model that is trained by gradient descent.
    seed
        All settings of a seed share data, batch order and, unless they name another ``start``, initial
        values.
    data
        Data available to the fits.
    start_maps
        By name: (neuron, y, x) spike-triggered averages of ``data``.
    known_kernel
        (y, x) true receptive field, for ``cnn_known_kernel``.
    localized
        Result of the model's ``localizer``; its maps are among ``start_maps``.
    device
        Where to train.
    progress
        Holds the fits that an interrupted job completed; takes the new fits.
    transferred
        The core that the model's ``core_from`` names.

    Raises
    ------
    UserError
        If every setting diverged, or the loss cannot fit negative responses.
    """
    _, schedule = spec.trained
    data, feature_bank = prepared(spec, data, transferred)
    include_start = localized is not None

    def initialized(setting: Setting) -> Model:
        encoder = build_on(spec, setting, data, feature_bank)
        init_seed = _seeds(seed, int(setting.get("start", 0)))[0]
        encoder.initialize(_start(data, start_maps, known_kernel, localized, init_seed))
        if transferred is not None and isinstance(encoder, Encoder):
            frozen = spec.definition["core_from"]["mode"] == "frozen"
            encoder.transfer(transferred.state, 0.0 if frozen else _CORE_RATE)
        return encoder.to(device)

    blocks = _blocks(spec, data, device)
    schedule = schedule.with_steps(max(len(one.data.train_images) for one in blocks))
    done: list[tuple[Fit, dict[str, Tensor]]] = []
    for group in _groups(spec):
        done += _train(
            spec, seed, group, initialized, blocks, schedule, progress, include_start=include_start
        )
    fits, parameters = [fit for fit, _ in done], [state for _, state in done]
    if not any(np.isfinite(fit.validation_loss).all() for fit in fits):
        raise UserError(
            f"no fit of seed {seed} has a finite loss: lower the model's learning_rate, "
            "or scale the responses down"
        )
    if not spec.refit:
        return candidates_of(seed, data, spec.loss, parameters, fits)
    everything = _blocks(spec, with_validation(data), device)
    again = []
    for setting, fit, first in zip(spec.settings, fits, parameters, strict=True):
        ((second, state),) = _train(
            spec, seed, [setting], initialized, everything, schedule, progress, last_step=fit.best_step
        )
        again.append(state if np.isfinite(second.validation_loss).all() else first)
    predictions = validation_predictions(spec, parameters, data, feature_bank)
    return candidates_of(seed, data, spec.loss, again, fits, predictions)


def train(
    name: str,
    condition: Condition,
    definition: dict[str, Any],
    averages: Callable[[int], dict[str, np.ndarray]],
    localizer: ModelFits | None,
    cores: Mapping[int, TransferredCore],
    device: torch.device,
    progress: Progress,
) -> ModelFits:
    """Trains a model by gradient descent.

    Parameters
    ----------
    name
        Name of the model in messages.
    condition
        Data and seeds.
    definition
        The model in a resolved configuration.
    averages
        Returns the spike-triggered averages of a seed by name, (neuron, y, x) each.
    localizer
        Fits of the model's ``localizer``, if it has one.
    cores
        By seed, the core that the model's ``core_from`` names, if it has one.
    device, progress
        As for :func:`train_seed`.

    Raises
    ------
    UserError
        As :func:`train_seed`.
    """
    definition = condition.completed(definition)
    spec = ModelSpec.of(definition)
    warn_of_imitation(spec.trained[1].precision, device)
    kernel = shared_kernel(condition.dataset)
    candidates = []
    for seed in condition.seeds:
        start, maps = None, averages(seed)
        if localizer is not None:
            start, inferred = start_from(localizer.fits, localizer.validation, definition, seed)
            maps = maps | inferred
        data = condition.data(seed, definition.get("state"))
        trained = train_seed(spec, seed, data, maps, kernel, start, device, progress, cores.get(seed))
        candidates.append(trained)
    return ModelFits.of(name, definition, candidates)
