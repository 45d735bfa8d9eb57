"""Spike-triggered averages of the training images of every seed of a condition: dataset.nc -> sta.nc."""

from pathlib import Path

import numpy as np
import xarray as xr

from whatwhere import sta
from whatwhere.config.files import size
from whatwhere.dataset import open_dataset, select_images
from whatwhere.files import write_netcdf
from whatwhere.fit_data import FitData, load_fit_data
from whatwhere.logs import logged
from whatwhere.standardize import standardizer


def _evenly_scaled_images(data: xr.Dataset, fit: FitData) -> np.ndarray:
    """Training images with all pixels on one scale, z-scored if fits see every pixel on its own."""
    if data.attrs["normalize"] != "per_pixel":
        return fit.train_images
    stored = select_images(data, fit.subset.train)
    recording = None if fit.pooled is None else fit.pooled.train
    return standardizer(stored, "global", recording)(stored, recording)


def main(
    dataset: str | Path,
    n_neurons: str,
    n_images: str,
    seeds: list[int],
    smoothing: int,
    output: str | Path,
) -> None:
    """Write raw, smoothed and smoothed squared averages, (seed, neuron, y, x), to ``output``."""
    averages = []
    with open_dataset(dataset) as data:
        for seed in seeds:
            fit = load_fit_data(data, size(n_neurons), size(n_images), seed)
            even = _evenly_scaled_images(data, fit)
            one = sta.all_averages(fit.train_images, even, fit.train_responses, smoothing)
            averages.append(one)
    dims = ("seed", "neuron", "y", "x")
    variables = {name: (dims, np.stack([one[name] for one in averages])) for name in sta.AVERAGES}
    write_netcdf(xr.Dataset(variables, coords={"seed": seeds}), output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            dataset=snakemake.input.dataset,
            n_neurons=snakemake.wildcards.n_neurons,
            n_images=snakemake.wildcards.n_images,
            seeds=snakemake.params.seeds,
            smoothing=snakemake.params.smoothing,
            output=snakemake.output.sta,
        )
