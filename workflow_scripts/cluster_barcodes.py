"""Find types among feature weights: dataset.nc, fits.pt, sta.nc -> barcodes.csv, scores.csv, fields.nc."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from whatwhere import barcodes, stability
from whatwhere.cell_types import SHAPES, TypeTest, find_types
from whatwhere.config.files import size
from whatwhere.dataset import open_dataset
from whatwhere.files import read_netcdf, read_table, read_tensors, write_netcdf, write_table
from whatwhere.fit_data import FitData, load_fit_data
from whatwhere.locations import peaks
from whatwhere.logs import logged
from whatwhere.selection import most_frequent
from whatwhere.training.fits import Fitted, load_fit

N_BOOTSTRAPS = 20
HALF_WIDTH = 10
TYPES_STREAM = 4
"""Keeps the random stream of simulated continua apart from those of fits, which share the seed."""


def cluster_fit(
    fitted: Fitted, fit_data: FitData, seed: int, types: np.ndarray | None
) -> tuple[pd.DataFrame, dict[str, float], TypeTest]:
    """Barcodes and types of one fit; how certain, how stable, and how they agree with the true types.

    Neurons without weights are set apart as cluster -1.
    """
    readout = fitted.encoder.readout
    weights, masks = readout.feature_weights.detach().numpy(), readout.mask.detach().numpy()
    codes = barcodes.normalize(weights, masks)
    halves = [barcodes.normalize(half, masks) for half in weights_of_halves(fitted, fit_data, weights)]
    known = codes.any(axis=1)
    inside, repeated = codes[known], np.stack(halves)[:, known]
    clusters = np.full(len(codes), -1)
    clusters[known], test = find_types(inside, np.random.default_rng([seed, TYPES_STREAM]))
    certainty = np.zeros(len(codes))
    certainty[known] = barcodes.certainty(inside, clusters[known], repeated)
    true = np.full(len(codes), -1) if types is None else types[fitted.neurons]
    table = pd.DataFrame({"neuron": fitted.neurons, "cell_type": true, "cluster": clusters})
    table["certainty"] = certainty
    table["norm"] = np.linalg.norm(weights, axis=1)
    for channel, column in enumerate(codes.T):
        table[f"weight_{channel}"] = column
    n_clusters = int(clusters.max(initial=-1)) + 1
    score = {
        "n_clusters": n_clusters,
        "p_value": test.p_value,
        "n_unfitted": int((~known).sum()),
        "silhouette": barcodes.silhouette(inside, clusters[known]),
        "stability_bootstraps": stability.bootstrap_stability(inside, clusters[known], N_BOOTSTRAPS, seed),
        "stability_halves": stability.half_stability(repeated, n_clusters),
        "ari": np.nan,
        "nmi": np.nan,
        "n_types": np.nan,
        "ari_known_number": np.nan,
    }
    if types is not None:
        n_types = len(np.unique(true))
        score |= {
            "ari": adjusted_rand_score(true[known], clusters[known]),
            "nmi": normalized_mutual_info_score(true[known], clusters[known]),
            "n_types": n_types,
            "ari_known_number": adjusted_rand_score(true[known], barcodes.cluster(inside, n_types)),
        }
    return table, score, test


def weights_of_halves(fitted: Fitted, fit_data: FitData, weights: np.ndarray) -> np.ndarray:
    """Feature weights (2, neuron, channel) from either half of the images of a fit."""
    images = np.concatenate([fit_data.train_images, fit_data.validation_images])
    responses = np.concatenate([fit_data.train_responses, fit_data.validation_responses])
    features = stability.pooled_features(fitted.encoder, torch.from_numpy(images))
    return stability.half_weights(features, responses, weights)


def fields_of(fitted: Fitted, clusters: np.ndarray, averages: np.ndarray, test: TypeTest) -> xr.Dataset:
    """Mean spike-triggered average (neuron, y, x) of every cluster, and the test of types.

    Averages are aligned to the peaks of the masks.
    """
    known = clusters >= 0
    masks = fitted.encoder.readout.mask.detach().numpy()[known]
    positions = peaks(masks, averages.shape[1:])
    means = barcodes.aligned_means(averages[known], positions, clusters[known], HALF_WIDTH)
    offset = np.arange(-HALF_WIDTH, HALF_WIDTH + 1)
    return xr.Dataset(
        {
            "field": (("cluster", "dy", "dx"), means),
            "n_neurons": ("cluster", np.bincount(clusters[known])),
            "valley": ((), test.valley),
            "null_valley": (("shape", "continuum"), test.null),
        },
        coords={
            "dy": ("dy", offset, {"units": "px"}),
            "dx": ("dx", offset, {"units": "px"}),
            "shape": list(SHAPES),
        },
    )


def cluster_cell(
    content: dict[str, Any],
    cell: pd.DataFrame,
    keys: dict[str, Any],
    fit_data: dict[int, FitData],
    types: np.ndarray | None,
) -> tuple[list[pd.DataFrame], list[dict[str, Any]], list[TypeTest]]:
    """Barcodes and scores of all seeds of one cell and selection rule, and how well the seeds agree."""
    tables, rows, tests = [], [], []
    for seed, part in cell.groupby("seed", sort=False):
        fitted = load_fit(content, int(seed), most_frequent(part["setting"].to_numpy()))
        table, score, test = cluster_fit(fitted, fit_data[int(seed)], int(seed), types)
        sizes = {"n_neurons": len(table), "n_images": content["seeds"][seed]["n_images"], "seed": int(seed)}
        tables.append(pd.concat([pd.DataFrame(keys | sizes, index=table.index), table], axis=1))
        rows.append(keys | sizes | score)
        tests.append(test)
    neurons, clusters = ([table[name].to_numpy() for table in tables] for name in ("neuron", "cluster"))
    for row, agreement in zip(rows, stability.agreement_between_fits(neurons, clusters), strict=True):
        row["stability_seeds"] = agreement
    return tables, rows, tests


def main(
    dataset: str | Path,
    averages: str | Path,
    fits: list[str],
    selection: str | Path,
    cells: list[tuple[str, str]],
    names: dict[str, str],
    output: str | Path,
    scores: str | Path,
    fields: str | Path,
) -> None:
    """Write one row per fit and neuron to ``output`` and one per fit to ``scores``.

    The receptive fields of the clusters, of the first seed and selection rule of the last cell, go to
    ``fields``; ``averages`` are the spike-triggered averages of that cell.
    """
    chosen = read_table(selection).astype({"cell_neurons": str, "cell_images": str})
    tables, rows, tests = [], [], []
    with open_dataset(dataset) as data:
        types = data["cell_type"].values if "cell_type" in data else None
        for (n_neurons, n_images), path in zip(cells, fits, strict=True):
            content = read_tensors(path)
            cell = chosen[(chosen.cell_neurons == n_neurons) & (chosen.cell_images == n_images)]
            first = len(tables)
            seen = {
                int(seed): load_fit_data(data, size(n_neurons), size(n_images), int(seed))
                for seed in cell["seed"].unique()
            }
            for rule, part in cell.groupby("selection", sort=False):
                more = cluster_cell(content, part, names | {"selection": rule}, seen, types)
                for all_cells, this in zip((tables, rows, tests), more, strict=True):
                    all_cells.extend(this)
    example = tables[first]
    seed, rule = int(example.seed.iloc[0]), example.selection.iloc[0]
    settings = cell[(cell.seed == seed) & (cell.selection == rule)]["setting"].to_numpy()
    with read_netcdf(averages) as stored:
        average = stored["sta"].sel(seed=seed).values
    fitted = load_fit(content, seed, most_frequent(settings))
    write_netcdf(fields_of(fitted, example["cluster"].to_numpy(), average, tests[first]), fields)
    write_table(pd.concat(tables, ignore_index=True), output)
    write_table(pd.DataFrame(rows), scores)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            dataset=snakemake.input.dataset,
            averages=snakemake.input.averages,
            fits=list(snakemake.input.fits),
            selection=snakemake.input.selection,
            cells=snakemake.params.cells,
            names=dict(snakemake.wildcards.items()),
            output=snakemake.output.barcodes,
            scores=snakemake.output.scores,
            fields=snakemake.output.fields,
        )
