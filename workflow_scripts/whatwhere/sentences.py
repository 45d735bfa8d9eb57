"""The answers of a run in one sentence per question, made from their numbers.

``python -m whatwhere.sentences config/mine.yaml`` prints them, with the page that holds the rest. The first
words are a verdict over all comparisons of a question; the sentence then tells one of them: with an interval
rather than without, with the paper's value rather than without, the largest population on the most images,
and of several baselines the closest. docs/statistics.md has the rules.
"""

import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from whatwhere.config.load import load
from whatwhere.errors import UserError
from whatwhere.files import read_table
from whatwhere.questions import ABSENT, QUESTIONS

MISSING = {
    1: "one factorized model at two population sizes, such as `n_neurons: [1, 100]`",
    2: "a factorized model beside one with a fixed mask or a fully-connected readout",
    3: "a factorized model beside a ridge, an LNP or a fully-connected readout",
    4: "a factorized model with two features or more on a simulated dataset, whose types are known",
    5: "a factorized model at several sizes, such as `n_neurons: [10, 100]` and `n_images: [256, 1024]`",
    6: "`figure: transfer`, as in config/transfer.yaml",
}
"""What an experiment needs that answers a question."""

YES = ("Yes", "No")
AGREES, DISAGREES = 0.8, 0.2
"""Adjusted Rand indices from which clusters are those of the types, and up to which they are not."""


def decimals(value: float) -> str:
    """A number in a sentence: two decimals, without the zero before the point."""
    text = f"{round(value, 2) + 0.0:.2f}"  # adding 0 turns -0 into 0
    return text.replace("0.", ".", 1) if abs(float(text)) < 1 else text


def bounds(low: float, high: float, text: Callable[[float], str] = decimals) -> str:
    """An interval in words, of which one end or both may be unknown (NaN)."""
    if pd.isna(low) and pd.isna(high):
        return ""
    if pd.isna(low) or pd.isna(high):
        return f"at most {text(high)}" if pd.isna(low) else f"at least {text(low)}"
    return f"{text(low)} to {text(high)}"


def interval(row: pd.Series) -> str:
    """The 95 % interval of an answer in words."""
    words = bounds(row["low"], row["high"])
    if not words:
        return "one seed, no interval" if row["n"] == 1 or "1 seed" in row["unit"] else "no interval"
    return f"95 % interval{':' if words.startswith('at') else ''} {words}"


def verdict(rows: pd.DataFrame, threshold: float, words: tuple[str, str]) -> str:
    """What intervals say of a threshold, or, where no row has one, what the values say.

    Parameters
    ----------
    rows
        Answers of one question with comparable values.
    threshold
        What the values are held against.
    words
        For values above it, and below.
    """
    above, below = rows["low"] > threshold, rows["high"] < threshold
    known = rows["low"].notna() | rows["high"].notna()
    if not known.any():
        above, below = rows["value"] > threshold, rows["value"] < threshold
        caution = ", as far as single seeds tell"
    else:
        rows, above, below, caution = rows[known], above[known], below[known], ""
    if above.any() and below.any():
        return f"It depends{caution}"
    if not above.any() and not below.any():
        return "Undecided"
    word, decided = (words[0], above) if above.any() else (words[1], below)
    return f"{word}{caution}" if 2 * decided.sum() > len(rows) else f"{word} in part{caution}"


def selected(rows: pd.DataFrame, *, closest: bool) -> pd.Series:
    """The comparison that a sentence tells; see the module."""
    keys = pd.DataFrame(
        {
            "interval": rows["low"].notna() | rows["high"].notna(),
            "paper": rows["paper"].notna(),
            "n_neurons": rows["n_neurons"],
            "n_images": rows["n_images"],
            "value": (-1 if closest else 1) * rows["value"],
        }
    )
    best = keys.sort_values(keys.columns.tolist(), ascending=False, kind="stable").index
    return rows.loc[best].iloc[0]


def tally(rows: pd.DataFrame) -> str:
    """How many comparisons there are, how many decided, and whether some fits might have improved."""
    if len(rows) == 1:
        return "the only comparison of this run" + _cut_short(rows)
    known = rows[rows["low"].notna() | rows["high"].notna()]
    if known.empty:
        text = f"the difference is positive in {int((rows['value'] > 0).sum())} of {len(rows)} comparisons"
    else:
        text = f"the interval is above 0 in {int((known['low'] > 0).sum())} of {len(known)} comparisons"
        if (known["high"] < 0).any():
            text += f" and below 0 in {int((known['high'] < 0).sum())}"
        if len(known) < len(rows):
            text += f", and {len(rows) - len(known)} have none"
    return text + _cut_short(rows)


def _cut_short(rows: pd.DataFrame) -> str:
    return "; some fits stopped at max_steps" if rows["converged"].eq(False).any() else ""


def _paper(row: pd.Series) -> str:
    if pd.isna(row["paper"]):
        return ""
    return f"; the paper {decimals(row['paper_first'])} and {decimals(row['paper_second'])}"


def _images(row: pd.Series) -> str:
    return f"{row['n_images']:.0f} images"


def _measure(row: pd.Series) -> str:
    return "a FEVE" if row["measure"] == "feve" else "a correlation"


def _shared_features(rows: pd.DataFrame) -> str:
    row = selected(rows, closest=False)
    reach = "reaches" if row["against"] == "1 neuron" else "reach"
    return (
        f"{verdict(rows, 0, YES)}: in {row['dataset']} with {_images(row)}, {row['n_neurons']:.0f} neurons "
        f"fitted together by {row['model']} reach {_measure(row)} of {decimals(row['first'])} "
        f"where {row['against']} alone {reach} {decimals(row['second'])} "
        f"({interval(row)}{_paper(row)}); {tally(rows)}."
    )


