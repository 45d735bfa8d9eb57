"""Fits in closed form: every setting of a model that is not trained, for one seed."""

import dataclasses
import logging

import numpy as np
import torch
from torch import Tensor

from whatwhere.config.traits import traits_of
from whatwhere.fit_data import FitData, with_validation
from whatwhere.models.base import FixedFeatures
from whatwhere.models.spec import ModelSpec
from whatwhere.training.families import FAMILIES
from whatwhere.training.fits import Candidates
from whatwhere.training.loop import Fit
from whatwhere.training.losses import mean_loss
from whatwhere.training.prepare import (
    candidates_of,
    prepared,
    validation_predictions,
    with_bank,
    with_second_fits,
)
from whatwhere.training.transferred import TransferredCore

logger = logging.getLogger(__name__)


def fit_seed(
    spec: ModelSpec, seed: int, data: FitData, transferred: TransferredCore | None = None
) -> Candidates:
    """Fit every setting of a model that is not trained; parameters and errors as in ``train_seed``.

    With ``refit`` every setting is fitted again to training and validation images together. Losses, and
    predictions of the validation images by which models are mixed, stay those of the first fits; so do the
    parameters from which networks start.
    """
    data, feature_bank = prepared(spec, data, transferred)
    parameters = _fit(spec, data, feature_bank)
    predictions = validation_predictions(spec, parameters, data, feature_bank)
    responses = torch.from_numpy(data.validation_responses)
    fits = []
    for setting, predicted in zip(spec.settings, predictions, strict=True):
        # A linear prediction can be negative where a rate cannot.
        rated = predicted.clamp(min=0) if spec.loss == "poisson" else predicted
        loss = mean_loss(spec.loss, rated, responses).numpy()
        logger.info("seed %d %s: validation %.6g", seed, setting, loss.mean())
        fits.append(Fit(loss, 0, 0, np.empty((0, 3)), converged=True))
    candidates = candidates_of(seed, data, spec.loss, parameters, fits)
    if not spec.refit:
        return candidates
    again = with_second_fits(candidates, _fit(spec, with_validation(data), feature_bank), predictions)
    localizes = traits_of(spec.definition).localizes
    return dataclasses.replace(again, first_parameters=parameters) if localizes else again


def _fit(spec: ModelSpec, data: FitData, feature_bank: FixedFeatures | None) -> list[dict[str, Tensor]]:
    """Complete state of the fit of every setting."""
    fit = FAMILIES[spec.family].fit
    if fit is None:
        raise ValueError(f"{spec.family} is trained by gradient descent")
    return [with_bank(state, feature_bank) for state in fit(spec, data)]
