import itertools
import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

import answer_questions
from whatwhere.files import read_table
from whatwhere.questions import ABSENT, COLUMNS, ONE_BY_ONE, QUESTIONS, answers, interval

FAMILIES = {"ridge": "ridge", "cnn": "cnn_factorized", "dense": "cnn_fully_connected"}
FIGURES = {"fig": "fig3"}
PAIRS = ["dataset", "recording", "selection", "n_neurons", "n_images", "measure", "model", "against"]
PAIRS += ["score", "score_against", "difference", "se", "se_fits", "n_fits", "p_adjusted"]
NO_REFERENCE = pd.DataFrame(columns=["experiment", "model", "selection", "n_neurons", "n_images", "feve"])


def score_table(conditions, noise_free=True):
    """Scores of conditions (model, n_neurons, n_images, seed, values of neurons)."""
    known = {"experiment": "fig", "dataset": "data", "selection": "population", "converged": True}
    known |= {"at_edge": False, "cc_max": np.nan if noise_free else 0.9}
    tables = []
    for model, n_neurons, n_images, seed, values in conditions:
        sizes = {"model": model, "n_neurons": n_neurons, "n_images": n_images, "seed": seed}
        scores = {"neuron": np.arange(len(values)), "feve": values, "correlation": values}
        tables.append(pd.DataFrame(known | sizes | scores))
    return pd.concat(tables, ignore_index=True)


def pairs_of(scores, se=0.01, se_fits=0.02, **changes):
    """Paired differences of all models of every condition, the better one first."""
    rows = []
    keys = ["dataset", "selection", "n_neurons", "n_images"]
    for names, condition in scores.groupby(keys, sort=False):
        means = condition.groupby("model")["feve"].mean().sort_values(ascending=False)
        for (one, better), (other, worse) in itertools.combinations(means.items(), 2):
            of = dict(zip(keys, names, strict=True)) | {"model": one, "against": other, "recording": np.nan}
            of |= {"score": better, "score_against": worse, "difference": better - worse, "p_adjusted": 0.03}
            of |= {"se": se, "se_fits": se_fits, "n_fits": condition["seed"].nunique()} | changes
            rows += [of | {"measure": measure} for measure in ("feve_pooled", "correlation")]
    return pd.DataFrame(rows, columns=PAIRS)


def ask(scores, question, **changes):
    tables = dict.fromkeys(("barcode_scores", "exchange_rates", "transfer"))
    tables |= {"families": FAMILIES, "know_fields": [], "figures": FIGURES, "reference": NO_REFERENCE}
    found = answers(scores, **({"differences": pairs_of(scores)} | tables | changes))
    return found[found.question == question]


@pytest.mark.parametrize("n", [2, 5, 300])
def test_intervals_are_those_of_the_t_test(rng, n):
    values = rng.normal(0.3, 1, n)
    expected = ttest_1samp(values, 0).confidence_interval()
    np.testing.assert_allclose(interval(values)[1:], expected)
    assert np.isnan(interval(values[:1])[1:]).all()


def test_shared_features_compare_the_largest_with_the_smallest_population_seed_by_seed():
    conditions = [("cnn", 1, 64, seed, [0.1 * seed]) for seed in (1, 2)]
    conditions += [("cnn", 9, 64, seed, [0.1 * seed + 0.2 + 0.1 * seed] * 9) for seed in (1, 2)]
    (row,) = ask(score_table(conditions), 1).to_dict("records")
    assert row["value"] == pytest.approx(0.35)
    assert (row["n"], row["unit"], row["n_neurons"], row["n_images"]) == (2, "seeds", 9, 64)
    assert row["comparison"] == "cnn against 1 neuron"
    assert (row["first"], row["second"]) == pytest.approx((0.5, 0.15))
    assert row["against"] == "1 neuron"


def test_the_published_mean_over_all_neurons_stands_beside_the_mean_over_all_neurons():
    conditions = [("cnn", 1, 64, 0, [0.1]), ("cnn", 4, 64, 0, [0.9, 0.5, 0.7, 0.3])]
    (row,) = ask(score_table(conditions), 1).to_dict("records")
    assert (row["first"], row["first_all"], row["second"]) == pytest.approx((0.9, 0.6, 0.1))


