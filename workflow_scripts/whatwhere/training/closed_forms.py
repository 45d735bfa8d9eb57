"""Fits in closed form: every setting of a model that is not trained, for one seed."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whatwhere.config.traits import traits_of
from whatwhere.fit_data import Condition, FitData, with_validation
from whatwhere.models.spec import ModelSpec
from whatwhere.training.covariates import with_offsets, without_covariates
from whatwhere.training.families import FAMILIES
from whatwhere.training.fits import Candidates, ModelFits
from whatwhere.training.loop import Fit
from whatwhere.training.losses import mean_loss
from whatwhere.training.prepare import candidates_of, prepared, validation_predictions, with_curves
from whatwhere.training.transferred import TransferredCore

logger = logging.getLogger(__name__)


def fit_seed(
    spec: ModelSpec, seed: int, data: FitData, transferred: TransferredCore | None = None
) -> Candidates:
    """Fits every setting of a model that is not trained; parameters and errors as in ``train_seed``.

    With ``refit`` every setting is fitted again to training and validation images together. Losses, and
    predictions of the validation images by which models are mixed, stay those of the first fits; so do the
    parameters from which networks start.
    """
    data, feature_bank = prepared(spec, data, transferred)
    fit = FAMILIES[spec.family].fit
    if fit is None:
        raise ValueError(f"{spec.family} is trained by gradient descent")
    bank_state = {} if feature_bank is None else feature_bank.state_dict()
    statistics = {f"feature_bank.{key}": value for key, value in bank_state.items()}

    def fitted(data: FitData) -> list[dict[str, Tensor]]:
        given = without_covariates(data)
        found = [state | statistics for state in fit(spec, given)]
        if spec.definition.get("output_curve"):
            found = with_curves(spec, found, given, feature_bank)
        return with_offsets(spec, found, data, feature_bank)

    parameters = fitted(data)
    predictions = validation_predictions(spec, parameters, data, feature_bank)
    responses, tested = torch.from_numpy(data.validation_responses), predictions
    if data.trials is not None:
        shown = data.trials[1]
        responses = torch.from_numpy(shown.responses)
        tested = validation_predictions(spec, parameters, data, feature_bank, shown)
    fits = []
    for setting, predicted in zip(spec.settings, tested, strict=True):
        # A linear prediction can be negative where a rate cannot.
        rated = predicted.clamp(min=0) if spec.loss == "poisson" else predicted
        loss = mean_loss(spec.loss, rated, responses).numpy()
        logger.info("seed %d %s: validation %.6g", seed, setting, loss.mean())
        fits.append(Fit(loss, 0, 0, np.empty((0, 3)), converged=True))
    if not spec.refit:
        return candidates_of(seed, data, spec.loss, parameters, fits)
    candidates = candidates_of(seed, data, spec.loss, fitted(with_validation(data)), fits, predictions)
    localizes = traits_of(spec.definition).localizes
    return dataclasses.replace(candidates, first_parameters=parameters) if localizes else candidates


def fit_baseline(
    name: str, condition: Condition, definition: dict[str, Any], cores: Mapping[int, TransferredCore]
) -> ModelFits:
    """Fits a model in closed form or by inference; parameters as for
    :func:`whatwhere.training.sweep.train`.
    """
    definition = condition.completed(definition)
    for seed, core in cores.items():
        core.refuse_seen(condition.dataset, seed)
        definition = core.completed(definition)
    spec = ModelSpec.of(definition)
    state = definition.get("state")
    candidates = [
        fit_seed(spec, seed, condition.data(seed, state), cores.get(seed)) for seed in condition.seeds
    ]
    return ModelFits.of(name, definition, candidates)
