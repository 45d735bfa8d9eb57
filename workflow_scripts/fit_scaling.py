"""What neurons are worth in images: scores of all sizes -> scaling.csv, exchange_rates.csv."""

from itertools import pairwise
from pathlib import Path

import pandas as pd

from whatwhere.files import read_table, write_table
from whatwhere.logs import logged
from whatwhere.scaling import exchange_rate

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

    The rates use ``feve`` where it is defined and ``correlation`` where there are no single trials.
    """
    table = pd.concat([read_table(path) for path in scores], ignore_index=True)
    write_table(table.groupby(KEYS, sort=False)[["feve", "correlation"]].mean().reset_index(), scaling)
    rows = []
    for names, part in table.groupby(["dataset", "model", "selection"], sort=False):
        measure = "feve" if part.feve.notna().any() else "correlation"
        keys = dict(zip(["dataset", "model", "selection"], names, strict=True))
        rows += [keys | row for row in rates_of(part, measure)]
    write_table(pd.DataFrame(rows) if rows else pd.DataFrame(columns=RATES), rates)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(list(snakemake.input.scores), snakemake.output.scaling, snakemake.output.rates)