def test_a_shared_filter_is_compared_with_filters_of_the_same_neurons_seed_by_seed():
    families = FAMILIES | {"shared": "ridge_shared"}
    conditions = [("ridge", 2, 64, seed, [0.1, 0.3 + 0.1 * seed]) for seed in (0, 1)]
    conditions += [("shared", 2, 64, seed, [0.5, 0.6]) for seed in (0, 1)]
    (row,) = ask(score_table(conditions), 1, families=families).to_dict("records")
    expected = ttest_1samp([0.35, 0.3], 0).confidence_interval()
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0.325, *expected))
    assert (row["first"], row["second"], row["against"]) == (
        pytest.approx(0.55),
        pytest.approx(0.225),
        ONE_BY_ONE,
    )
    assert (row["model"], row["n"], row["unit"], row["n_neurons"]) == ("shared", 2, "seeds", 2)


def test_models_are_compared_by_their_paired_difference_at_equal_sizes():
    conditions = [("cnn", 3, 64, s, [0.5, 0.6, 0.9]) for s in (0, 1)]
    conditions += [("dense", 3, 64, s, [0.4, 0.4, 0.6]) for s in (0, 1)] + [("dense", 3, 128, 0, [0.5] * 3)]
    (row,) = ask(score_table(conditions), 2).to_dict("records")
    assert row["value"] == pytest.approx(0.2)
    half = 1.96 * np.hypot(0.01, 0.02)
    assert (row["low"], row["high"], row["p_adjusted"]) == pytest.approx((0.2 - half, 0.2 + half, 0.03))
    assert (row["first"], row["second"]) == pytest.approx((2 / 3, 1.4 / 3))
    assert (row["model"], row["against"], row["measure"]) == ("cnn", "dense", "feve_pooled")
    assert (row["n"], row["unit"], row["comparison"]) == (2, "fits of each model", "cnn against dense")
    assert row["source"] == "tables/differences.csv"


def test_a_baseline_that_is_better_has_a_negative_difference_and_the_scores_of_its_side():
    table = score_table([("cnn", 2, 64, 0, [0.1, 0.3]), ("dense", 2, 64, 0, [0.5, 0.5])])
    (row,) = ask(table, 2).to_dict("records")
    assert (row["value"], row["first"], row["second"]) == pytest.approx((-0.3, 0.2, 0.5))
    assert row["low"] < -0.3 < row["high"] < 0


def test_one_fit_of_each_model_has_the_error_of_images_and_neurons():
    table = score_table([("cnn", 2, 64, 0, [0.5, 0.5]), ("dense", 2, 64, 0, [0.1, 0.1])])
    (row,) = ask(table, 2, differences=pairs_of(table, se_fits=np.nan)).to_dict("records")
    assert (row["low"], row["high"], row["n"]) == pytest.approx((0.4 - 0.0196, 0.4 + 0.0196, 1))


def test_models_that_were_not_tested_on_the_same_data_are_not_compared():
    table = score_table([("cnn", 2, 64, 0, [0.5, 0.5]), ("dense", 2, 64, 1, [0.1, 0.1])])
    (row,) = ask(table, 2, differences=pd.DataFrame(columns=PAIRS)).to_dict("records")
    assert row["comparison"] == ABSENT


def test_every_recording_of_a_pool_is_compared_by_itself():
    table = score_table([("cnn", 2, 64, 0, [0.5, 0.5]), ("dense", 2, 64, 0, [0.1, 0.3])])
    both = pd.concat([table.assign(recording=name) for name in ("one", "two")])
    pairs = pd.concat([pairs_of(table).assign(recording=name) for name in ("one", "two")])
    assert ask(both, 3, differences=pairs)["dataset"].tolist() == ["one", "two"]


def test_a_comparison_that_two_rules_select_counts_once():
    table = score_table([(m, 2, 64, s, [v, v]) for s in (0, 1) for m, v in (("cnn", 0.5), ("dense", 0.1))])
    table = pd.concat([table, table.assign(selection="neuron")])
    assert ask(table, 2)["selection"].tolist() == ask(table, 3)["selection"].tolist() == ["population"]


def test_shared_features_are_asked_of_the_same_neurons():
    """Neurons differ more than fits do: unpaired, what the ten others are like widens the interval."""
    conditions = [("cnn", 1, 64, seed, [0.1 + 0.01 * seed]) for seed in range(3)]
    conditions += [("cnn", 9, 64, seed, [0.3 + 0.01 * seed, *([0.9 * seed] * 8)]) for seed in range(3)]
    (row,) = ask(score_table(conditions), 1).to_dict("records")
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0.2, 0.2, 0.2))


