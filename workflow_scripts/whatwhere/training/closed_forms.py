"""Fits in closed form: every setting of a model that is not trained, for one seed."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
import torch

from whatwhere.fit_data import FitData, with_validation
from whatwhere.models.base import predict_prepared
from whatwhere.training.carried import CarriedCore
from whatwhere.training.families import FAMILIES, settings
from whatwhere.training.fits import Candidates
from whatwhere.training.loop import Fit
from whatwhere.training.losses import mean_loss
from whatwhere.training.prepare import candidates_of, check, loaded, seen_by, validation_predictions

logger = logging.getLogger(__name__)


def fit_seed(
    definition: dict[str, Any], seed: int, data: FitData, carried: CarriedCore | None = None
) -> Candidates:
    """Fit every setting of a model that is not trained; parameters and errors as in ``train_seed``."""
    check(definition, data)
    data, bank = seen_by(definition, data, carried)
    combinations = settings(definition)
    family = FAMILIES[definition["family"]]
    if family.fit is None:
        raise ValueError(f"{definition['family']} is trained by gradient descent")
    parameters = family.fit(definition, combinations, data)
    images = torch.from_numpy(data.validation_images)
    responses = torch.from_numpy(data.validation_responses)
    fits = []
    for setting, state in zip(combinations, parameters, strict=True):
        predictions = predict_prepared(loaded(definition, setting, state, data, bank), images)
        if definition["loss"] == "poisson":
            # A linear prediction can be negative where a rate cannot.
            predictions = predictions.clamp(min=0)
        loss = mean_loss(definition["loss"], predictions, responses).numpy()
        logger.info("seed %d %s: validation %.6g", seed, setting, loss.mean())
        fits.append(Fit(loss, 0, 0, np.empty((0, 3)), finished=True))
    return candidates_of(seed, data, definition["loss"], parameters, fits)


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
    data, bank = seen_by(definition, data, carried)
    predictions = validation_predictions(definition, candidates, data, bank)
    parameters = family.fit(definition, settings(definition), with_validation(data))
    for one in zip(settings(definition), parameters, strict=True):
        loaded(definition, *one, data, bank)
    return dataclasses.replace(candidates, parameters=parameters, validation_predictions=predictions)
