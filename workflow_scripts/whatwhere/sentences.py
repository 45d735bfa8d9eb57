"""Answers of a run in words, made from their numbers.

``whatwhere answers config/mine.yaml`` prints the answers and the address of the page of the run.
The first words are a verdict over all comparisons of a question. The rest states one comparison: with an
interval rather than without, with the paper's value rather than without, the largest population on the most
images, and of several baselines the closest. docs/statistics.md has the rules.
"""

import sys
import textwrap
from collections.abc import Callable, Sequence
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

YES = ("Yes", "No")
MEASURES = {"feve": "FEVE", "correlation": "correlation"}
AGREES, DISAGREES = 0.8, 0.2
"""Adjusted Rand indices from which clusters are those of the types, and up to which they are not."""


def decimals(value: float) -> str:
    """A number in a sentence: two decimals."""
    return f"{round(value, 2) + 0.0:.2f}"  # adding 0 turns -0 into 0


def bounds(low: float, high: float, text: Callable[[float], str] = decimals) -> str:
    """An interval in words; one end or both may be unknown (NaN)."""
    if pd.isna(low) and pd.isna(high):
        return ""
    if pd.isna(low) or pd.isna(high):
        return f"at most {text(high)}" if pd.isna(low) else f"at least {text(low)}"
    return f"{text(low)} to {text(high)}"


def interval(row: pd.Series, low: str = "low", high: str = "high") -> str:
    """The 95 % interval of an answer, in the columns ``low`` and ``high``, in words."""
    words = bounds(row[low], row[high])
    if not words:
        return "one seed, no interval" if row["n"] == 1 or "1 seed" in row["unit"] else "no interval"
    return f"95 % interval{':' if words.startswith('at') else ''} {words}"


def _bounded(rows: pd.DataFrame) -> pd.Series:
    return rows["low"].notna() | rows["high"].notna()


def verdict(rows: pd.DataFrame, threshold: float, words: tuple[str, str]) -> str:
    """Compares the intervals of answers with a threshold, or, where no row has an interval, the values.

    ``words`` are those for values above the threshold, and below.
    """
    known, caution = rows[_bounded(rows)], ""
    if known.empty:
        known, caution = rows.assign(low=rows["value"], high=rows["value"]), ", as far as single seeds tell"
    above, below = (known["low"] > threshold).sum(), (known["high"] < threshold).sum()
    if above and below:
        return f"It depends{caution}"
    if not above and not below:
        return "Undecided"
    word = words[0] if above else words[1]
    return f"{word}{'' if 2 * max(above, below) > len(known) else ' in part'}{caution}"


def selected(rows: pd.DataFrame, *, closest: bool) -> pd.Series:
    """The comparison that a sentence states; see the module."""
    keys = rows[["n_neurons", "n_images"]].assign(value=(-1 if closest else 1) * rows["value"])
    keys.insert(0, "interval", _bounded(rows))
    keys.insert(1, "paper", rows["paper"].notna())
    best = keys.sort_values(keys.columns.tolist(), ascending=False, kind="stable").index
    return rows.loc[best].iloc[0]


def tally(rows: pd.DataFrame) -> str:
    """Number of comparisons and of decided comparisons, and whether some fits might have improved."""
    known = rows[_bounded(rows)]
    if len(rows) == 1:
        text = " This is the only comparison of the run."
    elif known.empty:
        text = f" The difference is positive in {(rows['value'] > 0).sum()} of {len(rows)} comparisons."
    else:
        below, without = (known["high"] < 0).sum(), len(rows) - len(known)
        text = f" The interval lies above 0 in {(known['low'] > 0).sum()} of {len(known)} comparisons"
        text += f" and below 0 in {below}" if below else ""
        text += f"; comparisons without interval: {without}." if without else "."
    return text + _stopped(rows)


def _stopped(rows: pd.DataFrame) -> str:
    return " Some fits stopped at max_steps." if rows["converged"].eq(False).any() else ""


def _difference(row: pd.Series) -> str:
    return f"difference {decimals(row['value'])}, {interval(row)}"


def _paper(row: pd.Series) -> str:
    values = decimals(row["paper_first"]), decimals(row["paper_second"])
    return "" if pd.isna(row["paper"]) else f"the paper reports {values[0]} and {values[1]}"


def _reached(row: pd.Series, first: str = "first") -> tuple[str, str]:
    return f"a {MEASURES[row['measure']]} of {decimals(row[first])}", decimals(row["second"])


def _together(row: pd.Series) -> str:
    """Performance of neurons fitted together and alone, each as a mean over all of its neurons."""
    first, second = _reached(row, "first_all")
    alone = row["against"] + ("" if row["against"] == ONE_BY_ONE else " alone")
    same = _difference(row) if row["against"] == ONE_BY_ONE else f"of the same neurons: {_difference(row)}"
    return (
        f"for {row['dataset']} with {row['n_images']:.0f} images, {row['n_neurons']:.0f} neurons fitted "
        f"together by '{row['model']}' reach {first} and {alone} {second} "
        f"({'; '.join(filter(None, [_paper(row), same]))})."
    )


