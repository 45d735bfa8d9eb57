"""A simulated recording of a movie: cells with filters in space and time, Poisson counts.

The movie is white noise, or dead leaves that drift as a natural scene does on a moving eye.
Cells of one type share their course in time. ON and OFF cells have a difference of Gaussians in space.
Direction-selective cells have the energy of a quadrature pair in space and time (Adelson & Bergen 1985),
which no model of one filter can represent.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from scipy.ndimage import shift

from whatwhere.recordings.movie_contract import Clip, Timing, to_contract
from whatwhere.simulations.dead_leaves import dead_leaves
from whatwhere.simulations.design import Design

PEAKS = {"sustained": 0.1, "transient": 0.06}
"""Time from a flash to the largest response of a filter, s."""
DIRECTIONS = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}
"""Preferred directions of motion, (y, x)."""
SURROUND = 2.0
"""Sd of the surround relative to the sd of the center."""
WAVELENGTH = 4.0
"""Wavelength of a direction-selective cell in sds of its receptive field."""
FREQUENCY = 4.0
"""Temporal frequency of a direction-selective cell, cycles per second."""
GAIN = {"exponential": 0.8, "softplus": 2.0}
"""Sd of the drive below the output nonlinearity."""

_OUTPUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exponential": np.exp,
    "softplus": lambda drive: np.logaddexp(0, drive),
}
_SAMPLES = 100_000
"""Drives from which the mean rate is computed for white noise."""
_CALIBRATION = 3000
"""Frames from which scales and mean rates are computed for drifting pictures."""


@dataclass(frozen=True)
class Cells:
    """Cells of all types.

    Attributes
    ----------
    spatial
        (phase, neuron, y, x) even and odd filters; of ON and OFF cells the odd filter is 0.
    temporal
        (phase, neuron, lag) even and odd courses, newest frame first; the odd one is 0 like the odd filter.
    is_energy
        (neuron,) whether a cell responds to the energy of the pair.
    location
        (neuron, 2) center (y, x) in pixels.
    cell_type
        (neuron,) type, from 0.
    """

    spatial: np.ndarray
    temporal: np.ndarray
    is_energy: np.ndarray
    location: np.ndarray
    cell_type: np.ndarray

    def drives(self, frames: np.ndarray) -> np.ndarray:
        """Drives of mean 0 and sd 1 for white noise of variance 1, (frame, y, x) to (frame, neuron) float32.

        Frames before the first frame count as 0.
        """
        flat = frames.reshape(len(frames), -1).astype(np.float32)
        in_space = [flat @ filters.reshape(len(filters), -1).T for filters in self.spatial]

        def filtered(phase: int, course: int) -> np.ndarray:
            total = np.zeros_like(in_space[phase])
            for lag, weights in enumerate(self.temporal[course].T):
                total[lag:] += in_space[phase][: len(total) - lag] * weights
            return total

        even = filtered(0, 0) - filtered(1, 1)
        odd = filtered(0, 1) + filtered(1, 0)
        return np.where(self.is_energy, (even**2 + odd**2) / 2 - 1, even).astype(np.float32)


def course_in_time(shape: str, seconds: np.ndarray, stretch: float) -> np.ndarray:
    """Response to a flash, ``seconds`` ago (lag,): of one lobe, or of two lobes of equal area.

    Parameters
    ----------
    shape
        ``sustained`` or ``transient``.
    seconds
        (lag,).
    stretch
        Factor of all times.

    Returns
    -------
    (lag,) unit vector.
    """

    def lobe(peak: float) -> np.ndarray:
        relative = seconds / (peak * stretch)
        values = (relative * np.exp(1 - relative)) ** 4
        return values / values.sum()

    peak = PEAKS[shape]
    course = lobe(peak) - lobe(2 * peak) if shape == "transient" else lobe(peak)
    return course / np.linalg.norm(course)


def draw_cells(
    types: list[str],
    n_per_type: int,
    image_size: int,
    center_sd: float,
    surround: float,
    variation: float,
    seconds: np.ndarray,
    rng_seed: np.random.SeedSequence,
) -> Cells:
    """Draws the cells.

    Parameters
    ----------
    types, image_size, center_sd, surround, variation
        As for :func:`simulate`.
    n_per_type
        Cells of each type.
    seconds
        (lag,) time from a frame to the response.
    rng_seed
        Random stream of the cells.
    """
    rng = np.random.default_rng(rng_seed)
    n_neurons = len(types) * n_per_type
    margin = min(2 * center_sd, (image_size - 1) / 2)
    location = rng.uniform(margin, image_size - 1 - margin, (n_neurons, 2))
    size, stretch = rng.uniform(1 - variation, 1 + variation, (2, n_neurons))
    spatial = np.zeros((2, n_neurons, image_size, image_size))
    temporal = np.zeros((2, n_neurons, len(seconds)))
    cell_type = np.repeat(np.arange(len(types)), n_per_type)
    grid = np.stack(np.meshgrid(*[np.arange(image_size)] * 2, indexing="ij"), -1)
    for neuron, kind in enumerate(cell_type):
        first, second = types[kind].split("_")
        sd, offset = center_sd * size[neuron], grid - location[neuron]
        squared = (offset**2).sum(-1) / sd**2
        center = np.exp(-squared / 2)
        if first == "motion":
            phase = 2 * np.pi / (WAVELENGTH * sd) * (offset @ np.array(DIRECTIONS[second]))
            of_space = center * np.stack([np.cos(phase), np.sin(phase)])
            turn = 2 * np.pi * FREQUENCY * seconds / stretch[neuron]
            of_time = course_in_time("sustained", seconds, stretch[neuron]) * [np.cos(turn), np.sin(turn)]
        else:
            wide = np.exp(-squared / (2 * SURROUND**2)) / SURROUND**2
            of_space = np.stack([center - surround * wide, np.zeros_like(center)])
            of_time = np.stack([course_in_time(second, seconds, stretch[neuron]), np.zeros(len(seconds))])
            of_time *= {"on": 1, "off": -1}[first]
        # The even filter is the sum of two products.
        norm = np.sqrt((np.square(of_space).sum((1, 2)) * np.square(of_time).sum(1)).sum())
        spatial[:, neuron], temporal[:, neuron] = of_space / norm, of_time
    is_energy = np.array([types[kind].startswith("motion") for kind in cell_type])
    return Cells(spatial.astype(np.float32), temporal.astype(np.float32), is_energy, location, cell_type)


def mean_output(cells: Cells, output: str, calibration: np.ndarray | None) -> np.ndarray:
    """Mean of the output of every neuron (neuron,), on frames (frame, y, x), or white noise if None."""
    nonlinearity, gain = _OUTPUTS[output], GAIN[output]
    if calibration is not None:
        return nonlinearity(gain * cells.drives(calibration)).mean(0)
    pairs = np.random.default_rng(0).standard_normal((2, _SAMPLES))
    mean = nonlinearity(gain * pairs[0]).mean(), nonlinearity(gain * ((pairs**2).sum(0) / 2 - 1)).mean()
    return np.where(cells.is_energy, mean[1], mean[0])


def scaled_to(cells: Cells, frames: np.ndarray) -> Cells:
    """Cells whose even filters have outputs of sd 1 on frames (frame, y, x)."""
    sd = replace(cells, is_energy=np.zeros(len(cells.is_energy), bool)).drives(frames).std(0)
    return replace(cells, spatial=cells.spatial / sd[:, None, None])


def white_noise(stimulus: str, n_frames: int, size: int, seed: np.random.SeedSequence) -> np.ndarray:
    """Independent pixels (frame, channel, y, x): uint8 0 or 1 if ``binary``, float32 if ``gaussian``."""
    rng = np.random.default_rng(seed)
    if stimulus == "binary":
        return rng.integers(0, 2, (n_frames, 1, size, size), np.uint8)
    return rng.standard_normal((n_frames, 1, size, size), np.float32)


def drifting_leaves(
    n_frames: int, size: int, rate: float, speed: float, seconds: float, seed: np.random.SeedSequence
) -> tuple[np.ndarray, np.ndarray]:
    """Dead leaves that drift. After ``seconds`` others follow, in a random direction.

    Parameters
    ----------
    n_frames, size
        Number of frames, and their height and width in pixels.
    rate, speed, seconds
        Frames per second, speed in pixels per second, and time of one picture.
    seed
        Random stream of pictures and directions; more frames leave the first frames as they are.

    Returns
    -------
    Frames (frame, channel, y, x) float32 of mean 0 and variance about 1, and velocities (frame, 2) as (y, x)
    in pixels per frame.
    """
    of_pictures, of_directions = seed.spawn(2)
    n_each = max(1, round(seconds * rate))
    n_pictures = -(-n_frames // n_each)
    step = speed / rate
    # A picture moves in a wider one, half of the way on either side of the middle.
    margin = int(np.ceil(step * n_each / 2)) + 1
    wide = (size + 2 * margin, size + 2 * margin)
    angles = np.random.default_rng(of_directions).uniform(0, 2 * np.pi, n_pictures)
    velocity = step * np.stack([np.sin(angles), np.cos(angles)], 1)
    inside = slice(margin, margin + size)
    times = np.arange(n_each) - (n_each - 1) / 2
    pictures = (one for block in dead_leaves(n_pictures, 1, wide, of_pictures) for one in block[:, 0])
    frames = [
        shift(picture, time * one, order=1, mode="nearest")[inside, inside]
        for picture, one in zip(pictures, velocity, strict=True)
        for time in times
    ]
    return np.stack(frames[:n_frames])[:, None], np.repeat(velocity, n_each, axis=0)[:n_frames]


def simulate(
    design: Design,
    *,
    types: list[str],
    n_neurons: int,
    image_size: int,
    center_sd: float,
    surround: float,
    variation: float,
    stimulus: str | dict[str, dict[str, float]],
    rate: float,
    lags: int,
    block: int,
    output: str,
    spikes_per_second: float,
    n_repeats: int,
) -> xr.Dataset:
    """Simulates spike counts in bins of one frame: one clip to fit, and one test clip that is repeated.

    Parameters
    ----------
    design
        Bins, splits and seed.
    types
        ``on_`` or ``off_`` with ``sustained`` or ``transient``; ``motion_`` with one of :data:`DIRECTIONS`.
    n_neurons
        Neurons of all types together, a multiple of the number of types.
    image_size
        Height and width of the frames in pixels; a check is one pixel.
    center_sd, surround
        Sd of the center in pixels, and weight of the surround relative to the center.
    variation
        Relative spread of sizes and durations, 0 for identical cells of a type.
    stimulus
        ``binary`` or ``gaussian`` white noise, or ``drift`` with ``speed`` and ``seconds`` of
        :func:`drifting_leaves`.
    rate
        Frames per second.
    lags, block
        Frames of a window, and bins of a block.
    output
        ``exponential`` or ``softplus``.
    spikes_per_second
        Mean rate of every neuron.
    n_repeats
        Presentations of the test clip.
    """
    cell_seed, noise_seed, *clip_seeds, calibration_seed = design.streams(5)
    seconds = (np.arange(lags) + 0.5) / rate
    n_per_type = n_neurons // len(types)
    cells = draw_cells(types, n_per_type, image_size, center_sd, surround, variation, seconds, cell_seed)
    noise = np.random.default_rng(noise_seed)
    drift = None if isinstance(stimulus, str) else stimulus["drift"]
    calibration = None
    if drift is not None:
        calibration = drifting_leaves(_CALIBRATION, image_size, rate, **drift, seed=calibration_seed)[0][:, 0]
        cells = scaled_to(cells, calibration)
    gain, count = GAIN[output], spikes_per_second / rate
    mean = mean_output(cells, output, calibration)
    clips, rates = [], []
    for test, n_frames, seed in zip((False, True), (design.n_images, design.n_test), clip_seeds, strict=True):
        if drift is not None:
            frames, _ = drifting_leaves(n_frames, image_size, rate, **drift, seed=seed)
        else:
            frames = white_noise(str(stimulus), n_frames, image_size, seed)
        standardized = 2.0 * frames[:, 0] - 1 if stimulus == "binary" else frames[:, 0]
        relative = _OUTPUTS[output](gain * cells.drives(standardized)) / mean
        rates.append((count * relative).astype(np.float32))
        counts = noise.poisson(rates[-1], (n_repeats if test else 1, n_frames, n_neurons))
        clips.append(Clip(frames, counts.astype(np.float32), test))
    shown = f"{stimulus} white noise" if drift is None else "drifting dead leaves"
    attributes: dict[str, Any] = {
        "name": design.name,
        "kind": "simulated",
        "source": f"{', '.join(types)} cells, {shown}, seed {design.seed}",
        "normalize": "global",
        "noise_free_test": 0,
        "repeat_averages": 0,
    }
    shares = {"validation": design.validation_fraction, "test": 0.0, "folds": 1, "seed": design.seed}
    timing = Timing(rate, frames_per_bin=1, lags=lags, latency=0, block=block)
    dataset = to_contract(clips, timing, attributes, shares, f"datasets.{design.name}")
    # Every bin has one frame, its newest.
    of_bins = np.concatenate(rates)[dataset["last_frame"].values]
    return dataset.assign(
        rates=(("image", "neuron"), of_bins, {"units": "per bin"}),
        location=(("neuron", "axis"), cells.location.astype(np.float32), {"units": "px", "axis": "y, x"}),
        cell_type=("neuron", cells.cell_type.astype(np.int16)),
    )
