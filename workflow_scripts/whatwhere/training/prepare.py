"""What every fit of a seed starts from and ends in, trained or in closed form: data, models, candidates."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whatwhere import seen
from whatwhere.fit_data import FitData, check_responses, evenly_scaled, scale_responses
from whatwhere.models.base import Model, predict_prepared
from whatwhere.models.feature_bank import StandardizedBank
from whatwhere.models.learned_bank import LearnedBank
from whatwhere.training.carried import CarriedCore
from whatwhere.training.families import Setting, build, build_bank, settings
from whatwhere.training.fits import Candidates
from whatwhere.training.loop import Fit
from whatwhere.training.losses import mean_loss


def check(definition: dict[str, Any], data: FitData) -> None:
    """Refuse responses that the loss cannot fit, with the advice that the family can take."""
    check_responses(
        definition, np.concatenate([data.train_responses, data.validation_responses]), data.draw.neurons
    )


def seen_by(
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


def build_on(
    definition: dict[str, Any], setting: Setting, data: FitData, bank: StandardizedBank | None
) -> Model:
    """The uninitialised model of one setting, with the statistics of its bank."""
    encoder = build(definition, setting, data.standardize.image_shape, data.train_responses.shape[1])
    if bank is not None and encoder.bank is not None:
        encoder.bank.load_state_dict(bank.state_dict())
    return encoder


def loaded(
    definition: dict[str, Any],
    setting: Setting,
    state: dict[str, Tensor],
    data: FitData,
    bank: StandardizedBank | None,
) -> Model:
    """The model of one setting with its state, which is completed by the statistics of the bank."""
    encoder = build_on(definition, setting, data, bank)
    state |= {name: value for name, value in encoder.state_dict().items() if name.startswith("bank.")}
    encoder.load_state_dict(state)
    return encoder


def candidates_of(
    seed: int, data: FitData, loss: str, parameters: list[dict[str, Tensor]], fits: list[Fit]
) -> Candidates:
    """Fits of all settings of a seed, with what selection and storage need to know of their data."""
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


def validation_predictions(
    definition: dict[str, Any], candidates: Candidates, data: FitData, bank: StandardizedBank | None
) -> np.ndarray:
    """What fits that saw training images alone predict of the validation images, (setting, image, neuron)."""
    images = torch.from_numpy(data.validation_images)
    predictions = [
        predict_prepared(loaded(definition, *one, data, bank), images).numpy()
        for one in zip(settings(definition), candidates.parameters, strict=True)
    ]
    return np.stack(predictions) * candidates.response_scale
