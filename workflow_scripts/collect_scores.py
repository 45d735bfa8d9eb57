"""Collect the scores of all models: scores/*.csv -> scores.csv, summary.csv."""

from pathlib import Path

import pandas as pd

from whatwhere.files import read_table, write_table
from whatwhere.logs import logged
from whatwhere.metrics import SCORES

KEYS = ["experiment", "dataset", "model", "selection", "n_neurons", "n_images"]


def summarize(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard error over neurons, and the sd over seeds of the mean over neurons.

    The standard error treats a neuron's scores on several seeds as one value, their mean.
    """
    neurons = scores.groupby([*KEYS, "neuron"], sort=False)[SCORES].mean().reset_index()
    seeds = scores.groupby([*KEYS, "seed"], sort=False)[SCORES].mean().reset_index()
    groups = neurons.groupby(KEYS, sort=False)[SCORES]
    parts = [
        scores.groupby(KEYS, sort=False)["seed"].nunique().rename("n_seeds"),
        groups.mean(),
        groups.sem().add_suffix("_sem"),
        seeds.groupby(KEYS, sort=False)[SCORES].std().add_suffix("_seed_sd"),
    ]
    return pd.concat(parts, axis=1).reset_index()


def main(inputs: list[str], scores: str | Path, summary: str | Path) -> None:
    """Write all scores to ``scores`` and their summary to ``summary``."""
    table = pd.concat([read_table(path) for path in inputs], ignore_index=True)
    write_table(table, scores)
    write_table(summarize(table), summary)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(list(snakemake.input.scores), snakemake.output.scores, snakemake.output.summary)
