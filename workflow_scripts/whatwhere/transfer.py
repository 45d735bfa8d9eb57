"""Gains from other recordings for the neurons of one recording: correlation, and images saved.

Curves are compared with the target's own ridge, over the neurons and folds that both curves have. Intervals
are over both: a bootstrap draws neurons and folds, with equal counts for the curve and the ridge. Images
saved are the horizontal distance to the curve of the ridge, see :mod:`whatwhere.scaling`; they are unknown
where the ridge does not reach, or starts above, a correlation.
"""

import numpy as np
import pandas as pd

from whatwhere.scaling import image_doublings_to_reach

N_DRAWS = 1000  # draws of the bootstrap

Curve = pd.DataFrame  # (n_images, (seed, neuron)) correlation, NaN where it is not defined or was not fitted


def curve_of(scores: pd.DataFrame) -> Curve:
    """The curve of one model, from columns ``n_images``, ``seed``, ``neuron`` and ``correlation``."""
    return scores.pivot_table(
        index="n_images", columns=["seed", "neuron"], values="correlation", dropna=False
    ).sort_index()


def rows_of(curve: Curve, ridge: Curve, seed: int) -> list[dict[str, float]]:
    """Estimates at each size of the curve of a training strategy.

    ``ridge`` is the curve of the target's own ridge. Returns ``n_images``; ``correlation``, the mean over
    neurons and folds; ``gain`` over the ridge with as many images; ``image_doublings``, doublings of images
    that the ridge needs more for an equal correlation. Each has ``_low`` and ``_high``, the ends of its 95 %
    interval, NaN where there is none. ``seed`` is that of the draws.
    """
    both = curve.columns[curve.notna().any()].intersection(ridge.columns[ridge.notna().any()])
    means, ridge_means = _drawn_means([curve[both], ridge[both]], seed)
    rows = []
    for n_images, level in zip(means.index.to_numpy(), means.to_numpy(), strict=True):
        same_size = ridge_means.reindex([n_images]).to_numpy()[0]
        image_doublings = image_doublings_to_reach(ridge_means, level) - np.log2(n_images)
        rows.append(
            {
                "n_images": int(n_images),
                **_with_interval("correlation", level),
                **_with_interval("gain", level - same_size),
                **_with_interval("image_doublings", image_doublings),
            }
        )
    return rows


def _drawn_means(curves: list[Curve], seed: int) -> list[pd.DataFrame]:
    """Mean correlation (n_images, draw) of curves with equal columns: as measured, then of every draw."""
    seeds, of_seed = np.unique(curves[0].columns.get_level_values("seed"), return_inverse=True)
    neurons, of_neuron = np.unique(curves[0].columns.get_level_values("neuron"), return_inverse=True)
    rng = np.random.default_rng(seed)
    weights = np.ones((N_DRAWS + 1, len(of_seed)))
    for n, of in ((len(seeds), of_seed), (len(neurons), of_neuron)):
        weights[1:] *= rng.multinomial(n, np.full(n, 1 / n), N_DRAWS)[:, of]
    found = []
    for curve in curves:
        known = curve.notna().to_numpy(np.float64)
        with np.errstate(invalid="ignore"):
            means = (curve.fillna(0).to_numpy() @ weights.T) / (known @ weights.T)
        found.append(pd.DataFrame(means, index=curve.index))
    return found


def _with_interval(name: str, values: np.ndarray) -> dict[str, float]:
    """The first of (1 + draw,) values, and the interval of 95 % of the draws; infinite values become NaN."""
    drawn = values[1:][~np.isnan(values[1:])]
    ends = np.quantile(drawn, [0.025, 0.975], method="inverted_cdf") if len(drawn) else [np.nan] * 2
    found = np.array([values[0], *ends], np.float64)
    found[np.isinf(found)] = np.nan
    return dict(zip((name, f"{name}_low", f"{name}_high"), found.tolist(), strict=True))
