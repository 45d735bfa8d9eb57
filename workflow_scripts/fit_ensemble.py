"""Averages starts and mixes models by validation: members' fits.pt, validation.nc -> fits.pt, ranking.csv."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from whatwhere.config.files import size
from whatwhere.dataset import open_dataset, repeat_mean, select_images
from whatwhere.files import read_netcdf, read_tensors, write_netcdf, write_table, write_tensors
from whatwhere.fit_data import load_fit_data
from whatwhere.fitted.ensemble import MemberFits, fit_ensemble_seed
from whatwhere.logs import arguments, logged
from whatwhere.training.fits import to_tensors, to_validation


def main(
    dataset: str | Path,
    member_fits: list[str],
    member_validation: list[str],
    members: list[str],
    n_neurons: str,
    n_images: str,
    definition: dict[str, Any],
    seeds: list[int],
    threads: int,
    fits: str | Path,
    validation: str | Path,
    ranking: str | Path,
) -> None:
    """Writes the ensemble of every seed to ``fits`` and ``validation``, and its members to ``ranking``."""
    torch.set_num_threads(threads)
    files = zip(members, member_fits, member_validation, strict=True)
    taking_part = [MemberFits(name, read_tensors(f), read_netcdf(v).load()) for name, f, v in files]
    complete = definition | {"members": {one.name: one.fits["definition"] for one in taking_part}}
    candidates, rankings = [], []
    with open_dataset(dataset) as data:
        for seed in seeds:
            fit_data = load_fit_data(data, size(n_neurons), size(n_images), seed)
            images = select_images(data, fit_data.subset.validation)
            responses = repeat_mean(data, fit_data.subset.validation, fit_data.subset.neurons)
            candidate, ranked = fit_ensemble_seed(taking_part, seed, fit_data, images, responses)
            candidates.append(candidate)
            rankings.append(ranked.assign(seed=seed))
    write_table(pd.concat(rankings, ignore_index=True), ranking)
    write_netcdf(to_validation(complete, candidates), validation)
    write_tensors(to_tensors(complete, candidates), fits)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            **arguments(snakemake.input, snakemake.params, snakemake.output),
            n_neurons=snakemake.wildcards.n_neurons,
            n_images=snakemake.wildcards.n_images,
            threads=snakemake.threads,
        )
