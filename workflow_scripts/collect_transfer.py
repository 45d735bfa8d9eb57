"""Gains from other recordings for the neurons of one recording: scores/*.csv -> transfer.csv."""

from pathlib import Path

import pandas as pd

from whatwhere.config.strategies import OWN_RIDGE, STRATEGIES
from whatwhere.files import read_table, write_table
from whatwhere.logs import run_job
from whatwhere.transfer import curve_of, rows_of

SEED = 0
"""Seed of the bootstrap."""


def of_target(path: str, target: str) -> pd.DataFrame:
    """Scores of the target's neurons, without those of pooled recordings, for the first selection rule."""
    scores = read_table(path)
    scores = scores[scores.selection == scores.selection.iloc[0]]
    return scores[scores.recording == target] if "recording" in scores else scores


def main(scores: list[str], targets: list[str], strategies: list[str], table: str | Path) -> None:
    """Writes a row per target, strategy (:mod:`whatwhere.config.strategies`), model and size to ``table``.

    Columns are those of :func:`whatwhere.transfer.rows_of`, the numbers of neurons and folds of a curve, and
    the shares ``converged`` and ``at_edge`` of its fits.
    """
    fits = list(zip(targets, map(STRATEGIES.index, strategies), map(of_target, scores, targets), strict=True))
    tables = []
    for target in dict.fromkeys(targets):
        # Stable: models of a strategy keep their order.
        mine = sorted((fit[1:] for fit in fits if fit[0] == target), key=lambda fit: fit[0])
        ridge = curve_of(next(fit for strategy, fit in mine if STRATEGIES[strategy] == OWN_RIDGE))
        for strategy, fit in mine:
            names = {"target": target, "strategy": STRATEGIES[strategy]}
            names |= fit.iloc[0][["model", "selection"]].to_dict()
            counts = {"n_neurons": fit.neuron.nunique(), "n_folds": fit.seed.nunique()}
            marks = fit.groupby("n_images")[["converged", "at_edge"]].mean()
            rows = rows_of(curve_of(fit), ridge, SEED)
            tables.append(pd.DataFrame([names | row | counts for row in rows]).join(marks, on="n_images"))
    write_table(pd.concat(tables, ignore_index=True), table)


if __name__ == "__main__":
    run_job(main, snakemake)
