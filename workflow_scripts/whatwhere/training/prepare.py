"""Start and end of every fit of a seed, trained or in closed form: data, models, candidates."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from whatwhere import seen
from whatwhere.fit_data import FitData, check_responses, evenly_scaled, scale_responses
from whatwhere.models.base import Model, predict_prepared
from whatwhere.models.feature_bank import StandardizedBank
from whatwhere.models.learned_bank import LearnedBank
from whatwhere.models.spec import ModelSpec, Setting
from whatwhere.training.carried import CarriedCore
from whatwhere.training.families import build, build_bank
from whatwhere.training.fits import Candidates
from whatwhere.training.loop import Fit
from whatwhere.training.losses import mean_loss


def prepared(
    spec: ModelSpec, data: FitData, carried: CarriedCore | None
) -> tuple[FitData, StandardizedBank | None]:
    """Data that a model is fitted to: responses in its units, and maps of its bank, standardised, as images.

    The bank is computed here, once for all settings of a seed. Below a carried core it keeps the statistics
    with which the core was fitted.

    Raises
    ------
    UserError
        If the loss cannot fit the responses, or the core does not fit the model.
    """
    responses = np.concatenate([data.train_responses, data.validation_responses])
    check_responses(spec, responses, data.draw.neurons)
    if spec.definition.get("responses", {}).get("scale") == "sd":
        data = scale_responses(data)
    bank = build_bank(spec, data.standardize.image_shape)
    if bank is not None and not (isinstance(bank, LearnedBank) and bank.below is None):
        data = evenly_scaled(data)
    if carried is not None:
        carried.check_images(data.standardize)
        if "cores" in spec.definition:
            carried.check_network(spec.definition)
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


def build_on(spec: ModelSpec, setting: Setting, data: FitData, bank: StandardizedBank | None) -> Model:
    """The uninitialised model of one setting, with the statistics of its bank."""
    encoder = build(spec, setting, data.standardize.image_shape, data.train_responses.shape[1])
    if bank is not None and encoder.bank is not None:
        encoder.bank.load_state_dict(bank.state_dict())
    return encoder


def with_bank(state: dict[str, Tensor], bank: StandardizedBank | None) -> dict[str, Tensor]:
    """State of a model with the statistics of its bank, if it has one."""
    return state | ({} if bank is None else {f"bank.{key}": one for key, one in bank.state_dict().items()})


def candidates_of(
    seed: int, data: FitData, loss: str, parameters: list[dict[str, Tensor]], fits: list[Fit]
) -> Candidates:
    """Fits of all settings of a seed, with the facts about their data that selection and storage need."""
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
    spec: ModelSpec, parameters: list[dict[str, Tensor]], data: FitData, bank: StandardizedBank | None
) -> list[Tensor]:
    """Predicted responses to the validation images of fits with complete states, (image, neuron) each."""
    images = torch.from_numpy(data.validation_images)
    found = []
    for setting, state in zip(spec.settings, parameters, strict=True):
        encoder = build_on(spec, setting, data, bank)
        encoder.load_state_dict(state)
        found.append(predict_prepared(encoder, images))
    return found


def with_second_fits(
    candidates: Candidates, parameters: list[dict[str, Tensor]], predictions: list[Tensor]
) -> Candidates:
    """Candidates that predict with second fits, which saw the validation images, too.

    Parameters
    ----------
    candidates
        First fits, whose losses stay.
    parameters
        State of every second fit.
    predictions
        (image, neuron) of the validation images by every first fit, in the units of the fits.
    """
    scaled = torch.stack(predictions).numpy() * candidates.response_scale
    return dataclasses.replace(candidates, parameters=parameters, validation_predictions=scaled)
