"""Cells of an awake animal with planted gains and eye movements: how well models with state recover them.

    python benchmarks/awake.py FILE.csv

Stimuli are Gaussian white noise. A rate is ``softplus(drive) * gain``, where the drive is that of a
difference of Gaussians on the image as the moved eye sees it. Covariates are running and pupil, from which
gains follow, and the position of the eye, all in arbitrary units. The file gets a row per simulation and
model with the correlation with single test trials, mean over neurons.
"""

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from whatwhere.config.load import library
from whatwhere.dataset import TEST
from whatwhere.files import write_table
from whatwhere.fit_data import Condition
from whatwhere.fitted.model import FittedModel
from whatwhere.metrics import pearson
from whatwhere.named_fits import NamedFits, one_thread
from whatwhere.simulations.design import Design
from whatwhere.simulations.difference_of_gaussians import MEAN_ABSOLUTE_RATE, linear_rates, receptive_fields

COVARIATES = ("running", "pupil", "eye_x", "eye_y")
SPREAD = np.array([4.0, 30.0, 0.1, 0.1])
"""Sd of every covariate in the units of the simulated recording."""
_TURN = np.array([[0.8, -0.6], [0.6, 0.8]])
"""Direction (y, x) in which the eye moves with (eye_x, eye_y)."""
_PATCH = 13
_MARGIN = 6
"""Pixels between receptive fields and the edge of the image, within which the eye moves."""
_CHUNK = 2048


