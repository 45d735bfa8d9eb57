"""Collects tables of all models: scores/*.csv, summaries/*.csv, barcodes/*.csv -> one table of each kind."""

from pathlib import Path

from whatwhere.files import read_tables, write_table
from whatwhere.logs import logged


def main(inputs: dict[str, list[str]], outputs: dict[str, str | Path]) -> None:
    """Writes the tables of each name in ``inputs`` as one table to the output of this name."""
    for name, output in outputs.items():
        write_table(read_tables(inputs[name]), output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(dict(snakemake.input.items()), dict(snakemake.output.items()))
