"""Cluster the feature weights of selected fits: fits.pt, sta.nc -> barcodes.csv, scores.csv, fields.nc."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from whatwhere import barcodes
from whatwhere.dataset import open_dataset
from whatwhere.files import read_netcdf, read_table, read_tensors, write_netcdf, write_table
from whatwhere.locations import peaks
from whatwhere.logs import logged
from whatwhere.selection import most_frequent
from whatwhere.training.fits import Fitted, load_fit

N_BOOTSTRAPS = 20
HALF_WIDTH = 10


def cluster_fit(fitted: Fitted, seed: int, types: np.ndarray | None) -> tuple[pd.DataFrame, dict[str, float]]:
    """Barcodes and clusters of one fit; their separation, stability and agreement with the true types."""
    readout = fitted.encoder.readout
    weights = readout.feature_weights.detach().numpy()
    codes = barcodes.normalize(weights, readout.mask.detach().numpy())
    n_clusters, silhouette = barcodes.choose_n_clusters(codes, seed)
    clusters = barcodes.cluster(codes, n_clusters, seed)
    true = np.full(len(codes), -1) if types is None else types[fitted.neurons]
    table = pd.DataFrame({"neuron": fitted.neurons, "cell_type": true, "cluster": clusters})
    table["norm"] = np.linalg.norm(weights, axis=1)
    for channel, column in enumerate(codes.T):
        table[f"weight_{channel}"] = column
    score = {
        "n_clusters": n_clusters,
        "silhouette": silhouette,
        "stability_bootstraps": barcodes.bootstrap_stability(codes, clusters, N_BOOTSTRAPS, seed),
        "ari": np.nan,
        "nmi": np.nan,
        "n_types": np.nan,
        "ari_known_number": np.nan,
    }
    if types is not None:
        n_types = len(np.unique(true))
        known = barcodes.cluster(codes, n_types, seed)
        score |= {
            "ari": adjusted_rand_score(true, clusters),
            "nmi": normalized_mutual_info_score(true, clusters),
            "n_types": n_types,
            "ari_known_number": adjusted_rand_score(true, known),
        }
    return table, score


def fields_of(fitted: Fitted, clusters: np.ndarray, averages: np.ndarray) -> xr.Dataset:
    """Mean spike-triggered average (neuron, y, x) of every cluster, aligned to the peaks of the masks."""
    positions = peaks(fitted.masks, averages.shape[1:])
    means = barcodes.aligned_means(averages, positions, clusters, HALF_WIDTH)
    offset = np.arange(-HALF_WIDTH, HALF_WIDTH + 1)
    return xr.Dataset(
        {"field": (("cluster", "dy", "dx"), means), "n_neurons": ("cluster", np.bincount(clusters))},
        coords={"dy": ("dy", offset, {"units": "px"}), "dx": ("dx", offset, {"units": "px"})},
    )


def cluster_cell(
    content: dict[str, Any], cell: pd.DataFrame, keys: dict[str, Any], types: np.ndarray | None
) -> tuple[list[pd.DataFrame], list[dict[str, Any]]]:
    """Barcodes and scores of all seeds of one cell and selection rule, and how well the seeds agree."""
    tables, rows = [], []
    for seed, part in cell.groupby("seed", sort=False):
        fitted = load_fit(content, int(seed), most_frequent(part["setting"].to_numpy()))
        table, score = cluster_fit(fitted, int(seed), types)
        sizes = {"n_neurons": len(table), "n_images": content["seeds"][seed]["n_images"], "seed": int(seed)}
        tables.append(pd.concat([pd.DataFrame(keys | sizes, index=table.index), table], axis=1))
        rows.append(keys | sizes | score)
    neurons, clusters = ([table[name].to_numpy() for table in tables] for name in ("neuron", "cluster"))
    for row, agreement in zip(rows, barcodes.agreement_between_fits(neurons, clusters), strict=True):
        row["stability_seeds"] = agreement
    return tables, rows


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
    with open_dataset(dataset) as data:
        types = data["cell_type"].values if "cell_type" in data else None
    chosen = read_table(selection).astype({"cell_neurons": str, "cell_images": str})
    tables, rows = [], []
    for (n_neurons, n_images), path in zip(cells, fits, strict=True):
        content = read_tensors(path)
        cell = chosen[(chosen.cell_neurons == n_neurons) & (chosen.cell_images == n_images)]
        first = len(tables)
        for rule, part in cell.groupby("selection", sort=False):
            more, scored = cluster_cell(content, part, names | {"selection": rule}, types)
            tables, rows = tables + more, rows + scored
    example = tables[first]
    seed, rule = int(example.seed.iloc[0]), example.selection.iloc[0]
    settings = cell[(cell.seed == seed) & (cell.selection == rule)]["setting"].to_numpy()
    with read_netcdf(averages) as stored:
        average = stored["sta"].sel(seed=seed).values
    fitted = load_fit(content, seed, most_frequent(settings))
    write_netcdf(fields_of(fitted, example["cluster"].to_numpy(), average), fields)
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
