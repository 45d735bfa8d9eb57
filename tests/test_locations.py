import numpy as np
import pytest

from whatwhere.locations import in_pixels, location_errors, peaks


def test_peaks_are_in_image_pixels_and_ignore_the_sign():
    masks = np.zeros((2, 4, 6))
    masks[0, 1, 5], masks[1, 3, 0] = -2, 1
    np.testing.assert_array_equal(peaks(masks, (10, 12)), [[4, 8], [6, 3]])
    # A map of image size has no margin.
    np.testing.assert_array_equal(peaks(masks, (4, 6)), [[1, 5], [3, 0]])
    assert peaks(np.zeros((0, 3, 4)), (11, 16), 4).shape == (0, 2)


def test_the_shift_that_neurons_of_one_kernel_share_is_no_error(rng):
    truth = rng.uniform(0, 30, (12, 2))
    groups = np.repeat([0, 1], 6)
    shifted = truth + np.array([[3.0, -1.0], [0.0, 2.0]])[groups]
    shifted[0] += [3, 4]
    errors = location_errors(shifted, truth, groups)
    assert errors[0] == pytest.approx(5)
    assert errors[1:] == pytest.approx(0)


def test_the_error_of_too_few_neurons_is_undefined(rng):
    errors = location_errors(rng.normal(size=(7, 2)), np.zeros((7, 2)), np.array([0, 0, 0, 0, 0, 1, 1]))
    assert np.isfinite(errors[:5]).all()
    assert np.isnan(errors[5:]).all()


def test_peaks_of_pooled_maps_are_the_middles_of_their_squares():
    masks = np.zeros((2, 3, 4))
    masks[0, 0, 0], masks[1, 2, 3] = 1, -1
    np.testing.assert_array_equal(peaks(masks, (12, 16), stride=4), [[1, 1], [9, 13]])
    # The last square of an image of 11 px holds three of four pixels.
    np.testing.assert_array_equal(peaks(masks, (11, 13), stride=4), [[1, 1], [9, 12]])


def test_a_mask_of_squares_covers_the_image_and_keeps_its_peak():
    mask = np.zeros((1, 3, 4))
    mask[0, 1, 2] = 1
    drawn = in_pixels(mask, (11, 16), 4)
    assert drawn.shape == (1, 11, 16)
    assert drawn[0, 4:8, 8:12].all()
    assert drawn.sum() == 16
    ((y, x),) = peaks(mask, (11, 16), 4)
    assert drawn[0, y, x] == 1
