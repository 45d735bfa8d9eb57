"""Feature weights as barcodes of cell types: normalization, clusters, and what they have in common."""

# Libraries are imported where they are needed: a second for every job that only normalizes barcodes.

import numpy as np

from whatwhere.missing import variance

LEAST_VARIANCE = 1e-3  # of predictions, as a share of that of the responses, for weights to mean anything


def has_weights(predictions: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Marks neurons (neuron,) with meaningful weights: neurons whose predictions vary beside their responses.

    Penalties shrink the weights of a neuron that nothing explains until they hardly move, and not to 0. Their
    direction is chance. ``predictions`` and ``responses`` are (image, neuron), NaN where not seen.
    """
    return variance(predictions) > LEAST_VARIANCE * variance(responses)


def normalize(feature_weights: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Barcodes: feature weights (neuron, channel) with the sign and scale that the factorization leaves open.

    Mask (neuron, y, x) and weights enter as a product, so (-mask, -weights) and (mask * c, weights / c) are
    the same neuron. The sign makes the part of the mask with more squared weight positive; the scale makes
    the weights a unit vector. A neuron without weights keeps zeros.
    """
    signed = feature_weights * mask_signs(masks)[:, None]
    norm = np.linalg.norm(signed, axis=1, keepdims=True)
    return np.divide(signed, norm, out=np.zeros_like(signed), where=norm > 0)


def mask_signs(masks: np.ndarray) -> np.ndarray:
    """Sign (neuron,) of the part of every mask (neuron, y, x) with more squared weight; 1 of zeros.

    Of masks fitted to two halves of the images of macaque V4, fewer signs differ than of the largest values.
    """
    return np.where((masks * np.abs(masks)).sum((1, 2)) < 0, -1.0, 1.0)


def cluster(barcodes: np.ndarray, n_clusters: int) -> np.ndarray:
    """Ward's clusters of barcodes (neuron, channel): (neuron,) labels from 0, at most one per neuron."""
    if n_clusters < 2 or len(barcodes) < 2:
        return np.zeros(len(barcodes), int)
    from scipy.cluster.hierarchy import fcluster, ward

    return fcluster(ward(barcodes), n_clusters, "maxclust") - 1


def centers_of(barcodes: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Mean barcode (cluster, channel) of clusters (neuron,) that are numbered from 0."""
    return np.stack([barcodes[clusters == label].mean(0) for label in range(clusters.max() + 1)])


def nearest(barcodes: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Nearest of the centers (cluster, channel) for every barcode (neuron, channel), (neuron,)."""
    from scipy.spatial.distance import cdist

    return cdist(barcodes, centers).argmin(1)


def certainty(barcodes: np.ndarray, clusters: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """Probability (neuron,) that a neuron belongs to its cluster and no other, given repeated estimates.

    Clusters are Gaussian with equal shares and one common variance per channel, so that a neuron between two
    centers, or with other barcodes in other images, is uncertain. ``barcodes`` are (neuron, channel),
    ``clusters`` (neuron,) labels from 0, ``estimates`` (estimate, neuron, channel) barcodes of the same
    neurons, e.g. from halves of the images. Returns the mean posterior probability of the own cluster over
    the estimates; 1 if there is one cluster.
    """
    if not len(barcodes):
        return np.empty(0)
    from scipy.special import softmax

    centers = centers_of(barcodes, clusters)
    spread = ((estimates - centers[clusters]) ** 2).mean((0, 1)) + 1e-12
    squared = ((estimates[:, :, None] - centers) ** 2 / spread).sum(3)
    posterior = softmax(-squared / 2, axis=2)
    return posterior[:, np.arange(len(clusters)), clusters].mean(0)


def aligned_means(
    maps: np.ndarray, positions: np.ndarray, clusters: np.ndarray, half_width: int
) -> np.ndarray:
    """Mean of maps over the neurons of every cluster, each shifted to its neuron's position.

    ``maps`` are (neuron, y, x), ``positions`` (neuron, 2) integer (y, x) that become the center, ``clusters``
    (neuron,) labels from 0. Returns (cluster, 2 half_width + 1, 2 half_width + 1) pixels; what lies outside
    the images does not count, and is NaN where that holds for all neurons of a cluster.
    """
    margin = ((0, 0), (half_width, half_width), (half_width, half_width))
    padded = np.pad(maps, margin, constant_values=np.nan)
    size = 2 * half_width + 1
    places = zip(padded, positions, strict=True)
    patches = np.array([image[y : y + size, x : x + size] for image, (y, x) in places])
    means = []
    for label in np.unique(clusters):
        mine = patches[clusters == label]
        counts = np.isfinite(mine).sum(0)
        sums = np.nansum(mine, 0)
        means.append(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))
    return np.array(means).reshape(-1, size, size)
