"""Horizontal distance of two curves: images that one needs more than the other (questions 2 and 5).

Curves are assumed to rise, and nothing else. At the performance of a point on one curve the other curve is
searched for the data size that reaches this performance; sizes that do not differ significantly, over seeds,
form the interval (Fieller's method: it has no end where the curve is too flat). The point is a measured one,
or read off the first curve at a stated performance. How a curve rises between measured sizes is unknown: the
interval holds those of a curve that rises early and of a curve that rises late. docs/statistics.md has the
measured coverage.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator
from scipy.special import stdtrit

MIN_PERFORMANCE = 0.05
"""Performance below which there is nothing to compare."""

STATED = (0.3, 0.5, 0.7, 0.9)
"""Performances at which exchange rates are given beside that in the middle of both curves."""

RATES = [
    *("neurons_from", "neurons_to", "stated", "performance", "rate", "low", "high", "n_seeds"),
    *("recording_time", "n_responses"),
]
"""Columns of an exchange rate: the two populations, whether at one of :data:`STATED`, the performance, the
rate and its 95 % interval; then the recording time and the number of responses of the larger population,
relative to the smaller. Neurons that are recorded together cost no time."""

_STEPS = 64
"""Data sizes tried per doubling."""
_LEAST = 0.01
"""Least performance, and least distance to 1, where logarithms are taken."""


@dataclass(frozen=True)
class Shift:
    """Horizontal distance of two curves at a performance.

    ``image_doublings`` are the doublings of images that the first curve needs more than the second; NaN where
    a curve does not reach the performance. ``low`` and ``high`` are the 95 % confidence interval over the
    ``n_seeds`` of both curves; NaN for a single seed, or where the curve is too flat or too short.
    """

    performance: float
    image_doublings: float
    low: float
    high: float
    n_seeds: int


def measure_of(scores: pd.DataFrame) -> str:
    """Column by which the scores of a dataset are compared.

    ``feve`` where test responses are free of noise, and ``correlation`` elsewhere: on noisy responses the
    FEVE of neurons with little explainable variance outweighs all others in a mean.
    """
    noise_free = scores["feve"].notna() & scores["cc_max"].isna()
    return "feve" if noise_free.any() else "correlation"


def paired_curves(
    first: pd.DataFrame, second: pd.DataFrame, measure: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean performance by data size and seed, over the neurons and seeds that both tables hold.

    Neurons differ more than fits do; a pair of populations, of which the larger holds the smaller, is
    compared on the neurons of the smaller. Tables have the columns ``n_images``, ``seed``, ``neuron`` and
    ``measure``, curves are (n_images, seed). Populations predicted worse than by their mean count as 0.
    """
    units = ["seed", "neuron"]
    both = pd.merge(first[units].drop_duplicates(), second[units].drop_duplicates(), on=units)

    def curve(scores: pd.DataFrame) -> pd.DataFrame:
        known = scores.merge(both, on=units).dropna(subset=measure)
        return known.groupby(["n_images", "seed"])[measure].mean().clip(lower=0).unstack("seed").sort_index()

    one, other = curve(first), curve(second)
    # Sizes that only some seeds were fitted to would compare other seeds.
    seeds = one.columns.intersection(other.columns)
    return one[seeds].dropna(), other[seeds].dropna()


def shift(first: pd.DataFrame, second: pd.DataFrame) -> Shift | None:
    """Distance at the measured point nearest to the middle of the performances which both curves have.

    Curves are (n_images, seed). None without two sizes of a curve, where nothing is explained, or where
    neither the distance nor a bound is known.
    """
    if first.empty or second.empty or max(len(first), len(second)) < 2:
        return None
    means = [curve.to_numpy().mean(1) for curve in (first, second)]
    middle = (max(mean.min() for mean in means) + min(mean.max() for mean in means)) / 2
    # The other curve is searched, and needs more than a point.
    found = [
        (abs(value - middle), which, row)
        for which, mean in enumerate(means)
        if len(means[1 - which]) > 1
        for row, value in enumerate(mean)
    ]
    _, which, row = min(found)
    performance = float(means[which][row])
    if performance < MIN_PERFORMANCE:
        return None
    fixed, searched = (first, second) if which == 0 else (second, first)
    image_doublings, low, high = _search(fixed.to_numpy()[row], searched)
    if np.isnan([image_doublings, low, high]).all():
        return None
    here = float(np.log2(fixed.index[row]))
    if which == 0:
        return Shift(performance, here - image_doublings, here - high, here - low, first.shape[1])
    return Shift(performance, image_doublings - here, low - here, high - here, first.shape[1])


def shift_at(first: pd.DataFrame, second: pd.DataFrame, performance: float) -> Shift | None:
    """Distance at a performance, like :func:`shift`, from the point where the first curve reaches it.

    None where a curve does not reach the performance, starts above it, or is a single point.
    """
    if min(len(first), len(second)) < 2 or first.shape[1] == 0:
        return None
    sizes, values, x = _tried(first)
    found = []
    for interpolated in _between(sizes, values, x):
        here = _crossing(x, performance - interpolated.mean(1))
        if not np.isfinite(here):
            return None
        level = np.array([np.interp(here, x, one) for one in interpolated.T])
        image_doublings, low, high = _search(level, second)
        found.append((here - image_doublings, here - high, here - low))
    (value, *_), low, high = np.array(found).T
    if np.isnan(value):
        return None
    return Shift(performance, float(value), float(np.min(low)), float(np.max(high)), first.shape[1])


