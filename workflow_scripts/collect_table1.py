"""Table 1: performance of every model in every region, beside the paper: scores/*.csv -> table1.csv."""

from pathlib import Path

import numpy as np
import pandas as pd

from whatwhere.conditions import last_listed_condition
from whatwhere.files import read_reference, read_table, write_table
from whatwhere.logs import run_job

STATE = ["converged", "at_edge"]
AVERAGE = "average"
"""In place of a region: the mean over regions, weighted by their numbers of neurons."""


def region_row(scores: pd.DataFrame, selection: pd.DataFrame, loss: str) -> dict[str, float]:
    """Performance of one model in one region, for the first selection rule and the condition listed last.

    Correlation is the mean over neurons with its standard error, and FEVE the median over neurons, because
    FEVE has no lower bound for neurons with hardly any explainable variance. The validation loss is the
    Poisson loss summed over neurons, as in the paper; it is missing for models validated by another loss.
    Values of several seeds are averaged.
    """
    scores = last_listed_condition(scores)
    selected = last_listed_condition(selection, ["condition"])
    neurons = scores.groupby("neuron")
    correlation = neurons.correlation.mean()
    losses = selected.groupby("seed").validation_loss.sum()
    return {
        "n_neurons": len(correlation),
        "n_seeds": scores.seed.nunique(),
        "correlation": correlation.mean(),
        "correlation_sem": correlation.sem(),
        "feve": neurons.feve.mean().median(),
        "validation_loss": losses.mean() if loss == "poisson" else np.nan,
        **{name: scores[name].mean() for name in STATE},
    }


def average_row(regions: pd.DataFrame) -> dict[str, float]:
    """Mean over regions weighted by the number of neurons, without losses, which are sums over neurons."""
    weight = regions.n_neurons / regions.n_neurons.sum()
    return {
        "n_neurons": regions.n_neurons.sum(),
        "n_seeds": regions.n_seeds.min(),
        "correlation": (weight * regions.correlation).sum(),
        "correlation_sem": np.sqrt(((weight * regions.correlation_sem) ** 2).sum()),
        "feve": (weight * regions.feve).sum(),
        "validation_loss": np.nan,
        **{name: regions[name].mean() for name in STATE},
    }


def main(
    scores: list[str],
    selection: list[str],
    reference: str | Path,
    paper: dict[str, str],
    regions: dict[str, str],
    losses: dict[str, str],
    table: str | Path,
) -> None:
    """Writes one row per model and region, and one row per model for the average, to ``table``.

    ``scores`` and ``selection`` are files of every dataset and model. ``reference`` has the paper's values by
    model and region. ``paper`` and ``losses`` have the model of the paper and the validation loss of each
    model, and ``regions`` the region of each dataset.
    """
    rows = []
    for scored, selected in zip(map(read_table, scores), map(read_table, selection), strict=True):
        model, dataset = scored.model.iloc[0], scored.dataset.iloc[0]
        names = {"model": model, "region": regions[dataset]}
        rows.append(names | region_row(scored, selected, losses[model]))
    of_regions = pd.DataFrame(rows)
    for model, group in of_regions.groupby("model", sort=False):
        rows.append({"model": model, "region": AVERAGE} | average_row(group))
    published = read_reference([reference], paper).astype({"region": str}).drop(columns="source")
    published = published.rename(columns={"correlation": "paper", "validation_loss": "paper_validation_loss"})
    found = pd.DataFrame(rows).merge(published, on=["model", "region"], how="left")
    order = pd.Index(losses)
    write_table(found.sort_values("model", key=order.get_indexer, kind="stable"), table)


if __name__ == "__main__":
    run_job(main, snakemake)
