"""Parts of the selected fits that figures show: fits.pt -> parameters.nc, locations.csv."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from whatwhere.dataset import TRAIN, open_dataset
from whatwhere.files import read_netcdf, write_netcdf, write_table
from whatwhere.fitted.seed_fit import SeedFit, selected_fits
from whatwhere.locations import location_errors, peaks
from whatwhere.logs import logged

MAX_NEURONS = 200
COLUMNS = ["experiment", "dataset", "model", "selection", "n_neurons", "n_images", "seed", "neuron"]


def parameters(fit: SeedFit, data: xr.Dataset) -> xr.Dataset:
    """Masks, feature weights and other parts of a model, an image, and the truth.

    Parameters
    ----------
    fit
        One fit for all neurons; at most 200 neurons are kept, spread over the population.
    data
        Its dataset; the image is the first training image.
    """
    n_neurons = len(fit.neurons)
    keep = np.linspace(0, n_neurons - 1, min(n_neurons, MAX_NEURONS)).astype(int)
    image = data["images"][int(np.flatnonzero(data["split"].values[0] == TRAIN)[0])].values
    model = fit.model
    with torch.inference_mode():
        features = model.features(model.prepare(torch.from_numpy(fit.standardize(image[None]))))
        found = {
            "features": (("feature", "fy", "fx"), None if features is None else features[0]),
            "kernels": (("kernel", "channel", "ky", "kx"), model.first_layer()),
            "filters": (("neuron", "channel", "y", "x"), model.pixel_filters()),
            "masks": (("neuron", "fy", "fx"), model.masks()),
            "feature_weights": (("neuron", "feature"), model.feature_weights()),
        }
        parts = {name: (dims, one.numpy()) for name, (dims, one) in found.items() if one is not None}
    parts |= {"stride": ((), np.array(model.stride)), "n_layers": ((), np.array(model.n_layers))}
    for name in ("location", "receptive_field", "cell_type"):
        if name in data:
            parts[name] = (data[name].dims, data[name].values[fit.neurons])
    described = xr.Dataset(parts, coords={"neuron": fit.neurons}).isel(neuron=keep)
    return described.assign(image=(("channel", "y", "x"), image))


def errors_of_masks(fit: SeedFit, data: xr.Dataset) -> np.ndarray:
    """Localisation error of the mask of every neuron, (neuron,) in pixels."""
    strongest = np.abs(fit.feature_weights).argmax(1)
    positions = peaks(fit.masks, data["images"].shape[2:], fit.model.stride)
    return location_errors(positions, data["location"].values[fit.neurons], strongest)


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
    conditions: list[str],
    names: dict[str, str],
    output: str | Path,
    locations: str | Path,
) -> None:
    """Writes one group of parameters per condition (first seed) to ``output``, one row per mask to ``locations``.

    ``sta`` holds the averages of every condition, or nothing: then, or without true locations, no location is
    written. Everything is of the first selection rule.
    """
    groups: dict[str, xr.Dataset] = {}
    rows: list[pd.DataFrame] = []
    rule = None
    with open_dataset(dataset) as data:
        for selected in selected_fits(selection, conditions, fits):
            rule = rule or selected.rule
            if selected.rule != rule:
                continue
            fit = selected.fit.of_most_neurons()
            keys = names | {"selection": rule} | fit.sizes
            group = f"n{keys['n_neurons']}-d{keys['n_images']}"
            if group not in groups:
                groups[group] = parameters(fit, data)
            if sta and "location" in data:
                with read_netcdf(sta[conditions.index(selected.condition)]) as stored:
                    errors = errors_of_averages(stored.sel(seed=fit.seed), fit.neurons, data)
                errors["mask"] = errors_of_masks(fit, data)
                rows += [
                    pd.DataFrame({**keys, "neuron": fit.neurons, "source": source, "error": error})
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
            conditions=list(snakemake.params.conditions),
            names=dict(snakemake.wildcards.items()),
            output=snakemake.output.parameters,
            locations=snakemake.output.locations,
        )
