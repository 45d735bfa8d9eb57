"""Spike-triggered averages of the training images of every seed of a condition: dataset.nc -> sta.nc."""

from pathlib import Path

import numpy as np
import xarray as xr

from whatwhere.config.files import size
from whatwhere.dataset import open_dataset
from whatwhere.files import write_netcdf
from whatwhere.fit_data import load_fit_data
from whatwhere.logs import run_job
from whatwhere.sta import AVERAGES, averages_of_fit


def main(
    dataset: str | Path, n_neurons: str, n_images: str, seeds: list[int], smoothing: int, sta: str | Path
) -> None:
    """Writes raw, smoothed and smoothed squared averages, (seed, neuron, y, x), to ``sta``."""
    averages = []
    with open_dataset(dataset) as data:
        for seed in seeds:
            fit = load_fit_data(data, size(n_neurons), size(n_images), seed)
            averages.append(averages_of_fit(data, fit, smoothing))
    dims = ("seed", "neuron", "y", "x")
    variables = {name: (dims, np.stack([one[name] for one in averages])) for name in AVERAGES}
    write_netcdf(xr.Dataset(variables, coords={"seed": seeds}), sta)


if __name__ == "__main__":
    run_job(main, snakemake)
