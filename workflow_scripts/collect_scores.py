"""Collects tables of all models, and compares the models: scores/*.csv, draws/*.nc -> tables."""

from pathlib import Path

from whatwhere.differences import differences
from whatwhere.files import read_netcdf, read_tables, write_table
from whatwhere.logs import logged


def main(inputs: dict[str, list[str]], outputs: dict[str, str | Path]) -> None:
    """Writes the tables of each name in ``inputs`` as one table to the output of this name.

    ``draws`` in ``inputs`` are files of bootstraps, from which ``differences`` in ``outputs`` is made.
    """
    for name, output in outputs.items():
        if name == "differences":
            write_table(differences(read_netcdf(path).load() for path in inputs["draws"]), output)
        else:
            write_table(read_tables(inputs[name]), output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(dict(snakemake.input.items()), dict(snakemake.output.items()))
