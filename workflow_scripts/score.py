"""Score the selected fits on test data, which no other rule reads: fits.pt -> scores, predictions."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from whatwhere.dataset import TEST, open_dataset, select_images
from whatwhere.files import read_table, read_tensors, write_netcdf, write_table
from whatwhere.logs import logged
from whatwhere.metrics import SCORES, scores
from whatwhere.population import (
    COUNTS,
    MEANS,
    MEDIANS,
    POOLED,
    Evaluation,
    population_scores,
    remark_if_above_ceiling,
    standard_errors,
)
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


def evaluate_seed(data: xr.Dataset, fits: dict[str, Any], seed: int, settings: np.ndarray) -> Evaluation:
    """Test responses of one seed of a cell and what is predicted for them."""
    test = np.flatnonzero(data["split"].values[seed % data.sizes["fold"]] == TEST)
    neurons = fits["seeds"][seed]["neurons"].numpy()
    return Evaluation(
        seed=seed,
        predictions=predict_selected(fits, seed, settings, select_images(data, test)),
        responses=data["responses"].values[:, test][:, :, neurons],
        images=test,
        neurons=neurons,
        noise_free=bool(data.attrs["noise_free_test"]),
    )


def to_dataset(one: Evaluation) -> xr.Dataset:
    """Predictions as they are stored."""
    return xr.Dataset(
        {"predictions": (("image", "neuron"), one.predictions.astype(np.float32))},
        coords={"image": one.images, "neuron": one.neurons},
        attrs={"seed": one.seed},
    )


def summarize(tables: list[pd.DataFrame], evaluations: list[Evaluation]) -> dict[str, float]:
    """One row of the summary: the mean over the seeds of a cell, given their scores and test data.

    With the sd over seeds (``_seed_sd``), and the standard error over test images and neurons (``_se``) of
    means and pooled scores; counts are those of the first seed.
    """
    seeds = pd.DataFrame(
        [population_scores({name: one[name].to_numpy() for name in SCORES}) for one in tables]
    )
    measures = [*MEANS, *POOLED, *MEDIANS]
    return {
        "n_seeds": len(seeds),
        **seeds[COUNTS].iloc[0].to_dict(),
        **seeds[measures].mean().to_dict(),
        **{f"{name}_se": value for name, value in standard_errors(evaluations, seed=0).items()},
        **seeds[measures].std().add_suffix("_seed_sd").to_dict(),
    }


def main(
    dataset: str | Path,
    fits: list[str],
    selection: str | Path,
    cells: list[tuple[str, str]],
    names: dict[str, str],
    threads: int,
    output: str | Path,
    summary: str | Path,
    predictions: str | Path,
) -> None:
    """Write one row per neuron and seed of all cells to ``output``, and one per cell to ``summary``.

    Predictions of the first seed and selection rule of the last cell, the largest one if sizes are listed
    in rising order, go to ``predictions`` for figures.
    """
    torch.set_num_threads(threads)
    chosen = read_table(selection).astype({"cell_neurons": str, "cell_images": str})
    parts, rows, kept = [], [], None
    with open_dataset(dataset) as data:
        for (n_neurons, n_images), path in zip(cells, fits, strict=True):
            content = read_tensors(path)
            cell = chosen[(chosen.cell_neurons == n_neurons) & (chosen.cell_images == n_images)]
            kept = None
            for rule, of_rule in cell.groupby("selection", sort=False):
                keys = names | {"selection": rule}
                tables, evaluations = [], []
                for seed, of_seed in of_rule.groupby("seed", sort=False):
                    one = evaluate_seed(data, content, int(seed), of_seed["setting"].to_numpy())
                    sizes = {"n_neurons": len(one.neurons), "n_images": content["seeds"][seed]["n_images"]}
                    scored = scores(one.predictions, one.responses, one.noise_free)
                    tables.append(pd.DataFrame(keys | sizes | {"seed": seed, "neuron": one.neurons} | scored))
                    evaluations.append(one)
                row = summarize(tables, evaluations)
                remark_if_above_ceiling(f"{rule}, {n_neurons} neurons, {n_images} images", row)
                rows.append(keys | sizes | row)
                parts += tables
                kept = to_dataset(evaluations[0]) if kept is None else kept
    write_table(pd.concat(parts, ignore_index=True), output)
    write_table(pd.DataFrame(rows), summary)
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
            summary=snakemake.output.summary,
            predictions=snakemake.output.predictions,
        )
