"""Answers the questions of a run from its tables, in sentences, pictures and tables."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from whatwhere import plotting
from whatwhere.files import atomic, read_reference, read_table, read_tables, write_table
from whatwhere.logs import run_job
from whatwhere.pages import heading, paragraph, picture, table, write_page
from whatwhere.questions import ABSENT, QUESTIONS, answers
from whatwhere.sentences import MEASURES, sentences

INTRODUCTION = (
    "Every answer is made from the numbers of this run, and the picture below shows them. Points are "
    "differences, bars are their 95 % confidence intervals (an arrow marks an interval without an end), and "
    "diamonds are the paper's values. Tables at the end have all numbers."
)
EXPLANATION = (
    "A difference (value) of two models is paired, over test images, neurons and fits; p adjusted is "
    "adjusted for all pairs of models of these sizes. With one fit of each model, the interval is about "
    "these two fits. A difference of two populations is a mean over paired seeds, and one seed has no "
    "interval. Low and high bound the 95 % confidence interval; first and second are the compared values, of "
    "the same neurons; first all is the mean over all neurons of the larger population, as the paper reports "
    "it. Doublings are horizontal distances of curves at the stated performance; recording time and "
    "responses are those of the larger population, relative to the smaller. FEVE is the fraction of "
    "explainable variance explained. Sizes are neurons fitted jointly, and training plus validation images; "
    "selection is the rule that selected the hyper-parameters. The last columns give the paper's value, if "
    "the paper published one at these sizes, and the table of this run. If not all fits converged, some "
    "stopped at max_steps, and a difference may be one of training time. At edge is the share of fits with a "
    "penalty at the edge of its grid, where a wider grid might give a better fit."
)

MAX_ROWS = 16
"""Comparisons in a picture; the table has all."""
AXES = {
    1: ("{} of the same neurons: together minus alone", [0]),
    2: ("{}: factorized minus baseline", [0]),
    3: ("{}: factorized minus baseline", [0]),
    4: ("adjusted Rand index: 0 chance, 1 perfect", [0, 1]),
    5: ("recording time of the larger population relative to the smaller (1: nothing saved)", [0, 1]),
    6: ("{}: training strategy minus the target's own ridge", [0]),
}
"""Label of the axis of every question, and the values of its vertical lines."""
_BEGIN = {
    1: "{n_neurons:.0f} neurons against {against}",
    4: "{model}",
    5: "{n_neurons:.0f} against {against}",
    6: "{model}",
}
_REST = {
    "dataset": "{}",
    "n_images": "{:.0f} images",
    "n_neurons": "N = {:.0f}",
    "selection": "selected by {}",
    "model": "{}",
}


def names(question: int, rows: pd.DataFrame) -> list[str]:
    """Names of rows in a picture: the comparison, and whatever else distinguishes the rows."""
    begin = _BEGIN.get(question, "{against}")
    found = [begin.format_map(row) for row in rows.to_dict("records")]
    for column, text in _REST.items():
        longer = [
            f"{name}, {text.format(value)}" if pd.notna(value) else name
            for name, value in zip(found, rows[column], strict=True)
        ]
        if len(set(longer)) > len(set(found)):
            found = longer
    return found


def named(found: pd.DataFrame, labels: dict[str, str], datasets: dict[str, str]) -> pd.DataFrame:
    """Answers with the labels of models and datasets in place of their names."""
    shown = {"model": labels, "against": labels, "dataset": datasets}
    return found.assign(**{name: found[name].replace(known) for name, known in shown.items()})


def draw(question: int, rows: pd.DataFrame) -> Figure:
    """Draws the first comparisons of a question: differences, agreements or recording times."""
    shown = rows.head(MAX_ROWS)
    if question == 5:
        times = {"value": "", "low": "_low", "high": "_high"}
        shown = shown.assign(**{name: shown[f"recording_time{end}"] for name, end in times.items()})
    title, lines = AXES[question]
    measures = " or ".join(MEASURES.get(name, "") for name in shown["measure"].unique())
    return plotting.interval_plot(shown, names(question, shown), title.format(measures), lines)


def opening(written: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    """Every question, its answer in words and, where it is answered, its picture."""
    content = []
    for row in written.itertuples():
        content += [heading(f"{row.question}. {row.text}"), paragraph(str(row.sentence))]
        rows = found[found["question"] == row.question]
        # Doublings of images, which stand beside differences, have another axis.
        drawn = rows if row.question in (4, 5) else rows[rows["first"].notna()]
        if drawn["value"].notna().any():
            content.append(picture(draw(int(str(row.question)), drawn)))
    return content


def section(question: int, rows: pd.DataFrame) -> list[str]:
    """The table of one question, for readers."""
    redundant = ["question", "text", "comparison", "paper_first", "paper_second"]
    shown = rows.drop(columns=redundant)
    shown["converged"] = np.where(rows["converged"].eq(False), "not all fits", None)
    shown["at_edge"] = rows["at_edge"].where(rows["at_edge"] > 0)
    for column in ("n_neurons", "n_images", "n"):
        shown[column] = shown[column].astype("Int64")
    title = heading(f"Table of question {question}: {QUESTIONS[question]}")
    return [title, table(shown.dropna(axis=1, how="all"))]


def main(
    scores: str | Path,
    differences: str | Path,
    barcode_scores: list[str],
    exchange_rates: list[str],
    transfer: list[str],
    reference: list[str],
    paper: dict[str, str],
    families: dict[str, str],
    know_fields: list[str],
    figures: dict[str, str | None],
    labels: dict[str, str],
    datasets: dict[str, str],
    output: str | Path,
    written: str | Path,
    page: str | Path,
    front: str | Path,
) -> None:
    """Writes the answers to ``output``, in words to ``written``, and as HTML to ``page`` and ``front``.

    Lists are empty where a run lacks a table. ``labels`` and ``datasets`` are the names that readers see for
    models and datasets. ``page`` has sentences, pictures and tables; ``front``, which
    opens the report, has no tables.
    """
    plotting.use_style()
    optional = [read_tables(paths) if paths else None for paths in (barcode_scores, exchange_rates, transfer)]
    published = read_reference(reference, paper)
    tables = (read_table(scores), read_table(differences), *optional)
    write_table(answers(*tables, families, know_fields, figures, published), output)
    found = named(read_table(output), labels, datasets)
    in_words = sentences(found)
    write_table(in_words, written)
    first = opening(in_words, found)
    content = [paragraph(INTRODUCTION), *first, paragraph(EXPLANATION)]
    for question, rows in found[found["comparison"] != ABSENT].groupby("question"):
        content += section(int(str(question)), rows)
    write_page("Answers to the paper's questions", content, page)
    with atomic(front) as temporary:
        temporary.write_text("\n".join(first) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_job(main, snakemake)
