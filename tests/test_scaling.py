import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from coverage_exchange import DESIGNS, coverage

from whatwhere.scaling import exchange_rates, paired_curves, shift, shift_at

SIZES = [256, 512, 1024, 2048, 4096]


def curve(half, n_seeds=4, sd=0.0, sizes=SIZES, slope=1.0, seed=0):
    """Performance of seeds: logistic in log images, half of its maximum at 2 ** half images."""
    x = np.log2(sizes)[:, None]
    rng = np.random.default_rng(seed)
    values = 1 / (1 + np.exp(-slope * (x - half))) + sd * rng.normal(size=(len(sizes), n_seeds))
    return pd.DataFrame(values, index=sizes, columns=range(n_seeds))


@pytest.mark.parametrize("image_doublings", [-1.0, 0.0, 0.7])
def test_a_shift_is_the_horizontal_distance_of_two_curves(image_doublings):
    found = shift(curve(10 + image_doublings), curve(10))
    assert found.image_doublings == pytest.approx(image_doublings, abs=0.03)
    assert found.low <= found.image_doublings <= found.high
    assert 0.3 < found.performance < 0.7


def test_a_shift_does_not_depend_on_the_form_of_the_curves():
    for form in (lambda y: y**3, np.sqrt):
        assert shift(form(curve(10.8)), form(curve(10))).image_doublings == pytest.approx(0.8, abs=0.05)


def test_intervals_narrow_with_seeds_and_widen_with_noise():
    widths = []
    for n, sd in ((4, 0.02), (16, 0.02), (16, 0.1)):
        found = shift(curve(10.5, n, sd, seed=1), curve(10, n, sd, seed=2))
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] < widths[2]


def test_one_seed_gives_a_shift_without_an_interval():
    found = shift(curve(10.5, 1), curve(10, 1))
    assert found.image_doublings == pytest.approx(0.5, abs=0.03)
    assert np.isnan([found.low, found.high]).all()


def test_a_plateau_bounds_a_shift_on_one_side_only():
    """Nobody knows how many more images bring the first to where the second starts."""
    flat = curve(4, sd=0.01, seed=3)
    found = shift(flat, curve(3, sd=0.01))
    assert np.isnan([found.low, found.high]).any()
    beyond = shift(0.1 * curve(8, sd=0.001), 0.5 + 0.5 * curve(10, sd=0.001))
    assert np.isnan(beyond.image_doublings)
    assert (beyond.low, beyond.high) == (pytest.approx(4), pytest.approx(np.nan, nan_ok=True))


@pytest.mark.parametrize("performance", [0.3, 0.5, 0.7, 0.9])
def test_a_shift_is_the_same_at_every_stated_performance(performance):
    sizes = [2**n for n in range(6, 16)]
    found = shift_at(curve(10.7, sizes=sizes), curve(10, sizes=sizes), performance)
    assert found.image_doublings == pytest.approx(0.7, abs=0.03)
    assert found.low < found.image_doublings < found.high
    assert found.performance == performance


def test_a_stated_performance_is_one_that_both_curves_reach():
    early, late = curve(9), curve(13)
    assert shift_at(late, early, 0.5) is None
    assert shift_at(early, late, 0.5) is None
    assert shift_at(early, early, 0.1) is None
    assert shift_at(early.iloc[:1], early, 0.5) is None


def test_nothing_is_said_of_a_point_or_of_curves_at_0():
    assert shift(curve(10, sizes=[256]), curve(10, sizes=[512])) is None
    assert shift(0 * curve(10), 0 * curve(9)) is None
    assert shift(curve(10).iloc[:0], curve(10)) is None


def test_a_point_can_be_found_on_a_curve():
    """One size of a population is enough if it is in the range of the other."""
    assert shift(curve(10.5, sizes=[1024]), curve(10)).image_doublings == pytest.approx(0.5, abs=0.03)


def scores(conditions):
    """Scores of conditions (n_neurons, n_images, seed, {neuron: value})."""
    rows = [
        {"n_neurons": n, "n_images": d, "seed": s, "neuron": neuron, "feve": value}
        for n, d, s, values in conditions
        for neuron, value in values.items()
    ]
    return pd.DataFrame(rows)


def test_populations_are_compared_on_the_neurons_and_seeds_that_they_share():
    few = scores([(1, d, s, {7: 0.2}) for d in (64, 128) for s in (0, 1)])
    many = scores([(2, d, s, {7: 0.4, 8: -9.0}) for d in (64, 128) for s in (0, 2)])
    one, other = paired_curves(few, many, "feve")
    assert one.to_dict() == {0: {64: 0.2, 128: 0.2}}
    assert other.to_dict() == {0: {64: 0.4, 128: 0.4}}


def test_populations_worse_than_their_mean_count_as_0():
    one, _ = paired_curves(*[scores([(1, 64, 0, {0: -5.0})])] * 2, "feve")
    assert one.to_numpy() == 0


def test_a_rate_is_the_shift_per_doubling_of_neurons_for_every_pair():
    conditions = [
        (n, d, s, {neuron: curve(11 - 0.4 * np.log2(n), sizes=[d]).iloc[0, 0] for neuron in range(n)})
        for n in (1, 4, 16)
        for d in SIZES
        for s in (0, 1)
    ]
    rates = pd.DataFrame(exchange_rates(scores(conditions), "feve"))
    rows = rates[~rates.stated]
    assert list(zip(rows.neurons_from, rows.neurons_to, strict=True)) == [(1, 4), (1, 16), (4, 16)]
    np.testing.assert_allclose(rows.rate, 0.4, atol=0.03)
    assert (rows.n_seeds == 2).all()
    # Four times the neurons at 0.4 doublings of images per doubling.
    np.testing.assert_allclose(rows.recording_time.iloc[0], 2**-0.8, atol=0.03)
    np.testing.assert_allclose(rows.n_responses.iloc[0], 2**1.2, atol=0.1)
    stated = rates[rates.stated]
    np.testing.assert_allclose(stated.rate, 0.4, atol=0.03)
    assert stated.set_index("neurons_from").performance.loc[[1]].tolist() == [0.3, 0.5, 0.7] * 2


def test_the_papers_curves_say_that_neurons_are_worth_less_the_more_there_are():
    paper = pd.read_csv(REPOSITORY / "config" / "reference" / "fig3.csv")
    paper = paper[paper.model == "cnn_one_kernel"].assign(seed=0, neuron=0)
    rates = pd.DataFrame(exchange_rates(paper, "feve"))
    rates = rates[~rates.stated].set_index(["neurons_from", "neurons_to"]).rate
    assert rates[1, 100] == pytest.approx(0.53, abs=0.03)
    assert rates[100, 1000] == pytest.approx(0.17, abs=0.03)


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say():
    """One rate for all sizes with a bootstrap covered in 17 % of two-seed designs of the quick run."""
    for name in ("quick, 3 seeds, logistic", "V4"):
        found = coverage(DESIGNS[name], 25, seed=1)
        assert found.covers.mean() > 0.9
        assert found.bounded.mean() > 0.5
