"""Averages starts and mixes models by validation: members' fits.pt, validation.nc -> fits.pt, ranking.csv."""

from pathlib import Path
from typing import Any

import torch

from whatwhere.config.files import size
from whatwhere.dataset import open_dataset
from whatwhere.files import write_table
from whatwhere.fit_data import Condition
from whatwhere.fitted.ensemble import fit_ensemble
from whatwhere.logs import run_job
from whatwhere.training.fits import ModelFits


def main(
    dataset: str | Path,
    member_fits: list[str],
    member_validation: list[str],
    members: list[str],
    n_neurons: str,
    n_images: str,
    definition: dict[str, Any],
    seeds: list[int],
    fits: str | Path,
    validation: str | Path,
    ranking: str | Path,
) -> None:
    """Writes the ensemble of every seed to ``fits`` and ``validation``, and its members to ``ranking``."""
    torch.set_num_threads(1)
    files = zip(members, member_fits, member_validation, strict=True)
    taking_part = [ModelFits.read(name, paths) for name, *paths in files]
    with open_dataset(dataset) as data:
        condition = Condition(data, size(n_neurons), size(n_images), seeds)
        ensemble, ranked = fit_ensemble(str(fits), condition, definition, taking_part)
    write_table(ranked, ranking)
    ensemble.write(fits, validation)


if __name__ == "__main__":
    run_job(main, snakemake)
