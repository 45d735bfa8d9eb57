import numpy as np
import pytest
import torch
from conftest import factorized
from sklearn.metrics import adjusted_rand_score

from whatwhere.models.encoder import build_cnn
from whatwhere.models.spec import ModelSpec
from whatwhere.stability import (
    agreement_between_fits,
    balanced_agreement,
    bootstrap_stability,
    half_weights,
    pooled_features,
)


@pytest.fixture
def three_types(rng):
    """Barcodes (neuron, channel) of three well separated types, and the types."""
    types = np.repeat(np.arange(3), 30)
    return np.eye(3)[types] + rng.normal(0, 0.03, (90, 3)), types


def test_agreement_does_not_depend_on_names_or_sizes():
    for sizes in ([50, 50], [990, 10], [300, 30, 3]):
        labels = np.repeat(np.arange(len(sizes)), sizes)
        assert balanced_agreement(labels, labels.max() - labels) == pytest.approx(1)


def test_chance_agreement_is_zero_on_average_for_unequal_sizes(rng):
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    scores = [balanced_agreement(labels, rng.permutation(labels)) for _ in range(200)]
    assert np.mean(scores) == pytest.approx(0, abs=0.015)


def test_losing_a_small_cluster_costs_as_much_as_losing_a_large_one():
    small = np.repeat([0, 1, 2], [90, 90, 6])
    merged_small, merged_large = np.where(small == 2, 1, small), np.where(small == 1, 0, small)
    equal = np.repeat([0, 1, 2], 60)
    reference = balanced_agreement(equal, np.where(equal == 2, 1, equal))
    assert balanced_agreement(small, merged_large) == pytest.approx(reference, abs=0.08)
    assert balanced_agreement(small, merged_small) < 0.8 < adjusted_rand_score(small, merged_small)


def test_a_single_cluster_has_no_agreement():
    assert np.isnan(balanced_agreement(np.zeros(5), np.arange(5)))


def test_separated_types_are_stable_over_bootstraps_and_noise_is_not(three_types, rng):
    codes, types = three_types
    assert bootstrap_stability(codes, types, 10, seed=0) > 0.99
    noise = rng.normal(size=codes.shape)
    assert bootstrap_stability(noise, rng.integers(0, 8, 90), 10, seed=0) < 0.3
    assert np.isnan(bootstrap_stability(codes, np.zeros(90, int), 3, seed=0))


def test_a_perfect_clustering_of_990_and_10_neurons_is_stable(rng):
    types = np.repeat([0, 1], [990, 10])
    codes = np.eye(2)[types] + rng.normal(0, 0.05, (1000, 2))
    assert bootstrap_stability(codes, types, 5, seed=0) > 0.99


def test_fits_agree_by_neuron_whatever_they_call_their_clusters(three_types):
    _, types = three_types
    renamed = np.array([2, 0, 1])[types]
    first, second = np.arange(0, 70), np.arange(20, 90)
    scores = agreement_between_fits([first, second], [types[first], renamed[second]])
    np.testing.assert_allclose(scores, 1)


def test_a_fit_that_disagrees_lowers_the_score_of_all(three_types, rng):
    _, types = three_types
    everyone = np.arange(90)
    scores = agreement_between_fits([everyone] * 3, [types, types, rng.permutation(types)])
    assert scores[:2] == pytest.approx(0.5, abs=0.05)
    assert scores[2] == pytest.approx(0, abs=0.1)


def test_neurons_without_cluster_do_not_count(three_types):
    _, types = three_types
    some = np.where(np.arange(90) % 5 == 0, -1, types)
    np.testing.assert_allclose(agreement_between_fits([np.arange(90)] * 2, [types, some]), 1)


def test_a_single_fit_and_fits_of_other_neurons_have_no_agreement():
    assert np.isnan(agreement_between_fits([np.arange(3)], [np.zeros(3, int)])).all()
    apart = [np.arange(3), np.arange(3, 6)]
    assert np.isnan(agreement_between_fits(apart, [np.zeros(3, int)] * 2)).all()


def test_halves_estimate_the_weights_from_disjoint_images(rng):
    weights = rng.normal(size=(4, 3))
    features = rng.normal(size=(400, 4, 3)) + 2
    responses = (features * weights).sum(2) + 5
    chunks = [part.swapaxes(0, 1) for part in (features[:151], features[151:])]
    estimates = half_weights(iter(chunks), responses, weights)
    np.testing.assert_allclose(estimates, np.stack([weights] * 2), atol=0.1)
    other = responses.copy()
    other[1::2] = rng.normal(size=(200, 4))
    changed = half_weights(iter(chunks), other, weights)
    correlation = np.corrcoef(changed[0].ravel(), weights.ravel())[0, 1]
    assert correlation > 0.99
    assert abs(changed[1]).max() < 0.5


def test_the_ridge_of_halves_is_the_closed_form(rng):
    weights = np.array([[1.0, -1.0]])
    features, responses = rng.normal(size=(100, 1, 2)), rng.normal(size=(100, 1))
    x, y = features[::2, 0] - features[::2, 0].mean(0), responses[::2, 0] - responses[::2, 0].mean()
    expected = np.linalg.solve(x.T @ x + responses.var() * np.eye(2), x.T @ y)
    found = half_weights(iter([features.swapaxes(0, 1)]), responses, weights)
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-6)


def test_halves_are_of_the_images_that_a_neuron_saw(rng):
    """Two recordings in one give what either gives alone."""
    weights = rng.normal(size=(4, 3))
    features = rng.normal(size=(61, 4, 3))
    everything = (features * weights).sum(2) + rng.normal(size=(61, 4))
    responses = np.full((61, 4), np.nan)
    responses[:30, :2], responses[30:, 2:] = everything[:30, :2], everything[30:, 2:]
    of_neurons = features.swapaxes(0, 1)
    found = half_weights(iter([of_neurons[:, :17], of_neurons[:, 17:]]), responses, weights)
    for images, neurons in ((slice(30), slice(2)), (slice(30, None), slice(2, None))):
        part = of_neurons[neurons, images]
        alone = half_weights(iter([part]), everything[images, neurons], weights[neurons])
        np.testing.assert_allclose(found[:, neurons], alone, rtol=1e-5)  # products are float32


def test_neurons_without_weights_or_responses_have_none_in_halves(rng):
    weights = np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    responses = rng.normal(size=(50, 3)) * [1, 1, 0]
    found = half_weights(iter([rng.normal(size=(3, 50, 2))]), responses, weights)
    assert found[:, 0].all()
    assert not found[:, 1:].any()


def test_pooled_features_times_weights_are_the_drive(rng):
    encoder = build_cnn(ModelSpec.of(factorized()), 0, (1, 12, 13), 3)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    images = torch.from_numpy(rng.normal(size=(300, 1, 12, 13)).astype(np.float32))
    pooled = np.concatenate(list(pooled_features(encoder, images.split(32))), axis=1)
    drive = (pooled * encoder.feature_weights().numpy()[:, None]).sum(2).T
    with torch.inference_mode():
        expected = encoder.readout(encoder.core(images)) - encoder.readout.bias
    np.testing.assert_allclose(drive, expected.numpy(), rtol=1e-3, atol=1e-3)
