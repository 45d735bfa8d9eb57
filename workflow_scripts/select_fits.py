"""Choose hyper-parameters on validation data, cell by cell: validation.nc -> selection.csv."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from whatwhere.files import read_netcdf, write_table
from whatwhere.fitted.selection import MEAN_RESPONSE, at_edge, select
from whatwhere.logs import arguments, logged

logger = logging.getLogger(__name__)


def main(validation: list[str], cells: list[str], rules: list[str], selection: str | Path) -> None:
    """Writes one row per cell, rule, seed and neuron with the chosen setting to ``selection``."""
    parts = [_table(path, cell, rule) for path, cell in zip(validation, cells, strict=True) for rule in rules]
    for part in parts:
        _warn(part, str(selection))
    write_table(pd.concat(parts, ignore_index=True), selection)


def _warn(chosen: pd.DataFrame, output: str) -> None:
    """Warns of selected fits that a longer training or a wider grid might improve."""
    for share, what in (
        (1 - chosen["finished"].mean(), "not finished: training was ended by max_steps; raise it"),
        (chosen["at_edge"].mean(), "with a penalty at the edge of its grid: widen it"),
    ):
        if share:
            names = (output, chosen["cell"].iloc[0], chosen["selection"].iloc[0])
            logger.warning("%s, %s, by %s: %.0f %% of the chosen fits are %s", *names, 100 * share, what)


def _table(path: str, cell: str, rule: str) -> pd.DataFrame:
    with read_netcdf(path) as content:
        chosen = select(content, rule)
        loss = content["validation_loss"].values
        of_mean = content["validation_loss_of_mean"].values
        seed, neuron = np.indices(chosen.shape)
        picked = np.where(chosen == MEAN_RESPONSE, of_mean, loss[seed, chosen, neuron])
        finished = (chosen == MEAN_RESPONSE) | content["finished"].values[seed, chosen].astype(bool)
        settings = {
            name: np.where(chosen == MEAN_RESPONSE, np.nan, values.values[chosen]).ravel()
            for name, values in content.coords.items()
            if values.dims == ("setting",)
        }
        return pd.DataFrame(
            {
                "cell": cell,
                "selection": rule,
                "seed": content["seed"].values[seed.ravel()],
                "neuron": content["neuron_index"].values[seed.ravel(), neuron.ravel()],
                "setting": chosen.ravel(),
                "validation_loss": picked.ravel(),
                "finished": finished.ravel(),
                "at_edge": at_edge(content, chosen).ravel(),
                **settings,
            }
        )


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(**arguments(snakemake.input, snakemake.params, snakemake.output))
