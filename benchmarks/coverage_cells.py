"""Errors of the test of types on continua of cells, and on types, in weights that models learn.

    python benchmarks/coverage_cells.py MODEL KIND SEEDS FILE.csv

MODEL is `ridge`, `network` or `two_kernels`, KIND a key of GABORS or LINEAR; or `types2` to `types8`. Appends
one row per simulation, of seeds from FIRST_SEED on, with the p-value of the test of this project beside those
of two published tests of the same weights: the dip test and SigClust.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.lib.stride_tricks import sliding_window_view
from scipy.stats import norm
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from whatwhere import fit
from whatwhere.api import definition
from whatwhere.cell_types import LEVEL, find_types
from whatwhere.files import read_table, write_table
from whatwhere.simulations.dead_leaves import dead_leaves
from whatwhere.simulations.difference_of_gaussians import add_noise, difference_of_gaussians
from whatwhere.simulations.v1_cells import drives, gabor

FIRST_SEED = 100
"""Lower seeds were used while LARGEST_SHARE was chosen."""
SIZE, PATCH = 24, 13
"""Height and width of images and of receptive fields, px."""
N_NEURONS = 60
N_IMAGES = {"ridge": 1500, "network": 1500, "two_kernels": 3000}
MEAN_COUNT = 2.0
LINEAR_GAIN = 4.0
"""Norm of linear cells relative to the paper's, because images are fewer."""
N_NULL = 200
"""Simulated nulls of the published tests."""


