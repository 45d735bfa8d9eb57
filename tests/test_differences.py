"""Paired differences of models: their errors, and the pairs that are compared."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from whatwhere.differences import differences
from whatwhere.evaluation.scores import draws_of_fits
from whatwhere.files import write_netcdf
from whatwhere.metrics import scores
from whatwhere.population import Evaluation, drawn_scores

N_NEURONS, N_IMAGES = 12, 40


def draws_of(model, tested, **names):
    """The file of draws of one model whose fits were ``tested``."""
    tables = [pd.DataFrame(scores(one.predictions, one.responses, one.noise_free)) for one in tested]
    of = {"experiment": "e", "dataset": "d", "model": model, "selection": "population", "recording": ""}
    sizes = {"n_neurons": N_NEURONS, "n_images": 100}
    return draws_of_fits(of | sizes | names, tables, tested, drawn_scores(tested, seed=0))


def world(rng, n_fits=1, better=0.1):
    """Test data of two models of common errors; the first one sees a little more of the signal."""
    pairs = []
    for seed in range(n_fits):
        signal = rng.normal(size=(N_IMAGES, N_NEURONS))
        blur = rng.normal(size=(N_IMAGES, N_NEURONS))
        responses = (signal + rng.normal(size=(4, N_IMAGES, N_NEURONS))).astype(np.float32)
        of = (responses, *[np.arange(N_IMAGES)] * 2, np.arange(N_NEURONS), False)
        own = rng.normal(size=(2, N_IMAGES, N_NEURONS)) * 0.1
        pairs.append(
            (
                Evaluation(seed, signal + (1 - better) * blur + own[0], *of),
                Evaluation(seed, signal + blur + own[1], *of),
            )
        )
    return [[*fits] for fits in zip(*pairs, strict=True)]


def compared(rng, **keys):
    one, two = world(rng, **keys)
    table = differences([draws_of("one", one), draws_of("two", two)])
    return table.set_index("measure").loc["correlation"]


def test_the_paired_error_is_the_spread_over_new_data_and_far_below_those_of_the_models():
    rng = np.random.default_rng(0)
    found = [compared(rng) for _ in range(40)]
    signed = [row["difference"] * (1 if row["model"] == "one" else -1) for row in found]
    assert np.mean([row["se"] for row in found]) == pytest.approx(np.std(signed), rel=0.3)
    one, _ = world(rng)
    alone = np.std(drawn_scores(one, 0)["correlation"].mean(0))
    assert np.mean([row["se"] for row in found]) < alone / 3
    assert np.mean([row["p"] < 0.05 for row in found]) > 0.8


def test_equal_models_seldom_differ():
    rng = np.random.default_rng(1)
    p = [compared(rng, better=0)["p"] for _ in range(40)]
    assert 0 < np.mean(np.array(p) < 0.2) < 0.4


def test_fits_add_their_spread(rng):
    row = compared(rng, n_fits=3)
    assert row["n_fits"] == 3
    assert row["se_fits"] > 0
    assert np.isnan(compared(rng)["se_fits"])


def test_models_on_other_test_data_are_not_compared(rng):
    (one,), (two,) = world(rng)
    other = Evaluation(0, two.predictions, two.responses, two.images, two.units + 1, two.neurons, False)
    assert differences([draws_of("one", [one]), draws_of("two", [other])]).empty
    assert differences([draws_of("one", [one]), draws_of("two", [two], n_images=50)]).empty


def test_all_pairs_are_adjusted_for_their_number(rng):
    (one,), (two,) = world(rng)
    names = [("one", one), ("two", two), ("three", one)]
    table = differences([draws_of(name, [fit]) for name, fit in names])
    pairs = table[table.measure == "correlation"]
    assert len(pairs) == 3
    # Equal predictions have no difference and no p.
    assert pairs["p"].isna().tolist() == (pairs["difference"] == 0).tolist() == [False, True, False]
    p = pairs["p"].iloc[0]
    assert pairs["p_adjusted"].dropna().tolist() == pytest.approx([min(3 * p, 1)] * 2)


def test_the_draws_survive_their_file(tmp_path, rng):
    one, two = world(rng)
    drawn = [draws_of("one", one), draws_of("two", two)]
    read = []
    for number, each in enumerate(drawn):
        write_netcdf(each, tmp_path / f"{number}.nc")
        read.append(xr.open_dataset(tmp_path / f"{number}.nc").load())
    pd.testing.assert_frame_equal(differences(drawn), differences(read))