def _shared_features(rows: pd.DataFrame) -> str:
    row = selected(rows, closest=False)
    published = rows[rows["paper"].notna()]
    beside = ""
    if pd.isna(row["paper"]) and len(published):
        other = _together(selected(published, closest=False))
        beside = f" Beside the paper: {other}"
    return f"{verdict(rows, 0, YES)}: {_together(row)}{beside}{tally(rows)}"


def _not_answered(question: int) -> str:
    return f"Not answered by this run: add an experiment with {MISSING[question]}."


def _saved(rows: pd.DataFrame) -> str:
    """The doublings of images that are saved against the closest baseline, where that is known."""
    known = rows[rows["first"].isna() & rows["value"].notna()]
    if known.empty:
        return ""
    row = selected(known, closest=True)
    saved = f"{decimals(row['value'])} doublings of training images against '{row['against']}'"
    return f" For {row['dataset']}, '{row['model']}' saves {saved} ({interval(row)})."


def _baselines(rows: pd.DataFrame) -> str:
    differences = rows[rows["first"].notna()]
    if differences.empty:
        row = selected(rows, closest=True)
        sizes = f"for {row['dataset']}, '{row['model']}' and '{row['against']}' were fitted to no common size"
        return f"{verdict(rows, 0, YES)}: {sizes}.{_saved(rows)}{tally(rows)}"
    row = selected(differences, closest=True)
    first, second = _reached(row)
    neurons = "1 neuron" if row["n_neurons"] == 1 else f"{row['n_neurons']:.0f} neurons"
    return (
        f"{verdict(differences, 0, YES)}: for {row['dataset']} with {neurons} and "
        f"{row['n_images']:.0f} images, '{row['model']}' reaches {first} and the closest baseline, "
        f"'{row['against']}', {second} ({'; '.join(filter(None, [_difference(row), _paper(row)]))})."
        f"{_saved(rows)}{tally(differences)}"
    )


def _barcodes(rows: pd.DataFrame) -> str:
    low, high = rows["value"].min(), rows["value"].max()
    word = "Yes" if low >= AGREES else "No" if high <= DISAGREES else "In part"
    worst = rows.sort_values("value", kind="stable").iloc[0]
    value = decimals(low) if len(rows) == 1 else f"{decimals(low)} to {decimals(high)}, lowest"
    return (
        f"{word}: clusters of feature weights agree with the true types with an adjusted Rand index of "
        f"{value} for '{worst['model']}' and {worst['dataset']} ({interval(worst)}; 1 is perfect, 0 is "
        f"chance)."
        f"{_stopped(rows)}"
    )


def _exchange(rows: pd.DataFrame) -> str:
    known = rows[rows["value"].notna() | _bounded(rows)]
    row = selected(known, closest=False)
    words = ("More neurons save recording time", "More neurons save no recording time")
    time = "an unknown share" if pd.isna(row["recording_time"]) else decimals(row["recording_time"])
    name, performance = str(row["measure"]).split()[-2:]
    time_interval = interval(row, "recording_time_low", "recording_time_high")
    responses = ""
    if pd.notna(row["n_responses"]):
        count = decimals(row["n_responses"])
        responses = f" Counted in responses, neurons times images, they need {count} times as many."
    return (
        f"{verdict(known, 0, words)}: for {row['dataset']}, {row['n_neurons']:.0f} neurons recorded together "
        f"need {time} of the recording time of {row['against']} for an equal {MEASURES[name]} of "
        f"{performance} by '{row['model']}' ({time_interval}).{responses}{_stopped(known)}"
    )


def _other_recordings(rows: pd.DataFrame) -> str:
    # Strategies without other recordings stand in the table, too.
    rows = rows[~rows["model"].str.startswith("own images")].reset_index(drop=True)
    differences = rows[rows["first"].notna()]
    if differences.empty:
        return _not_answered(6)
    row = differences.sort_values("value", ascending=False, kind="stable").iloc[0]
    first, second = _reached(row)
    saved = _saved(rows[(rows["model"] == row["model"]) & (rows["dataset"] == row["dataset"])])
    return (
        f"{verdict(differences, 0, YES)}: at best, for {row['dataset']} with {row['n_images']:.0f} images of "
        f"its own, the strategy '{row['model']}' reaches {first} and the baseline '{row['against']}' "
        f"{second} ({_difference(row)}).{saved}{tally(differences)}"
    )


def sentences(answers: pd.DataFrame) -> pd.DataFrame:
    """Answers to every question in words: columns ``question``, ``text``, ``sentence``.

    Models and datasets of the answers are named as readers know them.
    """
    write = (_shared_features, _baselines, _baselines, _barcodes, _exchange, _other_recordings)
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