def moved(images: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Images whose content is moved by -shift (y, x) px, so that all receptive fields move by shift.

    Images (image, 1, y, x) are continued periodically, and pixels between those of the image have the values
    of the Fourier series through them.
    """
    height, width = images.shape[2:]
    turns = shift[:, 0, None, None] * np.fft.fftfreq(height)[:, None]
    turns = turns + shift[:, 1, None, None] * np.fft.rfftfreq(width)
    spectrum = np.fft.rfft2(images[:, 0]) * np.exp(2j * np.pi * turns)
    return np.fft.irfft2(spectrum, s=(height, width))[:, None].astype(np.float32)


def simulate(
    design: Design,
    *,
    n_neurons: int = 20,
    image_size: int = 32,
    drive_sd: float = 2,
    gain_sd: float = 0.3,
    eye_sd: float = 3,
    n_repeats: int = 10,
) -> xr.Dataset:
    """Simulates spike counts of training and validation images, shown once, and of repeated test images.

    Parameters
    ----------
    design
        Images, splits and seed; one repetition.
    n_neurons, image_size
        Number of neurons, and height and width of the images in px.
    drive_sd
        Standard deviation of the drive of every neuron over images.
    gain_sd
        Standard deviation over presentations of the log gain of every neuron.
    eye_sd
        Standard deviation of eye movements along y and along x, px.
    n_repeats
        Presentations of every test image.
    """
    cell_seed, image_seed, state_seed, spike_seed = design.streams(4)
    fields = receptive_fields([1.0], n_neurons, 0.05, False, image_size - 2 * _MARGIN, _PATCH, cell_seed)
    fields = replace(fields, corner=fields.corner + _MARGIN)
    split = design.split()[0]
    size = (len(split), 1, image_size, image_size)
    images = np.random.default_rng(image_seed).standard_normal(size, np.float32)
    rng = np.random.default_rng(state_seed)
    angles = rng.uniform(0, 2 * np.pi, n_neurons)
    log_gains = gain_sd * np.stack([np.cos(angles), np.sin(angles)], 1)
    standardized = rng.standard_normal((n_repeats, len(split), len(COVARIATES)))
    repeats = np.where(split == TEST, n_repeats, 1)
    repeat, image = np.nonzero(np.arange(n_repeats)[:, None] < repeats)
    expected = np.empty((len(image), n_neurons), np.float32)
    for start in range(0, len(image), _CHUNK):
        some = (repeat[start : start + _CHUNK], image[start : start + _CHUNK])
        of_state = standardized[some]
        seen = moved(images[some[1]], eye_sd * of_state[:, 2:] @ _TURN.T)
        drive = linear_rates(fields, seen) * drive_sd / (MEAN_ABSOLUTE_RATE * np.sqrt(np.pi / 2))
        expected[start : start + _CHUNK] = np.logaddexp(0, drive) * np.exp(of_state[:, :2] @ log_gains.T)
    responses = np.full((n_repeats, len(split), n_neurons), np.nan, np.float32)
    responses[repeat, image] = np.random.default_rng(spike_seed).poisson(expected)
    expected_rates = np.full_like(responses, np.nan)
    expected_rates[repeat, image] = expected
    drive = linear_rates(fields, images) * drive_sd / (MEAN_ABSOLUTE_RATE * np.sqrt(np.pi / 2))
    dataset = design.dataset(
        {
            "images": images,
            "responses": responses,
            "rates": np.logaddexp(0, drive),
            "location": fields.location,
            "covariates": 1 + SPREAD * standardized,
        },
        "spikes per image",
        source=f"cells with gains by running and moving eyes, white noise, seed {design.seed}",
        normalize="none",
        noise_free_test=0,
    )
    return dataset.assign(
        trial_rates=(("repeat", "image", "neuron"), expected_rates),
        log_gains=(
            ("neuron", "modulating"),
            log_gains.astype(np.float32),
            {"units": "per sd of running, pupil"},
        ),
        gaze_map=(
            ("axis", "eye"),
            (eye_sd * _TURN).astype(np.float32),
            {"units": "px per sd of eye_x, eye_y"},
        ),
    ).assign_coords(covariate_name=("covariate", list(COVARIATES)))


STATE: dict[str, Any] = {
    "modulation": {"covariates": ["running", "pupil"]},
    "gaze": {"covariates": ["eye_x", "eye_y"]},
}
CORE = {"like": "three_layers", "channels": [2], "kernels": [13], "padding": ["valid"]}
CORE |= {"smooth_layers": [1], "sparse_layers": [0], "last_activation": "identity"}
PENALTIES = {"smoothness": [0.003], "feature_l1": [0.001]}
WITHOUT: dict[str, Any] = {
    "like": "factorized_pixels",
    "convention": "paper_recording",
    "cores": [CORE],
    "readout": {"position": "random", "sd": 0.3},
    "grid": [PENALTIES],
    "training": {"learning_rate": 0.02, "max_steps": 1000, "evaluate_every": 100},
}
"""A network whose kernels are as wide as the receptive fields."""
GRID = [PENALTIES | {"modulation_l2": [gain], "gaze_l2": [gaze]} for gain, gaze in ((0.003, 0.001), (1, 10))]
WITH = WITHOUT | {"state": STATE, "grid": GRID}
MODELS = {
    "without_state": WITHOUT,
    "with_state": WITH,
    "with_state_shuffled": WITH | {"state": STATE | {"shuffled": True}},
}


def fitted(dataset: xr.Dataset, model: dict[str, Any]) -> FittedModel:
    """A model of the configuration, fitted to a dataset and scored."""
    models = library([("awake", {"models": {"model": model}})])
    with one_thread():
        condition = Condition(dataset, None, None, [0])
        fits = NamedFits(condition, models, ["model"], None, torch.device("cpu"), verbose=False)
        selected = fits.selected(fits.fit("model"))
        return fits.describe(selected, fits.evaluate(selected))


def scores(dataset: xr.Dataset, fit: FittedModel) -> dict[str, float]:
    """Correlation with single test trials, and of planted with fitted gains; error of the gaze map, px."""
    scored = fit.scores.mean(numeric_only=True)
    if "state_explains" not in scored:
        return {"single_trial": scored["correlation_single_trial"]}
    found = {"single_trial": scored["single_trial_state"], "state_explains": scored["state_explains"]}
    eye = np.random.default_rng(0).standard_normal((1000, 2))
    places = {name: 1 + SPREAD[2 + i] * eye[:, i] for i, name in enumerate(COVARIATES[2:])}
    error = fit.gaze_shift(places).to_numpy() - eye @ dataset["gaze_map"].values.T
    with np.errstate(invalid="ignore"):
        gains = np.corrcoef(fit.gains.values.ravel(), dataset["log_gains"].values.ravel())[0, 1]
    return found | {"gain_correlation": gains, "gaze_error": float(np.sqrt((error**2).mean(0)).max())}


def true_score(dataset: xr.Dataset) -> float:
    """Correlation of the rate of every single test trial with its response, mean over neurons."""
    test = dataset["split"].values[0] == TEST
    rates, responses = (
        dataset[name].values[:, test].reshape(-1, dataset.sizes["neuron"])
        for name in ("trial_rates", "responses")
    )
    return float(pearson(rates, responses).mean())


def main(file: str) -> None:
    """Writes the table."""
    rows = []
    for gain_sd, eye_sd in ((0.3, 3.0), (0.0, 0.0)):
        design = Design("awake", 4000, 200, 0.2, seed=1)
        dataset = simulate(design, gain_sd=gain_sd, eye_sd=eye_sd)
        simulated = {"gain_sd": gain_sd, "eye_sd": eye_sd}
        rows.append(simulated | {"model": "true_model", "single_trial": true_score(dataset)})
        for name, model in MODELS.items():
            rows.append(simulated | {"model": name} | scores(dataset, fitted(dataset, model)))
    write_table(pd.DataFrame(rows), file)


if __name__ == "__main__":
    main(*sys.argv[1:])
