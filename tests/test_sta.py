import tracemalloc

import numpy as np

from whatwhere import sta


def test_average_is_the_response_weighted_mean_image(rng):
    images, responses = rng.normal(size=(5000, 2, 4, 3)), rng.normal(size=(5000, 6))
    expected = np.einsum("icyx,in->nyx", images, responses) / 2 / 5000
    np.testing.assert_allclose(sta.spike_triggered_average(images, responses), expected, atol=1e-6)


def test_smoothing_a_point_gives_a_kernel_with_the_derived_values():
    point = np.zeros((1, 33, 35))
    point[0, 16, 17] = 1
    kernel = sta.smooth(point, 17)[0, 8:25, 9:26]
    np.testing.assert_allclose([kernel.max(), kernel.sum()], [0.19647, 5.0896], rtol=1e-4)
    y, x = np.ogrid[-8:9, -8:9]
    radial = np.exp(-(y**2 + x**2) / (2 * 17**0.5))
    np.testing.assert_allclose(kernel / kernel.max(), radial, atol=1e-6)


def test_crop_keeps_the_center():
    images = np.arange(48.0)[None, :, None] * np.ones((1, 1, 48))
    cropped = sta.crop_to_mask(images, (32, 32))
    assert cropped.shape == (1, 32, 32)
    assert (cropped[0, 0, 0], cropped[0, -1, 0]) == (8, 39)


def test_squared_average_peaks_at_the_largest_deviation():
    average = np.zeros((1, 31, 31))
    average[0, 20, 10] = -3.0
    peak = np.unravel_index(sta.smooth_square(average)[0].argmax(), (31, 31))
    assert peak == (20, 10)


def test_averages_of_large_images_take_memory_in_proportion_to_their_pixels(rng):
    """Whitening took 16 GiB for images of 256 px, for any model."""
    images = rng.normal(size=(10, 1, 256, 256)).astype(np.float32)
    responses = rng.normal(size=(10, 3))
    tracemalloc.start()
    averages = sta.all_averages(images, images, responses, 17)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    expected = np.einsum("in,iyx->nyx", responses, images[:, 0]) / 10
    np.testing.assert_allclose(averages["sta"], expected, atol=1e-5)
    assert peak < 10 * images.nbytes
