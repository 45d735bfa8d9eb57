"""Start and end of every fit of a seed, trained or in closed form: data, models, candidates."""

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whatwhere import missing
from whatwhere.fit_data import FitData, evenly_scaled, scale_responses
from whatwhere.models.base import FixedFeatures, Model, predict_prepared
from whatwhere.models.feature_bank import TransferredFeatures
from whatwhere.models.output_curve import fit_curves
from whatwhere.models.space_time import SpaceTimeFeatures
from whatwhere.models.spec import ModelSpec, Setting
from whatwhere.models.trials import Trials
from whatwhere.presentations import Shown
from whatwhere.training.families import build, build_feature_bank
from whatwhere.training.fits import Candidates
from whatwhere.training.loop import Fit
from whatwhere.training.losses import mean_loss
from whatwhere.training.transferred import TransferredCore
from whatwhere.windows import as_images, as_tensor


def prepared(
    spec: ModelSpec, data: FitData, transferred: TransferredCore | None
) -> tuple[FitData, FixedFeatures | None]:
    """Data that a model is fitted to: scaled responses, and standardized maps of its feature bank as images.

    The feature bank is computed here, once for all settings of a seed. Below a transferred core it keeps the
    statistics with which the core was fitted. UserError if the loss cannot fit the responses, or the core
    does not fit the model.
    """
    responses = np.concatenate([data.train_responses, data.validation_responses])
    spec.check_responses(responses, data.subset.neurons)
    if spec.definition.get("responses", {}).get("scale") == "sd":
        data = scale_responses(data)
    feature_bank = build_feature_bank(spec, data.standardize.image_shape)
    if feature_bank is not None and not (
        isinstance(feature_bank, (TransferredFeatures, SpaceTimeFeatures)) and feature_bank.below is None
    ):
        data = evenly_scaled(data)
    if transferred is not None:
        transferred.check(data.standardize, spec.definition)
    if feature_bank is None:
        return data, None
    images = as_tensor(data.train_images)
    with torch.inference_mode():
        if transferred is None:
            train = feature_bank.standardize_on(images)
        elif isinstance(feature_bank, TransferredFeatures):
            feature_bank.transfer(transferred.state)
            train = feature_bank.standardize_on(images)
        else:
            feature_bank.load_state_dict(transferred.of_feature_bank())
            train = feature_bank(images)
        validation = feature_bank(as_tensor(data.validation_images))
    maps = dataclasses.replace(data, train_images=as_images(train), validation_images=as_images(validation))
    return maps, feature_bank


def build_on(spec: ModelSpec, setting: Setting, data: FitData, feature_bank: FixedFeatures | None) -> Model:
    """The uninitialized model of one setting, with the statistics of its feature bank."""
    encoder = build(spec, setting, data.standardize.image_shape, data.train_responses.shape[1])
    if feature_bank is not None and encoder.feature_bank is not None:
        encoder.feature_bank.load_state_dict(feature_bank.state_dict())
    if data.trials is not None:
        encoder.state.standardize_on(data.trials[0].covariates)
    return encoder


def candidates_of(
    seed: int,
    data: FitData,
    loss: str,
    parameters: list[dict[str, Tensor]],
    fits: list[Fit],
    predictions: list[Tensor] | None = None,
) -> Candidates:
    """Fits of all settings of a seed, with the facts about their data that selection and storage need.

    Where ``parameters`` are of second fits, which saw the validation images, ``fits`` are the first fits, and
    ``predictions`` are theirs for the validation images, (image, neuron) in the units of ``data``.
    """
    mean = missing.mean(data.train_responses)
    responses = torch.from_numpy(
        data.validation_responses if data.trials is None else data.trials[1].responses
    )
    of_mean = mean_loss(loss, torch.from_numpy(mean).expand_as(responses), responses)
    return Candidates(
        seed=seed,
        neurons=data.subset.neurons,
        standardize=data.standardize,
        response_scale=data.response_scale,
        parameters=parameters,
        fits=fits,
        validation_loss_of_mean=of_mean.numpy(),
        response_mean=mean * data.response_scale,
        n_images=data.n_images,
        recording=None if data.pooled is None else data.pooled.neurons,
        validation_predictions=None
        if predictions is None
        else torch.stack(predictions).numpy() * data.response_scale,
    )


def with_curves(
    spec: ModelSpec, parameters: list[dict[str, Tensor]], data: FitData, feature_bank: FixedFeatures | None
) -> list[dict[str, Tensor]]:
    """Adds to states of closed forms the curves from their drive to the training responses."""
    images = as_tensor(data.train_images)
    found = []
    for setting, state in zip(spec.settings, parameters, strict=True):
        encoder = build_on(spec, setting, data, feature_bank)
        encoder.load_state_dict(encoder.state_dict() | state)
        encoder.curve = None
        drives = predict_prepared(encoder, images).numpy()
        found.append(state | fit_curves(drives, data.train_responses))
    return found


def validation_predictions(
    spec: ModelSpec,
    parameters: list[dict[str, Tensor]],
    data: FitData,
    feature_bank: FixedFeatures | None,
    trials: Shown | None = None,
) -> list[Tensor]:
    """Predicted responses to the validation images of fits with complete states, (image, neuron) each.

    With ``trials``, to their presentations, (presentation, neuron) each.
    """
    images: Any = as_tensor(data.validation_images)
    if trials is not None:
        images = Trials.of(images, trials.image, trials.covariates)
    found = []
    for setting, state in zip(spec.settings, parameters, strict=True):
        encoder = build_on(spec, setting, data, feature_bank)
        encoder.load_state_dict(state)
        found.append(predict_prepared(encoder, images))
    return found
