"""Simulates a dataset: config entry -> dataset.nc."""

from pathlib import Path
from typing import Any

from whatwhere.config.kinds import kind_of
from whatwhere.dataset import check, write_dataset
from whatwhere.logs import run_job
from whatwhere.simulations.design import Design


def main(name: str, definition: dict[str, Any], dataset: str | Path) -> None:
    """Simulates the dataset ``name`` of the configuration and writes it to ``dataset``."""
    design, keys = Design.of(name, definition)
    simulated = kind_of(definition).load_module().simulate(design, **keys)
    check(simulated, f"datasets.{name}")
    write_dataset(simulated, dataset)


if __name__ == "__main__":
    run_job(main, snakemake)
