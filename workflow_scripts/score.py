"""Score the selected fits on test data, which no other rule reads: fits.pt -> scores.csv, predictions.nc."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from whatwhere.chosen import Chosen, chosen_fits
from whatwhere.dataset import TEST, open_dataset, select_images
from whatwhere.files import write_netcdf, write_table
from whatwhere.logs import logged
from whatwhere.metrics import scores


def score(chosen: Chosen, data: xr.Dataset) -> tuple[pd.DataFrame, xr.Dataset]:
    """Scores of every neuron and the predictions they are based on, for one seed of a cell."""
    test = np.flatnonzero(data["split"].values[chosen.seed % data.sizes["fold"]] == TEST)
    predictions = chosen.predict(select_images(data, test))
    responses = data["responses"].values[:, test][:, :, chosen.neurons]
    table = pd.DataFrame(scores(predictions, responses, noise_free=bool(data.attrs["noise_free_test"])))
    for position, (name, value) in enumerate({**chosen.sizes, "neuron": chosen.neurons}.items()):
        table.insert(position, name, value)
    table = table.assign(finished=chosen.finished, at_edge=chosen.at_edge)
    stored = xr.Dataset(
        {"predictions": (("image", "neuron"), predictions.astype(np.float32))},
        coords={"image": test, "neuron": chosen.neurons},
        attrs={"seed": chosen.seed},
    )
    return table, stored


def main(
    dataset: str | Path,
    fits: list[str],
    selection: str | Path,
    cells: list[str],
    names: dict[str, str],
    threads: int,
    output: str | Path,
    predictions: str | Path,
) -> None:
    """Write the scores of all cells to ``output``.

    Predictions of the first seed and selection rule of the last cell go to ``predictions`` for figures.
    """
    torch.set_num_threads(threads)
    parts, kept = [], None
    with open_dataset(dataset) as data:
        for chosen in chosen_fits(selection, cells, fits):
            table, stored = score(chosen, data)
            parts.append(table.assign(**names, selection=chosen.rule))
            kept = stored if kept is None and chosen.last else kept
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
            cells=list(snakemake.params.cells),
            names=dict(snakemake.wildcards.items()),
            threads=snakemake.threads,
            output=snakemake.output.scores,
            predictions=snakemake.output.predictions,
        )
