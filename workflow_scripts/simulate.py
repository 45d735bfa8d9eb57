"""Simulates a dataset: config entry, files with stimuli -> dataset.nc."""

from pathlib import Path
from typing import Any

from whatwhere.config.kinds import kind_of
from whatwhere.dataset import check, write_dataset
from whatwhere.logs import run_job
from whatwhere.simulations.design import Design


def main(
    name: str,
    definition: dict[str, Any],
    recording: list[str],
    downloads: str | Path,
    dataset: str | Path,
) -> None:
    """Simulates the dataset ``name`` of the configuration and writes it to ``dataset``.

    ``recording`` lists the file of the recorded dataset whose images are shown, if any.
    """
    design, keys = Design.of(name, definition)
    kind = kind_of(definition)
    given = {"recording": next(iter(recording), None), "downloads": Path(downloads)}
    simulated = kind.load_module().simulate(design, **keys, **{key: given[key] for key in kind.takes})
    check(simulated, f"datasets.{name}")
    write_dataset(simulated, dataset)


if __name__ == "__main__":
    run_job(main, snakemake)
