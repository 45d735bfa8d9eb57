import numpy as np
import pandas as pd
import pytest

from whatwhere.comparison import Comparison
from whatwhere.conditions import over_seeds
from whatwhere.evaluation.scores import summarize
from whatwhere.metrics import SCORES, scores
from whatwhere.population import Evaluation, above_ceiling, drawn_scores, population_scores, standard_errors


def recording(rng, n_neurons=200, n_images=30, n_repeats=10, silent=0.0):
    """True responses and trials of neurons with signal-to-noise ratios around 0.14, in units of their own."""
    ratio = np.exp(rng.normal(-2, 1.5, n_neurons)) * (rng.random(n_neurons) >= silent)
    unit = np.exp(rng.normal(0, 1, n_neurons))
    signal = rng.normal(size=(n_images, n_neurons)) * np.sqrt(ratio) * unit
    return signal, signal + unit * rng.normal(size=(n_repeats, n_images, n_neurons))


def population(predictions, responses):
    return population_scores(scores(predictions, responses, noise_free=False))


@pytest.mark.parametrize("silent", [0.0, 0.5])
def test_a_perfect_model_explains_all_it_can_in_every_recording(silent):
    """The mean of FEVE over neurons is 0.5 to 10 here, and with neurons without signal -0.02 to 23."""
    rng = np.random.default_rng(0)
    found = pd.DataFrame([population(*recording(rng, silent=silent)) for _ in range(30)])
    assert found.feve_pooled.mean() == pytest.approx(1, abs=0.02)
    assert found.cc_norm_pooled.mean() == pytest.approx(1, abs=0.02)
    assert found.feve_pooled.between(0.8, 1.25).all()
    assert found.cc_norm_pooled.between(0.85, 1.15).all()
    assert found.feve_reliable.between(0.93, 1.05).all()
    assert (found.n_reliable < found.n_explainable).all()
    assert (found.n_explainable < found.n_scored).all()


def test_scores_and_ceiling_are_of_the_same_neurons(rng):
    signal, responses = recording(rng, silent=0.5)
    found = population(signal, responses)
    assert found["correlation"] == pytest.approx(found["cc_max"], abs=0.12)
    responses[:, :, 0] = 3  # always alike: neither is defined
    assert population(signal, responses)["n_scored"] == 199


def test_a_prediction_of_the_mean_scores_0(rng):
    _, responses = recording(rng)
    found = population(np.tile(responses.mean((0, 1)), (30, 1)), responses)
    assert found["feve_pooled"] == pytest.approx(0, abs=0.05)
    assert (found["correlation"], found["cc_norm_pooled"]) == (0, 0)


def test_without_repeats_nothing_is_said_of_ceilings(rng):
    signal, responses = recording(rng)
    found = population(signal, responses[:1])
    assert np.isnan([found["feve_pooled"], found["cc_norm_pooled"], found["feve_median"]]).all()
    assert (found["n_scored"], found["n_explainable"], found["n_reliable"]) == (200, 0, 0)


def test_seeds_are_averaged_after_neurons_with_the_sample_sd():
    values = {"seed": [0, 0, 1, 1, 2, 2], "feve": [0.2, 0.4, 0.5, 0.7, -3.0, 1.0]}
    scores = pd.DataFrame(values).assign(n_images=8)
    (row,) = over_seeds(scores, ["feve"], ["n_images"], least=0).to_dict("records")
    assert row == pytest.approx({"n_images": 8, "feve": 0.3, "feve_sd": 0.3})
    assert over_seeds(scores, ["feve"], ["n_images"]).feve[0] == pytest.approx(-0.1 / 3)


def table_of(predictions, responses):
    """Scores of a fit of which half of the neurons converged."""
    table = pd.DataFrame(scores(predictions, responses, noise_free=False))
    return table.assign(converged=table.index % 2 == 0, at_edge=False)


def summarized(tables, evaluations):
    return summarize(tables, evaluations, drawn_scores(evaluations, seed=0))


def evaluation(signal, responses, seed=0):
    return Evaluation(
        seed, signal, responses, *[np.arange(len(signal))] * 2, np.arange(signal.shape[1]), False
    )


