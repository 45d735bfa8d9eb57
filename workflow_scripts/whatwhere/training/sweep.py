"""Training of all fits of one condition (dataset, model and sizes) and seed: every setting of the grid."""

import dataclasses
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
from whatwhere.streams import Purpose, stream
from whatwhere.training.blocks import Block, blocks_of
from whatwhere.training.devices import warn_of_imitation
from whatwhere.training.fits import Candidates, ModelFits
from whatwhere.training.loop import Fit, Training
from whatwhere.training.losses import Objective
from whatwhere.training.prepare import build_on, candidates_of, prepared, validation_predictions
from whatwhere.training.progress import Progress
from whatwhere.training.starts import start_from
from whatwhere.training.transferred import TransferredCore, pictures_seen

logger = logging.getLogger(__name__)

_STRUCTURE = ("core",)
"""Hyper-parameters that change the model itself; fits that agree in them train together."""
_NO_PENALTY = (*_STRUCTURE, "start")  # keys of a setting that are not the strength of a penalty
_CORE_RATE = 0.1  # learning rate of a transferred core that is fine-tuned, relative to that of the readout


def n_trainings(spec: ModelSpec) -> int:
    """Number of trainings of :func:`train_seed`: every setting, and with ``refit`` all of them again."""
    return len(spec.settings) * (2 if spec.refit else 1)


def _groups(spec: ModelSpec) -> list[list[Setting]]:
    """Settings that train together: the same model with other penalties, at most ``fits_at_once``."""
    at_once = spec.trained[1].fits_at_once
    same = itertools.groupby(spec.settings, lambda setting: [setting.get(key) for key in _STRUCTURE])
    groups = [list(group) for _, group in same]
    return [group[i : i + at_once] for group in groups for i in range(0, len(group), at_once)]


def _seeds(seed: int, number: int) -> list[list[int]]:
    """Independent streams for initial values of ``number`` starts, batch order of recordings, and dropout."""
    children = stream(seed, Purpose.TRAINING).spawn(3)
    return [(child.generate_state(number, np.uint64) >> 1).tolist() for child in children]


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
    _, orders, dropout = _seeds(seed, len(blocks))
    torch.manual_seed(dropout[0])
    generators = [torch.Generator().manual_seed(order) for order in orders]
    training = Training(encoders, blocks, objectives, schedule, generators, last_step)
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
    """Trains every setting of a model that is trained by gradient descent, for one seed.

    With ``refit`` every setting is trained again from the same start, to training and validation images
    together, for as many steps of its schedule as were best before. Losses, and predictions of the validation
    images, stay those of the first fits. All settings of a seed share data, batch order and, unless they name
    another ``start``, initial values.

    ``start_maps`` are by name (neuron, y, x) spike-triggered averages of ``data``, and the maps of
    ``localized``, the result of the model's ``localizer``. ``known_kernel`` (y, x) is the true receptive
    field, for ``cnn_known_kernel``; ``transferred`` the core that ``core_from`` names. ``progress`` holds the
    fits that an interrupted job completed, and takes the new fits. UserError if every setting diverged, or
    the loss cannot fit negative responses.
    """
    convention, schedule = spec.trained
    data, feature_bank = prepared(spec, data, transferred)
    include_start = localized is not None

    def initialized(setting: Setting) -> Model:
        encoder = build_on(spec, setting, data, feature_bank)
        number = int(setting.get("start", 0))
        initial = _seeds(seed, number + 1)[0][number]
        encoder.initialize(_start(data, start_maps, known_kernel, localized, initial))
        if transferred is not None and isinstance(encoder, Encoder):
            frozen = spec.definition["core_from"]["mode"] == "frozen"
            encoder.transfer(transferred.state, 0.0 if frozen else _CORE_RATE)
        return encoder.to(device)

    blocks = blocks_of(data, device, convention.reduction)
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
    everything = blocks_of(with_validation(data), device, convention.reduction)
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

    ``name`` is the name of the model in messages, ``definition`` the model in a resolved configuration.
    ``averages`` returns the spike-triggered averages of a seed by name, (neuron, y, x) each. ``localizer``
    are the fits of the model's ``localizer``, and ``cores`` the cores that its ``core_from`` names, by seed.
    All else and errors are as for :func:`train_seed`.
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
        data, core = condition.data(seed, definition.get("state")), cores.get(seed)
        if core is not None:
            core.refuse_seen(condition.dataset, seed)
        trained = train_seed(spec, seed, data, maps, kernel, start, device, progress, core)
        candidates.append(
            dataclasses.replace(trained, pictures=pictures_seen(condition.dataset, data.subset, core))
        )
    return ModelFits.of(name, definition, candidates)
