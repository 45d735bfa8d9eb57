"""Answers in sentences from given numbers, and pictures and tables of the same numbers."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import answer_questions
from whatwhere import sentences
from whatwhere.questions import ABSENT, COLUMNS, ONE_BY_ONE, QUESTIONS

DIFFERENCE = {"comparison": "cnn minus dense", "model": "cnn", "against": "dense", "dataset": "two_types"}
DIFFERENCE |= {"selection": "population", "n_neurons": 100, "n_images": 1024, "measure": "feve"}
DIFFERENCE |= {"value": 0.3, "low": 0.2, "high": 0.4, "n": 3, "unit": "fits of each model"}
DIFFERENCE |= {"first": 0.8, "second": 0.5, "converged": True, "source": "tables/scores.csv, one"}
SINGLE = {"low": np.nan, "high": np.nan, "n": 1, "unit": "seeds"}
TOGETHER = SINGLE | {"comparison": "cnn: 1000 neurons fitted jointly minus 1", "against": "1 neuron"}
TOGETHER |= {"n_neurons": 1000, "value": 0.74, "n": 1, "unit": "seeds", "first": 0.91, "second": 0.17}
TOGETHER |= {"first_all": 0.84}
TOGETHER |= {"paper": 0.77, "paper_first": 0.89, "paper_second": 0.12}
ALONE = {"first": np.nan, "second": np.nan}
RATE = ALONE | {"against": "10 neurons", "measure": "exchange rate at feve 0.31", "n_images": np.nan}
RATE |= {
    "comparison": "cnn: a doubling of neurons in doublings of images, 10 to 100 neurons",
    "unit": "seeds",
}


def table(question, *changes):
    """Answers to one question: differences with some changes each."""
    rows = [DIFFERENCE | change | {"question": question, "text": QUESTIONS[question]} for change in changes]
    return pd.DataFrame(rows, columns=COLUMNS)


def written(question, *changes):
    (sentence,) = sentences.sentences(table(question, *changes))["sentence"]
    return sentence


def test_the_first_question_is_answered_by_what_neurons_reach_together_and_alone():
    assert written(1, TOGETHER) == (
        "Yes, as far as single seeds tell: for two_types with 1024 images, 1000 neurons fitted together by "
        "'cnn' reach a FEVE of 0.84 and 1 neuron alone 0.17 (the paper reports 0.89 and 0.12; of the same "
        "neurons: difference 0.74, one seed, no interval). This is the only comparison of the run."
    )


def test_a_shared_filter_with_an_interval_answers_before_the_comparison_with_the_paper():
    shared = {"model": "shared", "against": ONE_BY_ONE, "n_neurons": 10, "first_all": 0.8}
    assert written(1, TOGETHER, shared) == (
        "Yes: for two_types with 1024 images, 10 neurons fitted together by 'shared' reach a FEVE of 0.80 "
        "and the same neurons one by one 0.50 (difference 0.30, 95 % interval 0.20 to 0.40). Beside the "
        "paper: for two_types with 1024 images, 1000 neurons fitted together by 'cnn' reach a FEVE of 0.84 "
        "and 1 neuron alone 0.17 (the paper reports 0.89 and 0.12; of the same neurons: difference 0.74, one "
        "seed, no interval). The interval lies above 0 in 1 of 1 comparisons; comparisons without interval: "
        "1."
    )


def test_baselines_are_answered_by_the_closest_of_the_largest_sizes():
    far = {"against": "ridge", "value": 0.6, "low": 0.5, "high": 0.7, "second": 0.2, "paper": 0.4}
    far |= {"paper_first": 0.7, "paper_second": 0.3}
    small = {"n_images": 256, "value": 0.1}
    sentence = written(3, far, {}, small)
    assert sentence.startswith(
        "Yes: for two_types with 100 neurons and 1024 images, 'cnn' reaches a FEVE of 0.80 and the closest "
        "baseline, 'dense', 0.50 (difference 0.30, 95 % interval 0.20 to 0.40)."
    )
    assert sentence.endswith(" The interval lies above 0 in 3 of 3 comparisons.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([{}, {}], "Yes"),
        ([{"value": -0.3, "low": -0.4, "high": -0.2}], "No"),
        ([{}, {"value": -0.3, "low": -0.4, "high": -0.2}], "It depends"),
        ([{"low": -0.1}], "Undecided"),
        ([{}, {"low": -0.1}, {"low": -0.1}], "Yes in part"),
        ([SINGLE, SINGLE], "Yes, as far as single seeds tell"),
        ([SINGLE, SINGLE | {"value": -0.1}], "It depends, as far as single seeds tell"),
        ([{}, SINGLE | {"value": -0.1}], "Yes"),
        ([{"high": np.nan}], "Yes"),
    ],
)
def test_the_first_words_are_a_verdict_over_all_intervals(changes, words):
    assert written(3, *changes).startswith(f"{words}: ")


def test_a_difference_decides_only_with_an_adjusted_p_below_the_level():
    likely, chance = {"p_adjusted": 0.0001}, {"p_adjusted": 0.2, "value": 0.2}
    sentence = written(3, likely)
    assert "0.50 (difference 0.30, 95 % interval 0.20 to 0.40, adjusted p below 0.001)." in sentence
    assert written(3, chance).startswith("Undecided: ")
    sentence = written(3, likely, likely, chance)
    assert sentence.startswith("Yes: ")
    assert "(difference 0.20, 95 % interval 0.20 to 0.40, adjusted p 0.200)." in sentence
    assert sentence.endswith(" above 0 in 2 of 3 comparisons, with an adjusted p below 0.05.")


def test_one_fit_of_each_model_decides_with_a_caution():
    sentence = written(3, {"n": 1})
    assert sentence.startswith("Yes, as far as single seeds tell: ")
    assert "95 % interval 0.20 to 0.40 for one fit of each)." in sentence
    assert written(3, {"n": 1}, {"low": -0.1}).startswith("Undecided: ")


def test_images_saved_are_those_of_the_stated_comparison():
    saved = ALONE | {"value": 1.5, "low": 1.2, "high": np.nan, "unit": "seeds", "n": 3}
    words = (
        " It saves 1.50 doublings of training images against this baseline (95 % interval: at least 1.20)."
    )
    others = [saved | {"value": 0.58} | one for one in ({"dataset": "b"}, {"against": "b"}, {"n_neurons": 9})]
    assert words in written(2, {}, *others, saved)
    assert "saves" not in written(2, {}, *others)


def test_fits_that_might_improve_are_mentioned():
    assert written(3, {"converged": False}).endswith(". Some fits stopped at max_steps.")
    assert written(3, {"at_edge": 0.1}).endswith(". Some fits have a penalty at the edge of its grid.")


@pytest.mark.parametrize(("values", "word"), [((1.0, 0.9), "Yes"), ((1.0, 0.5), "In part"), ((0.1,), "No")])
def test_barcodes_are_judged_by_the_least_agreement(values, word):
    rows = (
        {"value": value, "measure": "ari", "model": f"model_{value}", "first": np.nan} for value in values
    )
    sentence = written(4, *rows)
    assert sentence.startswith(f"{word}: ")
    assert f"for 'model_{min(values)}' and two_types" in sentence


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (0.5, 0.2, 0.8, "More neurons save recording time"),
        (-0.5, -0.8, -0.2, "More neurons save no recording time"),
        (0.1, -0.5, 0.7, "Undecided"),
        (0.9, np.nan, np.nan, "More neurons save recording time, as far as single seeds tell"),
        (np.nan, 1.2, np.nan, "More neurons save recording time"),
    ],
)
def test_more_neurons_are_judged_by_the_recording_time_they_save(value, low, high, words):
    sentence = written(5, RATE | {"value": value, "low": low, "high": high})
    assert sentence.startswith(f"{words}: for two_types, 100 neurons recorded together need ")


def test_the_recording_time_is_stated_before_the_number_of_responses():
    time = {"recording_time": 0.12, "recording_time_low": 0.10, "recording_time_high": 0.15}
    sentence = written(5, RATE | time | {"value": 0.92, "low": 0.82, "high": 1.0, "n_responses": 1.2})
    assert sentence == (
        "More neurons save recording time: for two_types, 100 neurons recorded together need 0.12 of the "
        "recording time of 10 neurons for an equal FEVE of 0.31 by 'cnn' (95 % interval 0.10 to 0.15). "
        "Counted in responses, neurons times images, they need 1.20 times as many."
    )


STRATEGY = {"model": "pooled", "against": "own images, ridge", "measure": "correlation", "n_images": 50}
STRATEGY |= {"unit": "neurons, 5 folds"}


def test_other_recordings_are_answered_by_the_strategy_that_gains_most():
    own = STRATEGY | {"model": "own images, network", "value": 0.9, "low": 0.8, "high": 1.0}
    frozen = STRATEGY | {"model": "transferred core, frozen", "value": 0.1, "low": 0.05, "high": 0.15}
    saved = STRATEGY | ALONE | {"value": 2.0, "low": 1.5, "high": np.nan}
    assert written(6, own, frozen, STRATEGY, saved) == (
        "Yes: at best, for two_types with 50 images of its own, 'pooled' reaches a correlation of 0.80 and "
        "the baseline, 'own images, ridge', 0.50 (difference 0.30, 95 % interval 0.20 to 0.40). "
        "It saves 2.00 doublings of training images against this baseline (95 % interval: at least 1.50). "
        "The interval lies above 0 in 2 of 2 comparisons."
    )
    assert written(6, own).startswith("Not answered by this run")


def test_curves_without_a_common_test_are_answered_by_the_images_saved():
    saved = ALONE | {"value": 1.5, "low": 1.0, "high": 2.0, "unit": "seeds"}
    words = "Yes: no two of these models were tested on the same images. This is the only comparison"
    assert written(2, saved).startswith(words)


def test_what_a_run_lacks_is_asked_for():
    rows = [{"question": number, "text": text, "comparison": ABSENT} for number, text in QUESTIONS.items()]
    found = sentences.sentences(pd.DataFrame(rows, columns=COLUMNS))
    assert found["question"].tolist() == list(QUESTIONS)
    assert found["sentence"].str.startswith("Not answered by this run: add an experiment with ").all()


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.50"), (-0.03, "-0.03"), (0.999, "1.00"), (-0.001, "0.00")]
)
def test_numbers_in_sentences_have_two_decimals(value, text):
    assert sentences.decimals(value) == text


def test_names_in_pictures_tell_rows_apart_and_say_nothing_that_all_share():
    rows = table(3, {}, {"selection": "neuron"}, {"against": "ridge"})
    assert answer_questions.names(3, rows) == [
        "dense, selected by population",
        "dense, selected by neuron",
        "ridge, selected by population",
    ]
    assert answer_questions.names(1, table(1, TOGETHER)) == ["1000 neurons against 1 neuron"]
    assert answer_questions.names(5, table(5, RATE)) == ["100 against 10 neurons"]


def test_a_picture_has_the_values_the_zero_line_and_the_paper():
    rows = table(1, TOGETHER, TOGETHER | {"n_images": 4096, "value": 0.2, "low": 0.1, "paper": np.nan})
    figure = answer_questions.draw(1, rows)
    (ax,) = figure.axes
    by_label = {line.get_label(): line.get_xdata() for line in ax.lines}
    np.testing.assert_allclose(by_label["this run"], [0.74, 0.2])
    np.testing.assert_allclose(by_label["paper"], [0.77, np.nan])
    assert any(np.array_equal(line.get_xdata(), [0, 0]) for line in ax.lines)
    assert ax.get_xlabel() == "FEVE of the same neurons: together minus alone"
    # An interval without an upper end reaches the edge.
    assert any(line.get_marker() == ">" and line.get_xdata()[0] == ax.get_xlim()[1] for line in ax.lines)
    plt.close(figure)


def test_rows_of_the_table_on_the_page_differ_in_their_names():
    rows = table(2, {}, {"selection": "neuron"}, {"dataset": "others"})
    _, shown = answer_questions.section(2, rows)
    names = [row.split("<td>0.3</td>")[0] for row in shown.split("<tr>")[1:]]
    assert len(names) == len(set(names)) == 3


def test_every_sentence_and_a_picture_for_every_answer_open_the_page():
    rows = table(2, {})
    parts = answer_questions.opening(sentences.sentences(rows), rows)
    assert [part[:4] for part in parts] == ["<h2>", "<p>Y", "<svg"]


@pytest.mark.slow
def test_the_end_of_a_run_prints_its_sentences_and_where_to_read_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert sentences.main([]) == 1
    assert "results/quick/tables/sentences.csv: no such file" in capsys.readouterr().err
    answered = tmp_path / "results" / "quick" / "tables" / "sentences.csv"
    answered.parent.mkdir(parents=True)
    sentences.sentences(table(3, {})).to_csv(answered, index=False)
    assert sentences.main([]) == 0
    printed = capsys.readouterr().out
    assert f"3. {QUESTIONS[3]}\n   Yes: " in printed
    assert (tmp_path / "results" / "quick" / "index.html").as_uri() in printed
    assert "report.html" not in printed
    report = tmp_path / "results" / "quick" / "report.html"
    report.touch()
    sentences.main([])
    assert report.as_uri() in capsys.readouterr().out
