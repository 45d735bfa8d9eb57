"""Simulate a dataset: config entry -> dataset.nc."""

from pathlib import Path
from typing import Any

from whatwhere.dataset import check
from whatwhere.files import write_netcdf
from whatwhere.logs import logged
from whatwhere.simulation import simulate


def main(name: str, definition: dict[str, Any], output: str | Path) -> None:
    """Simulate the dataset ``name`` of the config and write it to ``output``."""
    dataset = simulate(name, **{key: value for key, value in definition.items() if key != "kind"})
    check(dataset, f"datasets.{name}")
    write_netcdf(dataset, output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(snakemake.wildcards.dataset, snakemake.params.definition, snakemake.output.dataset)
