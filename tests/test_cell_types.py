import numpy as np
import pytest

from whatwhere.cell_types import LARGEST_SHARE, LEVEL, clearest_gap, find_types, p_value, valley, ward_tree


def unit(weights):
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def typed(rng, sizes, n_channels, noise=0.04):
    """Barcodes (neuron, channel) around unit vectors, and their types."""
    types = np.repeat(np.arange(len(sizes)), sizes)
    return unit(np.eye(n_channels)[types] + noise * rng.normal(size=(len(types), n_channels))), types


def same(one, other):
    """Whether two labellings are the same partition."""
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


def ring(rng, n_neurons, n_features, width):
    """Weights (neuron, feature) of orientations uniform on the circle, and of features that tile it."""
    angle = rng.uniform(0, 2 * np.pi, (n_neurons, 1))
    return np.exp((np.cos(angle - np.arange(n_features) * 2 * np.pi / n_features) - 1) / width**2)


CONTINUA = {
    "blob": lambda rng: 1 + 0.3 * rng.normal(size=(60, 4)),
    "sphere": lambda rng: rng.normal(size=(60, 3)),
    "arc": lambda rng: np.stack([np.cos(a := rng.uniform(0, 1.5, 60)), np.sin(a)], 1),
    "exponential": lambda rng: rng.exponential(size=(60, 4)),
    "circle": lambda rng: ring(rng, 200, 6, 0.8) + 0.03 * rng.normal(size=(200, 6)),
    "circle of narrow features": lambda rng: ring(rng, 200, 8, 0.5) + 0.03 * rng.normal(size=(200, 8)),
}


@pytest.mark.parametrize("kind", CONTINUA)
def test_a_continuum_is_one_type(kind):
    p_values = [p_value(unit(CONTINUA[kind](np.random.default_rng(seed)))) for seed in range(30)]
    assert np.mean(np.array(p_values) <= LEVEL) < 0.1


@pytest.mark.parametrize("sizes", [[10, 10], [60, 3], [8] * 5])
def test_types_are_found_whatever_their_number_and_sizes(sizes, rng):
    codes, types = typed(rng, sizes, 5)
    labels, p = find_types(codes)
    assert same(types, labels)
    assert p < 0.001
    assert np.bincount(labels)[0] == max(sizes)


def test_the_number_of_types_has_no_cap(rng):
    codes, types = typed(rng, [6] * 24, 24, noise=0.02)
    assert same(types, find_types(codes)[0])


def test_an_outlier_is_no_type(rng):
    codes, _ = typed(rng, [20, 20, 1], 3)
    assert find_types(codes)[0].max() == 1


def test_equal_barcodes_are_one_type_and_two_that_are_shared_exactly_two(rng):
    assert find_types(np.ones((20, 3)) / np.sqrt(3))[0].max() == 0
    shared = np.repeat(np.eye(2), 10, axis=0)
    assert same(find_types(shared)[0], np.repeat([0, 1], 10))


@pytest.mark.parametrize("seed", [0, 1])
def test_types_known_exactly_are_not_split_by_what_rounding_left(seed):
    """Posterior weights of 2^13 images, whose squares are zero: 34 types were found instead of two."""
    rng = np.random.default_rng(seed)
    weights = np.repeat(np.eye(2), 100, axis=0)
    left = 10 ** rng.uniform(-44, -40, (2, 100))
    weights[:100, 1], weights[100:, 0] = np.where(rng.random((2, 100)) < 0.5, 0, left)
    assert same(find_types(weights)[0], np.repeat([0, 1], 100))


def test_a_gap_below_the_resolution_is_no_valley():
    equal = np.tile([1.0, 0.0], (10, 1))
    for gap, is_valley in ((1e-20, False), (1e-5, False), (0.01, True)):
        assert (valley(equal, equal + np.array([0, gap])) > 20) == is_valley


@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_handful_of_neurons_is_one_type_without_a_p_value(n, rng):
    labels, p = find_types(unit(rng.normal(size=(n, 3))))
    assert labels.tolist() == [0] * n
    assert np.isnan(p)


def test_groups_that_explain_less_than_the_bound_are_no_types(rng):
    """A share of 0.15 within groups is no type however many neurons there are; 0.03 is one with twenty."""
    for share, n_neurons, are_types in ((0.15, 500, False), (0.03, 10, True)):
        within, between = np.sqrt(share), np.sqrt(1 - share)
        sides = np.repeat([-1, 1], n_neurons)
        codes = np.column_stack([between * sides + within * rng.uniform(-1, 1, len(sides)) * np.sqrt(3)])
        assert (p_value(codes) <= LEVEL) == are_types


def test_a_cut_through_an_even_line_is_no_valley_and_a_gap_is_one():
    line = np.column_stack([np.linspace(0, 1, 400), np.zeros(400)])
    assert valley(line[:200], line[200:]) < 0.05
    assert valley(line[:20], line[20:]) < 0.05
    assert valley(line[:150], line[250:]) < 1
    assert valley(line[:100], line[300:]) > 20


def test_the_evidence_of_a_valley_is_the_rate_of_small_variances():
    # Two clusters of points at -1 and 1 around +-10: 1 of 101 parts of the variance is within them; leaving
    # oneself out of 1000 changes little.
    cluster = np.tile([[9.0, 0.0], [11.0, 0.0]], (500, 1))
    share = 1 / 101 / LARGEST_SHARE
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


def test_the_clearest_gap_lies_between_types(rng):
    codes, types = typed(rng, [30, 30], 3)
    evidence, position = clearest_gap(codes)
    assert evidence == pytest.approx(valley(codes[:30], codes[30:]))
    assert same(position > 0, types)
    assert abs(position[types == types[np.argmax(position)]].mean() - 0.5) < 0.01


def test_neurons_of_neither_group_have_no_position(rng):
    codes, types = typed(rng, [12, 10, 10], 3, noise=0.01)
    codes[types == 0] = unit(rng.normal(size=(12, 3)) * [0.01, 0.3, 0.3] + [-1, 0, 0])
    assert np.isfinite(clearest_gap(codes)[1]).sum() >= 20
    assert np.isnan(clearest_gap(codes[:3])[1]).all()
