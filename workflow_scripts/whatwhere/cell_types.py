"""Test for cell types, and their number: valleys between barcodes compared with valleys of a continuum.

Clustering finds clusters in anything. Here a cut through barcodes counts as a border between types only if
it is emptier than the emptiest cut through continua with the mean and the spread of the data.
"""

import itertools
from dataclasses import dataclass
from math import gamma

import numpy as np

RESOLUTION = 1e-4
"""Smallest difference of barcodes, which have length 1; smaller differences are those of rounding."""
SMALLEST_TYPE = 3  # fewest neurons of a type; fewer are outliers of another type
LEVEL = 0.05  # level of the test of all neurons
SPLIT_LEVEL = 0.01  # level of all tests together that may split pure types once there are types
N_CONTINUA = 100  # simulated continua of every shape that a test compares with, at most
MOST_NEURONS = 1000  # neurons of a test; of more neurons a sample is tested
CLEAR = (1e-5, 0.3)  # outside these p-values no more continua are simulated
SHAPES = {"gaussian": 0.5, "uniform": 0.0}  # shapes of a continuum: exponent 1 / b of densities exp(-|z|^b)
_LEAST_SCALE = 0.6
"""Smallest scale of the tail of the null. Most continua of ten neurons have no valley, so that their moments
say too little about the deep ones; the scale of fifty neurons and more is larger."""
_STEPS, _GRID = 60, np.linspace(-6, 6, 41)
_BATCH = 20


@dataclass(frozen=True)
class Continuum:
    """Barcodes without types: unit vectors along ``mean`` + ``root`` z, with independent z of variance 1."""

    mean: np.ndarray  # (channel,)
    root: np.ndarray  # (channel, channel) symmetric root of the covariance

    def draw(self, n_neurons: int, shape: str, rng: np.random.Generator) -> np.ndarray:
        """Barcodes (neuron, channel); ``shape`` is a key of :data:`SHAPES`."""
        exponent = SHAPES[shape]
        z = rng.uniform(-1, 1, (n_neurons, len(self.mean)))
        if exponent:
            z *= rng.gamma(1 + exponent, size=z.shape) ** exponent
        z /= np.sqrt(gamma(1 + 3 * exponent) / (3 * gamma(1 + exponent)))
        weights = self.mean + z @ self.root
        return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def fit_continuum(barcodes: np.ndarray) -> Continuum:
    """The general projected normal distribution that fits barcodes (neuron, channel) best.

    Weights are Gaussian and normalization hides their length, which EM puts back (Presnell et al. 1998;
    Wang and Gelfand 2013). One blob, an arc, the whole sphere and correlated features, which have two
    opposite modes, are all of this family. The covariance is shrunk where neurons are few (Chen et al.
    2010, OAS).
    """
    n_neurons, n_channels = barcodes.shape
    mean = barcodes.mean(0)
    covariance = _shrunk(np.cov(barcodes.T, bias=True).reshape(n_channels, n_channels), n_neurons)
    for _ in range(_STEPS):
        length, squared = _lengths(barcodes, mean, covariance)
        mean = length @ barcodes / n_neurons
        second = (barcodes.T * squared) @ barcodes / n_neurons
        covariance = _shrunk(second - np.outer(mean, mean), n_neurons)
        # Only directions are seen: the scale is free.
        scale = np.sqrt(np.trace(second))
        mean, covariance = mean / scale, covariance / scale**2
    values, vectors = np.linalg.eigh(covariance)
    return Continuum(mean, (vectors * np.sqrt(values.clip(min=0))) @ vectors.T)


