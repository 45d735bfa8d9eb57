"""Score the selected fits on test data, which no other rule reads: fits.pt -> scores.csv, predictions.nc."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from whatwhere.dataset import TEST, open_dataset, select_images
from whatwhere.files import read_table, read_tensors, write_netcdf, write_table
from whatwhere.logs import logged
from whatwhere.metrics import scores
from whatwhere.selection import MEAN_RESPONSE
from whatwhere.training.fits import load_fit


def predict_selected(fits: dict[str, Any], seed: int, settings: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Predictions of the setting chosen for every neuron, (image, neuron)."""
    mean = fits["seeds"][seed]["response_mean"].numpy()
    predictions = np.repeat(mean[None], len(images), axis=0)
    for setting in np.unique(settings[settings != MEAN_RESPONSE]):
        mine = settings == setting
        predictions[:, mine] = load_fit(fits, seed, int(setting)).predict(images)[:, mine]
    return predictions


def score_seed(
    data: xr.Dataset, fits: dict[str, Any], seed: int, settings: np.ndarray
) -> tuple[pd.DataFrame, xr.Dataset]:
    """Scores of every neuron and the predictions they are based on, for one seed of a cell."""
    test = np.flatnonzero(data["split"].values[seed % data.sizes["fold"]] == TEST)
    neurons = fits["seeds"][seed]["neurons"].numpy()
    predictions = predict_selected(fits, seed, settings, select_images(data, test))
    responses = data["responses"].values[:, test][:, :, neurons]
    table = pd.DataFrame(scores(predictions, responses, noise_free=bool(data.attrs["noise_free_test"])))
    table.insert(0, "n_neurons", len(neurons))
    table.insert(1, "n_images", fits["seeds"][seed]["n_images"])
    table.insert(2, "seed", seed)
    table.insert(3, "neuron", neurons)
    stored = xr.Dataset(
        {"predictions": (("image", "neuron"), predictions.astype(np.float32))},
        coords={"image": test, "neuron": neurons},
        attrs={"seed": seed},
    )
    return table, stored


def main(
    dataset: str | Path,
    fits: list[str],
    selection: str | Path,
    cells: list[tuple[str, str]],
    names: dict[str, str],
    threads: int,
    output: str | Path,
    predictions: str | Path,
) -> None:
    """Write the scores of all cells to ``output``.

    Predictions of the first seed and selection rule of the last cell, the largest one if sizes are listed
    in rising order, go to ``predictions`` for figures.
    """
    torch.set_num_threads(threads)
    chosen = read_table(selection).astype({"cell_neurons": str, "cell_images": str})
    parts, kept = [], None
    with open_dataset(dataset) as data:
        for (n_neurons, n_images), path in zip(cells, fits, strict=True):
            content = read_tensors(path)
            cell = chosen[(chosen.cell_neurons == n_neurons) & (chosen.cell_images == n_images)]
            kept = None
            for (rule, seed), rows in cell.groupby(["selection", "seed"], sort=False):
                table, stored = score_seed(data, content, int(seed), rows["setting"].to_numpy())
                parts.append(table.assign(**names, selection=rule))
                kept = stored if kept is None else kept
    table = pd.concat(parts, ignore_index=True)
    first = [*names, "selection"]
    write_table(table[[*first, *(name for name in table if name not in first)]], output)
    write_netcdf(kept, predictions)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            dataset=snakemake.input.dataset,
            fits=list(snakemake.input.fits),
            selection=snakemake.input.selection,
            cells=snakemake.params.cells,
            names=dict(snakemake.wildcards.items()),
            threads=snakemake.threads,
            output=snakemake.output.scores,
            predictions=snakemake.output.predictions,
        )
