"""Scores of predictions, one value per neuron; NaN where a quantity is undefined.

Image i of I was presented R_i times, M times in all, and evoked responses y_ir with mean m_i; p_i is the
prediction. Images weigh as often as they were shown to a neuron, <x> = sum_i R_i x_i / M. For each neuron,

====================  ====================================  ================================================
noise                 sum_ir (y_ir - m_i)^2 / (M - I)       variance of one presentation
total                 <(m - <m>)^2>                         variance of the means over repeats
explainable variance  total - (I - 1) noise / M             that of the true responses (analysis of variance)
mse                   <(m - p)^2>                           mean squared error
unexplained variance  mse - I noise / M                     that against the true responses
fev                   explainable / (explainable + noise)   reliability: explainable part of one presentation
feve                  1 - unexplained / explainable         fraction of explainable variance explained
correlation           cov(m, p) / (sd(m) sd(p))             with the mean over repeats
cc_max                sqrt(explainable / total)             what noise allows it to be (Schoppe et al. 2016)
cc_norm               correlation / cc_max
====================  ====================================  ================================================

With equal repeats of every image these are the formulas of section G.4, except for the factor I / (I - 1)
between its two variances. Rates have no noise: ``feve`` is that of section A.3, and there is no ceiling.
Negative scores are kept.

Shapes are responses (repeat, image, neuron) with NaN for missing repeats, predictions (image, neuron).

>>> truth = np.array([[0.0], [1.0], [2.0], [3.0]])
>>> half = scores(truth / 2, truth[None], noise_free=True)
>>> [round(float(half[name][0]), 3) for name in ("feve", "correlation", "explainable_variance")]
[0.3, 1.0, 1.25]
>>> noisy = np.stack([truth - 0.5, truth + 0.5])  # noise of 0.5
>>> found = scores(truth, noisy, noise_free=False)
>>> [round(float(found[name][0]), 3) for name in ("explainable_variance", "fev", "cc_max")]
[1.062, 0.68, 0.922]
"""

import logging

import numpy as np

from whatwhere.errors import some_of

logger = logging.getLogger(__name__)

SCORES = [
    "correlation",
    "correlation_single_trial",
    "feve",
    "mse",
    "cc_max",
    "cc_norm",
    "fev",
    "explainable_variance",
    "unexplained_variance",
    "covariance",
    "predicted_variance",
]
"""Columns of the score tables, in order; the last four are summed where neurons are pooled."""

STATE_SCORES = ["single_trial_stimulus", "single_trial_state", "state_explains"]
"""Further columns for models with state, see :func:`whatwhere.evaluation.scores.state_scores`."""

_BLOCK = 512  # neurons scored at once
_SILENT = 1e-6
"""Largest deviation of responses from their mean, relative to their size, that rounding may leave."""


def _check_shapes(predictions: np.ndarray, responses: np.ndarray) -> None:
    if responses.ndim != 3 or predictions.shape != responses.shape[1:]:
        raise ValueError(
            f"predictions {predictions.shape} and responses {responses.shape} are no (image, neuron) and "
            "(repeat, image, neuron)"
        )


