import numpy as np
import pytest

from whatwhere import cell_types
from whatwhere.cell_types import compare, deepest_valley, find_types, fit_continuum, valley, ward_tree


def unit(weights):
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def typed(rng, sizes, n_channels, noise=0.04):
    """Barcodes (neuron, channel) around unit vectors, and their types."""
    types = np.repeat(np.arange(len(sizes)), sizes)
    return unit(np.eye(n_channels)[types] + noise * rng.normal(size=(len(types), n_channels))), types


def same(one, other):
    """Whether two labellings are the same partition."""
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


CONTINUA = {
    "blob": lambda rng: 1 + 0.3 * rng.normal(size=(60, 4)),
    "sphere": lambda rng: rng.normal(size=(60, 3)),
    "arc": lambda rng: np.stack([np.cos(a := rng.uniform(0, 1.5, 60)), np.sin(a)], 1),
    "correlated": lambda rng: rng.normal(size=(60, 2)) @ np.array([[1, 0.9], [0, 0.44]]),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONTINUA)
def test_a_continuum_is_one_type(kind):
    found = [
        find_types(unit(CONTINUA[kind](np.random.default_rng(seed))), np.random.default_rng(0))
        for seed in range(3)
    ]
    assert sorted(labels.max() for labels, _ in found)[:2] == [0, 0]


@pytest.mark.parametrize("sizes", [[10, 10], [60, 3], [8] * 5])
def test_types_are_found_whatever_their_number_and_sizes(sizes, rng):
    codes, types = typed(rng, sizes, 5)
    labels, test = find_types(codes, rng)
    assert same(types, labels)
    assert test.p_value < 0.001
    assert np.bincount(labels)[0] == max(sizes)


@pytest.mark.slow
def test_the_number_of_types_has_no_cap(rng, monkeypatch):
    monkeypatch.setattr(cell_types, "N_CONTINUA", 20)
    codes, types = typed(rng, [6] * 24, 24, noise=0.02)
    assert same(types, find_types(codes, rng)[0])


def test_an_outlier_is_no_type(rng):
    codes, _ = typed(rng, [20, 20, 1], 3)
    assert find_types(codes, rng)[0].max() == 1


def test_equal_barcodes_are_one_type_and_two_that_are_shared_exactly_two(rng):
    assert find_types(np.ones((20, 3)) / np.sqrt(3), rng)[0].max() == 0
    shared = np.repeat(np.eye(2), 10, axis=0)
    assert same(find_types(shared, rng)[0], np.repeat([0, 1], 10))


@pytest.mark.parametrize("seed", [0, 1])
def test_types_known_exactly_are_not_split_by_what_rounding_left(seed, monkeypatch):
    """Posterior weights of 2^13 images, whose squares are zero: 34 types were found instead of two."""
    monkeypatch.setattr(cell_types, "N_CONTINUA", 20)
    rng = np.random.default_rng(seed)
    weights = np.repeat(np.eye(2), 100, axis=0)
    left = 10 ** rng.uniform(-44, -40, (2, 100))
    weights[:100, 1], weights[100:, 0] = np.where(rng.random((2, 100)) < 0.5, 0, left)
    assert same(find_types(weights, rng)[0], np.repeat([0, 1], 100))


def test_a_gap_below_the_resolution_is_no_valley():
    equal = np.tile([1.0, 0.0], (10, 1))
    for gap, is_valley in ((1e-20, False), (1e-5, False), (0.01, True)):
        assert (valley(equal, equal + np.array([0, gap])) > 20) == is_valley


@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_handful_of_neurons_is_one_type_without_a_p_value(n, rng):
    labels, test = find_types(unit(rng.normal(size=(n, 3))), rng)
    assert labels.tolist() == [0] * n
    assert np.isnan(test.p_value)


def test_the_p_value_of_ten_neurons_is_that_of_many_simulations():
    """A tail with the moments of 20 continua, most of them without a valley, made it 5e-16."""
    codes, types = typed(np.random.default_rng(0), [10] * 5, 5, noise=0.02)
    unlucky = max((codes[types == k] for k in range(5)), key=deepest_valley)
    rng = np.random.default_rng(1)
    continuum = fit_continuum(unlucky)
    null = [deepest_valley(continuum.draw(10, "uniform", rng)) for _ in range(400)]
    simulated = np.mean(np.array(null) >= deepest_valley(unlucky))
    assert simulated / 4 < compare(unlucky, rng).p_value < 4 * simulated


def test_the_same_seed_gives_the_same_test(rng):
    codes = unit(rng.normal(size=(30, 3)))
    one, other = (compare(codes, np.random.default_rng(3)) for _ in range(2))
    assert one.p_value == other.p_value
    np.testing.assert_array_equal(one.null, other.null)


def test_a_cut_through_an_even_line_is_no_valley_and_a_gap_is_one():
    line = np.column_stack([np.linspace(0, 1, 400), np.zeros(400)])
    assert valley(line[:200], line[200:]) < 0.05
    assert valley(line[:20], line[20:]) < 0.05
    assert valley(line[:150], line[250:]) > 20


def test_the_evidence_of_a_valley_is_the_rate_of_small_variances():
    # Two clusters of points at -1 and 1 around +-10: 1 of 101 parts of the variance is within them; leaving
    # oneself out of 1000 changes little.
    cluster = np.tile([[9.0, 0.0], [11.0, 0.0]], (500, 1))
    share = 4 / 101
    assert valley(cluster, -cluster) == pytest.approx(999 * (share - 1 - np.log(share)), rel=0.01)


def test_a_cut_that_follows_noise_in_many_channels_is_no_valley(rng):
    noise = rng.normal(size=(8, 500))
    assert valley(noise[:4], noise[4:]) == 0


def test_every_node_of_the_tree_is_an_interval_of_its_order(rng):
    codes = rng.normal(size=(12, 3))
    order, cuts = ward_tree(codes)
    assert sorted(order) == list(range(12))
    assert cuts[-1][[0, 2]].tolist() == [0, 12]
    first, middle, stop = cuts[0]
    closest = np.linalg.norm(codes[:, None] - codes + 9 * np.eye(12)[:, :, None], axis=2)
    pair = np.unravel_index(closest.argmin(), closest.shape)
    assert (middle - first, stop - middle) == (1, 1)
    assert sorted(order[first:stop]) == sorted(pair)


def test_a_continuum_has_the_mean_and_spread_of_the_barcodes(rng):
    weights = np.array([1.0, 0.5, 0.0]) + rng.normal(size=(1000, 3)) @ np.diag([0.2, 0.8, 0.4])
    codes = unit(weights)
    drawn = fit_continuum(codes).draw(20000, "gaussian", rng)
    np.testing.assert_allclose(drawn.mean(0), codes.mean(0), atol=0.02)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T), atol=0.02)


def test_a_continuum_of_correlated_features_keeps_its_two_poles(rng):
    codes = unit(rng.normal(size=(1000, 2)) @ np.array([[3.0, 0], [0, 1]]))
    drawn = fit_continuum(codes).draw(20000, "gaussian", rng)
    assert (drawn[:, 0] ** 2).mean() == pytest.approx(3 / 4, abs=0.02)


def test_the_deepest_valley_lies_between_types(rng):
    codes, _ = typed(rng, [30, 30], 3)
    assert deepest_valley(codes) == pytest.approx(valley(codes[:30], codes[30:]))
