"""Scores of predictions, one value per neuron; NaN where a quantity is undefined.

Shapes are responses (repeat, image, neuron) with NaN for missing repeats, predictions (image, neuron).
Negative scores are kept: thresholds are a matter of presentation.
"""

from __future__ import annotations

import warnings

import numpy as np

SCORES = ["correlation", "correlation_single_trial", "feve", "mse", "cc_max", "cc_norm"]
"""Columns of the score tables, in order."""


def _mean(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    with warnings.catch_warnings():
        # An all-NaN slice is an undefined quantity, and its mean is NaN as promised.
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=axis, dtype=np.float64))


def _positive(variance: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A variance (neuron,) of values (..., neuron), NaN where it is no more than what rounding leaves."""
    largest = np.nanmax(np.abs(values), axis=tuple(range(values.ndim - 1)), initial=0)
    return np.where(variance > 1e-12 * largest**2, variance, np.nan)


def _trial_variance(responses: np.ndarray) -> np.ndarray:
    """Variance over repeats, (repeat, image, neuron) to (image, neuron); NaN below two repeats."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanvar(responses, axis=0, ddof=1, dtype=np.float64)


def pearson(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson correlation over images, (image, neuron) twice to (neuron,).

    0 where the first, the prediction, is constant (section G.4), or hardly varies beside the second; NaN
    where the second is constant.
    """
    of_prediction = first - first.mean(0, dtype=np.float64)
    of_response = second - second.mean(0, dtype=np.float64)
    norm = np.sqrt((of_prediction**2).sum(0) * (of_response**2).sum(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (of_prediction * of_response).sum(0) / norm
    r = np.where(of_prediction.std(0) <= 1e-5 * of_response.std(0), 0.0, r)
    return np.where(np.isnan(_positive(of_response.var(0), second)), np.nan, r)


def correlation(predictions: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Correlation of predictions with the mean over repeats (section G.4), (neuron,)."""
    return pearson(predictions, _mean(responses, 0))


def correlation_single_trial(predictions: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Correlation of predictions with single trials, pooled over repeats and images, (neuron,).

    NaN unless there are single trials of at least one repeated image.
    """
    scores = np.full(predictions.shape[1], np.nan)
    if len(responses) < 2:
        return scores
    for neuron in range(predictions.shape[1]):
        trials = responses[:, :, neuron]
        present = ~np.isnan(trials)
        predicted = np.broadcast_to(predictions[:, neuron], trials.shape)[present]
        scores[neuron] = pearson(predicted[:, None], trials[present][:, None])[0]
    return scores


def noise_variance(responses: np.ndarray) -> np.ndarray:
    """Variance over repeats of one trial, averaged over images with two repeats or more, (neuron,)."""
    return _mean(_trial_variance(responses), 0)


def mean_noise_variance(responses: np.ndarray) -> np.ndarray:
    """Variance of the mean over repeats, averaged over images (section G.4), (neuron,).

    Images that were shown once have the trial variance of the others: their means are the noisiest. NaN
    where no image was repeated.
    """
    counts = (~np.isnan(responses)).sum(0)
    variance = _trial_variance(responses)
    variance = np.where(np.isnan(variance), _mean(variance, 0), variance)
    with np.errstate(divide="ignore"):
        return (variance / counts).mean(0)


def mse(predictions: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Mean squared error against the mean over repeats, (neuron,)."""
    return ((predictions - _mean(responses, 0)) ** 2).mean(0)


def feve(predictions: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Fraction of explainable variance explained, from repeats (section G.4), (neuron,).

    1 - (MSE - noise) / (total - noise) with the variance of repeat means as total and the variance of
    their noise. NaN where no image was repeated or no variance is explainable.
    """
    total = _mean(responses, 0).var(0, ddof=1)
    noise = mean_noise_variance(responses)
    explainable = _positive(total - noise, responses)
    return 1 - (mse(predictions, responses) - noise) / explainable


def feve_noise_free(predictions: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """FEVE against responses without noise (section A.3), (image, neuron) twice to (neuron,)."""
    variance = _positive(rates.var(0, dtype=np.float64), rates)
    return 1 - ((predictions - rates) ** 2).mean(0, dtype=np.float64) / variance


def cc_max(responses: np.ndarray) -> np.ndarray:
    """Highest correlation with the repeat mean that noise allows (Schoppe et al. 2016), (neuron,).

    sqrt(signal / (signal + noise / repeats)), with signal power from the variance of means over images.
    NaN without repeats, or where the signal power is not positive.
    """
    total = _mean(responses, 0).var(0, ddof=1)
    signal = _positive(total - mean_noise_variance(responses), responses)
    return np.sqrt(signal / total)


def scores(predictions: np.ndarray, responses: np.ndarray, noise_free: bool) -> dict[str, np.ndarray]:
    """All scores of one fit by column name, (neuron,) each.

    Parameters
    ----------
    predictions
        (image, neuron).
    responses
        (repeat, image, neuron).
    noise_free
        The responses are rates without noise, so that ``feve`` needs no repeats and a ceiling is moot.
    """
    undefined = np.full(predictions.shape[1], np.nan)
    ceiling = undefined if noise_free else cc_max(responses)
    against_mean = correlation(predictions, responses)
    return {
        "correlation": against_mean,
        "correlation_single_trial": correlation_single_trial(predictions, responses),
        "feve": feve_noise_free(predictions, responses[0]) if noise_free else feve(predictions, responses),
        "mse": mse(predictions, responses),
        "cc_max": ceiling,
        "cc_norm": against_mean / ceiling,
    }
