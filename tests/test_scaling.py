import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY

from whatwhere.scaling import Curve, bootstrap_weights, cell_means, exchange_rate, fit_curve

NEURONS, IMAGES = (axis.ravel() for axis in np.meshgrid([1, 10, 100, 1000], [256, 1024, 4096]))


def scores(curve, sd, n_seeds=4, seed=0):
    """Scores of every neuron around a curve; neurons differ from each other in the same way in all cells."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(0, sd, 1000)
    parts = []
    for n_neurons, n_images in zip(NEURONS, IMAGES, strict=True):
        for repetition in range(n_seeds):
            neurons = rng.permutation(1000)[:n_neurons]
            feve = curve(n_neurons, n_images) + quality[neurons]
            keys = {"n_neurons": n_neurons, "n_images": n_images, "seed": repetition}
            parts.append(pd.DataFrame(keys | {"neuron": neurons, "feve": feve}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_a_curve_is_recovered_from_its_values(rate):
    truth = Curve(rate, 0.95, 1.1, 11.0)
    curve = fit_curve(NEURONS, IMAGES, truth(NEURONS, IMAGES))
    assert [curve.rate, curve.top, curve.slope, curve.midpoint] == pytest.approx(
        [rate, 0.95, 1.1, 11.0], abs=1e-3
    )
    assert curve.rmse < 1e-4


def test_a_rate_of_1_is_a_line_of_equal_total_recordings():
    curve = Curve(1.0, 0.9, 1.0, 14.0)
    assert curve(np.array(64), np.array(1024)) == pytest.approx(curve(np.array(1024), np.array(64)))


def test_a_rate_is_what_a_doubling_of_neurons_is_worth_in_doublings_of_images():
    curve = Curve(0.5, 0.9, 1.0, 12.0)
    assert curve(np.array(40), np.array(500)) == pytest.approx(curve(np.array(10), np.array(1000)))


@pytest.mark.parametrize(
    "keep",
    [NEURONS == 10, IMAGES == 1024, (NEURONS <= 10) & (IMAGES <= 1024)],
    ids=["one population size", "one data size", "four cells"],
)
def test_sizes_that_do_not_identify_the_rate_give_no_answer(keep):
    values = Curve(0.5, 0.9, 1.0, 12.0)(NEURONS, IMAGES)
    assert fit_curve(NEURONS[keep], IMAGES[keep], values[keep]) is None


def test_fits_that_explain_nothing_give_no_answer():
    assert fit_curve(NEURONS, IMAGES, np.full(len(NEURONS), -0.3)) is None


def test_the_interval_holds_the_true_rate_and_narrows_with_less_spread():
    truth = Curve(0.4, 0.95, 1.0, 11.0)
    wide, narrow = (exchange_rate(scores(truth, sd), "feve", 40, seed=0) for sd in (0.1, 0.01))
    for found in (wide, narrow):
        assert found["low"] <= found["rate"] <= found["high"]
        assert found["low"] < 0.4 < found["high"]
    assert narrow["high"] - narrow["low"] < (wide["high"] - wide["low"]) / 2


def test_the_same_seed_gives_the_same_interval():
    table = scores(Curve(0.4, 0.95, 1.0, 11.0), 0.1)
    assert exchange_rate(table, "feve", 5, seed=1) == exchange_rate(table, "feve", 5, seed=1)


def test_a_bootstrap_draws_a_neuron_for_all_its_cells_at_once():
    table = scores(Curve(0.4, 0.95, 1.0, 11.0), 0.1)
    weights = bootstrap_weights(table, np.random.default_rng(0))
    assert table.assign(weight=weights).groupby(["seed", "neuron"]).weight.nunique().max() == 1
    assert (weights > 0).all()


@pytest.mark.parametrize("n_seeds", [3, 8])
def test_bootstraps_vary_as_the_mean_over_seeds_does(n_seeds):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"n_neurons": 1, "n_images": 8, "seed": range(n_seeds), "neuron": 0, "feve": rng.normal(size=n_seeds)}
    )
    means = [cell_means(table, "feve", bootstrap_weights(table, rng)).value.item() for _ in range(1000)]
    assert np.var(means) == pytest.approx(table.feve.var(ddof=1) / n_seeds, rel=0.2)


def test_one_seed_gives_a_rate_without_an_interval():
    found = exchange_rate(scores(Curve(0.4, 0.95, 1.0, 11.0), 0.1, n_seeds=1), "feve", 5, seed=0)
    assert found["rate"] == pytest.approx(0.4, abs=0.1)
    assert np.isnan([found["low"], found["high"]]).all()


def test_cell_means_leave_out_undefined_scores_and_cells_without_weight():
    table = pd.DataFrame(
        {"n_neurons": [1, 1, 2], "n_images": 8, "seed": 0, "neuron": [0, 1, 0], "feve": [0.2, np.nan, 0.8]}
    )
    assert cell_means(table, "feve").value.tolist() == [0.2, 0.8]
    assert cell_means(table, "feve", np.array([1.0, 1.0, 0.0])).value.tolist() == [0.2]


def test_the_papers_curves_say_that_neurons_are_worth_less_the_more_there_are():
    paper = pd.read_csv(REPOSITORY / "config" / "reference" / "fig3.csv")
    paper = paper[paper.model == "cnn_one_kernel"]
    few, many = (
        fit_curve(*paper[paper.n_neurons.isin(sizes)][["n_neurons", "n_images", "feve"]].to_numpy().T)
        for sizes in ((1, 100), (100, 1000))
    )
    assert few.rate == pytest.approx(0.49, abs=0.02)
    assert many.rate == pytest.approx(0.18, abs=0.02)
