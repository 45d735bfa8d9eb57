"""Hyper-parameters selected on validation data, condition by condition: validation.nc -> selection.csv."""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from whatwhere.files import read_netcdf, write_table

MEAN_RESPONSE = -1
"""In place of a setting: the mean training response predicts better than any fit (section F.3)."""


def select(validation: xr.Dataset, rule: str) -> np.ndarray:
    """Selects a setting for every seed and neuron, or :data:`MEAN_RESPONSE`, (seed, neuron).

    Parameters
    ----------
    validation
        ``validation_loss`` (seed, setting, neuron) and ``validation_loss_of_mean`` (seed, neuron).
    rule
        ``population``: per seed, the lowest mean loss over neurons. ``median``: for all seeds, the median
        over seeds of that index, rounded down (section D). ``neuron``: for every neuron its own lowest loss,
        or the mean training response if that is lower (section F.3). ValueError for any other.
    """
    if rule not in ("population", "median", "neuron"):
        raise ValueError(f"selection: {rule!r} is no rule")
    # A fit that diverged has a loss that is not finite and must never win.
    loss = validation["validation_loss"].values.astype(np.float64)
    loss = np.where(np.isfinite(loss), loss, np.inf)
    if rule == "neuron":
        of_mean = validation["validation_loss_of_mean"].values
        return np.where(loss.min(1) < of_mean, loss.argmin(1), MEAN_RESPONSE)
    best = loss.mean(2).argmin(1)
    if rule == "median":
        best[:] = int(np.median(best))
    return np.repeat(best[:, None], loss.shape[2], axis=1)


CHOICES = ("core", "start", "n_kernels", "rank")
"""Hyper-parameters that are counted or named; all others are strengths of penalties."""


def at_edge(validation: xr.Dataset, selected: np.ndarray) -> np.ndarray:
    """Marks selected settings (seed, neuron) with a penalty at the edge of its grid.

    A wider grid might do better. ``validation`` has the hyper-parameters along ``setting``. A grid of one or
    two values has no inside, and no penalty can be weaker than 0.
    """
    edge = np.zeros(validation.sizes["setting"], bool)
    for name, values in validation.coords.items():
        if values.dims == ("setting",) and name not in CHOICES:
            tried = values.values
            if len(np.unique(tried)) > 2:
                edge |= (tried == tried.max()) | ((tried == tried.min()) & (tried > 0))
    return np.where(selected == MEAN_RESPONSE, False, edge[selected])


def most_frequent(settings: np.ndarray) -> int:
    """The setting that most neurons of a fit were given, (neuron,); the first if all got the mean response.

    Figures show this fit as a whole: the parameters of different fits are not comparable.
    """
    selected, counts = np.unique(settings[settings != MEAN_RESPONSE], return_counts=True)
    return int(selected[counts.argmax()]) if len(selected) else 0


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
