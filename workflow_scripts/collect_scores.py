"""Collect the scores of all models: scores/*.csv -> scores.csv, summary.csv."""

from pathlib import Path

import pandas as pd

from whatwhere.files import read_table, write_table
from whatwhere.logs import logged


def main(inputs: list[str], summaries: list[str], scores: str | Path, summary: str | Path) -> None:
    """Write all scores of neurons to ``scores`` and all of populations to ``summary``."""
    for paths, target in ((inputs, scores), (summaries, summary)):
        write_table(pd.concat([read_table(path) for path in paths], ignore_index=True), target)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            list(snakemake.input.scores),
            list(snakemake.input.summaries),
            snakemake.output.scores,
            snakemake.output.summary,
        )
