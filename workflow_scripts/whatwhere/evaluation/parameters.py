"""Parameters of the selected fits that figures show: fits.pt -> parameters.nc, locations.csv."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from whatwhere.dataset import TRAIN, is_movie, open_dataset, select_images
from whatwhere.files import read_netcdf, write_netcdf, write_table
from whatwhere.fitted.seed_fit import SeedFit, selected_fits
from whatwhere.locations import location_errors, peaks

MAX_NEURONS = 200
COLUMNS = ["experiment", "dataset", "model", "selection", "n_neurons", "n_images", "seed", "neuron"]


def described(fit: SeedFit, data: xr.Dataset) -> xr.Dataset:
    """Masks, feature weights and other parameters of a model, an image, and the truth.

    ``fit`` is a fit for all neurons, of which at most 200 are kept, spread over the population. The image is
    the first training image of its dataset, or the newest frame of the first window.
    """
    n_neurons = len(fit.neurons)
    keep = np.linspace(0, n_neurons - 1, min(n_neurons, MAX_NEURONS)).astype(int)
    shown = np.asarray(select_images(data, np.flatnonzero(data["split"].values[0] == TRAIN)[:1]))
    model = fit.model
    with torch.inference_mode():
        features = model.features(model.prepare(torch.from_numpy(fit.standardize(shown))))
        found = {
            "features": (("feature", "fy", "fx"), None if features is None else features[0]),
            "kernels": (("kernel", "channel", "ky", "kx"), model.first_layer()),
            "filters": (("neuron", "channel", "y", "x"), model.pixel_filters()),
            "masks": (("neuron", "fy", "fx"), model.masks()),
            "feature_weights": (("neuron", "feature"), model.feature_weights()),
        }
        stored: dict[str, Any] = {
            name: (dims, one.numpy()) for name, (dims, one) in found.items() if one is not None
        }
    stored |= {"stride": ((), np.array(model.stride)), "n_layers": ((), np.array(model.n_layers))}
    for name in ("location", "receptive_field", "cell_type"):
        if name in data:
            stored[name] = (data[name].dims, data[name].values[fit.neurons])
    kept = xr.Dataset(stored, coords={"neuron": fit.neurons}).isel(neuron=keep)
    # The channels of a model of a movie are lags times colors.
    color = "color" if is_movie(data) else "channel"
    return kept.assign(image=((color, "y", "x"), shown[0, : data.sizes["channel"]]))


def location_table(fit: SeedFit, averages: xr.Dataset, data: xr.Dataset) -> pd.DataFrame:
    """Localization error in pixels of every neuron by its averages, raw and smoothed, and by its mask."""
    truth, shape = data["location"].values[fit.neurons], (data.sizes["y"], data.sizes["x"])
    errors = {
        name: np.linalg.norm(peaks(averages[name].values, shape) - truth, axis=1)
        for name in ("sta", "smoothed_sta")
    }
    strongest = np.abs(fit.feature_weights).argmax(1)
    errors["mask"] = location_errors(peaks(fit.masks, shape, fit.model.stride), truth, strongest)
    table = pd.DataFrame(errors).assign(neuron=fit.neurons)
    return table.melt("neuron", var_name="source", value_name="error")


def write_parameters(
    dataset: str | Path,
    averages: list[str],
    fits: list[str],
    selection: str | Path,
    conditions: list[str],
    names: dict[str, str],
    parameters: str | Path,
    locations: str | Path,
) -> None:
    """Writes parameters and localization errors of the first selection rule.

    ``parameters`` has one group per condition, of the first seed; ``locations`` one row per seed, neuron and
    source of the location. ``averages`` holds the averages of every condition, or nothing: then, or without
    true locations, no location is written.
    """
    groups: dict[str, xr.Dataset] = {}
    tables = [pd.DataFrame(columns=[*COLUMNS, "source", "error"])]
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
                groups[group] = described(fit, data)
            if averages and "location" in data:
                with read_netcdf(averages[conditions.index(selected.condition)]) as stored:
                    table = location_table(fit, stored.sel(seed=fit.seed), data)
                tables.append(table.assign(**keys)[[*COLUMNS, "source", "error"]])
    write_table(pd.concat(tables[1:] or tables, ignore_index=True), locations)
    write_netcdf(xr.DataTree.from_dict(groups), parameters)
