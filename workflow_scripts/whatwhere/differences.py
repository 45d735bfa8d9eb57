"""Differences of models on the same test data, with paired errors.

Two models err on the same images and neurons, so that their difference is far surer than the errors of both
suggest. The bootstrap of a score (:func:`whatwhere.population.drawn_scores`) draws the same images and
neurons for every model of a condition: the spread of the differences of draws is the paired error.
"""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import erfc

MEASURES = ("correlation", "feve_pooled")
"""Scores that are compared."""

_CONDITION = ["dataset", "recording", "selection", "n_neurons", "n_images"]


def differences(drawn: Iterable[xr.Dataset]) -> pd.DataFrame:
    """All pairs of models of every condition.

    Parameters
    ----------
    drawn
        Draws of every model as :func:`whatwhere.evaluation.scores.write_scores` stores them.

    Returns
    -------
    The condition; ``measure``; ``model`` and ``against``, the better one first; their ``score`` and
    ``score_against``, means over fits, and ``difference``; ``se``, its standard error over test images (or
    blocks of a movie) and neurons; ``se_fits``, that over fits, NaN of one fit; ``n_fits``; ``p``, two-sided,
    of a normal distribution whose variance is the sum of both; and ``p_adjusted`` for all pairs of the
    condition and measure (Holm 1979). Where folds have test images of their own, both errors hold the
    variance of images, and ``p`` is rather too large.
    """
    rows = pd.concat([_rows(one) for one in drawn], ignore_index=True)
    tables = []
    for names, condition in rows.groupby([*_CONDITION, "measure"], sort=False):
        found = [_pair(*pair) for pair in itertools.combinations(_fits(condition), 2)]
        table = pd.DataFrame([one for one in found if one is not None])
        if len(table):
            keys: dict[str, Any] = dict(zip([*_CONDITION, "measure"], names, strict=True))
            tables.append(table.assign(**keys, p_adjusted=_holm(table["p"].to_numpy())))
    if not tables:
        return pd.DataFrame(columns=[*_CONDITION, "measure", "model", "against", "difference"])
    table = pd.concat(tables, ignore_index=True)
    first = [*_CONDITION, "measure"]
    return table[[*first, *(name for name in table if name not in first)]]


def _rows(drawn: xr.Dataset) -> pd.DataFrame:
    """A row per fit and measure, with its ``value`` and its draws."""
    names = pd.DataFrame({name: drawn[name].values for name in drawn if drawn[name].dims == ("fit",)})
    return pd.concat(
        [
            names.assign(measure=name, value=value, draws=[*draws])
            for name, value, draws in zip(
                drawn["measure"].values, drawn["value"].values, drawn["drawn"].values, strict=True
            )
        ]
    )


def _fits(condition: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Fits of every model, by seed; a model that several experiments fit counts once."""
    return [
        (str(model), rows[rows["experiment"] == rows["experiment"].iloc[0]].set_index("seed"))
        for model, rows in condition.groupby("model", sort=False)
    ]


def _pair(one: tuple[str, pd.DataFrame], other: tuple[str, pd.DataFrame]) -> dict[str, object] | None:
    """The difference of two models, or None if they were not tested on the same data."""
    if not one[1]["test_data"].equals(other[1]["test_data"]):
        return None
    difference = (one[1]["value"] - other[1]["value"]).to_numpy()
    if difference.mean() < 0:
        return _pair(other, one)
    draws = np.mean([np.subtract(*both) for both in zip(one[1]["draws"], other[1]["draws"], strict=True)], 0)
    se = standard_error(draws)
    of_fits = np.std(difference, ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.nan
    total = np.hypot(se, np.nan_to_num(of_fits))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = erfc(difference.mean() / total / np.sqrt(2))
    scores = {"score": one[1]["value"].mean(), "score_against": other[1]["value"].mean()}
    names = {"model": one[0], "against": other[0], **scores, "difference": difference.mean()}
    return names | {"se": se, "se_fits": of_fits, "n_fits": len(difference), "p": p}


def standard_error(draws: np.ndarray) -> float:
    """Standard error from draws (3, draw) of images and neurons together, of images and of neurons.

    The first counts what is of an image and a neuron alone, such as noise, three times, and the others count
    it once each (Owen 2007): twice their sum without the first counts everything once. The limits are those
    of exact variances.
    """
    together, images, neurons = np.var(draws, axis=1, ddof=1)
    variance = np.clip(2 * (images + neurons) - together, max(images, neurons), images + neurons)
    return float(np.sqrt(variance))


def _holm(p: np.ndarray) -> np.ndarray:
    """P adjusted for their number (Holm 1979); NaN stay NaN, and count."""
    order = np.argsort(p)
    adjusted = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted[np.argsort(order)]
