"""Errors of the test of types: false alarms on continua, power and numbers found on types.

    python benchmarks/coverage_types.py continua|types SEEDS FILE.csv

Writes one row per simulation and prints the table of docs/statistics.md.
"""

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from whatwhere.cell_types import LEVEL, find_types, p_value
from whatwhere.files import write_table

FIRST_SEED = 100
"""Lower seeds were used while the rules were developed."""
NEURONS, CHANNELS = [50, 100, 200, 400], [2, 4, 8, 16]
NOISE = {2**11: 0.022, 2**9: 0.044}
"""Sd of a weight by number of images, at signal-to-noise 1 and with uncorrelated features."""
TYPES = [(2, 2), (2, 16), (4, 4), (4, 16), (8, 8), (8, 16), (16, 8), (16, 16)]
"""Numbers of types and channels."""


def unit(weights: np.ndarray) -> np.ndarray:
    """Unit vectors (neuron, channel)."""
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def continua(n: int, d: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Barcodes (n, d) without types, by kind."""
    normal = rng.normal(size=(n, d))
    center, axis = unit(rng.normal(size=(2, d)))
    angle = rng.uniform(0, np.pi / 2, n)
    arc = np.column_stack([np.cos(angle), np.sin(angle), np.zeros((n, d - 2))])
    correlation = np.eye(d)
    correlation[:2, :2] += [[0, 0.9], [0.9, 0]]
    correlated = normal @ np.linalg.cholesky(correlation).T
    return {
        "blob": center + rng.choice([0.1, 0.3, 1]) * 2 / np.sqrt(d) * normal,
        "uniform on the sphere": normal,
        "uniform weights": rng.uniform(-1, 1, (n, d)),
        "uniform positive weights": rng.uniform(0, 1, (n, d)),
        "uniform on an arc": arc + 0.03 * normal,
        "elongated": center + 0.5 * rng.normal(size=(n, 1)) * axis + 0.1 / np.sqrt(d) * normal,
        "elongated, around 0": normal * np.r_[3, np.ones(d - 1)],
        "sparse": np.where(rng.random((n, d)) < 0.3, rng.exponential(size=(n, d)), 0) + 0.02 * normal,
        "exponential weights": rng.exponential(size=(n, d)),
        "clipped": np.maximum(normal, 0) + 0.02 * normal,
        "blob, one sign in twenty flips": (1 + 0.3 * normal) * rng.choice([1, -1], (n, 1), p=[0.95, 0.05]),
        "two correlated features": 1 + 0.5 * correlated,
        "two correlated features, around 0": correlated,
    }


def false_alarms(seeds: int) -> Iterator[dict[str, Any]]:
    """One row per kind and seed."""
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        rng = np.random.default_rng([seed, 0])
        n, d = int(rng.choice(NEURONS)), int(rng.choice(CHANNELS))
        for kind, weights in continua(n, d, rng).items():
            row = {"kind": kind, "n_neurons": n, "n_channels": d, "seed": seed}
            yield row | {"p_value": p_value(unit(weights))}


def typed(
    k: int, d: int, sizes: np.ndarray, noise: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Barcodes (neuron, d) of k types at least half a radius apart, and the types (neuron,)."""
    while True:
        centers = unit(rng.normal(size=(k, d)))
        apart = [np.linalg.norm(one - other) for one, other in itertools.combinations(centers, 2)]
        if min(apart) > 0.5:
            break
    types = np.repeat(np.arange(k), sizes)
    return unit(centers[types] + noise * rng.normal(size=(len(types), d))), types


def power(seeds: int) -> Iterator[dict[str, Any]]:
    """One row per number of types, sizes and seed."""
    numbers = range(FIRST_SEED, FIRST_SEED + seeds)
    for seed, (k, d), (n_images, noise) in itertools.product(numbers, TYPES, NOISE.items()):
        for name, sizes in {
            "20 each": np.full(k, 20),
            "10 each": np.full(k, 10),
            "up to 20 : 1": np.geomspace(5, 100, k).round().astype(int),
        }.items():
            rng = np.random.default_rng([seed, k, d, 1])
            barcodes, types = typed(k, d, sizes, noise, rng)
            labels, p = find_types(barcodes)
            yield {
                "kind": f"{k} types",
                "n_images": n_images,
                "sizes": name,
                "n_neurons": len(types),
                "n_channels": d,
                "seed": seed,
                "p_value": p,
                "found": labels.max() + 1,
                "exact": labels.max() + 1 == k,
                "ari": adjusted_rand_score(types, labels),
            }


def main(what: str, seeds: int, output: str) -> None:
    """Simulates, writes the table, and prints means by kind."""
    table = pd.DataFrame({"continua": false_alarms, "types": power}[what](seeds))
    table["rejected"] = table["p_value"] <= LEVEL
    write_table(table, output)
    by = ["kind", *(["n_images", "sizes"] if what == "types" else [])]
    numbers = [name for name in ("rejected", "exact", "ari") if name in table]
    print(table.groupby(by, sort=False)[numbers].mean().round(3))
    print("all", table[numbers].mean().round(3).to_dict(), len(table))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
