import numpy as np
import pytest

from whatwhere import barcodes


@pytest.fixture
def three_types(rng):
    """Barcodes (neuron, channel) of three well separated types, and the types."""
    types = np.repeat(np.arange(3), 30)
    weights = np.eye(3)[types] + rng.normal(0, 0.03, (90, 3))
    return weights / np.linalg.norm(weights, axis=1, keepdims=True), types


def test_barcodes_do_not_depend_on_the_sign_and_scale_that_the_factorization_leaves_open(rng):
    weights, masks = rng.normal(size=(7, 4)), rng.normal(size=(7, 5, 6))
    factor = np.array([1, -1, 2, -2, 0.1, -0.1, 7])
    same = barcodes.normalize(weights / factor[:, None], masks * factor[:, None, None])
    np.testing.assert_allclose(same, barcodes.normalize(weights, masks))
    np.testing.assert_allclose(np.linalg.norm(same, axis=1), 1)


def test_the_whole_mask_settles_its_sign():
    masks = np.zeros((2, 3, 3))
    masks[0, 0], masks[0, 2, 2] = 1, -1.1
    masks[1] = -masks[0]
    assert barcodes.mask_signs(masks).tolist() == [1, -1]
    assert barcodes.mask_signs(np.zeros((1, 2, 2))).tolist() == [1]


def test_a_neuron_without_weights_keeps_zeros():
    assert not barcodes.normalize(np.zeros((1, 3)), np.ones((1, 2, 2))).any()


def test_clusters_of_very_unequal_sizes_are_found_whole(rng):
    types = np.repeat([0, 1], [990, 10])
    codes = np.eye(2)[types] + rng.normal(0, 0.05, (1000, 2))
    found = barcodes.cluster(codes, 2)
    assert len(set(zip(types, found, strict=True))) == 2


def test_one_neuron_is_one_cluster():
    assert barcodes.cluster(np.ones((1, 3)), 4).tolist() == [0]


def test_a_neuron_whose_halves_disagree_is_uncertain(three_types):
    codes, types = three_types
    halves = np.stack([codes, codes])
    halves[1, 0] = codes[-1]
    certainty = barcodes.certainty(codes, types, halves)
    assert certainty[0] == pytest.approx(0.5, abs=0.01)
    assert certainty[1:].min() > 0.99
    np.testing.assert_array_equal(barcodes.certainty(codes, np.zeros(90, int), halves), 1)


def test_aligned_means_find_the_field_that_neurons_have_at_different_places(rng):
    field = rng.normal(size=(5, 5))
    positions = np.array([[2, 2], [5, 7], [9, 3]])
    maps = np.zeros((3, 12, 10))
    for image, (y, x) in zip(maps, positions, strict=True):
        image[y - 2 : y + 3, x - 2 : x + 3] = field
    (mean,) = barcodes.aligned_means(maps, positions, np.zeros(3, int), 2)
    np.testing.assert_allclose(mean, field)


def test_pixels_outside_all_images_are_undefined():
    mean = barcodes.aligned_means(np.ones((1, 4, 4)), np.array([[0, 3]]), np.zeros(1, int), 1)[0]
    np.testing.assert_array_equal(
        np.isnan(mean), [[True, True, True], [False, False, True], [False, False, True]]
    )


def test_no_neurons_have_no_means():
    none = np.zeros((0, 4, 4)), np.zeros((0, 2), int), np.zeros(0, int)
    assert barcodes.aligned_means(*none, 1).shape == (0, 3, 3)
