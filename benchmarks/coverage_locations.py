"""Coverage of 90 % credible sets of locations, and calibration of the probability of no receptive field.

    PYTHONPATH=workflow_scripts python benchmarks/coverage_locations.py

Simulated neurons see white noise of 30 x 30 px; half of the variance of a response is signal, or nothing for
neurons without receptive field. Takes minutes of one core, writes docs/results/coverage_locations.csv and
docs/results/coverage_no_field.csv, and prints the tables of docs/statistics.md.
"""

import itertools
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from whatwhere.files import write_table
from whatwhere.localization import shapes
from whatwhere.localization.inference import Search, localize
from whatwhere.localization.kernel_prior import KernelPrior, stimulus_covariance
from whatwhere.localization.mixture import StaSpectra

KINDS = ["alike", "blobs of 0.8 to 2.5 px, up to twice as long", "Gabors of any orientation and phase"]
N_NEURONS = 150
SHARES = [0.0, 0.1, 0.25, 0.5, 0.75]
"""Shares of neurons without receptive field."""


def receptive_field(kind: str, center: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Weights (y, x) of norm 1 in an image of ``size`` px around a pixel (y, x)."""
    sd, angle, phase, wavelength, elongation = 1.5, 0.0, 0.0, 8.0, 1.0
    if kind.startswith("blobs"):
        sd, angle, elongation = rng.uniform(0.8, 2.5), rng.uniform(0, np.pi), rng.uniform(1, 2)
        wavelength = np.inf
    elif kind.startswith("Gabors"):
        sd, angle, phase = rng.uniform(1, 2), rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        wavelength = rng.uniform(5, 9)
    y, x = np.mgrid[:size, :size] - np.reshape(center, (2, 1, 1))
    across, along = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    envelope = np.exp(-(across**2 + (along / elongation) ** 2) / (2 * sd**2))
    field = envelope * np.cos(2 * np.pi * across / wavelength + phase)
    return field / np.linalg.norm(field)


def averages(
    kind: str, n_neurons: int, n_images: int, size: int, side: int, seed: int, share: float = 0.0
) -> tuple[np.ndarray, StaSpectra, KernelPrior]:
    """True top-left pixels of the patches (neuron, 2), averages of standardized responses, and a prior.

    The first ``share`` of the neurons has no receptive field.
    """
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, size - side + 1, (n_neurons, 2))
    fields = np.stack([receptive_field(kind, corner + side // 2, size, rng) for corner in corners])
    fields[: round(share * n_neurons)] = 0
    images = rng.normal(size=(n_images, size, size))
    responses = np.tensordot(images, fields, [(1, 2), (1, 2)]) + rng.normal(size=(n_images, n_neurons))
    responses /= responses.std(0)
    sta = np.tensordot(responses, images, (0, 0)) / n_images
    prior = KernelPrior(side, [0.7, 1, 1.5, 2], [1, 1.5, 2.5], stimulus_covariance(images, side))
    return corners, StaSpectra.of(sta, n_images), prior


def credible_sets(posterior: np.ndarray, corners: np.ndarray) -> tuple[float, float]:
    """Share of the 90 % sets that hold the true location, and their mean number of locations."""
    flat = posterior.sum(1).reshape(len(posterior), -1)
    order = np.argsort(-flat, 1)
    total = np.take_along_axis(flat, order, 1).cumsum(1)
    last = (total < 0.9 * total[:, -1:]).sum(1)
    target = corners @ [posterior.shape[-1], 1]
    return float(((order == target[:, None]).argmax(1) <= last).mean()), float((last + 1).mean())


def calibration() -> pd.DataFrame:
    """Mean probability of no receptive field at several true shares, with 256 images."""
    rows = []
    for kind, share, seed in itertools.product(KINDS, SHARES, range(3)):
        corners, spectra, prior = averages(kind, N_NEURONS, 256, 30, 11, seed, share)
        (found,) = localize(spectra, prior, [1], Search(2, 200, 1e-3, seed=0))
        none, without = 1 - found.posterior.sum((1, 2, 3)), round(share * N_NEURONS)
        rows.append(
            {
                "receptive_fields": kind,
                "share": without / N_NEURONS,
                "seed": seed,
                "estimated": none.mean(),
                "of_neurons_without": none[:without].mean() if without else np.nan,
                "of_neurons_with": none[without:].mean(),
                "held": credible_sets(found.posterior[without:], corners[without:])[0],
            }
        )
    return pd.DataFrame(rows)


def main(folder: Path) -> None:
    """Simulates neurons, writes both tables to a folder and prints their means."""
    rows = []
    for kind, n_images, seed in itertools.product(KINDS, [512, 4096], range(10)):
        corners, spectra, prior = averages(kind, N_NEURONS, n_images, 30, 11, seed)
        search = Search(2, 200, 1e-3, seed=0)
        (found,) = localize(spectra, prior, [1], search)
        held, size = credible_sets(found.posterior, corners)
        with patch.object(shapes, "_SIZES", (0.0,)):
            (given_kernel,) = localize(spectra, prior, [1], search)
        rows.append(
            {
                "receptive_fields": kind,
                "n_images": n_images,
                "seed": seed,
                "deviation": found.deviation,
                "held": held,
                "locations": size,
                "held_given_kernel": credible_sets(given_kernel.posterior, corners)[0],
            }
        )
    tables = {
        "coverage_locations": (pd.DataFrame(rows), "n_images"),
        "coverage_no_field": (calibration(), "share"),
    }
    for name, (table, by) in tables.items():
        write_table(table, folder / f"{name}.csv")
        means = table.drop(columns="seed").groupby(["receptive_fields", by], sort=False).mean()
        print(means.round(3).to_string())


if __name__ == "__main__":
    main(Path(__file__).parents[1] / "docs" / "results")
