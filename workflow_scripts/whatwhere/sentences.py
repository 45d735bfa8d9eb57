"""Answers of a run in words, made from their numbers.

``whatwhere answers config/mine.yaml`` prints the answers and the address of the page of the run.
The first words are a verdict over all comparisons of a question. The rest states one comparison: with an
interval rather than without, the largest population on the most images, and of several baselines the closest;
of populations, with the paper's value rather than without. docs/statistics.md has the rules.
"""

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from whatwhere.config.load import load
from whatwhere.errors import UserError
from whatwhere.files import read_table
from whatwhere.questions import ABSENT, ONE_BY_ONE, QUESTIONS

MISSING = {
    1: "one factorized model at two population sizes, such as `n_neurons: [1, 100]`",
    2: "a factorized model beside one with a fixed mask or a fully-connected readout",
    3: "a factorized model beside a ridge, an LNP or a fully-connected readout",
    4: "a factorized model with two features or more on a simulated dataset, whose types are known",
    5: "a factorized model at several sizes, such as `n_neurons: [10, 100]` and `n_images: [256, 1024]`",
    6: "`figure: transfer`, as in config/transfer.yaml",
}
"""Experiments that answer a question."""

MEASURES = {"feve": "FEVE", "feve_pooled": "FEVE", "correlation": "correlation"}
AGREES, DISAGREES = 0.8, 0.2
"""Adjusted Rand indices from which clusters are those of the types, and up to which they are not."""
LEVEL = 0.05
"""Adjusted p below which a difference of two models counts."""


def decimals(value: float) -> str:
    """A number in a sentence: two decimals."""
    return f"{round(value, 2) + 0.0:.2f}"  # adding 0 turns -0 into 0


def interval(row: pd.Series, low: str = "low", high: str = "high") -> str:
    """The 95 % interval of an answer, in the columns ``low`` and ``high``, in words; an end may be NaN."""
    ends = [decimals(row[end]) for end in (low, high) if pd.notna(row[end])]
    if not ends:
        return "one seed, no interval" if row["n"] == 1 else "no interval"
    one_end = ": at most" if pd.isna(row[low]) else ": at least" if pd.isna(row[high]) else ""
    of_fits = " for one fit of each" if row["n"] == 1 and "fits" in row["unit"] else ""
    return f"95 % interval{one_end} {' to '.join(ends)}{of_fits}"


def _bounded(rows: pd.DataFrame) -> pd.Series:
    return rows["low"].notna() | rows["high"].notna()


def decided(rows: pd.DataFrame) -> tuple[int, int]:
    """Numbers of answers above and below 0, whose interval and adjusted p, where it is known, exclude 0."""
    sure = ~(rows["p_adjusted"] >= LEVEL)
    return int((sure & (rows["low"] > 0)).sum()), int((sure & (rows["high"] < 0)).sum())


def verdict(rows: pd.DataFrame, words: tuple[str, str] = ("Yes", "No")) -> str:
    """The first words of an answer, ``words`` for values above and below 0.

    Rows whose interval is over several fits decide, or all rows where there is no such interval.
    """
    known, caution = rows[_bounded(rows) & (rows["n"] > 1)], ""
    if known.empty:
        ends = {end: rows[end].fillna(rows["value"]) for end in ("low", "high")}
        known, caution = rows.assign(**ends), ", as far as single seeds tell"
    above, below = decided(known)
    if above and below:
        return f"It depends{caution}"
    if not above and not below:
        return "Undecided"
    part = "" if 2 * max(above, below) > len(known) else " in part"
    return f"{words[0] if above else words[1]}{part}{caution}"


def selected(rows: pd.DataFrame, *, closest: bool) -> pd.Series:
    """The comparison that a sentence states; see the module."""
    keys = rows[["n_neurons", "n_images"]].assign(value=(-1 if closest else 1) * rows["value"])
    if not closest:
        keys.insert(0, "paper", rows["paper"].notna())
    keys.insert(0, "interval", _bounded(rows))
    best = keys.sort_values(keys.columns.tolist(), ascending=False, kind="stable").index
    return rows.loc[best].iloc[0]


