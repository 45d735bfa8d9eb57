"""Test for cell types, and their number: gaps between barcodes, compared with gaps of continua of cells.

Clustering finds clusters in anything. Orientations that are uniform on the circle have no gap, yet weights of
a model that describes them by a few features have: the weights of cells next to a feature are similar, and
change fast from one feature to the next. Here a cut through barcodes counts as a border between types only if
the groups on both sides are narrower, in units of their distance, than groups of such continua are.
"""

import itertools

import numpy as np

RESOLUTION = 1e-4
"""Smallest difference of barcodes, which have length 1; smaller differences are those of rounding."""
SMALLEST_TYPE = 3  # fewest neurons of a type; fewer are outliers of another type
LEVEL = 0.05  # of the test of all neurons, and of all tests together that may split pure types
LARGEST_SHARE = 0.12
"""Largest share of the variance along the axis between two types that may be within types.

Cutting a uniform line leaves 0.25. Cutting continua of cells leaves 0.12 to 0.3 in weights of networks and of
factorized ridges, beside chance (docs/statistics.md).
"""


def valley(first: np.ndarray, second: np.ndarray) -> float:
    """Evidence for a gap between two clusters (neuron, channel), of at least two neurons each.

    It is the negative log of a bound on a probability. Neurons are projected on the axis between the centers,
    each with centers that do not know it. Of the larger cluster only those next to the smaller one count, as
    many as that has: sizes and what lies far away are of no consequence. If a share q times
    :data:`LARGEST_SHARE` of the variance is within the two parts, the evidence is (n - 1) (q - 1 - log q),
    the rate at which variances of n neurons fall below their expectation.
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
    share = max(within / (within + apart**2 / 4) / LARGEST_SHARE, 1e-6)
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


def clearest_gap(barcodes: np.ndarray) -> tuple[float, np.ndarray]:
    """Largest :func:`valley` over all nodes of Ward's tree whose children are large enough for types.

    Returns the evidence, and positions (neuron,) on the axis between the two children, whose centers lie at
    -1/2 and 1/2; NaN of neurons outside the node.
    """
    position = np.full(len(barcodes), np.nan)
    if len(barcodes) < 2 * SMALLEST_TYPE:
        return 0.0, position
    order, cuts = ward_tree(barcodes)
    ordered, cuts = barcodes[order], cuts[np.diff(cuts).min(1) >= SMALLEST_TYPE]
    if not len(cuts):
        return 0.0, position
    evidence = [valley(ordered[a:b], ordered[b:c]) for a, b, c in cuts]
    a, b, c = cuts[np.argmax(evidence)]
    first, second = ordered[a:b], ordered[b:c]
    position[order[a:b]] = -_positions(first, first.mean(0), second.mean(0))
    position[order[b:c]] = _positions(second, second.mean(0), first.mean(0))
    return max(evidence), position


def p_value(barcodes: np.ndarray) -> float:
    """Probability of a gap as clear as the clearest gap of barcodes (neuron, channel), if there are no types.

    It is a bound for continua whose cuts all leave :data:`LARGEST_SHARE`. NaN for fewer neurons than two of
    the smallest types have.
    """
    return float(np.exp(-clearest_gap(barcodes)[0])) if len(barcodes) >= 2 * SMALLEST_TYPE else np.nan


def find_types(barcodes: np.ndarray) -> tuple[np.ndarray, float]:
    """Types of neurons, one if nothing speaks against a continuum.

    Ward's tree is cut from the root as long as the neurons of a node are no continuum, below the root at a
    level that shrinks with their share of all neurons, so that all pure types together are split as rarely
    as one (Kimes et al. 2017). Ward cuts large clusters early: pairs of which the union is a continuum are
    joined again.

    Parameters
    ----------
    barcodes
        (neuron, channel), unit vectors.

    Returns
    -------
    (neuron,) labels from 0, the largest type first, and the p-value of all neurons.
    """
    whole = p_value(barcodes)
    if not whole <= LEVEL:
        return np.zeros(len(barcodes), int), whole
    groups = [pure for half in _halves(barcodes) for pure in _pure(barcodes, half)]
    labels = np.empty(len(barcodes), int)
    for label, group in enumerate(sorted(_joined(barcodes, groups), key=len, reverse=True)):
        labels[group] = label
    return labels, whole


def _halves(barcodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the two children of the root of Ward's tree."""
    order, cuts = ward_tree(barcodes)
    return order[: cuts[-1, 1]], order[cuts[-1, 1] :]


def _is_continuum(barcodes: np.ndarray, group: np.ndarray) -> bool:
    """Whether nothing speaks against one type of a group of neurons (index,), which are not all neurons."""
    return not p_value(barcodes[group]) <= LEVEL * len(group) / len(barcodes)


def _pure(barcodes: np.ndarray, group: np.ndarray) -> list[np.ndarray]:
    """Splits a group of neurons (index,) until every group is a continuum."""
    if _is_continuum(barcodes, group):
        return [group]
    return [pure for half in _halves(barcodes[group]) for pure in _pure(barcodes, group[half])]


def _joined(barcodes: np.ndarray, groups: list[np.ndarray]) -> list[np.ndarray]:
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
        if not _is_continuum(barcodes, union):
            break
        large = [group for group in large if group is not one and group is not other] + [union]
    return large
