"""What neurons are worth in images: scores of all sizes -> scaling.csv, exchange_rates.csv."""

from itertools import pairwise
from pathlib import Path

import pandas as pd

from whatwhere.files import read_table, write_table
from whatwhere.logs import logged
from whatwhere.scaling import exchange_rate, measure_of

N_BOOTSTRAPS = 200
KEYS = ["experiment", "dataset", "model", "selection", "n_neurons", "n_images", "seed"]
RATES = ["dataset", "model", "selection", "measure", "neurons_from", "neurons_to", "rate", "low", "high"]


def rates_of(scores: pd.DataFrame, measure: str) -> list[dict[str, float]]:
    """Exchange rates over all population sizes, and between every two neighbouring ones."""
    sizes = sorted(scores.n_neurons.unique())
    # With two sizes the whole range is the only pair.
    ranges = [(sizes[0], sizes[-1]), *(pairwise(sizes) if len(sizes) > 2 else [])]
    rows = []
    for low, high in ranges:
        whole = (low, high) == (sizes[0], sizes[-1])
        part = scores if whole else scores[scores.n_neurons.isin((low, high))]
        rate = exchange_rate(part, measure, N_BOOTSTRAPS, seed=0)
        if rate is not None:
            rows.append({"measure": measure, "neurons_from": low, "neurons_to": high, **rate})
    return rows


def main(scores: list[str], scaling: str | Path, rates: str | Path) -> None:
    """Write the mean over neurons of every seed to ``scaling`` and the fitted exchange rates to ``rates``.

    Both name the measure of the dataset (:func:`whatwhere.scaling.measure_of`), which the rates use.
    """
    table = pd.concat([read_table(path) for path in scores], ignore_index=True)
    measures = {name: measure_of(part) for name, part in table.groupby("dataset")}
    means = table.groupby(KEYS, sort=False)[["feve", "correlation"]].mean().reset_index()
    write_table(means.assign(measure=means["dataset"].map(measures)), scaling)
    rows = []
    for names, part in table.groupby(["dataset", "model", "selection"], sort=False):
        keys = dict(zip(["dataset", "model", "selection"], names, strict=True))
        rows += [keys | row for row in rates_of(part, measures[names[0]])]
    write_table(pd.DataFrame(rows) if rows else pd.DataFrame(columns=RATES), rates)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(list(snakemake.input.scores), snakemake.output.scaling, snakemake.output.rates)
