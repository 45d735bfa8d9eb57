"""Experiments on cells whose tuning is known."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from whatwhere.errors import UserError
from whatwhere.experiments.tuning import (
    Canvas,
    gratings,
    orientation_tuning,
    preferred_sizes,
    size_tuning,
    tuning,
)
from whatwhere.fitted.image_space import ImageSpace
from whatwhere.recordings.movie_contract import Timing
from whatwhere.simulations.movie_cells import draw_cells
from whatwhere.simulations.v1_cells import gabor

SPACE = ImageSpace((1, 41, 45), None, np.full((1, 41, 45), 50.0), np.full((1, 41, 45), 160.0), 100.0, 1.0)
CANVAS = Canvas((1, 41, 45), 100.0, 50.0)
GRATING = {"orientations": [0], "frequencies": [0.1], "phases": [0]}


@dataclass
class Cells:
    """Cells of two filters (cell, phase, y, x) each; they see the first, rectified, or the energy of both."""

    filters: np.ndarray
    is_complex: np.ndarray
    spontaneous: float = 0.5
    positions: np.ndarray = None

    @property
    def image_space(self):
        return SPACE

    @property
    def neuron_ids(self):
        return [f"cell {number}" for number in range(len(self.filters))]

    @property
    def arrays(self):
        return self

    def predict(self, images):
        contrast = (images[:, 0] - CANVAS.background) / CANVAS.amplitude
        outputs = np.einsum("npyx,iyx->pin", self.filters, contrast)
        drive = np.where(self.is_complex, np.hypot(*outputs), np.maximum(outputs[0], 0))
        return self.spontaneous + drive


def gabor_cells(orientation, wavelength, complexes):
    def place(phase):
        return np.pad(gabor(35, np.deg2rad(orientation), wavelength, phase, 1.4), ((3, 3), (5, 5)))

    pair = [place(0.3), place(0.3 + np.pi / 2)]
    middle = np.tile([20, 22], (len(complexes), 1))
    return Cells(np.array([pair] * len(complexes)), np.array(complexes), positions=middle)


def blob(sd_center=1.5, sd_surround=3.0, share=0.8):
    down, right = CANVAS.distances(None)
    squared = down**2 + right**2
    center, surround = (
        np.exp(-squared / (2 * sd**2)) / (2 * np.pi * sd**2) for sd in (sd_center, sd_surround)
    )
    pair = np.array([[center - share * surround] * 2])
    return Cells(pair, np.array([False]), positions=np.array([[20, 22]]))


@pytest.mark.parametrize("orientation", [0.0, 22.0, 75.0, 130.0])
def test_the_preferred_orientation_and_frequency_are_those_of_the_filter(orientation):
    cells = gabor_cells(orientation, 1 / 0.12, [False, True])
    table = orientation_tuning(cells)
    distance = (table["orientation"] - orientation + 90) % 180 - 90
    assert np.abs(distance).max() < 1.5
    assert table["frequency"].tolist() == [0.12, 0.12]
    assert table["neuron"].tolist() == ["cell 0", "cell 1"]
    assert (table["osi"] > 0.95).all()


def test_the_modulation_ratio_tells_simple_from_complex_cells():
    simple, complex_ = orientation_tuning(gabor_cells(30, 8, [False, True]))["modulation"]
    # A half-wave rectified sine has a first harmonic of 1/2 and a mean of 1/pi.
    assert simple == pytest.approx(np.pi / 2, rel=0.1)
    assert complex_ < 0.1


def test_selectivity_is_that_of_a_known_curve_and_none_for_a_round_field():
    assert orientation_tuning(blob())["selectivity"][0] < 0.01
    cells = gabor_cells(45, 8, [True])
    table = orientation_tuning(cells, frequencies=[0.125])
    curve = tuning(
        cells,
        gratings(
            CANVAS,
            orientations=np.arange(0, 180, 15),
            frequencies=[0.125],
            phases=np.arange(8) * 45,
        ),
    )
    mean = curve.groupby("orientation")["response"].mean() - 0.5
    expected = np.abs((mean * np.exp(2j * np.deg2rad(mean.index))).sum()) / mean.sum()
    assert table["selectivity"][0] == pytest.approx(expected, rel=1e-3)


DEGREES = {"right": 0, "down": 90, "left": 180, "up": 270}


class MovieCells:
    """Simulated motion cells, one per direction, and an ON cell, that see windows of 12 frames."""

    image_space = ImageSpace(
        *((12, 16, 16), None, np.zeros((12, 16, 16)), np.ones((12, 16, 16)), 0.5, 1.0),
        timing=Timing(30, 1, 12, 0, 30),
    )
    neuron_ids = (*(f"motion_{direction}" for direction in DEGREES), "on_transient")
    positions = np.tile([8, 8], (5, 1))

    def __init__(self):
        seconds = (np.arange(12) + 0.5) / 30
        self.cells = draw_cells([*self.neuron_ids], 1, 16, 1.5, 0.5, 0.0, seconds, np.random.SeedSequence(1))

    @property
    def arrays(self):
        return self

    def predict(self, windows):
        # The last frame of a window, oldest first, has all frames of its filter.
        return np.stack([np.exp(self.cells.drives(2 * one[::-1] - 1)[-1] / 4) for one in windows])


def test_drifting_gratings_give_motion_cells_their_direction():
    cells = MovieCells()
    table = orientation_tuning(
        cells, orientations=[0, 45, 90, 135], frequencies=[0.16], temporal_frequencies=[2, 4]
    )
    motion, on = table.iloc[:4], table.iloc[4]
    away = (motion["direction"] - list(DEGREES.values()) + 180) % 360 - 180
    assert np.abs(away).max() < 2
    np.testing.assert_allclose(motion["orientation"] % 179.9, [0, 90, 0, 90], atol=2)
    assert (motion["direction_selectivity"] > 0.7).all()
    # Energies of 4 cycles per second do not depend on the phase.
    assert (motion["temporal_frequency"] == 4).all()
    assert (motion["modulation"] < 0.1).all()
    assert on["direction_selectivity"] < 0.05
    assert on["modulation"] > 1
    sizes = preferred_sizes(size_tuning(cells, diameters=[4, 8], preferred=table))
    assert (sizes["diameter"] == 8).all()
    with pytest.raises(UserError, match=r"temporal_frequencies: \[16\] must lie between 0 and 15 cycles"):
        gratings(Canvas.of(cells.image_space), **GRATING, temporal_frequencies=[16])


def test_a_silent_cell_has_no_preference():
    cells = gabor_cells(45, 8, [False, True])
    cells.filters[0] = 0
    table = orientation_tuning(cells)
    assert table.loc[0, ["orientation", "frequency", "selectivity", "osi", "modulation"]].isna().all()
    assert table.loc[1].notna().all()
    sizes = preferred_sizes(size_tuning(cells, diameters=[4, 8], preferred=table))
    assert sizes.loc[0, ["diameter", "suppression"]].isna().all()
    assert sizes.loc[1].notna().all()


def test_a_cell_that_gratings_only_suppress_has_no_preference():
    """The first harmonic of equal responses is rounding; its selectivity was 0.84."""
    cells = gabor_cells(45, 8, [True, True])
    excited = cells.predict
    cells.predict = lambda images: 0.9 - excited(images) * [1, -1]
    table = orientation_tuning(cells)
    assert table.loc[0, ["orientation", "frequency", "selectivity", "osi", "modulation"]].isna().all()
    assert (table["response"][0], table["selectivity"][1] > 0.5) == (0, True)


def test_size_tuning_of_a_difference_of_gaussians_is_the_closed_form():
    diameters = np.arange(2, 22)
    # A grating without stripes: it is uniform, and brighter or darker by its phase.
    uniform = pd.DataFrame({"orientation": [0.0], "frequency": [1e-9]})
    curves = size_tuning(blob(), diameters=diameters, preferred=uniform)
    squared = (diameters / 2) ** 2
    closed = 1 - np.exp(-squared / (2 * 1.5**2)) - 0.8 * (1 - np.exp(-squared / (2 * 3.0**2)))
    # The first harmonic of a half-wave rectified sine of amplitude 1 is 1/2.
    np.testing.assert_allclose(2 * curves["response"], closed, atol=0.01)
    (size,) = preferred_sizes(curves).to_dict("records")
    assert size["diameter"] == diameters[np.argmax(closed >= 0.95 * closed.max())]
    assert size["suppression"] == pytest.approx(1 - closed[-1] / closed.max(), abs=0.02)


def test_an_energy_cell_sums_over_its_field_and_is_not_suppressed():
    cells = gabor_cells(60, 8, [True])
    curves = size_tuning(cells, diameters=[4, 8, 12, 16, 24, 32], preferred=orientation_tuning(cells))
    assert (np.diff(curves["response"]) > -0.02 * curves["response"].max()).all()
    assert preferred_sizes(curves)["suppression"][0] < 0.02


def test_a_grating_is_the_one_that_was_asked_for():
    shown = gratings(CANVAS, orientations=[0, 90], frequencies=[0.125], phases=[0, 180], contrast=0.5)
    assert shown.images.shape == (4, 1, 41, 45)
    assert shown.parameters.columns.tolist() == ["orientation", "frequency", "phase", "diameter"]
    vertical, opposite, horizontal = shown.images[:3, 0]
    assert (vertical == vertical[0]).all()
    assert vertical[0, 22] == 125
    assert (horizontal == horizontal[:, :1]).all()
    np.testing.assert_allclose(vertical + opposite, 200, rtol=1e-5)
    np.testing.assert_allclose(vertical[:, :8], vertical[:, 8:16], rtol=1e-5)


def test_a_window_leaves_the_background_outside():
    shown = gratings(CANVAS, orientations=[30], frequencies=[0.1], phases=[0], diameters=[10], center=(12, 9))
    down, right = CANVAS.distances((12, 9))
    outside = np.hypot(down, right) > 5.6
    assert (shown.images[0, 0][outside] == 100).all()
    assert np.ptp(shown.images[0, 0][~outside]) > 50


def test_the_canvas_is_as_bright_and_contrasted_as_the_training_images():
    assert Canvas.of(SPACE) == CANVAS


def test_color_images_get_equal_channels():
    assert (
        Canvas((3, 4, 5), 7.0, 1.0).draw(np.zeros((1, 4, 5))).tolist() == np.full((1, 3, 4, 5), 7.0).tolist()
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gratings(CANVAS, orientations=[0], frequencies=[0.6], phases=[0]), "cycles per pixel"),
        (lambda: gratings(CANVAS, orientations=[0], frequencies=[], phases=[0]), "cycles per pixel"),
        (lambda: gratings(CANVAS, **GRATING, diameters=[0]), "positive numbers of pixels"),
        (lambda: gratings(CANVAS, **GRATING, contrast=2), "contrast: 2"),
        (lambda: orientation_tuning(blob(), orientations=[0, 10, 20, 30]), "evenly spread over 180"),
    ],
)
def test_stimuli_that_cannot_be_drawn_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
