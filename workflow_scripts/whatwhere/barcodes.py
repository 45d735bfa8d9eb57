"""Feature weights as barcodes of cell types: normalisation, clustering, agreement."""

from __future__ import annotations

import itertools

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score

MAX_CLUSTERS = 20
_SILHOUETTE_SAMPLE = 2000


def normalize(feature_weights: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Barcodes: feature weights with the sign and the scale that the factorisation leaves open.

    Mask and weights enter as a product, so (-mask, -weights) and (mask * c, weights / c) are the same
    neuron. The sign makes the mask's largest absolute value positive; the scale makes the weights a unit
    vector. A neuron without weights keeps zeros.

    Parameters
    ----------
    feature_weights
        (neuron, channel).
    masks
        (neuron, y, x).

    Returns
    -------
    (neuron, channel).
    """
    flat = masks.reshape(len(masks), -1)
    peak = flat[np.arange(len(flat)), np.abs(flat).argmax(1)]
    signed = feature_weights * np.where(peak < 0, -1.0, 1.0)[:, None]
    norm = np.linalg.norm(signed, axis=1, keepdims=True)
    return np.divide(signed, norm, out=np.zeros_like(signed), where=norm > 0)


def cluster(barcodes: np.ndarray, n_clusters: int, seed: int) -> np.ndarray:
    """k-means clusters of barcodes (neuron, channel), (neuron,) labels from 0."""
    return KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(barcodes)


def silhouettes(barcodes: np.ndarray, seed: int) -> dict[int, float]:
    """Mean silhouette of the clustering with every number of clusters from 2 to :data:`MAX_CLUSTERS`.

    Parameters
    ----------
    barcodes
        (neuron, channel); more than 2000 neurons are sampled for the silhouette, not for the clustering.
    seed
        Of k-means and of the sample.
    """
    distinct = len(np.unique(barcodes.round(6), axis=0))
    counts = range(2, min(MAX_CLUSTERS, distinct, len(barcodes) - 1) + 1)
    return {count: _silhouette(barcodes, cluster(barcodes, count, seed), seed) for count in counts}


def _silhouette(barcodes: np.ndarray, clusters: np.ndarray, seed: int) -> float:
    """Mean silhouette over at most 2000 neurons, among them one of every cluster."""
    order = np.random.default_rng(seed).permutation(len(barcodes))
    _, first = np.unique(clusters[order], return_index=True)
    sample = np.sort(order[np.union1d(np.arange(min(len(order), _SILHOUETTE_SAMPLE)), first)])
    return float(silhouette_score(barcodes[sample], clusters[sample]))


def choose_n_clusters(barcodes: np.ndarray, seed: int) -> tuple[int, float]:
    """Number of clusters with the highest mean silhouette, and that silhouette.

    One cluster, without silhouette (NaN), if there are too few distinct barcodes.
    """
    scores = silhouettes(barcodes, seed)
    best = max(scores, key=scores.__getitem__, default=1)
    return best, scores.get(best, np.nan)


def bootstrap_stability(barcodes: np.ndarray, clusters: np.ndarray, n_bootstraps: int, seed: int) -> float:
    """Agreement of a clustering with those of resampled neurons.

    Every bootstrap clusters neurons drawn with replacement and assigns all neurons to its centres.

    Parameters
    ----------
    barcodes
        (neuron, channel).
    clusters
        (neuron,) labels of the clustering of all neurons.
    n_bootstraps
        Number of resamplings.
    seed
        Of the resampling and of k-means.

    Returns
    -------
    Mean adjusted Rand index against ``clusters``: 1 if they always agree, about 0 for chance.
    """
    rng = np.random.default_rng(seed)
    n_clusters = len(np.unique(clusters))
    if n_clusters < 2:
        return np.nan
    scores = []
    for _ in range(n_bootstraps):
        drawn = barcodes[rng.integers(0, len(barcodes), len(barcodes))]
        n_distinct = len(np.unique(drawn.round(6), axis=0))
        centres = KMeans(min(n_clusters, n_distinct), n_init=3, random_state=seed).fit(drawn)
        scores.append(adjusted_rand_score(clusters, centres.predict(barcodes)))
    return float(np.mean(scores))


def agreement_between_fits(neurons: list[np.ndarray], clusters: list[np.ndarray]) -> np.ndarray:
    """Agreement of every fit's clusters with those of the other fits.

    Features are numbered differently in every fit, so neurons are matched, not features or labels.

    Parameters
    ----------
    neurons
        Per fit: (neuron,) indices into the dataset.
    clusters
        Per fit: (neuron,) labels.

    Returns
    -------
    (fit,) mean adjusted Rand index over the other fits, on the neurons in common; NaN for a single fit, or
    where no other fit has two neurons in common.
    """
    scores = np.full((len(neurons), len(neurons)), np.nan)
    for i, j in itertools.permutations(range(len(neurons)), 2):
        _, mine, others = np.intersect1d(neurons[i], neurons[j], return_indices=True)
        if len(mine) > 1:
            scores[i, j] = adjusted_rand_score(clusters[i][mine], clusters[j][others])
    counts = np.isfinite(scores).sum(1)
    return np.divide(np.nansum(scores, 1), counts, out=np.full(len(counts), np.nan), where=counts > 0)


def aligned_means(
    maps: np.ndarray, positions: np.ndarray, clusters: np.ndarray, half_width: int
) -> np.ndarray:
    """Mean of maps over the neurons of every cluster, each shifted to its neuron's position.

    Parameters
    ----------
    maps
        (neuron, y, x).
    positions
        (neuron, 2) integer (y, x) that become the centre.
    clusters
        (neuron,) labels from 0.
    half_width
        Of the result, in pixels.

    Returns
    -------
    (cluster, 2 half_width + 1, 2 half_width + 1); what lies outside the images does not count, and is NaN
    where that holds for all neurons of a cluster.
    """
    margin = ((0, 0), (half_width, half_width), (half_width, half_width))
    padded = np.pad(maps, margin, constant_values=np.nan)
    size = 2 * half_width + 1
    patches = np.stack(
        [image[y : y + size, x : x + size] for image, (y, x) in zip(padded, positions, strict=True)]
    )
    means = []
    for label in range(clusters.max() + 1):
        mine = patches[clusters == label]
        counts = np.isfinite(mine).sum(0)
        sums = np.nansum(mine, 0)
        means.append(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))
    return np.stack(means)
