"""Selects, scores and describes the fits of one model to one dataset: fits.pt, validation.nc -> tables."""

from pathlib import Path

import torch

from whatwhere.evaluation.clusters import write_barcodes
from whatwhere.evaluation.neurons import write_neurons
from whatwhere.evaluation.parameters import write_parameters
from whatwhere.evaluation.scores import write_scores
from whatwhere.fitted.selection import write_selection
from whatwhere.logs import run_job


def main(
    dataset: str | Path,
    averages: list[str],
    fits: list[str],
    validation: list[str],
    conditions: list[str],
    rules: list[str],
    names: dict[str, str],
    selection: str | Path,
    scores: str | Path,
    summary: str | Path,
    predictions: str | Path,
    draws: str | Path,
    parameters: str | Path,
    locations: str | Path,
    neurons: str | Path,
    barcodes: str | Path | None = None,
    barcode_scores: str | Path | None = None,
    fields: str | Path | None = None,
) -> None:
    """Writes everything that tables and figures need to know about the fits of all conditions.

    ``fits``, ``validation`` and, for models with masks, ``averages`` hold a file for every condition. Models
    with several features per neuron also have ``barcodes``, ``barcode_scores`` and ``fields``.
    """
    torch.set_num_threads(1)
    write_selection(validation, conditions, rules, selection)
    selected = (fits, selection, conditions, names)
    write_scores(dataset, *selected, scores, summary, predictions, draws)
    write_parameters(dataset, averages, *selected, parameters, locations)
    last = None
    if barcodes is not None:
        last = averages[-1]
        write_barcodes(dataset, last, *selected, barcodes, barcode_scores, fields)
    write_neurons(dataset, fits[-1], selection, scores, predictions, last, barcodes, neurons)


if __name__ == "__main__":
    run_job(main, snakemake)
