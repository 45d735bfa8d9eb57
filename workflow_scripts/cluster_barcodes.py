"""Cluster the feature weights of the selected fits of a model: fits.pt -> barcodes.csv, scores.csv."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from whatwhere import barcodes
from whatwhere.dataset import open_dataset
from whatwhere.files import read_table, read_tensors, write_table
from whatwhere.logs import logged
from whatwhere.selection import MEAN_RESPONSE
from whatwhere.sweep import load_fit


def cluster_fit(
    fits: dict[str, Any], seed: int, settings: np.ndarray, types: np.ndarray | None
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Barcodes and clusters of one fit, and their agreement with the true types.

    The fit is the one that was selected for most neurons: weights of different fits are not comparable.
    """
    chosen, counts = np.unique(settings[settings != MEAN_RESPONSE], return_counts=True)
    fitted = load_fit(fits, seed, int(chosen[counts.argmax()]) if len(chosen) else 0)
    readout = fitted.encoder.readout
    weights = readout.feature_weights.detach().numpy()
    codes = barcodes.normalize(weights, readout.mask.detach().numpy())
    n_clusters = barcodes.choose_n_clusters(codes, seed)
    clusters = barcodes.cluster(codes, n_clusters, seed)
    true = np.full(len(codes), -1) if types is None else types[fitted.neurons]
    table = pd.DataFrame({"neuron": fitted.neurons, "cell_type": true, "cluster": clusters})
    table["norm"] = np.linalg.norm(weights, axis=1)
    for channel, column in enumerate(codes.T):
        table[f"weight_{channel}"] = column
    score = {"n_clusters": n_clusters, "ari": np.nan, "nmi": np.nan, "n_types": np.nan}
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


def main(
    dataset: str | Path,
    fits: list[str],
    selection: str | Path,
    cells: list[tuple[str, str]],
    names: dict[str, str],
    output: str | Path,
    scores: str | Path,
) -> None:
    """Write one row per fit and neuron to ``output`` and one per fit to ``scores``."""
    with open_dataset(dataset) as data:
        types = data["cell_type"].values if "cell_type" in data else None
    chosen = read_table(selection).astype({"cell_neurons": str, "cell_images": str})
    tables, rows = [], []
    for (n_neurons, n_images), path in zip(cells, fits, strict=True):
        content = read_tensors(path)
        cell = chosen[(chosen.cell_neurons == n_neurons) & (chosen.cell_images == n_images)]
        for (rule, seed), part in cell.groupby(["selection", "seed"], sort=False):
            table, score = cluster_fit(content, int(seed), part["setting"].to_numpy(), types)
            keys = names | {
                "selection": rule,
                "n_neurons": len(table),
                "n_images": content["seeds"][int(seed)]["n_images"],
                "seed": int(seed),
            }
            tables.append(pd.concat([pd.DataFrame(keys, index=table.index), table], axis=1))
            rows.append(keys | score)
    write_table(pd.concat(tables, ignore_index=True), output)
    write_table(pd.DataFrame(rows), scores)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            dataset=snakemake.input.dataset,
            fits=list(snakemake.input.fits),
            selection=snakemake.input.selection,
            cells=snakemake.params.cells,
            names=dict(snakemake.wildcards.items()),
            output=snakemake.output.barcodes,
            scores=snakemake.output.scores,
        )
