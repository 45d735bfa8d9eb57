"""Spike-triggered averages of the training images of every seed of a cell: dataset.nc -> sta.nc."""

from pathlib import Path

import numpy as np
import xarray as xr

from whatwhere import sta
from whatwhere.config import size
from whatwhere.dataset import fit_data, open_dataset, select_images, standardizer
from whatwhere.files import write_netcdf
from whatwhere.logs import logged


def main(
    dataset: str | Path,
    n_neurons: str,
    n_images: str,
    seeds: list[int],
    smoothing: int,
    whitening: float,
    output: str | Path,
) -> None:
    """Write raw, smoothed, smoothed squared and whitened averages, (seed, neuron, y, x), to ``output``.

    They are of images as the fits see them, but the squared ones of globally z-scored images (section G.3).
    """
    averages = []
    with open_dataset(dataset) as data:
        for seed in seeds:
            fit = fit_data(data, size(n_neurons), size(n_images), seed)
            raw = sta.spike_triggered_average(fit.train_images, fit.train_responses)
            stored = select_images(data, fit.draw.train)
            z_scored = standardizer(stored, "global")(stored)
            squared = sta.smooth_square(sta.spike_triggered_average(z_scored, fit.train_responses))
            # Means off: the mean image would dominate once weak directions are amplified.
            centered = fit.train_responses - fit.train_responses.mean(0)
            covariance = sta.spike_triggered_average(fit.train_images, centered)
            whitened = sta.whiten(covariance, fit.train_images, whitening)
            averages.append((raw, sta.smooth(raw, smoothing), squared, whitened))
    dims = ("seed", "neuron", "y", "x")
    by_name = zip(sta.AVERAGES, zip(*averages, strict=True), strict=True)
    variables = {name: (dims, np.stack(parts)) for name, parts in by_name}
    write_netcdf(xr.Dataset(variables, coords={"seed": seeds}), output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            dataset=snakemake.input.dataset,
            n_neurons=snakemake.wildcards.n_neurons,
            n_images=snakemake.wildcards.n_images,
            seeds=snakemake.params.seeds,
            smoothing=snakemake.params.smoothing,
            whitening=snakemake.params.whitening,
            output=snakemake.output.sta,
        )
