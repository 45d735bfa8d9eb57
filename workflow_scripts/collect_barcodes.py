"""Collect the barcodes of all models: barcodes/*.csv -> barcodes.csv, barcode_scores.csv."""

from pathlib import Path

import pandas as pd

from whatwhere.files import read_table, write_table
from whatwhere.logs import logged


def main(barcodes: list[str], scores: list[str], output: str | Path, summary: str | Path) -> None:
    """Write all barcodes to ``output`` and their scores to ``summary``."""
    for inputs, target in ((barcodes, output), (scores, summary)):
        write_table(pd.concat([read_table(path) for path in inputs], ignore_index=True), target)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            list(snakemake.input.barcodes),
            list(snakemake.input.scores),
            snakemake.output.barcodes,
            snakemake.output.scores,
        )
