"""Ensembles by validation: random starts of one model are averaged, models are mixed per neuron."""

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from whatwhere import missing
from whatwhere.dataset import repeat_mean, select_images
from whatwhere.errors import UserError
from whatwhere.fit_data import Condition, FitData
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.metrics import pearson
from whatwhere.models.ensemble import mix
from whatwhere.models.spec import settings
from whatwhere.standardize import Standardizer
from whatwhere.training.fits import Candidates, ModelFits
from whatwhere.training.loop import Fit
from whatwhere.training.prepare import candidates_of
from whatwhere.windows import Images


def selected_shares(member: ModelFits, seed: int) -> np.ndarray:
    """Share of every fit in the prediction of a model, (setting,); they add up to 1.

    The random starts of the setting with the lowest validation loss, averaged over neurons and starts, have
    equal shares; starts that diverged have none. All neurons get this setting, because a choice per neuron
    would fit the validation images on which models are compared.
    """
    loss = member.validation["validation_loss"].sel(seed=seed).values.astype(np.float64).mean(1)
    groups: dict[Any, list[int]] = defaultdict(list)
    for index, setting in enumerate(settings(member.fits["definition"])):
        if np.isfinite(loss[index]):
            groups[tuple(sorted((setting | {"start": 0}).items()))].append(index)
    if not groups:
        raise UserError(f"{member.name}: no fit of seed {seed} has a finite loss: leave the member out")
    best = min(groups.values(), key=lambda starts: loss[starts].mean())
    shares = np.zeros(len(loss))
    shares[best] = 1 / len(best)
    return shares


def predict_unseen(
    member: ModelFits, seed: int, shares: np.ndarray, images: Images, recording: np.ndarray | None
) -> np.ndarray:
    """Prediction (image, neuron) for validation images, as stored, by the fits that did not see these images.

    ``shares`` (setting,) weigh the fits; ``recording`` (image,) has the numbers of pooled recordings.
    """
    stored = member.fits["seeds"][seed].get("validation_predictions")
    if stored is not None:
        return np.einsum("s,sin->in", shares, stored.numpy(), dtype=np.float64)
    fits = {index: SeedFit.of(member.fits, seed, int(index)) for index in np.flatnonzero(shares)}
    weighted = [fit.predict(images, recording) * shares[index] for index, fit in fits.items()]
    return np.stack(weighted).sum(0, dtype=np.float64)


def fit_ensemble_seed(
    members: list[ModelFits], seed: int, data: FitData, images: Images, responses: np.ndarray
) -> tuple[Candidates, pd.DataFrame]:
    """Combines the fits of one seed by their predictions of validation images.

    Several models, fitted to the same neurons and images, are mixed by :func:`whatwhere.models.ensemble.mix`;
    of a single one, starts are averaged. ``images`` (image, channel, y, x) as stored and ``responses``
    (image, neuron) are those of validation. Returns the ensemble, as the only candidate, which takes stored
    images, and one row per member, best first: its own scores on the validation images, and its mean weight.
    UserError if no fit of a member has a finite loss.
    """
    shares = [selected_shares(member, seed) for member in members]
    recording = None if data.pooled is None else data.pooled.validation
    pairs = zip(members, shares, strict=True)
    alone = np.stack([predict_unseen(member, seed, s, images, recording) for member, s in pairs])
    if len(members) > 1:
        weights, bias = mix(alone, responses)
    else:
        weights, bias = np.ones((1, responses.shape[1])), np.zeros(responses.shape[1])
    error = ((weights[:, None] * alone).sum(0) + bias - responses) ** 2
    converged = all(
        (member.validation["converged"].sel(seed=seed).values[share > 0] > 0).all()
        for member, share, weight in zip(members, shares, weights, strict=True)
        if weight.any()
    )
    mean = missing.mean(data.train_responses)
    zeros, ones = np.zeros(images.shape[1:], np.float32), np.ones(images.shape[1:], np.float32)
    fits = [Fit(missing.mean(error), 0, 0, np.empty((0, 3)), converged)]
    candidates = dataclasses.replace(
        candidates_of(seed, data, "mse", [_parameters(members, seed, shares, weights, bias)], fits),
        standardize=Standardizer(zeros, ones),
        validation_loss_of_mean=missing.mean((mean - responses) ** 2),
    )
    ranking = pd.DataFrame(
        {
            "member": [member.name for member in members],
            **validation_scores(alone, responses),
            "mean_weight": weights.mean(1),
        }
    )
    return candidates, ranking.sort_values("validation_fve", ascending=False)


def fit_ensemble(
    name: str, condition: Condition, definition: dict[str, Any], members: Sequence[ModelFits]
) -> tuple[ModelFits, pd.DataFrame]:
    """Combines fits of other models to the same condition.

    Returns the ensemble, and the rows of :func:`fit_ensemble_seed` with the column ``seed``.
    """
    complete = definition | {"members": {one.name: one.fits["definition"] for one in members}}
    candidates = []
    rankings = []
    for seed in condition.seeds:
        data = condition.data(seed)
        images = select_images(condition.dataset, data.subset.validation)
        responses = repeat_mean(condition.dataset, data.subset.validation, data.subset.neurons)
        candidate, ranking = fit_ensemble_seed(list(members), seed, data, images, responses)
        candidates.append(candidate)
        rankings.append(ranking.assign(seed=seed))
    return ModelFits.of(name, complete, candidates), pd.concat(rankings, ignore_index=True)


def _parameters(
    members: list[ModelFits], seed: int, shares: list[np.ndarray], weights: np.ndarray, bias: np.ndarray
) -> dict[str, Tensor]:
    """State of a :class:`whatwhere.models.ensemble.Ensemble` of all settings of all members."""
    of_fits = np.concatenate([np.outer(share, weight) for share, weight in zip(shares, weights, strict=True)])
    parameters = {"weights": torch.from_numpy(of_fits).float(), "bias": torch.from_numpy(bias).float()}
    every = [(member, i) for member, share in zip(members, shares, strict=True) for i in range(len(share))]
    for place in np.flatnonzero(of_fits.any(1)):
        member, index = every[place]
        stored = member.fits["seeds"][seed]
        state = {name: stored[name] for name in ("input_mean", "input_sd", "response_scale")}
        state |= {f"model.{name}": value for name, value in stored["parameters"][index].items()}
        parameters |= {f"members.{place}.{name}": value for name, value in state.items()}
    return parameters


def validation_scores(predictions: np.ndarray, responses: np.ndarray) -> dict[str, list[float]]:
    """Fraction of validation variance explained, pooled over neurons, and mean correlation, per model.

    Every neuron's variance counts alike. The variance holds the noise of the responses, so that 1 is out of
    reach. ``predictions`` are (model, image, neuron), ``responses`` (image, neuron), NaN where not seen.
    """
    variance = missing.variance(responses)
    varies = variance > 0
    squares = (predictions - responses) ** 2
    error = np.stack([missing.mean(one) for one in squares])[:, varies] / variance[varies]
    return {
        "validation_fve": list(1 - error.mean(1)),
        "validation_correlation": [float(np.nanmean(pearson(one, responses))) for one in predictions],
    }
