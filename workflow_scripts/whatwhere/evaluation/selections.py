"""Hyper-parameters selected on validation data, condition by condition: validation.nc -> selection.csv."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from whatwhere.files import read_netcdf, write_table
from whatwhere.fitted.selection import MEAN_RESPONSE, at_edge, select

logger = logging.getLogger(__name__)


def write_selection(
    validation: list[str], conditions: list[str], rules: list[str], selection: str | Path
) -> None:
    """Writes one row per condition, rule, seed and neuron with the selected setting to ``selection``."""
    tables = [
        _table(path, condition, rule)
        for path, condition in zip(validation, conditions, strict=True)
        for rule in rules
    ]
    for table in tables:
        _log_doubts(table)
    write_table(pd.concat(tables, ignore_index=True), selection)


def _log_doubts(selected: pd.DataFrame) -> None:
    """Logs shares of selected fits that longer training or a wider grid might improve; figures name them."""
    for share, what in (
        (1 - selected["converged"].mean(), "did not converge: training stopped at max_steps"),
        (selected["at_edge"].mean(), "have a penalty at the edge of its grid"),
    ):
        if share:
            names = (selected["condition"].iloc[0], selected["selection"].iloc[0])
            logger.info("%s, by %s: %.0f %% of the selected fits %s", *names, 100 * share, what)


def _table(path: str, condition: str, rule: str) -> pd.DataFrame:
    with read_netcdf(path) as content:
        selected = select(content, rule)
        loss = content["validation_loss"].values
        of_mean = content["validation_loss_of_mean"].values
        seed, neuron = np.indices(selected.shape)
        picked = np.where(selected == MEAN_RESPONSE, of_mean, loss[seed, selected, neuron])
        converged = (selected == MEAN_RESPONSE) | content["converged"].values[seed, selected].astype(bool)
        settings = {
            name: np.where(selected == MEAN_RESPONSE, np.nan, values.values[selected]).ravel()
            for name, values in content.coords.items()
            if values.dims == ("setting",)
        }
        return pd.DataFrame(
            {
                "condition": condition,
                "selection": rule,
                "seed": content["seed"].values[seed.ravel()],
                "neuron": content["neuron_index"].values[seed.ravel(), neuron.ravel()],
                "setting": selected.ravel(),
                "validation_loss": picked.ravel(),
                "converged": converged.ravel(),
                "at_edge": at_edge(content, selected).ravel(),
                **settings,
            }
        )
