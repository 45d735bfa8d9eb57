import numpy as np
import pytest
from simulated import simulated

from whatwhere.dataset import TEST, check
from whatwhere.metrics import cc_max, noise_variance
from whatwhere.simulations.v1_cells import ACTIVE, CellTypes, cell_types, drives, gabor, relative_rates
from whatwhere.standardize import Standardizer


@pytest.fixture(scope="module")
def like_mouse():
    """A recording of the size of region 1 of Table 1."""
    return simulated(
        "v1",
        n_simple_types=4,
        n_complex_types=4,
        n_neurons=103,
        n_repeats=10,
        n_images=1800,
        n_test=50,
        image_size=31,
    )


def grating(orientation, phase, wavelength=6.0, size=13):
    axis = np.arange(size) - size // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    across = x * np.cos(orientation) + y * np.sin(orientation)
    return np.cos(2 * np.pi * across / wavelength + phase)[None, None]


def test_gabor_filters_are_normalized_and_prefer_their_orientation():
    one = gabor(13, 0.3, 6.0, 0.0, 1.5)
    np.testing.assert_allclose(np.linalg.norm(one), 1)
    np.testing.assert_allclose(one.sum(), 0, atol=1e-12)
    angles = np.linspace(0, np.pi, 24, endpoint=False)
    responses = [(one * grating(angle, 0.0)).sum() for angle in angles]
    assert abs(angles[np.argmax(responses)] - 0.3) < np.pi / 24


def test_even_filters_are_symmetric_and_odd_ones_antisymmetric():
    even, odd = (gabor(13, 0.7, 6.0, phase, 1.2) for phase in (0.0, np.pi / 2))
    np.testing.assert_allclose(even, even[::-1, ::-1], atol=1e-12)
    np.testing.assert_allclose(odd, -odd[::-1, ::-1], atol=1e-12)


def test_complex_cells_ignore_phase_and_simple_cells_do_not():
    pair = np.array([[gabor(13, 0.3, 6.0, shift, 1.2) for shift in (0.0, np.pi / 2)]] * 2)
    phases = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    patches = np.concatenate([grating(0.3, phase) for phase in phases])
    simple, complex_ = drives(pair, np.array([False, True]), patches).T
    assert complex_.std() / complex_.mean() < 0.05
    assert simple.min() < 0 < simple.max()
    np.testing.assert_allclose(simple.max(), complex_.mean(), rtol=0.05)


def test_thresholds_leave_the_stated_share_of_images_active_and_complex_cells_ignore_contrast_sign(rng):
    images = rng.standard_normal((200, 1, 21, 21))
    types = cell_types(1, 1, 13, images, np.random.SeedSequence(0))
    middle = images[:, :, 4:17, 4:17]
    drive, of_negative = (drives(types.filters, types.is_complex, sign * middle) for sign in (1, -1))
    np.testing.assert_allclose(of_negative, drive * [-1, 1], atol=1e-6)
    active = (drive > types.threshold).mean(0)
    np.testing.assert_allclose(active, [ACTIVE["simple"], ACTIVE["complex"]], atol=0.1)


def test_rates_come_from_the_patch_at_the_corner(rng):
    filters = np.zeros((1, 2, 3, 3), np.float32)
    filters[0, 0, 1, 2] = 1
    types = CellTypes(filters, np.array([False]), np.array([0.5]), np.array([2.0]))
    images = rng.standard_normal((6, 1, 8, 9)).astype(np.float32)
    standardize = Standardizer(np.ones((1, 8, 9), np.float32), np.full((1, 8, 9), 2, np.float32))
    corner = np.array([[2, 4]])
    rates = relative_rates(types, np.array([0]), corner, np.array([0.25]), images, standardize)
    drive = (images[:, 0, 3, 6] - 1) / 2
    expected = 0.25 + 0.75 * np.maximum(drive - 0.5, 0) / 2
    np.testing.assert_allclose(rates[:, 0], expected, rtol=1e-6)


def test_types_share_the_neurons_and_only_test_images_are_repeated():
    data = simulated("v1")
    assert data["cell_type"].values.tolist() == [*[0] * 5, *[1] * 5, *[2] * 5, *[3] * 4, *[4] * 4]
    responses, split = data["responses"].values, data["split"].values[0]
    shown = (~np.isnan(responses)).all(2).sum(0)
    np.testing.assert_array_equal(shown, np.where(split == TEST, 4, 1))
    present = responses[~np.isnan(responses)]
    assert (present == present.round()).all()
    assert present.min() == 0


@pytest.mark.slow
def test_locations_are_the_centers_of_receptive_fields():
    data = simulated("v1", n_simple_types=1, n_complex_types=0, n_neurons=3, n_images=900)
    images, rates = data["images"].values[:, 0], data["rates"].values
    for neuron, (y, x) in enumerate(data["location"].values.astype(int)):
        inside = np.zeros(images.shape[1:], bool)
        inside[y - 6 : y + 7, x - 6 : x + 7] = True
        sta = np.einsum("i,iyx->yx", rates[:, neuron] - rates[:, neuron].mean(), images - images.mean(0))
        laplace = np.abs(
            sta[1:-1, 1:-1] * 4 - sta[:-2, 1:-1] - sta[2:, 1:-1] - sta[1:-1, :-2] - sta[1:-1, 2:]
        )
        edge = inside[1:-1, 1:-1]
        assert laplace[edge].mean() > laplace[~edge].mean()


@pytest.mark.slow
def test_counts_and_reliability_are_those_of_mouse_v1(like_mouse):
    # Recordings of Table 1, regions 1, 2 and 3: median count 0.60, 0.52, 0.63; single-trial signal fraction
    # 0.22, 0.17, 0.20 (10 to 90 % of neurons in region 1: 0.06 to 0.46); cc_max 0.86, 0.80, 0.87.
    test = like_mouse["responses"].values[:, 1800:]
    noise = noise_variance(test)
    signal = test.mean(0).var(0, ddof=1) - noise / 10
    fraction = signal / (signal + noise)
    assert 0.5 < np.median(test.mean((0, 1))) < 0.75
    assert 0.15 < np.median(fraction) < 0.28
    assert np.quantile(fraction, 0.1) < 0.1
    assert 0.35 < np.quantile(fraction, 0.9) < 0.55
    assert 0.75 < np.nanmedian(cc_max(test)) < 0.9


@pytest.mark.slow
def test_spikes_are_poisson_counts_of_the_rates(like_mouse):
    rates, test = like_mouse["rates"].values, like_mouse["responses"].values[:, 1800:]
    once = like_mouse["responses"].values[0, :1800]
    np.testing.assert_allclose(once.mean(), rates[:1800].mean(), rtol=0.01)
    residual = (test - rates[1800:]) ** 2
    np.testing.assert_allclose(residual.mean(), rates[1800:].mean(), rtol=0.03)


@pytest.mark.slow
def test_images_may_be_wide_and_one_size_means_square_images():
    data = simulated("v1", image_size=[15, 40], n_neurons=400)
    check(data, "v1")
    assert data["images"].shape[1:] == (1, 15, 40)
    assert data["location"].values.min(0).tolist() == [6, 6]
    assert data["location"].values.max(0).tolist() == [8, 33]
    assert simulated("v1", image_size=21).equals(simulated("v1", image_size=[21, 21]))
