"""Conditions of tables: rows of one population size and number of images, and their means over seeds."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

SIZES = ("n_neurons", "n_images")


def last_listed_condition(table: pd.DataFrame, sizes: Iterable[str] = SIZES) -> pd.DataFrame:
    """Selects the rows of the condition that the configuration lists last, for the first selection rule.

    The table is of one experiment, dataset and model, in the order of the configuration, with the columns
    ``selection`` and ``sizes``, which name a condition.
    """
    keys = [*sizes]
    condition = table[(table[keys] == table[keys].iloc[-1]).all(axis=1)]
    return condition[condition.selection == condition.selection.iloc[0]]


def largest_condition(table: pd.DataFrame, sizes: Iterable[str] = SIZES) -> pd.DataFrame:
    """Selects the rows with the largest first size and, among these, the largest second size."""
    for size in sizes:
        table = table[table[size] == table[size].max()]
    return table


def over_seeds(
    scores: pd.DataFrame, values: list[str], by: list[str], least: float = -np.inf
) -> pd.DataFrame:
    """Mean and standard deviation over seeds of the mean over neurons, in the columns ``values``.

    A row per condition, which the columns ``by`` name, in order of appearance: ``by``, the means, and the
    sample standard deviations (NaN of a single seed) with ``_sd`` behind their names. Scores have a row per
    neuron and seed; means over neurons below ``least`` count as ``least``.
    """
    seeds = scores.groupby([*by, "seed"], sort=False)[values].mean().clip(lower=least)
    groups = seeds.groupby(by, sort=False)
    return pd.concat([groups.mean(), groups.std().add_suffix("_sd")], axis=1).reset_index()
