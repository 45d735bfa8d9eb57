"""Gains from other recordings for the neurons of one recording."""

import numpy as np
import pandas as pd
import pytest

from whatwhere.transfer import curve_of, rows_of

SIZES = (50, 100, 200, 400, 800)


def scores(image_doublings, rng, sizes=SIZES, seeds=5, n_neurons=40, noise=0.02, level=0.2, slope=0.05):
    """Scores that rise by ``slope`` a doubling from ``level`` at 50 images, moved to the left."""
    levels = {"n_images": sizes, "seed": range(seeds), "neuron": range(n_neurons)}
    table = pd.MultiIndex.from_product(levels.values(), names=levels).to_frame(index=False)
    neurons = np.linspace(-0.1, 0.1, n_neurons)[table.neuron]
    rising = level + slope * (np.log2(table.n_images / 50) + image_doublings)
    return table.assign(correlation=rising + neurons + noise * rng.normal(size=len(table)))


def found(curve, ridge):
    return pd.DataFrame(rows_of(curve_of(curve), curve_of(ridge), seed=0)).set_index("n_images")


def test_a_planted_shift_is_found_within_its_interval(rng):
    rows = found(scores(1.5, rng), scores(0, rng))
    overlapping = rows.loc[[50, 100, 200]]
    np.testing.assert_allclose(overlapping.image_doublings, 1.5, atol=0.15)
    assert (overlapping.image_doublings_low < 1.5).all()
    assert (overlapping.image_doublings_high > 1.5).all()
    np.testing.assert_allclose(rows.gain, 1.5 * 0.05, atol=0.01)


def test_without_noise_the_shift_is_exact(rng):
    rows = found(scores(1, rng, noise=0), scores(0, rng, noise=0))
    np.testing.assert_allclose(rows.image_doublings.dropna(), 1, atol=1e-6)
    np.testing.assert_allclose(rows.image_doublings_low.dropna(), 1, atol=1e-6)


def test_nothing_is_saved_where_curves_do_not_overlap(rng):
    """Above all that the ridge reaches there is no distance, only a lower end; below, only an upper one."""
    for beyond in (9, -9):
        rows = found(scores(beyond, rng), scores(0, rng))
        assert rows.filter(like="image_doublings").isna().all(axis=None)
    # The last size is above the ridge in about half of the draws.
    edge = found(scores(0.02, rng), scores(0, rng)).loc[800]
    assert edge.image_doublings_low < 0
    assert np.isnan(edge.image_doublings_high)


def test_curves_are_compared_on_the_folds_that_both_have(rng):
    """A fold that is better throughout, and that the other curve lacks, is worth nothing."""
    ridge = scores(0, rng, noise=0)
    ridge.loc[ridge.seed == 4, "correlation"] += 0.3
    rows = found(scores(1, rng, noise=0, seeds=4, sizes=(100, 200)), ridge)
    np.testing.assert_allclose(rows.image_doublings, 1, atol=1e-6)
    np.testing.assert_allclose(rows.gain, 0.05, atol=1e-6)


def test_intervals_are_over_folds_too(rng):
    """A common deviation of a fold widens them, however many neurons there are."""
    one, other = scores(1, rng, n_neurons=200), scores(0, rng, n_neurons=200)
    narrow = found(one, other).loc[100]
    shared = one.assign(correlation=one.correlation + 0.05 * rng.normal(size=5)[one.seed])
    wide = found(shared, other).loc[100]
    assert wide.gain_high - wide.gain_low > 4 * (narrow.gain_high - narrow.gain_low)


@pytest.mark.slow
def test_intervals_hold_the_truth(rng):
    """Of the gain, where neurons, folds and single scores differ."""
    held = []
    for _ in range(60):
        ridge = scores(0, rng, sizes=(50, 800), noise=0.05)
        curve = scores(0, rng, sizes=(50, 800), noise=0.05)
        shared = 0.02 * rng.normal(size=5)[curve.seed] + 0.05 * rng.normal(size=40)[curve.neuron]
        curve.correlation += 0.1 + shared
        row = found(curve, ridge).loc[50]
        held.append(row.gain_low < 0.1 < row.gain_high)
    assert np.mean(held) > 0.87  # 0.95 in 300 runs


def test_a_neuron_without_correlation_takes_no_part(rng):
    ridge, curve = scores(0, rng, noise=0), scores(1, rng, noise=0)
    curve.loc[curve.neuron == 0, "correlation"] = np.nan
    np.testing.assert_allclose(found(curve, ridge).gain, 0.05, atol=1e-6)
