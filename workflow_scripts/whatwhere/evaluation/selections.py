"""Hyper-parameters selected on validation data, condition by condition: validation.nc -> selection.csv."""

from pathlib import Path

import numpy as np
import pandas as pd

from whatwhere.files import read_netcdf, write_table
from whatwhere.fitted.selection import MEAN_RESPONSE, at_edge, select


def write_selection(
    validation: list[str], conditions: list[str], rules: list[str], selection: str | Path
) -> None:
    """Writes one row per condition, rule, seed and neuron with the selected setting to ``selection``."""
    tables = [
        _table(path, condition, rule)
        for path, condition in zip(validation, conditions, strict=True)
        for rule in rules
    ]
    write_table(pd.concat(tables, ignore_index=True), selection)


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
