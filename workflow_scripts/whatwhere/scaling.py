"""How many images one curve needs more than another for the same performance (questions 2 and 5).

No form of the curves is assumed but that they rise. At the performance of one point the other curve is
searched for the data size that reaches it; sizes that do not differ significantly, over seeds, form the
interval (Fieller's way: it has no end where the curve is too flat to have one). The point is a measured one,
or read off the first curve at a stated performance. Between measured sizes nobody knows how a curve rises:
the interval holds those of a curve that rises early and of one that rises late. docs/statistics.md says how
often it covers.
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
"""Columns of an exchange rate: between which populations, whether at one of :data:`STATED`, at which
performance, and its 95 % interval; then how many times the recording time, and the responses, the larger
population takes. Neurons that are recorded together cost no time."""

_STEPS = 64
"""Data sizes tried per octave."""
_LEAST = 0.01
"""Below this, performance, and what it lacks to 1, counts as this where logarithms are taken."""


@dataclass(frozen=True)
class Shift:
    """Horizontal distance of two curves.

    Attributes
    ----------
    performance
        At which it is taken.
    image_doublings
        Doublings of images that the first curve needs more than the second; NaN where one of them does not
        reach this performance.
    low, high
        95 % confidence interval over seeds. NaN where there is no bound: of a single seed, or where the curve
        is too flat or too short.
    n_seeds
        Seeds of both curves.
    """

    performance: float
    image_doublings: float
    low: float
    high: float
    n_seeds: int


def measure_of(scores: pd.DataFrame) -> str:
    """What the scores of a dataset are compared by: a column.

    ``feve`` where test responses are free of noise, so that nothing has a ceiling. ``correlation`` elsewhere:
    on noisy responses the FEVE of neurons with little explainable variance outweighs all others in a mean.
    """
    noise_free = scores["feve"].notna() & scores["cc_max"].isna()
    return "feve" if noise_free.any() else "correlation"


def paired_curves(
    first: pd.DataFrame, second: pd.DataFrame, measure: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean performance by data size and seed, over the neurons and seeds that both tables hold.

    Neurons differ more than fits do; a pair of populations, of which the larger holds the smaller, is
    compared on the smaller one.

    Parameters
    ----------
    first, second
        Columns ``n_images``, ``seed``, ``neuron`` and the measure.
    measure
        A column.

    Returns
    -------
    (n_images, seed) twice. Populations that are predicted worse than by their mean count as 0.
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
    """How many doublings of images the first curve needs more than the second.

    Parameters
    ----------
    first, second
        (n_images, seed) performance, as :func:`paired_curves` returns it.

    Returns
    -------
    At the measured point that lies nearest to the middle of the range of performance which both curves have.
    None without two sizes of a curve, where nothing is explained, or where nothing can be said.
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
    """How many doublings of images the first curve needs more than the second for a performance.

    Where the first curve reaches it is compared with the second as a measured point is.

    Parameters
    ----------
    first, second
        (n_images, seed) performance, as :func:`paired_curves` returns it.
    performance
        Where the curves are compared.

    Returns
    -------
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
    image_doublings, low, high = np.array(found).T
    if np.isnan(image_doublings[0]):
        return None
    return Shift(
        performance, float(image_doublings[0]), float(np.min(low)), float(np.max(high)), first.shape[1]
    )


def _between(sizes: np.ndarray, values: np.ndarray, x: np.ndarray) -> list[np.ndarray]:
    """Performance (size, seed) read off between log sizes in three ways, (x, seed) each.

    A monotone cubic; and curves that rise as late, or as early, as one whose logarithm, or that of what it
    lacks to 1, is straight.
    """

    def straight(some: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(x, sizes, one) for one in some.T], -1)

    late, early = (np.log(np.maximum(some, _LEAST)) for some in (values, 1 - values))
    return [PchipInterpolator(sizes, values)(x), np.exp(straight(late)), 1 - np.exp(straight(early))]


def image_doublings_to_reach(curves: pd.DataFrame, levels: np.ndarray) -> np.ndarray:
    """Log2 images at which curves reach levels, between sizes by monotone cubics.

    Parameters
    ----------
    curves
        (n_images, curve) performance, of two sizes or more.
    levels
        (curve,) performance.

    Returns
    -------
    (curve,); infinite where a curve does not reach its level, and -infinite where it starts above it.
    """
    sizes, values, x = _tried(curves)
    missing = levels - PchipInterpolator(sizes, values)(x)
    return np.array([_crossing(x, one) for one in missing.T])


def _tried(curve: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log sizes (size,) and performance (size, seed) of a curve, and the log sizes at which it is read."""
    sizes = np.log2(curve.index.to_numpy(np.float64))
    x = np.linspace(sizes[0], sizes[-1], round((sizes[-1] - sizes[0]) * _STEPS) + 1)
    return sizes, curve.to_numpy(), x


def _crossing(x: np.ndarray, missing: np.ndarray) -> float:
    """Where what is missing (size,) first falls to 0: -inf if it starts below, inf if it stays above."""
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
        # Two or three seeds hardly know their variance: it is that at both sizes around.
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
    # An end that one way of reading lacks is none.
    return float(image_doublings[0]), float(np.min(lows)), float(np.max(highs))


def _end(x: np.ndarray, rejected: np.ndarray) -> float:
    """The first size that is not rejected, from a start that is; NaN if the start is not."""
    if not rejected[0]:
        return np.nan
    return float(x[-1] if rejected.all() else x[np.argmin(rejected)])


def exchange_rates(scores: pd.DataFrame, measure: str) -> list[dict[str, float]]:
    """How many doublings of images a doubling of neurons is worth, for every pair of population sizes.

    In the middle of what both curves reach, and at every one of :data:`STATED` that both reach.

    Parameters
    ----------
    scores
        Of one dataset, model and selection rule: columns ``n_neurons``, ``n_images``, ``seed``, ``neuron``
        and the measure.
    measure
        A column.

    Returns
    -------
    Rows with the columns :data:`RATES`.
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
