"""Covariates as further regressors of closed forms, without a penalty.

The responses of all presentations are first regressed on the covariates. The closed form is fitted to what is
left, averaged over repeats. Then the covariates are regressed on what its predictions leave of the responses.
Both steps give the joint solution where covariates do not depend on the images.
"""

import dataclasses

import numpy as np
import torch
from torch import Tensor

from whatwhere import missing
from whatwhere.fit_data import FitData
from whatwhere.models.base import FixedFeatures, predict_prepared
from whatwhere.models.spec import ModelSpec
from whatwhere.training.prepare import build_on
from whatwhere.windows import as_tensor


def _regress(covariates: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Weights (column, neuron) of least squares with an intercept, of responses (presentation, neuron)."""
    weights = np.zeros((covariates.shape[1], responses.shape[1]))
    for some, neurons in missing.groups(responses):
        inputs, outputs = covariates[some], missing.select(responses, some, neurons)
        weights[:, neurons] = np.linalg.lstsq(inputs - inputs.mean(0), outputs - outputs.mean(0))[0]
    return weights


def without_covariates(data: FitData) -> FitData:
    """Data whose training responses are averages of what their regression on covariates leaves."""
    if data.trials is None:
        return data
    train = data.trials[0]
    covariates = train.covariates - train.covariates.mean(0, dtype=np.float64)
    left = train.responses - covariates @ _regress(covariates, train.responses)
    means = dataclasses.replace(train, responses=left).means(len(data.train_images))
    return dataclasses.replace(data, train_responses=means)


def with_offsets(
    spec: ModelSpec, parameters: list[dict[str, Tensor]], data: FitData, feature_bank: FixedFeatures | None
) -> list[dict[str, Tensor]]:
    """Adds weights, means and sds of covariates to states of closed forms, if data have presentations."""
    if data.trials is None:
        return parameters
    train, images, found = data.trials[0], as_tensor(data.train_images), []
    for setting, state in zip(spec.settings, parameters, strict=True):
        encoder = build_on(spec, setting, data, feature_bank)
        encoder.load_state_dict(encoder.state_dict() | state)
        left = train.responses - predict_prepared(encoder, images).numpy()[train.image]
        weights = torch.from_numpy(_regress(train.covariates.astype(np.float64), left).T)
        encoder.state.offset_weights.data.copy_(weights * encoder.state.sd)
        found.append(state | encoder.state.state_dict(prefix="state."))
    return found
