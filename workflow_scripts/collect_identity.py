"""Who is found again on another day, by masks and feature weights: dataset.nc, fits.pt -> identity.csv."""

from pathlib import Path

import numpy as np
import pandas as pd

from whatwhere.config.traits import traits_of
from whatwhere.dataset import open_dataset
from whatwhere.files import write_table
from whatwhere.fitted.seed_fit import SeedFit, selected_fits
from whatwhere.identity import Days, alikeness, cosines, days_of, ranks, summary
from whatwhere.logs import logged


def compared(fitted: SeedFit, filters: bool, days: Days) -> dict[str, np.ndarray]:
    """How alike neurons are in every part of what a fit says of them, (neuron, candidate) by its name."""
    if filters:
        return {"filter": cosines(fitted.model.filters.numpy(), days)}
    return alikeness(fitted.masks, fitted.feature_weights, days)


def rows_of(fits: list[SeedFit], filters: bool, days: Days) -> list[dict[str, object]]:
    """A row for every part, by the mean over fits; ``top1_single`` is the mean of what single fits find."""
    each = [compared(fitted, filters, days) for fitted in fits]
    n_candidates = len(days.candidates)
    rows = []
    for part in each[0]:
        alike = np.stack([one[part] for one in each])
        single = [summary(ranks(one, days.partners), n_candidates)["top1"] for one in alike]
        found = summary(ranks(alike.mean(0), days.partners), n_candidates)
        rows.append({"part": part, "n_fits": len(fits), **found, "top1_single": float(np.mean(single))})
    return rows


def main(
    names: list[dict[str, str]],
    datasets: list[str],
    fits: list[str],
    selections: list[str],
    cells: list[str],
    definitions: dict[str, dict[str, object]],
    output: str | Path,
) -> None:
    """Write a row per model, pair of recordings that share pictures, and part of a neuron to ``output``.

    Parameters
    ----------
    names
        ``experiment``, ``dataset`` and ``model`` of every fit.
    datasets, fits, selections, cells
        Files, and folder of the last cell, of every fit, in the same order.
    definitions
        Of the models.
    output
        The table.
    """
    rows = []
    for of, dataset, path, selection, cell in zip(names, datasets, fits, selections, cells, strict=True):
        chosen = list(selected_fits(selection, [cell], [path]))
        fitted = [one.fit.of_most_neurons() for one in chosen if one.rule == chosen[0].rule]
        with open_dataset(dataset) as data:
            pairs = days_of(data)
        for days in pairs:
            keys = of | {
                "selection": chosen[0].rule,
                "recording": days.later,
                "among": days.earlier,
                "n_pictures": days.n_pictures,
            }
            filters = traits_of(definitions[of["model"]]).filters
            rows += [keys | row for row in rows_of(fitted, filters, days)]
    write_table(pd.DataFrame(rows), output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            names=list(snakemake.params.names),
            datasets=list(snakemake.input.datasets),
            fits=list(snakemake.input.fits),
            selections=list(snakemake.input.selections),
            cells=list(snakemake.params.cells),
            definitions=dict(snakemake.params.definitions),
            output=snakemake.output.table,
        )
