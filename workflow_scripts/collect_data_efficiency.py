"""How many images every method needs: scores, locations, barcode scores -> data_efficiency.csv."""

from pathlib import Path

import numpy as np
import pandas as pd

from whatwhere.files import read_reference, read_table, write_table
from whatwhere.logs import logged

KEYS = ["experiment", "dataset", "model", "selection", "n_neurons", "n_images"]


def images_needed(curve: pd.DataFrame, feve: np.ndarray) -> np.ndarray:
    """Number of images with which a curve reaches given scores, interpolated in octaves.

    Parameters
    ----------
    curve
        Columns ``n_images`` and ``feve``.
    feve
        Scores of any shape.

    Returns
    -------
    The same shape; NaN outside of the curve. Where the curve falls, by noise, it counts as flat, and a flat
    part as its end with fewer images.
    """
    curve = curve.sort_values("n_images")
    height = np.maximum.accumulate(curve.feve.to_numpy())
    rising = np.append(True, np.diff(height) > 0)
    octaves = np.log2(curve.n_images.to_numpy()[rising])
    return 2 ** np.interp(feve, height[rising], octaves, left=np.nan, right=np.nan)


def octaves_gained(table: pd.DataFrame, reference: pd.DataFrame, networks: list[str]) -> pd.Series:
    """Octaves of images that the paper needed more for the same score, one value per row of ``table``.

    The paper's curve is that of its factorized network, one of ``networks``, for the same simulation and
    population size, whatever other models a run has; NaN where there is none, or where it does not reach, or
    starts above, the score.
    """
    figures = reference[~reference.experiment.str.contains("_")]
    gained = pd.Series(np.nan, index=table.index)
    for (dataset, n_neurons), rows in table.groupby(["dataset", "n_neurons"], sort=False):
        fitted = set(table[table.dataset == dataset].model)
        network = [name for name in networks if name in fitted][:1]
        curve = figures[figures.model.isin(network) & (figures.n_neurons == n_neurons)]
        if curve.n_images.nunique() > 1:
            gained[rows.index] = np.log2(images_needed(curve, rows.feve.to_numpy()) / rows.n_images)
    return gained


def over_seeds(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Mean over seeds of the mean over neurons, and its sd (ddof 0, as in the paper)."""
    seeds = table.groupby([*KEYS, "seed"], sort=False)[columns].mean()
    groups = seeds.groupby(KEYS, sort=False)
    return pd.concat([groups.mean(), groups.std(ddof=0).add_suffix("_sd")], axis=1)


def main(
    scores: list[str],
    locations: list[str],
    barcode_scores: list[str],
    reference: list[str],
    paper: dict[str, str],
    networks: list[str],
    output: str | Path,
) -> None:
    """Writes one row per model, population and data size to ``output``.

    ``paper`` says which model of the paper stands beside a model, and ``networks`` which of these models are
    the factorized networks that all models of a dataset are compared with.

    Columns: mean and sd over seeds of FEVE (not clipped), of the localisation error in pixels and of the
    adjusted Rand index with the true number of types, and the octaves of images gained over the paper.
    """

    def read(paths: list[str]) -> pd.DataFrame:
        return pd.concat([read_table(path) for path in paths], ignore_index=True)

    rated = read(scores)
    table = over_seeds(rated, ["feve"])
    table.insert(0, "n_seeds", rated.groupby(KEYS, sort=False).seed.nunique())
    found = read(locations)
    found = found[found.source == "mask"].rename(columns={"error": "location_error"})
    table = table.join(over_seeds(found, ["location_error"]))
    if barcode_scores:
        agreement = read(barcode_scores).rename(columns={"ari": "ari_any_number", "ari_known_number": "ari"})
        table = table.join(over_seeds(agreement, ["ari", "ari_any_number"]))
    table = table.join(rated.groupby(KEYS, sort=False)[["finished", "at_edge"]].mean()).reset_index()
    table["octaves_gained"] = octaves_gained(table, read_reference(reference, paper), networks)
    write_table(table, output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            scores=list(snakemake.input.scores),
            locations=list(snakemake.input.locations),
            barcode_scores=list(snakemake.input.barcode_scores),
            reference=list(snakemake.input.reference),
            paper=dict(snakemake.params.paper),
            networks=list(snakemake.params.networks),
            output=snakemake.output.table,
        )
