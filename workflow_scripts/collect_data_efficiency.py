"""Scores, locations and barcodes over the number of images: scores, ... -> data_efficiency.csv."""

from pathlib import Path

import numpy as np
import pandas as pd

from whatwhere.conditions import over_seeds
from whatwhere.files import read_reference, read_tables, write_table
from whatwhere.logs import run_job
from whatwhere.scaling import image_doublings_to_reach

KEYS = ["experiment", "dataset", "model", "selection", "n_neurons", "n_images"]


def image_doublings_gained(table: pd.DataFrame, reference: pd.DataFrame, networks: list[str]) -> pd.Series:
    """Doublings of images that the paper needed more for an equal score, one value per row of ``table``.

    The paper's curve is that of its factorized network, one of ``networks``, for this simulation and
    population size. NaN where there is no curve, or where it does not reach, or starts above, the score.
    """
    figures = reference[~reference.experiment.str.contains("_")]
    gained = pd.Series(np.nan, index=table.index)
    for (dataset, n_neurons), rows in table.groupby(["dataset", "n_neurons"], sort=False):
        fitted = set(table[table.dataset == dataset].model)
        network = [name for name in networks if name in fitted][:1]
        curve = figures[figures.model.isin(network) & (figures.n_neurons == n_neurons)]
        if curve.n_images.nunique() > 1:
            curve = curve.set_index("n_images")[["feve"]].sort_index()
            needed = image_doublings_to_reach(curve, rows.feve.to_numpy())
            gained[rows.index] = needed - np.log2(rows.n_images)
    return gained.replace([-np.inf, np.inf], np.nan)


def main(
    scores: list[str],
    locations: list[str],
    barcode_scores: list[str],
    reference: list[str],
    paper: dict[str, str],
    networks: list[str],
    table: str | Path,
) -> None:
    """Writes one row per model, population and data size to ``table``.

    ``paper`` has the model of the paper beside a model. All models of a dataset are compared with the
    first of ``networks``, the paper's factorized networks. Columns: mean and standard deviation over seeds of
    FEVE (not clipped), of the localization error in pixels and of the adjusted Rand index with the true
    number of types, and the doublings of images gained over the paper.
    """
    rated, found = read_tables(scores), read_tables(locations)
    conditions = rated.groupby(KEYS, sort=False)
    rows = conditions.seed.nunique().rename("n_seeds").reset_index().merge(over_seeds(rated, ["feve"], KEYS))
    found = found[found.source == "mask"].rename(columns={"error": "location_error"})
    rows = rows.merge(over_seeds(found, ["location_error"], KEYS), how="left")
    if barcode_scores:
        agreement = read_tables(barcode_scores)
        agreement = agreement.rename(columns={"ari": "ari_any_number", "ari_known_number": "ari"})
        rows = rows.merge(over_seeds(agreement, ["ari", "ari_any_number"], KEYS), how="left")
    rows = rows.join(conditions[["converged", "at_edge"]].mean(), on=KEYS)
    rows["image_doublings_gained"] = image_doublings_gained(rows, read_reference(reference, paper), networks)
    write_table(rows, table)


if __name__ == "__main__":
    run_job(main, snakemake)
