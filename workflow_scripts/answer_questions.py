"""Answer the paper's five questions from the tables of a run: tables/*.csv -> answers.csv, answers.html."""

from pathlib import Path

import numpy as np
import pandas as pd

from whatwhere.files import read_table, write_table
from whatwhere.logs import logged
from whatwhere.pages import heading, number, paragraph, table, write_page
from whatwhere.questions import ABSENT, QUESTIONS, answers

INTRODUCTION = (
    "Differences are means over paired seeds, or over paired neurons and seeds, and doublings are horizontal "
    "distances of curves at the stated performance; 95 % confidence intervals are over fits, and a single "
    "seed has none. FEVE is the fraction of explainable variance explained. "
    "Sizes are neurons fitted jointly, and training plus validation images. The last columns give the "
    "paper's value, where it published one at these sizes, and the table of this run. Where not all fits "
    "are finished, training was cut short by max_steps, and a difference may be one of training time; "
    "at_edge is the share of fits with a penalty at the edge of its grid, where a wider one might do better."
)


def bounded(low: float, high: float) -> str:
    """An interval as it is read, of which one end or both may be unknown (NaN)."""
    if pd.isna(low) and pd.isna(high):
        return ""
    if pd.isna(low) or pd.isna(high):
        return f"at most {number(high)}" if pd.isna(low) else f"at least {number(low)}"
    return f"{number(low)} to {number(high)}"


def section(question: int, rows: pd.DataFrame) -> list[str]:
    """One question with its answers as they are read."""
    title = heading(f"{question}. {QUESTIONS[question]}")
    if (rows["comparison"] == ABSENT).all():
        return [title, paragraph(f"{ABSENT.capitalize()}.")]
    shown = rows.drop(columns=["question", "text", "low", "high", "selection"])
    bounds = [bounded(low, high) for low, high in zip(rows.low, rows.high, strict=True)]
    shown.insert(shown.columns.get_loc("value") + 1, "95 % interval", bounds)
    # Only what was cut short is worth a word.
    shown["finished"] = np.where(rows["finished"].eq(False), "not all fits", None)
    shown["at_edge"] = rows["at_edge"].where(rows["at_edge"] > 0)
    for column in ("n_neurons", "n_images", "n"):
        shown[column] = shown[column].astype("Int64")
    return [title, table(shown.dropna(axis=1, how="all"))]


def main(
    scores: str | Path,
    barcode_scores: str | Path | None,
    exchange_rates: str | Path | None,
    transfer: str | Path | None,
    reference: list[str],
    families: dict[str, str],
    figures: dict[str, str | None],
    output: str | Path,
    page: str | Path,
) -> None:
    """Write the answers to ``output`` and, to be read, to ``page``."""
    optional = [read_table(path) if path else None for path in (barcode_scores, exchange_rates, transfer)]
    published = pd.concat([read_table(path) for path in reference], ignore_index=True)
    found = answers(read_table(scores), *optional, families, figures, published)
    write_table(found, output)
    sections = [part for question, rows in found.groupby("question") for part in section(int(question), rows)]
    write_page("Answers to the paper's questions", [paragraph(INTRODUCTION), *sections], page)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            scores=snakemake.input.scores,
            barcode_scores=next(iter(snakemake.input.barcode_scores), None),
            exchange_rates=next(iter(snakemake.input.exchange_rates), None),
            transfer=next(iter(snakemake.input.transfer), None),
            reference=list(snakemake.input.reference),
            families=snakemake.params.families,
            figures=snakemake.params.figures,
            output=snakemake.output.answers,
            page=snakemake.output.page,
        )