def on_cortex(corner: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Values (neuron,), uniform from 0 to 1, that are smooth over the positions (neuron, 2) of cells."""
    waves = np.pi * corner / (SIZE - PATCH + 1) @ rng.normal(size=(2, 3)) + rng.uniform(0, 2 * np.pi, 3)
    angle = np.arctan2(np.cos(waves).sum(1), np.sin(waves).sum(1)) + 1e-6 * rng.normal(size=len(corner))
    return (angle.argsort().argsort() + rng.random(len(corner))) / len(corner)


GABORS: dict[str, Callable[[np.ndarray, np.random.Generator], dict[str, np.ndarray]]] = {
    "orientation": lambda corner, rng: {"orientation": rng.random(len(corner))},
    "orientation and frequency": lambda corner, rng: {
        "orientation": rng.random(len(corner)),
        "frequency": rng.random(len(corner)),
    },
    "orientation, smooth over cortex": lambda corner, rng: {"orientation": on_cortex(corner, rng)},
    "orientation, frequency, size, phase and complexity": lambda corner, rng: {
        name: rng.random(len(corner)) for name in ("orientation", "frequency", "size", "phase", "complexity")
    },
}
"""Continua of cells with Gabor filters: values (neuron,) from 0 to 1 by name, where they vary."""
LINEAR = ("orientation", "phase", "scale", "scale, smooth over cortex")
"""Continua of linear cells."""


def gabor_cells(kind: str, images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Spike counts (image, neuron) of simple and complex cells, and types (neuron,), 0 in a continuum."""
    n = N_NEURONS
    corner = rng.integers(0, SIZE - PATCH + 1, (n, 2))
    types = np.zeros(n, int)
    if kind.startswith("types"):
        # Beyond four, half of the types have another frequency.
        n_types = int(kind[5:])
        n_orientations = n_types if n_types <= 4 else n_types // 2
        types = np.arange(n) % n_types
        varied = {"orientation": (rng.random() + types / n_orientations) % 1}
        varied["frequency"] = np.where(types < n_orientations, 0.05, 0.95)
    else:
        varied = GABORS[kind](corner, rng)
    default = {"orientation": 0, "frequency": 0.4, "size": 0.5, "phase": 0, "complexity": 1}
    value = {name: varied.get(name, np.full(n, number)) for name, number in default.items()}
    wavelength = 4.5 * 2 ** (1.1 * value["frequency"])
    filters = [
        [gabor(PATCH, np.pi * angle, length, 2 * np.pi * (phase + of), 1 + 0.6 * size) for of in (0, 0.25)]
        for angle, length, phase, size in zip(
            value["orientation"], wavelength, value["phase"], value["size"], strict=True
        )
    ]
    pairs = np.array(filters, np.float32)
    patches = sliding_window_view(images, (PATCH, PATCH), axis=(1, 2))[:, corner[:, 0], corner[:, 1]]
    energy, linear = (drives(pairs, np.full(n, is_complex), patches) for is_complex in (True, False))
    drive = value["complexity"] * energy + (1 - value["complexity"]) * 1.5 * np.maximum(linear, 0)
    excess = np.maximum(drive - np.quantile(drive, 0.4, axis=0), 0)
    return rng.poisson(MEAN_COUNT * (0.3 + 0.7 * excess / excess.mean(0))).astype(np.float32), types


def linear_cells(kind: str, images: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noisy responses (image, neuron) of linear cells, and types (neuron,), 0 in a continuum."""
    n = N_NEURONS
    corner = rng.integers(0, SIZE - PATCH + 1, (n, 2))
    types = np.arange(n) % int(kind[5:]) if kind.startswith("types") else np.zeros(n, int)
    angle = rng.uniform(0, 2 * np.pi, n)
    if kind == "orientation":
        axis = np.arange(PATCH) - PATCH // 2
        y, x = np.meshgrid(axis, axis, indexing="ij")
        slope = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
        kernels = slope * np.exp(-(x**2 + y**2) / 8)
    elif kind == "phase":
        kernels = np.array([gabor(PATCH, 0.3, 6.0, phase, 1.2) for phase in angle])
    else:
        place = {"scale": lambda: rng.random(n), "types2": lambda: types}
        share = place.get(kind, lambda: on_cortex(corner, rng))()
        scale = (0.5 + 0.6 * share)[:, None, None] * np.eye(2) * (PATCH - 1) / 2
        kernels = difference_of_gaussians(PATCH, scale / 4, scale, np.zeros((n, 2)))
    kernels *= LINEAR_GAIN * 0.1 * np.sqrt(np.pi / 2) / np.linalg.norm(kernels, axis=(1, 2), keepdims=True)
    patches = sliding_window_view(images, (PATCH, PATCH), axis=(1, 2))[:, corner[:, 0], corner[:, 1]]
    rates = np.einsum("nyx,inyx->in", kernels, patches).astype(np.float32)
    return add_noise(rates, rng), types


def model_of(name: str) -> dict[str, Any]:
    """The factorized ridge, a rectified network with 8 features, or the paper's two kernels; one setting."""
    if name == "ridge":
        model = definition("factorized_ridge")
        model["grid"] = [{"rank": [1], "mask_l2": [3], "feature_l2": [1]}]
        return model
    model = definition({"network": "factorized_relu", "two_kernels": "factorized_two_kernels"}[name])
    model["readout"]["mask_start"]["position"] = "squared_sta"
    if name == "network":
        model["cores"][0]["channels"] = [8, 16, 8]
        model["training"]["max_steps"] = 500
    else:
        model["cores"][0]["kernels"] = [PATCH]
        model["training"] |= {"max_steps": 1500, "learning_rate": 0.003, "batch_size": 256, "patience": 5}
    return model


def barcodes_of(name: str, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Barcodes (neuron, channel) of one simulated population, and its types."""
    rng = np.random.default_rng([seed, *kind.encode()])
    if name == "two_kernels":
        images = rng.standard_normal((N_IMAGES[name], SIZE, SIZE), np.float32)
        responses, types = linear_cells(kind, images, rng)
    else:
        blocks = dead_leaves(N_IMAGES[name], 1, (SIZE, SIZE), np.random.SeedSequence([seed, 7]))
        images = np.concatenate(list(blocks))[:, 0]
        responses, types = gabor_cells(kind, images, rng)
    options: dict[str, Any] = {"normalize": "global", "seed": seed, "device": "cpu", "verbose": False}
    fitted = fit(images, responses, model=model_of(name), **options)
    return np.asarray(fitted.barcodes, float), types


def two_means(barcodes: np.ndarray) -> tuple[float, np.ndarray]:
    """Share of the variance within two clusters, and positions (neuron,) along the axis between them."""
    found = KMeans(2, n_init=3, random_state=0).fit(barcodes)
    share = found.inertia_ / ((barcodes - barcodes.mean(0)) ** 2).sum()
    return float(share), barcodes @ np.subtract(*found.cluster_centers_)


def sigclust(barcodes: np.ndarray, rng: np.random.Generator) -> float:
    """p-value of SigClust (Liu et al. 2008): two clusters, or one Gaussian with the sample's covariance."""
    covariance = np.cov(barcodes.T)
    share = two_means(barcodes)[0]
    mean = np.zeros(len(covariance))
    null = [
        two_means(rng.multivariate_normal(mean, covariance, len(barcodes)))[0] for _ in range(N_NULL // 4)
    ]
    # A Gaussian tail, as in the publication.
    return float(norm.cdf((share - np.mean(null)) / np.std(null)))


def dip(values: np.ndarray) -> float:
    """Dip of a sample (Hartigan and Hartigan 1985): distance of its distribution from any unimodal one.

    The distance is the least over modes, of the greatest convex minorant before the mode, and of the least
    concave majorant after it.
    """
    x = np.sort(values)
    height = np.arange(len(x) + 1) / len(x)
    best = 1.0
    for mode in range(len(x)):
        below = _hull_gap(x[: mode + 1], height[: mode + 1], height[1])
        above = _hull_gap(-x[mode:][::-1], 1 - height[mode + 1 :][::-1], height[1])
        best = min(best, max(below, above) / 2)
    return best


def _hull_gap(x: np.ndarray, lower: np.ndarray, step: float) -> float:
    """Largest distance of steps, from ``lower`` up by ``step``, from their greatest convex minorant."""
    kept: list[int] = []
    for i in range(len(x)):
        while len(kept) > 1:
            a, b = kept[-2:]
            if (lower[b] - lower[a]) * (x[i] - x[a]) < (lower[i] - lower[a]) * (x[b] - x[a]):
                break
            kept.pop()
        kept.append(i)
    return float((lower + step - np.interp(x, x[kept], lower[kept])).max())


def dip_test(positions: np.ndarray, null: np.ndarray) -> float:
    """p-value of the dip of positions (neuron,), given dips of uniform samples of the same size."""
    return float((1 + (null >= dip(positions)).sum()) / (1 + len(null)))


def main(name: str, kind: str, seeds: int, output: str) -> None:
    """Simulates and fits; appends rows of seeds that the table does not have."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    null = np.array([dip(rng.random(N_NEURONS)) for _ in range(N_NULL)])
    table = read_table(output) if Path(output).exists() else pd.DataFrame(columns=["model", "kind", "seed"])
    done = set(table.seed[(table.model == name) & (table.kind == kind)])
    for seed in sorted(set(range(FIRST_SEED, FIRST_SEED + seeds)) - done):
        barcodes, types = barcodes_of(name, kind, seed)
        fitted = np.linalg.norm(barcodes, axis=1) > 0
        labels, p_value = find_types(barcodes[fitted])
        row = {
            "model": name,
            "kind": kind,
            "seed": seed,
            "p_value": p_value,
            "found": labels.max() + 1,
            "n_types": len(set(types)),
            "exact": labels.max() + 1 == len(set(types)),
            "ari": adjusted_rand_score(types[fitted], labels),
            "p_dip": dip_test(two_means(barcodes[fitted])[1], null),
            "p_sigclust": sigclust(barcodes[fitted], rng),
        }
        tests = {"rejected": "p_value", "rejected_dip": "p_dip", "rejected_sigclust": "p_sigclust"}
        row |= {name: row[p] <= LEVEL for name, p in tests.items()}
        table = (
            pd.concat([table, pd.DataFrame([row])], ignore_index=True) if len(table) else pd.DataFrame([row])
        )
        write_table(table, output)
        print(*row.values(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
