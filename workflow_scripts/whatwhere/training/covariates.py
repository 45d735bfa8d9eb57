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


def _standardized(covariates: np.ndarray) -> np.ndarray:
    """Covariates (presentation, column) minus their mean, in units of their sd."""
    sd = covariates.std(0, dtype=np.float64)
    return (covariates - covariates.mean(0, dtype=np.float64)) / np.where(sd > 0, sd, 1)


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
    train, _ = data.trials
    inputs = _standardized(train.covariates)
    left = train.responses - inputs @ _regress(inputs, train.responses)
    means = dataclasses.replace(train, responses=left).means(len(data.train_images))
    return dataclasses.replace(data, train_responses=means)


def with_offsets(
    spec: ModelSpec, parameters: list[dict[str, Tensor]], data: FitData, feature_bank: FixedFeatures | None
) -> list[dict[str, Tensor]]:
    """Adds to states of closed forms the weights of covariates, and mean and sd of these."""
    assert data.trials is not None
    train, _ = data.trials
    inputs, images = _standardized(train.covariates), as_tensor(data.train_images)
    found = []
    for setting, state in zip(spec.settings, parameters, strict=True):
        encoder = build_on(spec, setting, data, feature_bank)
        encoder.load_state_dict(encoder.state_dict() | state)
        left = train.responses - predict_prepared(encoder, images).numpy()[train.image]
        encoder.state.offset_weights.data = torch.from_numpy(_regress(inputs, left).T.astype(np.float32))
        of_state = {name: one for name, one in encoder.state_dict().items() if name.startswith("state.")}
        found.append(state | of_state)
    return found
