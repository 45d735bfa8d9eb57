"""Feature weights as barcodes of cell types: normalisation, clustering, agreement."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

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
    counts = range(2, min(MAX_CLUSTERS, distinct - 1) + 1)
    sample = min(len(barcodes), _SILHOUETTE_SAMPLE)
    return {
        count: float(
            silhouette_score(barcodes, cluster(barcodes, count, seed), sample_size=sample, random_state=seed)
        )
        for count in counts
    }


def choose_n_clusters(barcodes: np.ndarray, seed: int) -> int:
    """Number of clusters with the highest mean silhouette; 1 if there are too few distinct barcodes."""
    scores = silhouettes(barcodes, seed)
    return max(scores, key=scores.__getitem__) if scores else 1
