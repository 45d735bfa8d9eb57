"""Simulates a dataset: config entry -> dataset.nc."""

from pathlib import Path
from typing import Any

from whatwhere.config.kinds import kind_of
from whatwhere.dataset import check, write_dataset
from whatwhere.logs import logged
from whatwhere.simulations.design import Design


def main(name: str, definition: dict[str, Any], output: str | Path) -> None:
    """Simulates the dataset ``name`` of the configuration and writes it to ``output``."""
    design, keys = Design.of(name, definition)
    dataset = kind_of(definition).load_module().simulate(design, **keys)
    check(dataset, f"datasets.{name}")
    write_dataset(dataset, output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            name=snakemake.wildcards.dataset,
            definition=snakemake.params.definition,
            output=snakemake.output.dataset,
        )