def _not_answered(question: int) -> str:
    return f"Not answered by this run: add an experiment with {MISSING[question]}."


def _saved(rows: pd.DataFrame) -> str:
    """The doublings of images that are saved against the closest baseline, where that is known."""
    known = rows[rows["first"].isna() & rows["value"].notna()]
    if known.empty:
        return ""
    one = selected(known, closest=True)
    saves = f"it saves {decimals(one['value'])} doublings of images against {one['against']}"
    return f"; {saves} ({interval(one)})"


def _baselines(rows: pd.DataFrame) -> str:
    differences = rows[rows["first"].notna()]
    if differences.empty:
        row = selected(rows, closest=True)
        images = f"{row['model']} and {row['against']} have no size in common{_saved(rows)}"
        return f"{verdict(rows, 0, YES)}: in {row['dataset']}, {images}; {tally(rows)}."
    row = selected(differences, closest=True)
    return (
        f"{verdict(differences, 0, YES)}: in {row['dataset']} with {row['n_neurons']:.0f} neurons and "
        f"{_images(row)}, {row['model']} reaches {_measure(row)} of {decimals(row['first'])} and the closest "
        f"baseline, {row['against']}, {decimals(row['second'])} "
        f"({interval(row)}{_paper(row)}){_saved(rows)}; {tally(differences)}."
    )


def _barcodes(rows: pd.DataFrame) -> str:
    low, high = rows["value"].min(), rows["value"].max()
    word = "Yes" if low >= AGREES else "No" if high <= DISAGREES else "In part"
    worst = rows.sort_values("value", kind="stable").iloc[0]
    value = decimals(low) if len(rows) == 1 else f"{decimals(low)} to {decimals(high)}, the least"
    return (
        f"{word}: clusters of feature weights agree with the true types with an adjusted Rand index of "
        f"{value} for {worst['model']} in {worst['dataset']} ({interval(worst)}; 1 is perfect, 0 chance)"
        f"{_cut_short(rows)}."
    )


def _exchange(rows: pd.DataFrame) -> str:
    known = rows[rows["value"].notna() | rows["low"].notna() | rows["high"].notna()]
    row = selected(known, closest=False)
    words = ("More neurons", "Longer recordings")
    worth = "an unknown number of" if pd.isna(row["value"]) else decimals(row["value"])
    return (
        f"{verdict(known, 1, words)}: with {row['model']} in {row['dataset']}, from {row['against']} to "
        f"{row['n_neurons']:.0f} neurons a doubling of neurons is worth {worth} doublings of images "
        f"({interval(row)}; below 1 images are worth more, and at 0 neurons share nothing)"
        f"{_cut_short(known)}."
    )


def _other_recordings(rows: pd.DataFrame) -> str:
    # Ways that take no other recording stand in the table, too.
    rows = rows[~rows["model"].str.startswith("own images")].reset_index(drop=True)
    differences = rows[rows["first"].notna()]
    if differences.empty:
        return _not_answered(6)
    row = differences.sort_values("value", ascending=False, kind="stable").iloc[0]
    saved = _saved(rows[(rows["model"] == row["model"]) & (rows["dataset"] == row["dataset"])])
    return (
        f"{verdict(differences, 0, YES)}: at best, in {row['dataset']} with {_images(row)} of its own, "
        f"the strategy '{row['model']}' reaches {_measure(row)} of {decimals(row['first'])} where "
        f"'{row['against']}' reaches {decimals(row['second'])} "
        f"({interval(row)}){saved}; {tally(differences)}."
    )


def sentences(answers: pd.DataFrame) -> pd.DataFrame:
    """One sentence per question.

    Parameters
    ----------
    answers
        ``tables/answers.csv``.

    Returns
    -------
    Columns ``question``, ``text``, ``sentence``.
    """
    tell = {
        1: _shared_features,
        2: _baselines,
        3: _baselines,
        4: _barcodes,
        5: _exchange,
        6: _other_recordings,
    }
    rows = []
    for question, part in answers.groupby("question"):
        number = int(str(question))
        absent = (part["comparison"] == ABSENT).all()
        sentence = _not_answered(number) if absent else tell[number](part.reset_index(drop=True))
        rows.append({"question": number, "text": QUESTIONS[number], "sentence": sentence})
    return pd.DataFrame(rows)


def main(paths: Sequence[str]) -> int:
    """Print the answers of a finished run, and where to read on; exit code 1 after one line without any."""
    try:
        folder = Path("results", load(paths).config["run"])
        answered = folder / "tables" / "sentences.csv"
        if not answered.exists():
            raise UserError(
                f'{answered}: no such file: finish the run first, make CONFIG="{" ".join(paths)}"'
            )
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    for row in read_table(answered).itertuples():
        print(f"\n{row.question}. {row.text}")
        print(textwrap.fill(str(row.sentence), 100, initial_indent="   ", subsequent_indent="   "))
    print(f"\nRead on in {folder / 'pages' / 'answers.html'}; figures are in {folder / 'figures'}.")
    report = folder / "report.html"
    if report.exists() and report.stat().st_mtime >= answered.stat().st_mtime:
        print(f"The report is {report}: one file with all of it.")
    else:
        print(f'One file with all of it, {report}, is written by: make report CONFIG="{" ".join(paths)}"')
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
