import numpy as np
import pytest
from scipy.stats import kurtosis

from whatwhere.simulations.dead_leaves import dead_leaves
from whatwhere.simulations.v1_cells import gabor


def leaves(n_images, channels=1, size=24, seed=0):
    return np.concatenate(list(dead_leaves(n_images, channels, (size, size), np.random.SeedSequence(seed))))


def amplitude_slope(images):
    """Exponent of the amplitude spectrum of grey images (image, y, x) under a Hann window."""
    size = images.shape[-1]
    window = np.hanning(size)[:, None] * np.hanning(size)
    centered = images - images.mean((1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(centered * window)) ** 2).mean(0)
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, None], frequency)
    inside = (radius > 2.5 / size) & (radius < 0.4)
    return np.polyfit(np.log(radius[inside]), np.log(power[inside]) / 2, 1)[0]


def edge_kurtosis(images):
    """Excess kurtosis of the responses of an oriented filter in the middle of images (image, y, x)."""
    top = (images.shape[-1] - 9) // 2
    middle = images[:, top : top + 9, top : top + 9]
    return np.mean(
        [kurtosis((middle * gabor(9, angle, 5.0, 0.0, 1.0)).sum((1, 2))) for angle in (0, np.pi / 2)]
    )


@pytest.mark.slow
def test_generated_images_have_the_spectrum_and_the_edges_of_photographs():
    generated = leaves(400, size=44)[:, 0]
    # Measured on 1,200 photographs at 56 px: slope -1.35 to -1.53, kurtosis 6.0 to 8.8; of Gaussian noise 0.
    assert -1.8 < amplitude_slope(generated) < -1.2
    assert edge_kurtosis(generated) > 3
    noise = np.random.default_rng(0).standard_normal(generated.shape)
    assert abs(edge_kurtosis(noise)) < 1
    assert abs(amplitude_slope(noise)) < 0.1


@pytest.mark.slow
def test_generated_images_are_standardized_and_stationary():
    generated = leaves(1500, size=16)
    assert abs(generated.mean()) < 0.1
    np.testing.assert_allclose(generated.var(), 1, atol=0.15)
    by_place = generated[:, 0].var(0)
    np.testing.assert_allclose(by_place, by_place.mean(), rtol=0.2)


@pytest.mark.slow
def test_generated_colors_are_correlated_as_in_photographs():
    generated = leaves(400, channels=3)
    correlation = np.corrcoef(generated.transpose(1, 0, 2, 3).reshape(3, -1))
    share = np.linalg.eigvalsh(correlation) / 3
    # Photographs: 0.90 luminance, 0.08 yellow-blue, 0.02 red-green.
    np.testing.assert_allclose(share, [0.015, 0.08, 0.905], atol=0.03)


def test_generated_images_differ_and_more_images_leave_the_first_images_as_they_are():
    images = leaves(70)
    assert len(np.unique(images, axis=0)) == 70
    np.testing.assert_array_equal(images[:40], leaves(40))
    assert not np.array_equal(images[:40], leaves(40, seed=1))
