"""Coverage of the intervals of exchange rates, in simulations of the designs that are run.

    PYTHONPATH=workflow_scripts python benchmarks/coverage_exchange.py

Curves of known form are simulated with the errors of fits: the images of a seed are equal for all
population sizes and nested in the data sizes, neurons differ in quality, and every fit has its own error.
Takes minutes of one core.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from whatwhere.files import write_table
from whatwhere.scaling import exchange_rates

N_RUNS = 300
MIDDLE = "middle"
"""Performance of an exchange rate that is not at a stated performance."""

Curve = Callable[[np.ndarray], np.ndarray]
"""Performance over log2 of effective images."""


def logistic(x: np.ndarray) -> np.ndarray:
    """Logistic function of log2 images: half of the explainable variance at 2^11.5 effective images."""
    return 1 / (1 + np.exp(-1.2 * (x - 11.5)))


def saturating(x: np.ndarray) -> np.ndarray:
    """Zero up to 2^9 effective images, then 1 - exp(-c images^0.9)."""
    return np.clip(1.25 * (1 - np.exp(-((2 ** (x - 11.5)) ** 0.9))) - 0.25, 0, None)


def v4(x: np.ndarray) -> np.ndarray:
    """Correlation with a ceiling of 0.4, as on macaque V4."""
    return 0.4 / (1 + np.exp(-0.8 * (x - 10)))


@dataclass(frozen=True)
class Design:
    """Sizes of the fits, and their errors.

    Attributes
    ----------
    conditions
        Data sizes by population size.
    n_seeds
        Seeds of every condition.
    available
        Neurons from which populations are sampled.
    curve
        True performance.
    images_sd
        Sd over seeds of the effective log2 images.
    neuron_sd, fit_sd
        Sd of the quality of neurons, and of the error of one neuron in one fit.
    population_sd
        Sd of the log2 effective images of a fit to one neuron; shrinks with the root of the population size.
    """

    conditions: dict[int, list[int]]
    n_seeds: int
    available: int
    curve: Curve
    images_sd: float
    neuron_sd: float
    fit_sd: float
    population_sd: float


def gained(n_neurons: float) -> float:
    """Doublings of training images that a population is worth beside one neuron: ever less per neuron."""
    return 3.5 * (1 - n_neurons**-0.35)


def simulate(design: Design, rng: np.random.Generator) -> pd.DataFrame:
    """Scores of one run, as in ``tables/scores.csv``."""
    quality = rng.normal(0, design.neuron_sd, design.available)
    tables = []
    for seed in range(design.n_seeds):
        order = rng.permutation(design.available)
        # Images are nested: the errors of D and of 2 D images share half.
        walk = rng.normal(0, design.images_sd, 30)
        for n_neurons, sizes in design.conditions.items():
            neurons = order[:n_neurons]
            for n_images in sizes:
                doubling = int(np.log2(n_images))
                luck = (walk[doubling] + walk[doubling - 1]) / np.sqrt(2)
                luck += rng.normal(0, design.population_sd / np.sqrt(min(n_neurons, 20)))
                x = np.log2(n_images) + gained(n_neurons) + luck
                score = design.curve(x) + quality[neurons] + rng.normal(0, design.fit_sd, n_neurons)
                keys = {"n_neurons": n_neurons, "n_images": n_images, "seed": seed}
                tables.append(pd.DataFrame(keys | {"neuron": neurons, "score": score}))
    return pd.concat(tables, ignore_index=True)


def coverage(design: Design, n_runs: int, seed: int) -> pd.DataFrame:
    """Intervals of many runs, one row per pair of population sizes and stated performance.

    Columns: ``runs``, number of runs that have a rate; ``bounded`` and ``bounded_twice``, share of the rates
    whose interval has at least one end, or two ends; ``covers`` and ``covers_twice``, share of these
    intervals that hold the truth; ``width``, mean width of intervals with two ends; ``bias`` of the rate.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n_runs):
        for row in exchange_rates(simulate(design, rng), "score"):
            few, many = row["neurons_from"], row["neurons_to"]
            truth = (gained(many) - gained(few)) / np.log2(many / few)
            ends = np.isfinite([row["low"], row["high"]])
            holds = not (row["low"] > truth or row["high"] < truth)
            rows.append(
                {
                    "pair": f"{few:.0f} to {many:.0f}",
                    "performance": row["performance"] if row["stated"] else MIDDLE,
                    "bounded": ends.any(),
                    "covers": holds if ends.any() else np.nan,
                    "bounded_twice": ends.all(),
                    "covers_twice": holds if ends.all() else np.nan,
                    "width": row["high"] - row["low"],
                    "bias": row["rate"] - truth,
                }
            )
    table = pd.DataFrame(rows).astype({"covers": float, "covers_twice": float})
    groups = table.groupby(["pair", "performance"], sort=False)
    return groups.mean().assign(runs=groups.size()).reset_index()


WHITE_NOISE = {"available": 1000, "images_sd": 0.15, "neuron_sd": 0.0, "fit_sd": 0.06, "population_sd": 0.6}
RECORDING = {"available": 89, "images_sd": 0.15, "neuron_sd": 0.17, "fit_sd": 0.05, "population_sd": 0.3}
QUICK = {1: [1024, 4096], 10: [1024, 4096], 100: [256, 1024, 4096], 1000: [256, 1024]}
FULL = {n: [2**exponent for exponent in range(6, 19)] for n in (1, 10, 100, 1000)}
FIGURE_3 = {n: [2**exponent for exponent in range(6, 15)] for n in (1, 10, 100, 1000)}
SESSION = {n: [250, 500, 1000] for n in (11, 22, 44, 89)}
DESIGNS = {
    "V4": Design(SESSION, 3, curve=v4, **RECORDING),
    "V4, 5 seeds": Design(SESSION, 5, curve=v4, **RECORDING),
    **{
        f"{name}, {seeds} seeds, {curve.__name__}": Design(conditions, seeds, curve=curve, **WHITE_NOISE)
        for name, conditions, seeds in (
            ("quick", QUICK, 2),
            ("quick", QUICK, 3),
            ("up to 2^14 images", FIGURE_3, 3),
            ("full", FULL, 20),
        )
        for curve in (logistic, saturating)
    },
}
"""config/scaling.yaml, the quick run, config/fig3.yaml without its large sizes, and Figure 3 of
config/paper.yaml."""


def main(output: str | Path) -> None:
    """Writes the coverage of all designs to ``output``."""
    tables = []
    for name, design in DESIGNS.items():
        # A run of the full design takes as long as ten others.
        tables.append(
            coverage(design, N_RUNS // (3 if design.conditions is FULL else 1), seed=0).assign(design=name)
        )
        print(tables[-1].round(3).to_string(), flush=True)
    table = pd.concat(tables, ignore_index=True)
    write_table(table[["design", *table.columns.drop("design")]], output)


if __name__ == "__main__":
    main(Path(__file__).parents[1] / "docs" / "results" / "coverage_exchange.csv")
