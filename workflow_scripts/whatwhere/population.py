"""Scores of populations with standard errors.

A mean of ratios is dominated by the neurons whose denominator is hardly more than noise. Ratios are therefore
pooled: the sum of their numerators over the sum of their denominators, in which neurons weigh by their
explainable variance (the paper pools FEVE like this in Figure 5, F.5). Two more summaries are the median over
neurons with explainable variance and the mean over reliable neurons, with the numbers of these neurons.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from whatwhere.metrics import finite_predictions, scores_of, summed_moments

RELIABLE = 0.15
"""Least ``fev`` of a reliable neuron (Cadena et al. 2019)."""

LEAST_REPEATS = 8
"""Least number of repeats for means over neurons that are selected by the denominators of the ratios."""

N_DRAWS = 200
"""Draws of the bootstrap: the error of standard errors is 1 / sqrt(2 N_DRAWS), 5 %."""

MEANS = ["correlation", "correlation_single_trial", "mse", "cc_max"]
"""Scores with a meaningful mean over all neurons: without explainable variance a ceiling is 0."""
POOLED = ["feve_pooled", "feve_reliable", "cc_norm_pooled", "cc_norm_reliable"]
RELIABLE_MEANS = ["feve_reliable", "cc_norm_reliable"]
MEDIANS = ["feve_median", "cc_norm_median"]
COUNTS = ["n_scored", "n_explainable", "n_reliable", "n_above_ceiling"]

Neurons = dict[str, np.ndarray]
"""Columns of :data:`whatwhere.metrics.SCORES`, (..., neuron)."""


@dataclass(frozen=True)
class Evaluation:
    """Test data of the fit of a seed: predictions (image, neuron) of responses (repeat, image, neuron).

    ``images`` and ``neurons`` are indices into the dataset. ``units`` (image,) are the numbers of what is
    resampled together, the images themselves or blocks of a movie. ``noise_free`` says that responses are
    rates.
    """

    seed: int
    predictions: np.ndarray
    responses: np.ndarray
    images: np.ndarray
    units: np.ndarray
    neurons: np.ndarray
    noise_free: bool


def enough_repeats(one: Evaluation) -> bool:
    """Whether means over reliable neurons are free of the bias that :data:`LEAST_REPEATS` explains."""
    present = ~np.isnan(one.responses)
    return one.noise_free or bool(present.sum() >= LEAST_REPEATS * present.any(0).sum())


def weighted_scores(neurons: Neurons, weights: np.ndarray) -> dict[str, np.ndarray]:
    """:data:`MEANS` and :data:`POOLED` scores of weighted neurons, weights (..., neuron) to (...) each.

    The pooled CC_norm is the sum of covariances over the root of the sums of predicted and explainable
    variances.

    >>> from whatwhere.metrics import SCORES
    >>> variances = {"explainable_variance": [4.0, 0.1], "unexplained_variance": [2.0, 4.1]}
    >>> given = variances | {"fev": [0.5, 0.01], "feve": [0.5, -40.0]}
    >>> found = weighted_scores({name: np.array(given.get(name, [0.0, 0.0])) for name in SCORES}, np.ones(2))
    >>> round(float(found["feve_pooled"]), 3), float(found["feve_reliable"])
    (-0.488, 0.5)
    """

    def mean(name: str, of: np.ndarray) -> np.ndarray:
        known = np.where(np.isnan(neurons[name]), 0.0, of)
        return np.nansum(known * neurons[name], -1) / known.sum(-1)

    def total(name: str) -> np.ndarray:
        return np.nansum(weights * neurons[name], -1)

    reliable = weights * (neurons["fev"] >= RELIABLE)
    with np.errstate(invalid="ignore", divide="ignore"):
        explainable = total("explainable_variance")
        explainable = np.where(explainable > 0, explainable, np.nan)
        normalizer = np.sqrt(total("predicted_variance") * explainable)
        # A constant prediction correlates with nothing; without a ceiling the score is unknown.
        normalized = total("covariance") / np.where(normalizer > 0, normalizer, 1.0) + 0 * explainable
        return {
            **{name: mean(name, weights) for name in MEANS},
            "feve_pooled": 1 - total("unexplained_variance") / explainable,
            "feve_reliable": mean("feve", reliable),
            "cc_norm_pooled": np.where(np.isnan(mean("cc_max", weights)), np.nan, normalized),
            "cc_norm_reliable": mean("cc_norm", reliable),
        }


def population_scores(neurons: Neurons) -> dict[str, float]:
    """Means, pooled scores, medians and counts of one population, (neuron,) columns.

    ``n_scored`` neurons respond differently to different images. ``n_explainable`` of these have explainable
    variance; medians are over them. ``n_reliable`` have a ``fev`` of :data:`RELIABLE` or more, and
    ``n_above_ceiling`` of these a FEVE or CC_norm above 1.
    """
    known = {name: neurons[name][~np.isnan(neurons[name])] for name in ("correlation", "feve", "cc_norm")}
    reliable = neurons["fev"] >= RELIABLE
    above = reliable & ((neurons["feve"] > 1) | (neurons["cc_norm"] > 1))
    weighted = weighted_scores(neurons, np.ones(len(reliable)))
    medians = {f"{name}_median": np.median(known[name]) for name in ("feve", "cc_norm") if len(known[name])}
    return {
        **{name: float(value) for name, value in weighted.items()},
        **dict.fromkeys(MEDIANS, np.nan),
        **{name: float(value) for name, value in medians.items()},
        "n_scored": len(known["correlation"]),
        "n_explainable": len(known["feve"]),
        "n_reliable": int(reliable.sum()),
        "n_above_ceiling": int(above.sum()),
    }


def drawn_scores(evaluations: list[Evaluation], seed: int) -> dict[str, np.ndarray]:
    """:func:`weighted_scores` of fits for draws of test images and neurons, (fit, 3, draw) by name.

    A bootstrap of images and neurons together, of images alone, and of neurons alone, with equal counts for
    all fits, since errors of fits to the same data are not independent; models with equal test data have
    equal counts. Blocks take the place of the bins of a movie, since neighboring bins share stimuli and
    noise. ``seed`` is that of the draws.
    """
    rng = np.random.default_rng(seed)

    def drawn(indices: list[np.ndarray]) -> list[np.ndarray]:
        """Counts (draw, index) for every fit."""
        units = np.unique(np.concatenate(indices))
        counts = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), N_DRAWS).astype(np.float64)
        return [counts[:, np.searchsorted(units, some)] for some in indices]

    images, neurons = drawn([one.units for one in evaluations]), drawn([one.neurons for one in evaluations])
    found = []
    for one, of_images, of_neurons in zip(evaluations, images, neurons, strict=True):
        counts = np.concatenate([of_images, np.ones_like(of_images[:1])])
        sums = summed_moments(finite_predictions(one.predictions, one.responses), one.responses, counts)
        drawn_images, all_images = (scores_of(some, one.noise_free) for some in (sums[:, :-1], sums[:, -1:]))
        every = np.ones_like(of_neurons)
        ways = ((drawn_images, of_neurons), (drawn_images, every), (all_images, of_neurons))
        found.append([weighted_scores(*way) for way in ways])
    return {name: np.array([[way[name] for way in ways] for ways in found]) for name in found[0][0]}


def standard_errors(drawn: dict[str, np.ndarray]) -> dict[str, float]:
    """Standard error, over test images and neurons, of the mean over fits, from :func:`drawn_scores`.

    It excludes the spread over fits, and is slightly too wide (Owen 2007). A single neuron adds nothing.
    """
    return {name: _spread(draws[:, 0].mean(0)) for name, draws in drawn.items()}


def _spread(drawn: np.ndarray) -> float:
    """Standard deviation of draws, NaN where more than one in twenty is undefined."""
    defined = drawn[np.isfinite(drawn)]
    return float(np.std(defined, ddof=1)) if len(defined) >= 0.95 * len(drawn) else np.nan


def above_ceiling(scores: Mapping[str, float]) -> str:
    """A remark if a population is predicted better than noise allows, from its pooled scores; or nothing.

    >>> above_ceiling({"feve_pooled": 1.04, "cc_norm_pooled": 0.98})
    'feve_pooled is 1.040, above 1: an axis or the repeats may be mistaken, or it is chance with few images'
    """
    found = [
        f"{name} is {scores[name]:.3f}" for name in ("feve_pooled", "cc_norm_pooled") if scores[name] > 1
    ]
    advice = "an axis or the repeats may be mistaken, or it is chance with few images"
    return f"{' and '.join(found)}, above 1: {advice}" if found else ""
