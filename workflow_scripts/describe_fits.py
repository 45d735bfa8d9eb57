"""What figures show of the selected fits: fits.pt -> parameters.nc, locations.csv."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from whatwhere.chosen import chosen_fits
from whatwhere.dataset import TRAIN, open_dataset
from whatwhere.files import read_netcdf, write_netcdf, write_table
from whatwhere.locations import location_errors, peaks
from whatwhere.logs import logged
from whatwhere.training.fits import Fitted

MAX_NEURONS = 200
COLUMNS = ["experiment", "dataset", "model", "selection", "n_neurons", "n_images", "seed", "neuron"]


def parameters(fitted: Fitted, data: xr.Dataset) -> xr.Dataset:
    """The parts of a model (:meth:`whatwhere.models.base.Model.parts`), an image, and the truth.

    Parameters
    ----------
    fitted
        The fit; at most 200 neurons are kept, spread over the population.
    data
        Its dataset; the image is the first one to train on.
    """
    n_neurons = len(fitted.neurons)
    keep = np.linspace(0, n_neurons - 1, min(n_neurons, MAX_NEURONS)).astype(int)
    image = data["images"][int(np.flatnonzero(data["split"].values[0] == TRAIN)[0])].values
    parts = fitted.encoder.parts(torch.from_numpy(fitted.standardize(image[None])))
    for name in ("location", "receptive_field", "cell_type"):
        if name in data:
            parts[name] = (data[name].dims, data[name].values[fitted.neurons])
    described = xr.Dataset(parts, coords={"neuron": fitted.neurons}).isel(neuron=keep)
    return described.assign(image=(("channel", "y", "x"), image))


def errors_of_masks(fitted: Fitted, data: xr.Dataset) -> np.ndarray:
    """Localisation error of every neuron's mask, (neuron,) in pixels."""
    readout, stride = fitted.encoder.readout, fitted.encoder.stride
    strongest = readout.feature_weights.detach().abs().argmax(1).numpy()
    positions = peaks(readout.mask.detach().numpy(), data["images"].shape[2:], stride)
    return location_errors(positions, data["location"].values[fitted.neurons], strongest)


def errors_of_averages(sta: xr.Dataset, neurons: np.ndarray, data: xr.Dataset) -> dict[str, np.ndarray]:
    """Localisation error of the raw and the smoothed spike-triggered average, (neuron,) each, in pixels."""
    truth = data["location"].values[neurons]
    return {
        name: np.linalg.norm(peaks(sta[name].values, data["images"].shape[2:]) - truth, axis=1)
        for name in ("sta", "smoothed_sta")
    }


def main(
    dataset: str | Path,
    sta: list[str],
    fits: list[str],
    selection: str | Path,
    cells: list[str],
    names: dict[str, str],
    output: str | Path,
    locations: str | Path,
) -> None:
    """Write one group of parameters per cell (first seed) to ``output``, one row per mask to ``locations``.

    ``sta`` holds the averages of every cell, or nothing: then, or without true locations, no location is
    written. Everything is of the first selection rule.
    """
    groups: dict[str, xr.Dataset] = {}
    rows: list[pd.DataFrame] = []
    rule = None
    with open_dataset(dataset) as data:
        for chosen in chosen_fits(selection, cells, fits):
            rule = rule or chosen.rule
            if chosen.rule != rule:
                continue
            fitted = chosen.fitted()
            keys = names | {"selection": chosen.rule} | chosen.sizes
            group = f"n{keys['n_neurons']}-d{keys['n_images']}"
            if group not in groups:
                groups[group] = parameters(fitted, data)
            if sta and "location" in data:
                with read_netcdf(sta[cells.index(chosen.cell)]) as stored:
                    errors = errors_of_averages(stored.sel(seed=chosen.seed), fitted.neurons, data)
                errors["mask"] = errors_of_masks(fitted, data)
                rows += [
                    pd.DataFrame({**keys, "neuron": fitted.neurons, "source": source, "error": error})
                    for source, error in errors.items()
                ]
    empty = pd.DataFrame(columns=[*COLUMNS, "source", "error"])
    write_table(pd.concat(rows, ignore_index=True) if rows else empty, locations)
    write_netcdf(xr.DataTree.from_dict(groups), output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            dataset=snakemake.input.dataset,
            sta=list(snakemake.input.averages),
            fits=list(snakemake.input.fits),
            selection=snakemake.input.selection,
            cells=list(snakemake.params.cells),
            names=dict(snakemake.wildcards.items()),
            output=snakemake.output.parameters,
            locations=snakemake.output.locations,
        )
