"""Compares all models of a condition pair by pair: draws/*.nc -> differences.csv."""

from pathlib import Path

import xarray as xr

from whatwhere.differences import differences
from whatwhere.files import read_netcdf, write_table
from whatwhere.logs import run_job


def _read(path: str) -> xr.Dataset:
    with read_netcdf(path) as drawn:
        return drawn.load()


def main(draws: list[str], table: str | Path) -> None:
    """Writes the differences of all models with ``draws``, files of :mod:`whatwhere.evaluation.scores`."""
    write_table(differences(map(_read, draws)), table)


if __name__ == "__main__":
    run_job(main, snakemake)
