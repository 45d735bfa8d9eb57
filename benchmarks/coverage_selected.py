"""Coverage of intervals for the response to the image that a model selects as most exciting.

    PYTHONPATH=workflow_scripts python benchmarks/coverage_selected.py MIRROR

MIRROR holds V4 in the publisher's layout (Cowley et al. 2023). The ridge on Gabor features is fitted as in
config/v4.yaml, three splits of every session but 210305, and to 20 simulations of V1. The validation images,
predicted by fits that did not see them, give the interval; every neuron selects one test image. Takes half an
hour of one core, writes docs/results/coverage_selected.csv and prints its means.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from whatwhere.api import definition
from whatwhere.dataset import TEST, repeat_mean, select_images
from whatwhere.experiments.selected import interval_of_selected
from whatwhere.files import write_table
from whatwhere.fit_data import Condition
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.fitted.selection import select
from whatwhere.recordings import load
from whatwhere.simulations import v1_cells
from whatwhere.simulations.design import Design
from whatwhere.training.closed_forms import fit_baseline

SESSIONS = ["190925", "190927", "190928", "190929", "201025", "210322", "210325"]
V4 = {
    "kind": "cowley2023",
    "image": {"color": "grey", "crop": None, "size": [44, 44], "normalize": "per_pixel"},
    "split": {"validation": 1 / 6, "test": 1 / 6, "folds": 5, "seed": 1},
}
V1 = {
    "normalize": "global",
    "n_images": 1000,
    "n_test": 200,
    "validation_fraction": 0.2,
    "validation_max": 0,
    "n_simple_types": 4,
    "n_complex_types": 4,
    "n_neurons": 40,
    "patch": 13,
    "mean_count": 1.0,
    "n_repeats": 1,
    "image_size": 28,
}


def coverage(dataset: xr.Dataset, seed: int) -> dict[str, float]:
    """Shares of neurons whose response to the test image that the fit selects lies in an interval."""
    condition = Condition(dataset, None, None, [seed])
    fits = fit_baseline("ridge_bank", condition, definition("ridge_bank"), {})
    (selected,) = select(fits.validation, "population")
    setting = int(np.atleast_1d(selected)[0])
    fit = SeedFit.of(fits.fits, seed, selected)
    validation = condition.data(seed).subset.validation
    test = np.flatnonzero(dataset["split"].values[seed % dataset.sizes["fold"]] == TEST)
    predicted = fits.fits["seeds"][seed]["validation_predictions"][setting].numpy()
    measured = repeat_mean(dataset, validation, fit.neurons)
    return shares(
        predicted,
        measured,
        fit.predict(select_images(dataset, test)),
        repeat_mean(dataset, test, fit.neurons),
    )


def shares(
    predicted: np.ndarray, measured: np.ndarray, promised: np.ndarray, responses: np.ndarray
) -> dict[str, float]:
    """Coverage for test images with predictions ``promised`` and ``responses``, (image, neuron) each."""
    best = promised.argmax(0), np.arange(promised.shape[1])
    low, high = interval_of_selected(predicted, measured, promised[best])
    plain = promised[best] + np.quantile(measured - predicted, [0.05, 0.95], axis=0)
    return {
        "n_neurons": len(low),
        "held": ((responses[best] >= low) & (responses[best] <= high)).mean(),
        "held_plain": ((responses[best] >= plain[0]) & (responses[best] <= plain[1])).mean(),
    }


def main(mirror: Path, output: Path) -> None:
    """Fits the model to all recordings and simulations, writes the coverage and prints its means."""
    rows = []
    for session in SESSIONS:
        recording = load(f"v4_{session}", V4 | {"session": session}, output.parent, str(mirror))
        rows += [
            {"recording": f"V4 {session}", "seed": seed} | coverage(recording, seed) for seed in range(3)
        ]
    for seed in range(20):
        design, arguments = Design.of("v1", V1 | {"seed": seed})
        simulation = v1_cells.simulate(design, **arguments)
        rows.append({"recording": "simulated V1", "seed": seed} | coverage(simulation, 0))
    table = pd.DataFrame(rows)
    write_table(table, output)
    print(table.drop(columns="seed").groupby("recording", sort=False).mean().round(3).to_string())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parents[1] / "docs" / "results" / "coverage_selected.csv")
