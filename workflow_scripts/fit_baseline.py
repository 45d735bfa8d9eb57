"""Fits every setting and seed in closed form or by inference: dataset.nc -> fits.pt, validation.nc."""

from pathlib import Path
from typing import Any

from whatwhere.config.files import size
from whatwhere.dataset import open_dataset
from whatwhere.fit_data import Condition
from whatwhere.logs import run_job
from whatwhere.training.closed_forms import fit_baseline
from whatwhere.training.transferred import transferred_cores


def main(
    dataset: str | Path,
    core: list[str],
    n_neurons: str,
    n_images: str,
    definition: dict[str, Any],
    seeds: list[int],
    fits: str | Path,
    validation: str | Path,
) -> None:
    """Writes the fits of all settings and seeds to ``fits`` and ``validation``.

    ``core`` lists ``fits.pt`` and ``validation.nc`` of the network whose core the model uses, if any.
    """
    with open_dataset(dataset) as data:
        condition = Condition(data, size(n_neurons), size(n_images), seeds)
        fitted = fit_baseline(str(fits), condition, definition, transferred_cores(core, seeds))
    fitted.write(fits, validation)


if __name__ == "__main__":
    run_job(main, snakemake)
