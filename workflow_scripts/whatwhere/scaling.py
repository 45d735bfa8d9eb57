"""How performance grows with neurons and images, and how many images a neuron is worth (question 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import least_squares
from scipy.special import expit

MIN_CELLS = 5
"""One more than the parameters of :class:`Curve`."""

MIN_PERFORMANCE = 0.05
"""Best performance below which there is nothing to compare."""

_LOWER = (-2.0, 0.0, 0.02, -40.0)
_UPPER = (4.0, 1.0, 6.0, 80.0)


@dataclass(frozen=True)
class Curve:
    """Performance as one function of effective images, D_eff = images x neurons ** rate.

    ``top / (1 + exp(slope * (midpoint - log2 D_eff)))``. A
    doubling of neurons is then worth ``rate`` doublings of images: 0 if neurons share nothing, 1 if only
    the total number of recordings counts.

    Attributes
    ----------
    rate, top, slope, midpoint
        The parameters.
    rmse
        Root mean squared residual of the fit.
    """

    rate: float
    top: float
    slope: float
    midpoint: float
    rmse: float = np.nan

    def __call__(self, n_neurons: np.ndarray, n_images: np.ndarray) -> np.ndarray:
        """Performance at population and data sizes of any common shape."""
        return _performance(
            np.array([self.rate, self.top, self.slope, self.midpoint]), np.log2(n_neurons), np.log2(n_images)
        )


def _performance(parameters: np.ndarray, log_neurons: np.ndarray, log_images: np.ndarray) -> np.ndarray:
    rate, top, slope, midpoint = parameters
    return top * expit(slope * (log_images + rate * log_neurons - midpoint))


def fit_curve(n_neurons: np.ndarray, n_images: np.ndarray, performance: np.ndarray) -> Curve | None:
    """Least-squares fit of a :class:`Curve`; None if sizes and performance do not identify its rate.

    Parameters
    ----------
    n_neurons, n_images, performance
        (cell,). Negative performance counts as 0, that of predicting the mean, as in the paper's curves.
    """
    if len(np.unique(n_neurons)) < 2 or len(np.unique(n_images)) < 2 or len(performance) < MIN_CELLS:
        return None
    log_neurons, log_images = np.log2(n_neurons), np.log2(n_images)
    target = np.clip(performance, 0, 1)
    best = None
    # The surface has local minima where one population size is ignored.
    for rate in (0.0, 0.4, 0.8, 1.2):
        middle = float(np.median(log_images + rate * log_neurons))
        start = np.clip([rate, min(1.0, target.max() + 0.05), 0.8, middle], _LOWER, _UPPER)
        result = least_squares(
            lambda p: _performance(p, log_neurons, log_images) - target, start, bounds=(_LOWER, _UPPER)
        )
        best = result if best is None or result.cost < best.cost else best
    assert best is not None
    rate, top, slope, midpoint = map(float, best.x)
    if not _LOWER[0] < rate < _UPPER[0] or target.max() < MIN_PERFORMANCE:
        return None
    return Curve(rate, top, slope, midpoint, rmse=float(np.sqrt(np.mean(best.fun**2))))


def measure_of(scores: pd.DataFrame) -> str:
    """What the scores of a dataset are compared by: a column.

    ``feve`` where test responses are free of noise, so that nothing has a ceiling. ``correlation`` elsewhere:
    on noisy responses the FEVE of neurons with little explainable variance outweighs all others in a mean.
    """
    noise_free = scores["feve"].notna() & scores["cc_max"].isna()
    return "feve" if noise_free.any() else "correlation"


def cell_means(scores: pd.DataFrame, measure: str, weights: np.ndarray | None = None) -> pd.DataFrame:
    """Mean of a measure over seeds and neurons for every population and data size.

    Parameters
    ----------
    scores
        Columns ``n_neurons``, ``n_images``, ``seed``, ``neuron`` and the measure; undefined scores are
        left out.
    measure
        A column.
    weights
        (row,) weights, or None for equal ones; cells without weight are left out.
    """
    table = scores[["n_neurons", "n_images"]].assign(
        weight=np.ones(len(scores)) if weights is None else weights, value=scores[measure]
    )
    table = table[table.value.notna() & (table.weight > 0)]
    table["value"] *= table["weight"]
    sums = table.groupby(["n_neurons", "n_images"], sort=True)[["value", "weight"]].sum().reset_index()
    return sums.assign(value=sums.value / sums.weight).drop(columns="weight")


def bootstrap_weights(scores: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Random positive weights of seeds and neurons, (row,): a Bayesian bootstrap (Rubin 1981).

    A neuron, and a seed, has one weight for all population and data sizes: its scores there are not
    independent. Weights are positive, so that sizes with a single seed are never lost. They follow the gamma
    distribution whose weighted means of n values vary by the unbiased variance over n.
    """
    weights = np.ones(len(scores))
    for unit in ("seed", "neuron"):
        values, position = np.unique(scores[unit], return_inverse=True)
        shape = max(len(values) - 2, 0.1) / len(values)
        weights *= rng.gamma(shape, size=len(values))[position]
    return weights


def exchange_rate(
    scores: pd.DataFrame, measure: str, n_bootstraps: int, seed: int
) -> dict[str, float] | None:
    """The fitted curve of a table of scores with a 95 % confidence interval of its rate.

    Returns
    -------
    ``rate``, ``low``, ``high`` (percentiles over bootstraps of seeds and neurons; NaN for a single seed, or
    where more than one bootstrap in twenty does not identify the rate), the other parameters of
    :class:`Curve`, its ``rmse`` and ``n_cells``; None if the sizes do not identify it.
    """
    means = cell_means(scores, measure)
    curve = fit_curve(*means.to_numpy().T)
    if curve is None:
        return None
    low, high = np.nan, np.nan
    if scores["seed"].nunique() > 1:
        rng = np.random.default_rng(seed)
        drawn = (
            fit_curve(*cell_means(scores, measure, bootstrap_weights(scores, rng)).to_numpy().T)
            for _ in range(n_bootstraps)
        )
        rates = [one.rate for one in drawn if one is not None]
        if len(rates) >= 0.95 * n_bootstraps:
            low, high = np.percentile(rates, [2.5, 97.5])
    return {
        "rate": curve.rate,
        "low": float(low),
        "high": float(high),
        "top": curve.top,
        "slope": curve.slope,
        "midpoint": curve.midpoint,
        "rmse": curve.rmse,
        "n_cells": len(means),
    }
