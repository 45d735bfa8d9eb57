"""Cluster the feature weights of selected fits: fits.pt, sta.nc -> barcodes.csv, scores.csv, fields.nc."""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from whatwhere import barcodes
from whatwhere.chosen import chosen_fits
from whatwhere.dataset import open_dataset
from whatwhere.files import read_netcdf, write_netcdf, write_table
from whatwhere.locations import peaks
from whatwhere.logs import logged
from whatwhere.training.fits import Fitted

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
    masks = fitted.encoder.readout.mask.detach().numpy()
    positions = peaks(masks, averages.shape[1:], fitted.encoder.stride)
    means = barcodes.aligned_means(averages, positions, clusters, HALF_WIDTH)
    offset = np.arange(-HALF_WIDTH, HALF_WIDTH + 1)
    return xr.Dataset(
        {"field": (("cluster", "dy", "dx"), means), "n_neurons": ("cluster", np.bincount(clusters))},
        coords={"dy": ("dy", offset, {"units": "px"}), "dx": ("dx", offset, {"units": "px"})},
    )


def main(
    dataset: str | Path,
    averages: str | Path,
    fits: list[str],
    selection: str | Path,
    cells: list[str],
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
    tables, rows, written = [], [], False
    for chosen in chosen_fits(selection, cells, fits):
        fitted = chosen.fitted()
        table, score = cluster_fit(fitted, chosen.seed, types)
        keys = names | {"selection": chosen.rule} | chosen.sizes
        tables.append(pd.concat([pd.DataFrame(keys, index=table.index), table], axis=1))
        rows.append({"cell": chosen.cell} | keys | score)
        if chosen.last and not written:
            with read_netcdf(averages) as stored:
                average = stored["sta"].sel(seed=chosen.seed).values
            write_netcdf(fields_of(fitted, table["cluster"].to_numpy(), average), fields)
            written = True
    write_table(pd.concat(tables, ignore_index=True), output)
    write_table(_with_agreement(pd.DataFrame(rows), tables).drop(columns="cell"), scores)


def _with_agreement(scores: pd.DataFrame, tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Scores of fits with the agreement between the seeds of each cell and selection rule."""
    agreement = np.full(len(scores), np.nan)
    for rows in scores.groupby(["cell", "selection"], sort=False).indices.values():
        neurons, clusters = ([tables[i][name].to_numpy() for i in rows] for name in ("neuron", "cluster"))
        agreement[rows] = barcodes.agreement_between_fits(neurons, clusters)
    return scores.assign(stability_seeds=agreement)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            dataset=snakemake.input.dataset,
            averages=snakemake.input.averages[0],
            fits=list(snakemake.input.fits),
            selection=snakemake.input.selection,
            cells=list(snakemake.params.cells),
            names=dict(snakemake.wildcards.items()),
            output=snakemake.output.barcodes,
            scores=snakemake.output.scores,
            fields=snakemake.output.fields,
        )