def test_models_that_know_a_field_locate_neurons_or_are_constant_are_no_baselines():
    families = FAMILIES | {"known": "cnn_known_kernel", "gaussian": "cnn_gaussian"}
    families |= {"fixed": "cnn_fixed_mask", "inferred": "localization"}
    families |= {"constant": "mean", "rates": "mean", "on_patch": "ridge", "shared": "ridge_shared"}
    conditions = [(model, 2, 64, seed, [0.5, 0.6]) for model in families for seed in (0, 1)]
    found = ask(score_table(conditions), 3, families=families, know_fields=["on_patch", "shared"])
    assert set(found.against) == {"ridge", "dense"}


def test_the_third_question_takes_the_largest_sizes_of_every_other_model():
    conditions = [
        (m, 2, d, 0, [v + d / 1000] * 2)
        for d in (64, 128)
        for m, v in (("cnn", 0.5), ("dense", 0.3), ("ridge", 0.1))
    ]
    rows = ask(score_table(conditions), 3)
    assert rows["n_images"].tolist() == [128, 128]
    np.testing.assert_allclose(sorted(rows["value"]), [0.2, 0.4])


def test_noisy_test_responses_are_compared_by_correlation():
    conditions = [("cnn", 2, 64, 0, [0.5, 0.7]), ("dense", 2, 64, 0, [0.4, 0.4])]
    (row,) = ask(score_table(conditions, noise_free=False), 2).to_dict("records")
    assert (row["measure"], row["value"]) == ("correlation", pytest.approx(0.2))


def test_the_value_of_the_paper_is_given_only_in_its_figure_and_at_its_sizes():
    rows = [("fig3", "cnn", 9, 64, 0.7), ("fig3_demo", "cnn", 1, 64, 0.2), ("fig5", "cnn", 1, 128, 0.1)]
    columns = ["experiment", "model", "n_neurons", "n_images", "feve"]
    reference = pd.DataFrame([*rows, ("fig5", "cnn", 9, 128, 0.9)], columns=columns).assign(selection=None)
    conditions = [("cnn", n, d, s, [0.5] * n) for n in (1, 9) for d in (64, 128) for s in (0, 1)]
    found = ask(score_table(conditions), 1, reference=reference).set_index("n_images")
    paper = found.loc[64, ["paper", "paper_first", "paper_second"]].tolist()
    assert paper == pytest.approx([0.5, 0.7, 0.2])
    assert np.isnan(found.loc[128, "paper"])
    elsewhere = ask(score_table(conditions), 1, reference=reference, figures={"fig": None})
    assert elsewhere["paper"].isna().all()


def test_the_value_of_the_paper_stands_beside_its_own_selection_rule():
    columns = ["experiment", "model", "selection", "n_neurons", "n_images", "feve"]
    rows = [("fig3", "cnn", "neuron", 2, 64, 0.7), ("fig3", "dense", "population", 2, 64, 0.4)]
    table = score_table([("cnn", 2, 64, 0, [0.5] * 2), ("dense", 2, 64, 0, [0.3] * 2)])
    table = pd.concat([table, table.assign(selection="neuron")])
    (found,) = ask(table, 2, reference=pd.DataFrame(rows, columns=columns)).to_dict("records")
    assert (found["selection"], found["paper"]) == ("neuron", pytest.approx(0.3))


def curve_conditions(model, better, seeds=(0, 1), sizes=(64, 128, 256, 512)):
    return [
        (model, 2, d, s, [np.log2(d) / 10 - 0.5 + 0.1 * better + 0.001 * s * (d % 3)] * 2)
        for d in sizes
        for s in seeds
    ]


def test_saved_images_are_read_off_both_curves_at_a_stated_performance():
    table = score_table([*curve_conditions("cnn", 1.5), *curve_conditions("dense", 0)])
    rows = ask(table, 2)
    (row,) = rows[rows.unit == "seeds"].to_dict("records")
    assert (row["value"], row["n"]) == (pytest.approx(1.5, abs=0.1), 2)
    assert row["low"] < 1.5 < row["high"]
    assert re.fullmatch(r"doublings at feve 0\.\d\d", row["measure"])


def test_images_saved_on_a_plateau_are_bounded_and_no_number():
    table = score_table([*curve_conditions("cnn", 5), *curve_conditions("dense", 0)])
    rows = ask(table, 2)
    (row,) = rows[rows.unit == "seeds"].to_dict("records")
    assert np.isnan([row["value"], row["high"]]).all()
    assert row["low"] == pytest.approx(3)


