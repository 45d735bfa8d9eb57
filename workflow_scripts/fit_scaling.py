"""Exchange rates of neurons and images: scores of all sizes -> scaling.csv, exchange_rates.csv."""

from pathlib import Path

import pandas as pd

from whatwhere.files import read_tables, write_table
from whatwhere.logs import run_job
from whatwhere.scaling import RATES, exchange_rates, measure_of

KEYS = ["experiment", "dataset", "model", "selection", "n_neurons", "n_images", "seed"]
OF_RATES = ["dataset", "model", "selection"]
STATE = ["converged", "at_edge"]


def main(scores: list[str], scaling: str | Path, rates: str | Path) -> None:
    """Writes the mean over neurons of every seed to ``scaling`` and the exchange rates to ``rates``.

    Both name the measure of the dataset (:func:`whatwhere.scaling.measure_of`), which the rates use.
    """
    table = read_tables(scores)
    measures = {name: measure_of(group) for name, group in table.groupby("dataset")}
    means = table.groupby(KEYS, sort=False)[["feve", "correlation", *STATE]].mean().reset_index()
    write_table(means.assign(measure=means["dataset"].map(measures)), scaling)
    rows = []
    for names, group in table.groupby(OF_RATES, sort=False):
        for row in exchange_rates(group, measures[names[0]]):
            # Shares of the fits behind an exchange rate that converged, or have a penalty at an edge.
            compared = group["n_neurons"].isin([row["neurons_from"], row["neurons_to"]])
            named = dict(zip(OF_RATES, names, strict=True)) | {"measure": measures[names[0]]}
            rows.append(named | row | dict(group.loc[compared, STATE].mean()))
    write_table(pd.DataFrame(rows, columns=[*OF_RATES, "measure", *RATES, *STATE]), rates)


if __name__ == "__main__":
    run_job(main, snakemake)