def image_moments(predictions: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Moments of all scores before summation over images, which can thus be weighted.

    They are (moment, image, neuron): 1, R, the squared deviations of repeats from their mean, and R times m,
    m^2, p, p^2 and m p, where m and p are relative to the mean response of the neuron; all 0 where an image
    was not shown to a neuron. ValueError if shapes do not fit, or a neuron has no response at all.
    """
    _check_shapes(predictions, responses)
    present = ~np.isnan(responses)
    repeats = present.sum(0).astype(np.float64)
    if not repeats.any(0).all():
        raise ValueError("every neuron needs a response")
    shown = repeats > 0
    center = np.nanmean(responses, axis=(0, 1), dtype=np.float64)
    trials = np.where(present, responses - center, 0.0)
    # Rounding of the mean must not make a constant neuron vary.
    trials *= np.abs(trials).max((0, 1)) > _SILENT * np.nanmax(np.abs(responses), axis=(0, 1))
    mean = trials.sum(0) / np.where(shown, repeats, 1)
    within = (np.where(present, trials - mean, 0.0) ** 2).sum(0)
    predicted = np.where(shown, predictions - center, 0.0)
    products = [mean, mean**2, predicted, predicted**2, mean * predicted]
    return np.stack([shown.astype(np.float64), repeats, within, *(repeats * one for one in products)])


def summed_moments(predictions: np.ndarray, responses: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sums over images of :func:`image_moments`, weights (draw, image) to (moment, draw, neuron)."""
    # In blocks: moments are several times larger than the responses.
    blocks = [slice(start, start + _BLOCK) for start in range(0, responses.shape[2], _BLOCK)]
    sums = [weights @ image_moments(predictions[:, some], responses[:, :, some]) for some in blocks]
    return np.concatenate(sums, axis=2)


def _noise(images: np.ndarray, shown: np.ndarray, within: np.ndarray) -> np.ndarray:
    return within / np.where(shown > images, shown - images, np.nan)


def scores_of(sums: np.ndarray, noise_free: bool) -> dict[str, np.ndarray]:
    """All scores by column name, (...) each, from sums (moment, ...) over images of :func:`image_moments`."""
    images, shown, within, *rest = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        response, squared, predicted, predicted_squared, product = (one / shown for one in rest)
        total = squared - response**2
        known = total > 0
        total = np.where(known, total, np.nan)
        noise = np.zeros_like(total) if noise_free else _noise(images, shown, within)
        explainable = total - (images - 1) / shown * noise
        error = squared - 2 * product + predicted_squared
        unexplained = np.where(known, error - images / shown * noise, np.nan)
        predicted_variance = np.maximum(predicted_squared - predicted**2, 0)
        # Predictions that hardly vary relative to the responses count as constant: their correlation is 0.
        varies = predicted_variance > 1e-10 * total
        covariance = np.where(varies, product - response * predicted, 0.0 * total)
        scale = np.where(varies, predicted_variance, 1.0)
        positive = np.where(explainable > 0, explainable, np.where(np.isnan(explainable), np.nan, 0.0))
        undefined = np.full_like(total, np.nan)
        correlation = covariance / np.sqrt(scale * total)
        ceiling = undefined if noise_free else np.sqrt(positive / total)
        # Variance of all presentations; unknown, like the noise, where no image was repeated.
        spread = undefined if noise_free else total + within / shown + 0 * noise
        return {
            "correlation": correlation,
            "correlation_single_trial": covariance / np.sqrt(scale * spread),
            "feve": np.where(positive > 0, 1 - unexplained / explainable, np.nan),
            "mse": error,
            "cc_max": ceiling,
            "cc_norm": np.where(ceiling > 0, correlation / ceiling, np.nan),
            "fev": positive / (positive + noise),
            "explainable_variance": explainable,
            "unexplained_variance": unexplained,
            "covariance": covariance,
            "predicted_variance": np.where(varies, predicted_variance, 0.0 * total),
        }


def finite_predictions(predictions: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Replaces predictions of neurons with an infinite prediction by their mean response, with a warning."""
    shown = ~np.isnan(responses).all(0)
    infinite = (shown & ~np.isfinite(predictions)).any(0)
    if not infinite.any():
        return predictions
    logger.warning(
        "%d neurons have predictions that are no finite numbers and count as predicted by their mean: %s",
        infinite.sum(),
        some_of(np.flatnonzero(infinite)),
    )
    return np.where(infinite, np.nanmean(responses, axis=(0, 1), dtype=np.float64), predictions)


def scores(predictions: np.ndarray, responses: np.ndarray, noise_free: bool) -> dict[str, np.ndarray]:
    """All scores of one fit by column name, (neuron,) each.

    Parameters
    ----------
    predictions
        (image, neuron); a neuron with an infinite prediction scores as if its mean was predicted.
    responses
        (repeat, image, neuron).
    noise_free
        The responses are rates without noise: ``feve`` needs no repeats, and there is no ceiling.
    """
    _check_shapes(predictions, responses)
    predictions = finite_predictions(predictions, responses)
    once = np.ones((1, len(predictions)))
    return scores_of(summed_moments(predictions, responses, once)[:, 0], noise_free)


def pearson(predictions: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Pearson correlation over images, (image, neuron) twice to (neuron,).

    0 where a prediction is constant (section G.4), or hardly varies beside the response; NaN where the
    response is constant.

    >>> pearson(np.array([[1.0], [2.0], [4.0]]), np.array([[3.0], [5.0], [9.0]])).round(6)
    array([1.])
    """
    return scores(predictions, responses[None], noise_free=True)["correlation"]


def noise_variance(responses: np.ndarray) -> np.ndarray:
    """Variance of one presentation around the mean of its image, (neuron,); NaN without repeats.

    >>> noise_variance(np.array([[[1.0], [5.0]], [[3.0], [5.0]]]))
    array([1.])
    """
    images, shown, within = image_moments(np.zeros(responses.shape[1:]), responses)[:3].sum(1)
    return _noise(images, shown, within)


def cc_max(responses: np.ndarray) -> np.ndarray:
    """Highest correlation with the mean over repeats that noise allows, (neuron,).

    0 where no variance is explainable; NaN without repeats, or for constant responses.
    """
    return scores(np.zeros(responses.shape[1:]), responses, noise_free=False)["cc_max"]