def _lengths(barcodes: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected length and squared length (neuron,) of Gaussian weights whose direction is known."""
    precision = np.linalg.inv(covariance)
    weighted = barcodes @ precision
    curvature = (weighted * barcodes).sum(1)
    slope = weighted @ mean
    power = len(mean) - 1
    # The density r^power exp(slope r - curvature r^2 / 2), on a grid around its mode.
    mode = (slope + np.sqrt(slope**2 + 4 * curvature * power)) / (2 * curvature)
    mode = np.maximum(mode, 1e-3 / np.sqrt(curvature))
    width = 1 / np.sqrt(curvature + power / mode**2)
    radius = np.maximum(mode[:, None] + width[:, None] * _GRID, 1e-6 * mode[:, None])
    density = power * np.log(radius) + slope[:, None] * radius - curvature[:, None] * radius**2 / 2
    share = np.exp(density - density.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    return (share * radius).sum(1), (share * radius**2).sum(1)


def _shrunk(covariance: np.ndarray, n_neurons: int) -> np.ndarray:
    """Oracle approximating shrinkage of a covariance (channel, channel) towards the sphere."""
    n_channels = len(covariance)
    trace, squares = np.trace(covariance), (covariance**2).sum()
    excess = (n_neurons + 1) * (squares - trace**2 / n_channels)
    share = min(1.0, (squares + trace**2) / excess) if excess > 0 else 1.0
    return (1 - share) * covariance + (share * trace / n_channels + RESOLUTION**2) * np.eye(n_channels)


def valley(first: np.ndarray, second: np.ndarray) -> float:
    """Evidence that few neurons lie between two clusters (neuron, channel), of at least two neurons each.

    It is about the negative log of a probability. Neurons are projected on the axis between the centers, each
    with centers that do not know it. Of the larger cluster only those next to the smaller one count, as many
    as that has: sizes and what lies far away are of no consequence. Cutting a uniform piece leaves a quarter
    of the variance within the two parts, and any other density without valley leaves more. With a share q / 4
    the evidence is (n - 1) (q - 1 - log q), the rate at which variances of n neurons fall below their
    expectation.
    """
    if len(first) > len(second):
        first, second = second, first
    n = len(first)
    # Sums over counts: numpy's mean and var take as long again to find out what they are given, 50,000 times.
    centers = first.sum(0) / n, second.sum(0) / len(second)
    near = -_positions(first, centers[0], centers[1])
    far = np.partition(_positions(second, centers[1], centers[0]), n - 1)[:n]
    means = near.sum() / n, far.sum() / n
    apart = means[1] - means[0]
    if apart <= 0:
        return 0.0
    within = (((near - means[0]) ** 2).sum() + ((far - means[1]) ** 2).sum()) / n / 2
    # Positions are in units of the distance between the centers.
    within += RESOLUTION**2 / max(((centers[0] - centers[1]) ** 2).sum(), 1e-12)
    share = max(4 * within / (within + apart**2 / 4), 1e-6)
    return float((n - 1) * (share - 1 - np.log(share))) if share < 1 else 0.0


def _positions(cluster: np.ndarray, center: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Position (neuron,) between the middle, 0, and the own center, about 1/2, computed without oneself."""
    n = len(cluster)
    left_out = (n * center - cluster) / (n - 1)
    axis = left_out - other
    return ((cluster - (left_out + other) / 2) * axis).sum(1) / np.maximum((axis**2).sum(1), 1e-12)


def ward_tree(barcodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ward's tree of barcodes (neuron, channel): an order of neurons, and nodes from the leaves to the root.

    In the order (neuron,) the neurons of every node are adjacent. Nodes are (node, 3): first neuron, first of
    the second child, and end.
    """
    # Most jobs that import this module have no barcodes.
    from scipy.cluster.hierarchy import ward

    merges = ward(barcodes)
    n = len(barcodes)
    size = [1] * n + merges[:, 3].astype(int).tolist()
    start = [0] * len(size)
    cuts = []
    # From the root, which comes last, to the leaves: the first child begins where its parent does.
    for node, (left, right) in reversed(list(enumerate(merges[:, :2].astype(int).tolist(), start=n))):
        start[left], start[right] = start[node], start[node] + size[left]
        cuts.append((start[left], start[right], start[node] + size[node]))
    order = np.empty(n, int)
    order[start[:n]] = np.arange(n)
    return order, np.array(cuts[::-1])


def deepest_valley(barcodes: np.ndarray) -> float:
    """Largest :func:`valley` over all nodes of Ward's tree whose children are large enough for types."""
    order, cuts = ward_tree(barcodes)
    ordered, cuts = barcodes[order], cuts[np.diff(cuts).min(1) >= SMALLEST_TYPE]
    return max((valley(ordered[a:b], ordered[b:c]) for a, b, c in cuts), default=0.0)


@dataclass(frozen=True)
class TypeTest:
    """Types or continuum.

    Attributes
    ----------
    p_value
        Probability of such a valley in the least favorable continuum.
    valley
        The deepest valley of the data.
    null
        (shape, continuum) deepest valleys of simulated continua, shapes as in :data:`SHAPES`.
    """

    p_value: float
    valley: float
    null: np.ndarray


def compare(barcodes: np.ndarray, rng: np.random.Generator) -> TypeTest:
    """Tests whether barcodes (neuron, channel) have a deeper valley than continua with the same spread.

    The tail of the null is a Gumbel distribution, that of maxima, with the mean and variance of the
    simulated valleys. Continua are drawn until the answer is clear, at most :data:`N_CONTINUA`. Of more
    than :data:`MOST_NEURONS` neurons a sample is tested; fewer than two of the smallest types have no
    p-value.
    """
    if len(barcodes) < 2 * SMALLEST_TYPE:
        return TypeTest(np.nan, 0.0, np.empty((len(SHAPES), 0)))
    if len(barcodes) > MOST_NEURONS:
        barcodes = barcodes[rng.permutation(len(barcodes))[:MOST_NEURONS]]
    deepest = deepest_valley(barcodes)
    continuum = fit_continuum(barcodes)
    null = np.empty((len(SHAPES), 0))
    p_value = LEVEL
    while null.shape[1] < N_CONTINUA and CLEAR[0] < p_value < CLEAR[1]:
        more = [
            [deepest_valley(continuum.draw(len(barcodes), shape, rng)) for _ in range(_BATCH)]
            for shape in SHAPES
        ]
        null = np.hstack([null, more])
        p_value = float(_above(deepest, null).max())
    return TypeTest(p_value, deepest, null)


def _above(value: float, null: np.ndarray) -> np.ndarray:
    """Probability (shape,) of more than a value in Gumbel distributions with the moments of (shape, draw)."""
    scale = np.maximum(null.std(1) * np.sqrt(6) / np.pi, _LEAST_SCALE)
    standard = np.clip((value - null.mean(1)) / scale + np.euler_gamma, -30, 700)
    return -np.expm1(-np.exp(-standard))


def find_types(barcodes: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, TypeTest]:
    """Types of neurons, one if nothing speaks against a continuum.

    Ward's tree is cut from the root as long as the neurons of a node are no continuum, below the root at a
    level that shrinks with their share of all neurons, so that all pure types together are split as rarely
    as one (Kimes et al. 2017). Ward cuts large clusters early: pairs of which the union is a continuum are
    joined again.

    Parameters
    ----------
    barcodes
        (neuron, channel), unit vectors.
    rng
        Draws the continua.

    Returns
    -------
    (neuron,) labels from 0, the largest type first, and the test of all neurons.
    """
    whole = compare(barcodes, rng)
    if not whole.p_value <= LEVEL:
        return np.zeros(len(barcodes), int), whole
    groups = [pure for half in _halves(barcodes) for pure in _pure(barcodes, half, rng)]
    labels = np.empty(len(barcodes), int)
    for label, group in enumerate(sorted(_joined(barcodes, groups, rng), key=len, reverse=True)):
        labels[group] = label
    return labels, whole


def _halves(barcodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the two children of the root of Ward's tree."""
    order, cuts = ward_tree(barcodes)
    return order[: cuts[-1, 1]], order[cuts[-1, 1] :]


def _is_continuum(barcodes: np.ndarray, group: np.ndarray, rng: np.random.Generator) -> bool:
    """Whether nothing speaks against one type of a group of neurons (index,), which are not all neurons."""
    return not compare(barcodes[group], rng).p_value <= SPLIT_LEVEL * len(group) / len(barcodes)


def _pure(barcodes: np.ndarray, group: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Splits a group of neurons (index,) until every group is a continuum."""
    if _is_continuum(barcodes, group, rng):
        return [group]
    return [pure for half in _halves(barcodes[group]) for pure in _pure(barcodes, group[half], rng)]


def _joined(barcodes: np.ndarray, groups: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Joins outliers with the nearest group, then the pair with the least valley while it is a continuum."""
    large = [group for group in groups if len(group) >= SMALLEST_TYPE]
    centers = np.stack([barcodes[group].mean(0) for group in large])
    for group in groups:
        if len(group) < SMALLEST_TYPE:
            nearest = int(np.linalg.norm(centers - barcodes[group].mean(0), axis=1).argmin())
            large[nearest] = np.concatenate([large[nearest], group])
    while len(large) > 2:
        pairs = list(itertools.combinations(large, 2))
        one, other = min(pairs, key=lambda pair: valley(*(barcodes[group] for group in pair)))
        union = np.concatenate([one, other])
        if not _is_continuum(barcodes, union, rng):
            break
        large = [group for group in large if group is not one and group is not other] + [union]
    return large
