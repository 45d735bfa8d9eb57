"""Cells of an awake animal: running changes their gains, and eye movements shift their receptive fields.

Stimuli are Gaussian white noise. A rate is ``softplus(drive) * gain``, where the drive is that of a
difference of Gaussians on the image as the moved eye sees it. Covariates are running and pupil, from which
gains follow, and the position of the eye, all in arbitrary units.
"""

from dataclasses import replace

import numpy as np
import xarray as xr

from whatwhere.dataset import TEST
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
    n_neurons: int,
    image_size: int,
    drive_sd: float,
    gain_sd: float,
    eye_sd: float,
    n_repeats: int,
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
