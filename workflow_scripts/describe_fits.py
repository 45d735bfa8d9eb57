"""What figures show of the selected fits: fits.pt -> parameters.nc, locations.csv."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from whatwhere.dataset import TRAIN, open_dataset
from whatwhere.files import read_netcdf, read_table, read_tensors, write_netcdf, write_table
from whatwhere.localization.localized import LocalizedEncoder
from whatwhere.locations import location_errors, peaks
from whatwhere.logs import logged
from whatwhere.models.encoder import Encoder
from whatwhere.models.factorized_ridge import FactorizedRidge
from whatwhere.models.linear import LinearEncoder
from whatwhere.selection import most_frequent
from whatwhere.training.fits import Fitted, load_fit

MAX_NEURONS = 200
COLUMNS = ["experiment", "dataset", "model", "selection", "n_neurons", "n_images", "seed", "neuron"]


def parameters(fitted: Fitted, data: xr.Dataset) -> xr.Dataset:
    """Kernels, features of an image, masks and weights of a network, or filters of a linear model; truth.

    Parameters
    ----------
    fitted
        The fit; at most 200 neurons are kept, spread over the population.
    data
        Its dataset; the example is the first training image.
    """
    model, n_neurons = fitted.encoder, len(fitted.neurons)
    keep = np.linspace(0, n_neurons - 1, min(n_neurons, MAX_NEURONS)).astype(int)
    image = data["images"][int(np.flatnonzero(data["split"].values[0] == TRAIN)[0])].values
    arrays: dict[str, tuple[tuple[str, ...], np.ndarray]] = {"image": (("channel", "y", "x"), image)}
    attributes: dict[str, int] = {}
    if isinstance(model, Encoder | FactorizedRidge):
        with torch.inference_mode():
            seen = model.prepare(torch.from_numpy(fitted.standardize(image[None])))
            layers = model.core.conv_layers() if isinstance(model, Encoder) else []
            features = model.core(seen) if isinstance(model, Encoder) else seen
            arrays["features"] = (("feature", "fy", "fx"), features[0].numpy())
            bank = model.bank
            kernels = layers[0].constrained_kernels() if bank is None else bank.filters()
            attributes["n_layers"] = len(layers) + (bank is not None)
            arrays["kernels"] = (("kernel", "channel", "ky", "kx"), kernels.numpy())
            if hasattr(model.readout, "mask"):
                arrays["masks"] = (("neuron", "fy", "fx"), model.readout.mask[keep].numpy())
                weights = model.readout.feature_weights[keep].numpy()
                arrays["feature_weights"] = (("neuron", "feature"), weights)
    elif isinstance(model, LocalizedEncoder):
        # It sees the mean over channels: every channel has an equal share in a kernel.
        shares = model.kernels.detach()[:, None].expand(-1, len(image), -1, -1) / len(image)
        arrays["kernels"] = (("kernel", "channel", "ky", "kx"), shares.numpy())
        arrays["masks"] = (("neuron", "fy", "fx"), model.readout.mask.detach()[keep].numpy())
    elif isinstance(model, LinearEncoder) and model.bank is None:
        arrays["filters"] = (("neuron", "channel", "y", "x"), model.filters.detach()[keep].numpy())
    for name in ("location", "receptive_field", "cell_type"):
        if name in data:
            arrays[name] = (data[name].dims, data[name].values[fitted.neurons[keep]])
    return xr.Dataset(arrays, coords={"neuron": fitted.neurons[keep]}, attrs=attributes)


def errors_of_masks(fitted: Fitted, data: xr.Dataset) -> np.ndarray:
    """Localisation error of every neuron's mask, (neuron,) in pixels."""
    readout = fitted.encoder.readout
    strongest = readout.feature_weights.detach().abs().argmax(1).numpy()
    positions = peaks(fitted.masks, data["images"].shape[2:])
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
    cells: list[tuple[str, str]],
    names: dict[str, str],
    output: str | Path,
    locations: str | Path,
) -> None:
    """Write one group of parameters per cell (first seed) to ``output``, one row per mask to ``locations``.

    ``sta`` may be empty: then, or without true locations, no location is written.
    """
    chosen = read_table(selection).astype({"cell_neurons": str, "cell_images": str})
    rule = chosen.selection.iloc[0]
    groups, rows = {}, []
    with open_dataset(dataset) as data:
        for index, ((n_neurons, n_images), path) in enumerate(zip(cells, fits, strict=True)):
            content = read_tensors(path)
            cell = chosen[
                (chosen.cell_neurons == n_neurons)
                & (chosen.cell_images == n_images)
                & (chosen.selection == rule)
            ]
            for seed, part in cell.groupby("seed", sort=False):
                fitted = load_fit(content, int(seed), most_frequent(part["setting"].to_numpy()))
                keys = names | {
                    "selection": rule,
                    "n_neurons": len(fitted.neurons),
                    "n_images": content["seeds"][seed]["n_images"],
                    "seed": seed,
                }
                group = f"n{keys['n_neurons']}-d{keys['n_images']}"
                if group not in groups:
                    groups[group] = parameters(fitted, data)
                if sta and "location" in data:
                    with read_netcdf(sta[index]) as stored:
                        errors = errors_of_averages(stored.sel(seed=seed), fitted.neurons, data)
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
            sta=list(snakemake.input.sta),
            fits=list(snakemake.input.fits),
            selection=snakemake.input.selection,
            cells=snakemake.params.cells,
            names=dict(snakemake.wildcards.items()),
            output=snakemake.output.parameters,
            locations=snakemake.output.locations,
        )
