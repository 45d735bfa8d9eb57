"""What other recordings are worth to the neurons of one: scores/*.csv -> transfer.csv."""

from pathlib import Path

import pandas as pd

from whatwhere.config.strategies import OWN_RIDGE, STRATEGIES
from whatwhere.files import read_table, write_table
from whatwhere.logs import arguments, logged
from whatwhere.transfer import curve_of, rows_of

SEED = 0
"""Of the draws."""


def of_target(path: str, target: str) -> pd.DataFrame:
    """Scores of the target's neurons for the first selection rule; of a pool, only those."""
    scores = read_table(path)
    scores = scores[scores.selection == scores.selection.iloc[0]]
    return scores[scores.recording == target] if "recording" in scores else scores


def main(scores: list[str], targets: list[str], strategies: list[str], table: str | Path) -> None:
    """Write a row per target, strategy, model and number of images to ``table``.

    Parameters
    ----------
    scores, targets, strategies
        File, target and strategy (:mod:`whatwhere.config.strategies`) of every fit, in the same order.
    table
        The output, with the columns of :func:`whatwhere.transfer.rows_of`. ``n_neurons`` and ``n_folds`` are
        those on which a curve is compared; ``converged`` and ``at_edge`` are shares of its fits, as in the
        summary.
    """
    fits = [
        (target, strategy, of_target(path, target))
        for path, target, strategy in zip(scores, targets, strategies, strict=True)
    ]
    tables = []
    for target in dict.fromkeys(targets):
        ridge = curve_of(next(one for of, strategy, one in fits if (of, strategy) == (target, OWN_RIDGE)))
        for _, strategy, one in sorted(
            (fit for fit in fits if fit[0] == target), key=lambda fit: STRATEGIES.index(fit[1])
        ):
            names = {"target": target, "strategy": strategy, **one.iloc[0][["model", "selection"]]}
            counts = {"n_neurons": one.neuron.nunique(), "n_folds": one.seed.nunique()}
            marks = one.groupby("n_images")[["converged", "at_edge"]].mean()
            rows = rows_of(curve_of(one), ridge, SEED)
            tables.append(pd.DataFrame([names | row | counts for row in rows]).join(marks, on="n_images"))
    write_table(pd.concat(tables, ignore_index=True), table)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(**arguments(snakemake.input, snakemake.params, snakemake.output))