def test_barcodes_and_exchange_rates_come_from_their_tables():
    scores = score_table([("cnn", 2, 64, 0, [0.5, 0.7])])
    keys = {"dataset": "data", "selection": "population", "model": "cnn"}
    fit = keys | {"experiment": "fig", "n_neurons": 2, "n_images": 64, "converged": 1}
    barcodes = pd.DataFrame([fit | {"seed": s, "ari": a, "at_edge": s} for s, a in ((0, 1.0), (1, 0.8))])
    rate = {"measure": "feve", "neurons_from": 1, "neurons_to": 8, "low": 0.5, "high": 0.7, "n_seeds": 6}
    rate |= keys | {"converged": 0.9, "at_edge": 0.25}
    rate |= {"recording_time": 2**-1.8, "n_responses": 8 * 2**-1.8}
    middle = rate | {"stated": False, "performance": 0.31, "rate": 0.6}
    rates = pd.DataFrame(
        [middle, middle | {"selection": "neuron"}, rate | {"stated": True, "performance": 1.31, "rate": 1.6}]
    )
    tables = {"barcode_scores": barcodes, "exchange_rates": rates}
    (four,), (five,) = (ask(scores, q, **tables).to_dict("records") for q in (4, 5))
    assert (four["value"], four["n"], four["measure"]) == (pytest.approx(0.9), 2, "ari")
    assert (five["value"], five["low"], five["high"]) == (0.6, 0.5, 0.7)
    # Eight times the neurons: three doublings, each worth 0.6 doublings of images.
    assert five["recording_time"] == pytest.approx(2**-1.8)
    assert (five["recording_time_low"], five["recording_time_high"]) == pytest.approx((2**-2.1, 2**-1.5))
    assert five["n_responses"] == pytest.approx(8 * 2**-1.8)
    assert (five["against"], five["n_neurons"]) == ("1 neuron", 8)
    assert five["measure"] == "exchange rate at feve 0.31"
    assert (four["converged"], four["at_edge"]) == (True, 0.5)
    assert (five["converged"], five["at_edge"]) == (False, 0.25)


def test_what_a_run_lacks_is_said_and_never_invented(tmp_path):
    scores = score_table([("cnn", 2, 64, 0, [0.5, 0.7])])
    scores.to_csv(tmp_path / "scores.csv", index=False)
    NO_REFERENCE.to_csv(tmp_path / "reference.csv", index=False)
    pairs_of(scores).to_csv(tmp_path / "differences.csv", index=False)
    names = ("answers.csv", "sentences.csv", "answers.html", "front.html")
    paths = {name: tmp_path / name for name in names}
    tables = (tmp_path / "scores.csv", tmp_path / "differences.csv")
    inputs = (*tables, [], [], [], [tmp_path / "reference.csv"])
    answer_questions.main(*inputs, {}, FAMILIES, [], FIGURES, {}, {}, *paths.values())
    table = read_table(paths["answers.csv"])
    assert table.columns.tolist() == COLUMNS
    assert table["question"].tolist() == list(QUESTIONS)
    assert (table["comparison"] == ABSENT).all()
    assert table["value"].isna().all()
    for page in ("answers.html", "front.html"):
        assert paths[page].read_text().count("Not answered by this run: add an experiment") == len(QUESTIONS)


def test_readers_see_labels_of_models_and_datasets():
    scores = score_table([(name, 10, 64, seed, [0.5, 0.6]) for name in ("cnn", "dense") for seed in (0, 1)])
    found = answer_questions.named(
        ask(scores, 2), {"cnn": "network", "dense": "no mask"}, {"data": "neurons"}
    )
    assert found[["model", "against", "dataset"]].to_numpy().tolist() == [["network", "no mask", "neurons"]]
    assert "cnn" not in "".join(answer_questions.section(2, found))


def test_answers_say_which_share_of_fits_stopped_at_max_steps_or_at_an_edge():
    scores = score_table([(name, 10, 64, seed, [0.5, 0.6]) for name in ("cnn", "dense") for seed in (0, 1)])
    whole = ask(scores, 2)
    assert whole[["converged", "at_edge"]].to_numpy().tolist() == [[True, 0]]
    page = "".join(answer_questions.section(2, whole))
    assert "at edge" not in page
    assert "not all fits" not in page
    half = (scores.model == "dense") & (scores.seed == 0)
    doubtful = ask(scores.assign(converged=~half, at_edge=half), 2)
    assert doubtful[["converged", "at_edge"]].to_numpy().tolist() == [[False, 0.25]]
    page = "".join(answer_questions.section(2, doubtful))
    assert "<th>at edge</th>" in page
    assert "not all fits" in page