def test_standard_errors_are_the_spread_over_new_images_and_neurons():
    """Of a mean over neurons, half of the variance is that of the images that were shown."""
    rng = np.random.default_rng(1)
    n_neurons, n_images = 40, 50
    means, errors = [], []
    for _ in range(200):
        # All predictions lack a common part of each image: their errors are not independent.
        shared = rng.normal(size=(n_images, 1))
        signal = rng.normal(size=(n_images, n_neurons))
        skill = rng.normal(0, 0.3, n_neurons)
        responses = (signal + shared + 0.5 * rng.normal(size=(4, n_images, n_neurons))).astype(np.float32)
        one = evaluation((1 + skill) * signal, responses)
        means.append(population_scores(scores(one.predictions, one.responses, noise_free=False)))
        if len(errors) < 20:
            errors.append(standard_errors(drawn_scores([one], seed=0)))
    for name in ("correlation", "feve_pooled", "cc_norm_pooled"):
        spread = np.std([one[name] for one in means])
        assert np.mean([one[name] for one in errors]) == pytest.approx(spread, rel=0.25), name


def test_fits_of_the_same_data_do_not_average_its_errors_away(rng):
    signal, responses = recording(rng, n_neurons=60)
    one = standard_errors(drawn_scores([evaluation(signal, responses)], seed=3))
    fits = [evaluation(signal, responses, seed) for seed in range(3)]
    three = standard_errors(drawn_scores(fits, seed=3))
    assert three == pytest.approx(one)


def test_what_is_above_its_ceiling_is_remarked_upon(rng):
    _, responses = recording(rng, n_neurons=60)
    leaking = responses.mean(0)  # predicts the noise too
    tables = [table_of(leaking, responses)]
    row = summarized(tables, [evaluation(leaking, responses)])
    assert row["n_above_ceiling"] == row["n_reliable"] > 0
    found = (
        f"feve_pooled is {row['feve_pooled']:.3f} and cc_norm_pooled is {row['cc_norm_pooled']:.3f}, above 1"
    )
    assert above_ceiling(row).startswith(found)
    comparison = Comparison(pd.DataFrame({"leaking": row}).T, {}, None, {})
    assert f"leaking: {found}" in str(comparison)
    row["feve_pooled"] = row["cc_norm_pooled"] = 0.99
    assert above_ceiling(row) == ""


@pytest.mark.parametrize("n_repeats", [2, 4, 10])
def test_means_over_reliable_neurons_are_right_or_empty(n_repeats):
    """Of a perfect model they were 0.71 with 2 repeats and 0.89 with 4."""
    rng = np.random.default_rng(0)
    given = [recording(rng, n_repeats=n_repeats) for _ in range(10)]
    rows = pd.DataFrame([summarized([table_of(*one)], [evaluation(*one)]) for one in given])
    assert rows.feve_pooled.mean() == pytest.approx(1, abs=0.05)
    if n_repeats < 8:
        assert rows.filter(like="_reliable").drop(columns="n_reliable").isna().all(axis=None)
    else:
        assert rows.feve_reliable.mean() == pytest.approx(1, abs=0.03)
        assert rows.cc_norm_reliable.mean() == pytest.approx(1, abs=0.03)


def test_the_summary_has_means_over_seeds_with_their_errors(rng):
    tables, fits = [], []
    for seed in range(2):
        signal, responses = recording(rng, n_neurons=20)
        tables.append(table_of(signal, responses))
        fits.append(evaluation(signal, responses, seed))
    row = summarized(tables, fits)
    seeds = [population_scores({name: one[name].to_numpy() for name in SCORES}) for one in tables]
    assert row["n_seeds"] == 2
    assert (row["converged"], row["at_edge"]) == (0.5, 0)
    assert row["feve_pooled"] == pytest.approx(np.mean([one["feve_pooled"] for one in seeds]))
    assert row["feve_median_seed_sd"] == pytest.approx(np.std([one["feve_median"] for one in seeds], ddof=1))
    assert row["correlation_se"] > 0