def _between(sizes: np.ndarray, values: np.ndarray, x: np.ndarray) -> list[np.ndarray]:
    """Performance (size, seed) between log sizes, (x, seed) each, of three interpolations.

    A monotone cubic, a late rise (the logarithm is linear) and an early rise (that of the distance to 1 is).
    """

    def straight(some: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(x, sizes, one) for one in some.T], -1)

    late, early = (np.log(np.maximum(some, _LEAST)) for some in (values, 1 - values))
    return [PchipInterpolator(sizes, values)(x), np.exp(straight(late)), 1 - np.exp(straight(early))]


def image_doublings_to_reach(curves: pd.DataFrame, levels: np.ndarray) -> np.ndarray:
    """Log2 images (curve,) at which curves (n_images, curve) reach levels (curve,), by monotone cubics.

    Infinite where a curve of two sizes or more does not reach its level, and -infinite where it starts above.
    """
    sizes, values, x = _tried(curves)
    missing = levels - PchipInterpolator(sizes, values)(x)
    return np.array([_crossing(x, one) for one in missing.T])


def _tried(curve: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log sizes (size,) and performance (size, seed) of a curve, and the log sizes to try."""
    sizes = np.log2(curve.index.to_numpy(np.float64))
    x = np.linspace(sizes[0], sizes[-1], round((sizes[-1] - sizes[0]) * _STEPS) + 1)
    return sizes, curve.to_numpy(), x


def _crossing(x: np.ndarray, missing: np.ndarray) -> float:
    """Size at which ``missing`` (size,) first falls to 0: -inf if it starts below, inf if it stays above."""
    falling = np.minimum.accumulate(missing)
    if falling[0] <= 0:
        return -np.inf
    return float(np.interp(0, -falling, x)) if falling[-1] < 0 else np.inf


def _search(level: np.ndarray, curve: pd.DataFrame) -> tuple[float, float, float]:
    """Log2 images at which a curve reaches ``level`` (seed,), and their confidence interval."""
    sizes, values, x = _tried(curve)
    n_seeds = len(level)
    half = np.full(len(x), np.nan)
    if n_seeds > 1:
        # The variance of two or three seeds is uncertain: both neighboring sizes are averaged.
        variance = (level - values).var(1, ddof=1)
        size = np.clip(np.searchsorted(sizes, x, side="right") - 1, 0, len(sizes) - 2)
        error = np.sqrt((variance[size] + variance[size + 1]) / 2 / n_seeds)
        half = stdtrit(2 * (n_seeds - 1), 0.975) * error
    image_doublings, lows, highs = [], [], []
    for interpolated in _between(sizes, values, x):
        missing = (level - interpolated).mean(1)
        crossing = _crossing(x, missing)
        image_doublings.append(crossing if np.isfinite(crossing) else np.nan)
        too_few, too_many = missing > half, missing < -half
        lows.append(_end(x, too_few))
        highs.append(_end(x[::-1], too_many[::-1]))
    # An end that one interpolation lacks is NaN.
    return float(image_doublings[0]), float(np.min(lows)), float(np.max(highs))


def _end(x: np.ndarray, rejected: np.ndarray) -> float:
    """The first size that is not rejected; NaN if the start is not rejected."""
    if not rejected[0]:
        return np.nan
    return float(x[-1] if rejected.all() else x[np.argmin(rejected)])


def exchange_rates(scores: pd.DataFrame, measure: str) -> list[dict[str, float]]:
    """Doublings of images that a doubling of neurons is worth, for every pair of population sizes.

    In the middle of what both curves reach, and at every one of :data:`STATED` that both reach; rows with
    the columns :data:`RATES`. Scores are of one dataset, model and selection rule, with the columns
    ``n_neurons``, ``n_images``, ``seed``, ``neuron`` and ``measure``.
    """
    rows = []
    for few, many in combinations(sorted(scores["n_neurons"].unique()), 2):
        small, large = (scores[scores["n_neurons"] == size] for size in (few, many))
        curves = paired_curves(small, large, measure)
        doublings = np.log2(many / few)
        shifts = [(False, shift(*curves)), *((True, shift_at(*curves, level)) for level in STATED)]
        rows += [
            {
                "neurons_from": few,
                "neurons_to": many,
                "stated": stated,
                "performance": found.performance,
                "rate": found.image_doublings / doublings,
                "low": found.low / doublings,
                "high": found.high / doublings,
                "n_seeds": found.n_seeds,
                "recording_time": 2**-found.image_doublings,
                "n_responses": 2**-found.image_doublings * many / few,
            }
            for stated, found in shifts
            if found is not None
        ]
    return rows
