"""What neurons are worth in images: scores of all sizes -> scaling.csv, exchange_rates.csv."""

from pathlib import Path

import pandas as pd

from whatwhere.files import read_tables, write_table
from whatwhere.logs import logged
from whatwhere.scaling import RATES, exchange_rates, measure_of

KEYS = ["experiment", "dataset", "model", "selection", "n_neurons", "n_images", "seed"]
OF_RATES = ["dataset", "model", "selection"]
STATE = ["converged", "at_edge"]


def state(scores: pd.DataFrame, rate: dict[str, float]) -> dict[str, float]:
    """Of what share of the fits behind an exchange rate ``converged`` and ``at_edge`` hold."""
    compared = scores["n_neurons"].isin([rate["neurons_from"], rate["neurons_to"]])
    return dict(scores.loc[compared, STATE].mean())


def main(scores: list[str], scaling: str | Path, rates: str | Path) -> None:
    """Write the mean over neurons of every seed to ``scaling`` and the exchange rates to ``rates``.

    Both name the measure of the dataset (:func:`whatwhere.scaling.measure_of`), which the rates use.
    """
    table = read_tables(scores)
    measures = {name: measure_of(part) for name, part in table.groupby("dataset")}
    means = table.groupby(KEYS, sort=False)[["feve", "correlation", *STATE]].mean().reset_index()
    write_table(means.assign(measure=means["dataset"].map(measures)), scaling)
    rows = [
        dict(zip(OF_RATES, names, strict=True)) | {"measure": measures[names[0]]} | row | state(part, row)
        for names, part in table.groupby(OF_RATES, sort=False)
        for row in exchange_rates(part, measures[names[0]])
    ]
    write_table(pd.DataFrame(rows, columns=[*OF_RATES, "measure", *RATES, *STATE]), rates)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(list(snakemake.input.scores), snakemake.output.scaling, snakemake.output.rates)
