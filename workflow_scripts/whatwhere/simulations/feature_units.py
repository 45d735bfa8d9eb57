"""Simulated neurons that are units of a nonlinear feature space (Figure 5, section F.1)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from whatwhere.dataset import TEST, TRAIN, VALIDATION
from whatwhere.draw import n_validation
from whatwhere.errors import UserError
from whatwhere.simulations.difference_of_gaussians import add_noise
from whatwhere.simulations.feature_spaces import FeatureSpace, centres, n_locations, unit_responses
from whatwhere.simulations.repetitions import SPLIT_MEANING
from whatwhere.simulations.stimuli import draw_images, open_stimuli
from whatwhere.simulations.v1_bank import V1Bank
from whatwhere.simulations.vgg19 import VGG19, fetch_weights
from whatwhere.standardize import standardizer
from whatwhere.streams import Purpose, stream

logger = logging.getLogger(__name__)

MEAN_RATE = 0.1
N_CALIBRATION = 256
"""Images of their own random stream that set scales and thresholds of a feature space."""


def simulate(
    name: str,
    *,
    feature_space: dict[str, Any],
    n_types: int,
    n_neurons: int,
    stimuli: dict[str, Any],
    color: str,
    image_size: int,
    normalize: str,
    n_images: int,
    n_test: int,
    validation_fraction: float,
    validation_max: int,
    seed: int,
    recording: str | Path | None,
    downloads: Path,
    repetitions: int = 1,
) -> xr.Dataset:
    """Simulate a dataset that fulfils the contract of :mod:`whatwhere.dataset`.

    Neurons are sorted by type. Every neuron is scaled to a mean of 0.1 over training and validation images;
    these have Gaussian noise whose variance is the rate, test images none (section F.1).

    Parameters
    ----------
    name
        Name of the dataset.
    feature_space
        ``name``: v1 (:mod:`whatwhere.simulations.v1_bank`), or vgg19 (:mod:`whatwhere.simulations.vgg19`)
        with ``layer``, ``weights`` and ``sha256``.
    n_types
        Number of feature maps.
    n_neurons
        All types together, a multiple of ``n_types``; the units of a type have different locations.
    stimuli, color, recording
        As in :func:`whatwhere.simulations.stimuli.open_stimuli`.
    image_size
        Height and width, px.
    normalize
        Attribute of the dataset: how fits standardize the images.
    n_images
        Training and validation images.
    n_test
        Test images.
    validation_fraction, validation_max
        As in :func:`whatwhere.draw.n_validation`.
    seed
        Types, locations, noise, calibration and the images of every split have a random stream each, so
        more neurons or images leave the first ones as they are, up to the scale of the mean rate.
    downloads
        Folder that keeps downloaded weights.
    repetitions
        Folds of the dataset, each with ``n_images`` and ``n_test`` images of its own.

    Raises
    ------
    UserError
        If stimuli or weights cannot be had, or a neuron never responds.
    """
    key = f"datasets.{name}"
    streams = stream(seed, Purpose.SIMULATION).spawn(7)
    type_seed, location_seed, noise_seed, calibration_seed = streams[:4]
    channels = 3 if color == "rgb" else 1
    source = open_stimuli(stimuli, color, recording, key)
    calibration = np.empty((N_CALIBRATION, channels, image_size, image_size), np.float32)
    source.fill(calibration, TRAIN, calibration_seed)
    standardize = standardizer(calibration, "global")
    space = _build(feature_space, n_types, standardize(calibration), type_seed, downloads)

    validation = n_validation(n_images, validation_fraction, validation_max)
    images, split, independent = draw_images(
        source,
        (channels, image_size, image_size),
        {TRAIN: n_images - validation, VALIDATION: validation, TEST: n_test},
        dict(zip((TRAIN, VALIDATION, TEST), streams[4:], strict=True)),
        repetitions,
    )
    noisy = (split != TEST).all(0)
    cell_type, location = _units(n_types, n_neurons // n_types, n_locations(image_size), location_seed)
    rates = unit_responses(space, images, standardize, cell_type, location)
    mean = rates[noisy].mean(0, dtype=np.float64)
    if not mean.all():
        silent = int(np.argmin(mean))
        raise UserError(
            f"{key}: neuron {silent} (type {cell_type[silent]}) responds to none of {noisy.sum()} images: "
            "use more images or another seed"
        )
    rates *= (MEAN_RATE / mean).astype(np.float32)
    logger.info("mean variance of the rates: %.4f", rates.var(0).mean())
    responses = rates.copy()
    for fold, child in zip(split, noise_seed.spawn(repetitions), strict=True):
        fitted = (fold == TRAIN) | (fold == VALIDATION)
        responses[fitted] = add_noise(rates[fitted], np.random.default_rng(child))
    return xr.Dataset(
        {
            "images": (("image", "channel", "y", "x"), images, {"units": "as stored by the source"}),
            "responses": (("repeat", "image", "neuron"), responses[None], {"units": "a.u."}),
            "split": (("fold", "image"), split, {"meaning": SPLIT_MEANING}),
            "rates": (("image", "neuron"), rates, {"units": "a.u."}),
            "location": (
                ("neuron", "axis"),
                centres(location, space.receptive_field).astype(np.float32),
                {"units": "px", "axis": "y, x"},
            ),
            "cell_type": (("neuron",), cell_type.astype(np.int16)),
        },
        attrs={
            "name": name,
            "kind": "simulated",
            "source": f"{feature_space['name']} feature space, {source.source}, seed {seed}",
            "normalize": normalize,
            "noise_free_test": 1,
            "repeat_averages": 0,
            "validation_fraction": validation_fraction,
            "validation_max": validation_max,
            **independent,
        },
    )


def _build(
    definition: dict[str, Any],
    n_types: int,
    calibration: np.ndarray,
    seed: np.random.SeedSequence,
    downloads: Path,
) -> FeatureSpace:
    if definition["name"] == "v1":
        return V1Bank(n_types, calibration, seed)
    path = fetch_weights(definition["weights"], definition["sha256"], downloads)
    return VGG19(path, definition["layer"], n_types, calibration, seed)


def _units(
    n_types: int, per_type: int, grid: int, seed: np.random.SeedSequence
) -> tuple[np.ndarray, np.ndarray]:
    """Type (neuron,) and location in the grid (neuron, 2) of every neuron, no two of a type at one place."""
    numbers = [np.random.default_rng(s).permutation(grid**2)[:per_type] for s in seed.spawn(n_types)]
    location = np.stack(np.divmod(np.concatenate(numbers), grid), axis=1)
    return np.repeat(np.arange(n_types), per_type), location
