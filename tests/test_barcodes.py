import numpy as np
import pytest

from whatwhere import barcodes


@pytest.fixture
def three_types(rng):
    """Barcodes (neuron, channel) of three well separated types, and the types."""
    types = np.repeat(np.arange(3), 30)
    weights = np.eye(3)[types] + rng.normal(0, 0.03, (90, 3))
    return weights / np.linalg.norm(weights, axis=1, keepdims=True), types


def test_barcodes_do_not_depend_on_the_sign_and_scale_that_the_factorisation_leaves_open(rng):
    weights, masks = rng.normal(size=(7, 4)), rng.normal(size=(7, 5, 6))
    factor = np.array([1, -1, 2, -2, 0.1, -0.1, 7])
    same = barcodes.normalize(weights / factor[:, None], masks * factor[:, None, None])
    np.testing.assert_allclose(same, barcodes.normalize(weights, masks))
    np.testing.assert_allclose(np.linalg.norm(same, axis=1), 1)


def test_a_neuron_without_weights_keeps_zeros():
    assert not barcodes.normalize(np.zeros((1, 3)), np.ones((1, 2, 2))).any()


def test_the_number_of_well_separated_types_is_found(three_types):
    codes, _ = three_types
    n_clusters, silhouette = barcodes.choose_n_clusters(codes, seed=0)
    assert n_clusters == 3
    assert silhouette > 0.8


def test_one_deviating_neuron_among_thousands_is_no_error(rng):
    weights = np.tile([1.0, 0.0], (2500, 1))
    weights[1200] = [0.0, 1.0]
    assert barcodes.choose_n_clusters(weights, seed=0) == (2, pytest.approx(1, abs=0.001))


def test_equal_barcodes_are_one_cluster_without_a_silhouette():
    n_clusters, silhouette = barcodes.choose_n_clusters(np.ones((10, 3)), seed=0)
    assert n_clusters == 1
    assert np.isnan(silhouette)
    assert np.isnan(barcodes.bootstrap_stability(np.ones((10, 3)), np.zeros(10, int), 3, seed=0))


def test_separated_types_are_stable_over_bootstraps_and_noise_is_not(three_types, rng):
    codes, types = three_types
    assert barcodes.bootstrap_stability(codes, types, 10, seed=0) > 0.99
    noise = rng.normal(size=codes.shape)
    clusters = barcodes.cluster(noise, 8, seed=0)
    assert barcodes.bootstrap_stability(noise, clusters, 10, seed=0) < 0.7


def test_fits_agree_by_neuron_whatever_they_call_their_clusters(three_types):
    _, types = three_types
    renamed = np.array([2, 0, 1])[types]
    first, second = np.arange(0, 70), np.arange(20, 90)
    scores = barcodes.agreement_between_fits([first, second], [types[first], renamed[second]])
    np.testing.assert_allclose(scores, 1)


def test_a_fit_that_disagrees_lowers_the_score_of_all(three_types, rng):
    _, types = three_types
    everyone = np.arange(90)
    scores = barcodes.agreement_between_fits([everyone] * 3, [types, types, rng.permutation(types)])
    assert scores[:2] == pytest.approx(0.5, abs=0.05)
    assert scores[2] == pytest.approx(0, abs=0.1)


def test_a_single_fit_and_fits_of_other_neurons_have_no_agreement():
    assert np.isnan(barcodes.agreement_between_fits([np.arange(3)], [np.zeros(3)])).all()
    apart = barcodes.agreement_between_fits([np.arange(3), np.arange(3, 6)], [np.zeros(3), np.zeros(3)])
    assert np.isnan(apart).all()


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


def test_two_barcodes_that_all_neurons_share_exactly_are_two_clusters():
    shared = np.repeat([[1.0, 0.0], [0.0, 1.0]], 20, axis=0)
    assert barcodes.choose_n_clusters(shared, 0) == (2, 1.0)