def tally(rows: pd.DataFrame) -> str:
    """Number of comparisons and of decided comparisons, and cautions."""
    known = rows[_bounded(rows)]
    if len(rows) == 1:
        text = " This is the only comparison of the run."
    elif known.empty:
        text = f" The difference is positive in {(rows['value'] > 0).sum()} of {len(rows)} comparisons."
    else:
        (above, below), without = decided(known), len(rows) - len(known)
        text = f" The interval lies above 0 in {above} of {len(known)} comparisons"
        text += f" and below 0 in {below}" if below else ""
        text += f", with an adjusted p below {LEVEL}" if known["p_adjusted"].notna().any() else ""
        text += f"; comparisons without interval: {without}." if without else "."
    return text + _cautions(rows)


def _cautions(rows: pd.DataFrame) -> str:
    stopped = " Some fits stopped at max_steps." if rows["converged"].eq(False).any() else ""
    edge = " Some fits have a penalty at the edge of its grid." if (rows["at_edge"] > 0).any() else ""
    return stopped + edge


def _difference(row: pd.Series) -> str:
    text = f"difference {decimals(row['value'])}, {interval(row)}"
    if pd.isna(row["p_adjusted"]):
        return text
    p = "below 0.001" if row["p_adjusted"] < 0.001 else f"{row['p_adjusted']:.3f}"
    return f"{text}, adjusted p {p}"


def _reached(row: pd.Series, verb: str, second: str, of_difference: str = "") -> str:
    """Scores of both, the paper's values and the difference; of populations, the mean over all neurons."""
    values = decimals(row["paper_first"]), decimals(row["paper_second"])
    paper = "" if pd.isna(row["paper"]) else f"the paper reports {values[0]} and {values[1]}; "
    first = decimals(row["first"] if pd.isna(row["first_all"]) else row["first_all"])
    return (
        f"{verb} a {MEASURES[row['measure']]} of {first} and {second} {decimals(row['second'])} "
        f"({paper}{of_difference}{_difference(row)})."
    )


def _together(row: pd.Series) -> str:
    """Performance of neurons fitted together and alone."""
    alone, of_difference = f"{row['against']} alone", "of the same neurons: "
    if row["against"] == ONE_BY_ONE:
        alone, of_difference = ONE_BY_ONE, ""
    return (
        f"for {row['dataset']} with {row['n_images']:.0f} images, {row['n_neurons']:.0f} neurons fitted "
        f"together by '{row['model']}' {_reached(row, 'reach', alone, of_difference)}"
    )


def _shared_features(rows: pd.DataFrame) -> str:
    row = selected(rows, closest=False)
    published = rows[rows["paper"].notna()]
    beside = ""
    if pd.isna(row["paper"]) and len(published):
        beside = f" Beside the paper: {_together(selected(published, closest=False))}"
    return f"{verdict(rows)}: {_together(row)}{beside}{tally(rows)}"


def _not_answered(question: int) -> str:
    return f"Not answered by this run: add an experiment with {MISSING[question]}."


def _models(rows: pd.DataFrame) -> str:
    """The factorized model and the closest baseline, or the best strategy and the target's own ridge."""
    question = int(rows["question"].iloc[0])
    # Strategies without other recordings stand in the table, too.
    rows = rows[~rows["model"].str.startswith("own images") | (question != 6)]
    differences = rows[rows["first"].notna()]
    if differences.empty:
        reason = "no two of these models were tested on the same images"
        return _not_answered(question) if question == 6 else f"{verdict(rows)}: {reason}.{tally(rows)}"
    if question == 6:
        row = differences.sort_values("value", ascending=False, kind="stable").iloc[0]
        begin, sizes, baseline = "at best, for", f"{row['n_images']:.0f} images of its own", "the baseline"
    else:
        row = selected(differences, closest=True)
        neurons = "1 neuron" if row["n_neurons"] == 1 else f"{row['n_neurons']:.0f} neurons"
        begin, sizes, baseline = "for", f"{neurons} and {row['n_images']:.0f} images", "the closest baseline"
    keys = ["dataset", "model", "against", "n_neurons"]
    of_images = rows[(rows[keys] == row[keys]).all(axis=1) & rows["first"].isna() & rows["value"].notna()]
    saved = "".join(
        f" It saves {decimals(one['value'])} doublings of training images against this baseline "
        f"({interval(one)})."
        for _, one in of_images.head(1).iterrows()
    )
    reached = _reached(row, "reaches", f"{baseline}, '{row['against']}',")
    return (
        f"{verdict(differences)}: {begin} {row['dataset']} with {sizes}, '{row['model']}' {reached}{saved}"
        f"{tally(differences)}"
    )


def _barcodes(rows: pd.DataFrame) -> str:
    low, high = rows["value"].min(), rows["value"].max()
    word = "Yes" if low >= AGREES else "No" if high <= DISAGREES else "In part"
    worst = rows.sort_values("value", kind="stable").iloc[0]
    value = decimals(low) if len(rows) == 1 else f"{decimals(low)} to {decimals(high)}, lowest"
    return (
        f"{word}: clusters of feature weights agree with the true types with an adjusted Rand index of "
        f"{value} for '{worst['model']}' and {worst['dataset']} ({interval(worst)}; 1 is perfect, 0 is "
        f"chance).{_cautions(rows)}"
    )


def _exchange(rows: pd.DataFrame) -> str:
    known = rows[rows["value"].notna() | _bounded(rows)]
    row = selected(known, closest=False)
    words = ("More neurons save recording time", "More neurons save no recording time")
    time = "an unknown share" if pd.isna(row["recording_time"]) else decimals(row["recording_time"])
    name, performance = str(row["measure"]).split()[-2:]
    responses = ""
    if pd.notna(row["n_responses"]):
        count = decimals(row["n_responses"])
        responses = f" Counted in responses, neurons times images, they need {count} times as many."
    return (
        f"{verdict(known, words)}: for {row['dataset']}, {row['n_neurons']:.0f} neurons recorded together "
        f"need {time} of the recording time of {row['against']} for an equal {MEASURES[name]} of "
        f"{performance} by '{row['model']}' ({interval(row, 'recording_time_low', 'recording_time_high')})."
        f"{responses}{_cautions(known)}"
    )


def sentences(answers: pd.DataFrame) -> pd.DataFrame:
    """Answers to every question in words: columns ``question``, ``text``, ``sentence``.

    Models and datasets of the answers are named as readers know them.
    """
    write = (_shared_features, _models, _models, _barcodes, _exchange, _models)
    rows = []
    for question, table in answers.groupby("question"):
        number = int(str(question))
        absent = (table["comparison"] == ABSENT).all()
        sentence = _not_answered(number) if absent else write[number - 1](table.reset_index(drop=True))
        rows.append({"question": number, "text": QUESTIONS[number], "sentence": sentence})
    return pd.DataFrame(rows)


def main(paths: Sequence[str]) -> int:
    """Prints the answers of a completed run and its pages; without answers one line and exit code 1."""
    try:
        folder = Path("results", load(paths).config["run"])
        answered = folder / "tables" / "sentences.csv"
        if not answered.exists():
            raise UserError(f'{answered}: no such file: first run make CONFIG="{" ".join(paths)}"')
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    for row in read_table(answered).itertuples():
        print(f"\n{row.question}. {row.text}")
        print(textwrap.fill(str(row.sentence), 100, initial_indent="   ", subsequent_indent="   "))
    print(f"\nAnswers, figures, datasets and tables: {(folder / 'index.html').resolve().as_uri()}")
    report = folder / "report.html"
    if report.exists() and report.stat().st_mtime >= answered.stat().st_mtime:
        print(f"All of it in one file: {report.resolve().as_uri()}")
    return 0
