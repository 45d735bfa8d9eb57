"""Stability of clusters of barcodes over halves of the images, resampled neurons and fits."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from whatwhere import missing
from whatwhere.barcodes import centers_of, cluster, nearest
from whatwhere.models.base import Model


def balanced_agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Adjusted Rand index in which every cluster weighs the same, however large.

    The usual index (Hubert and Arabie 1985) counts pairs of neurons, nearly all of them within the largest
    cluster where sizes differ. Here a neuron weighs 1 / size of its cluster in one labeling, and the index
    is the mean over both.

    Parameters
    ----------
    one, other
        (neuron,) labels.

    Returns
    -------
    1 for equal partitions, about 0 for chance; NaN if either has a single cluster.
    """
    if len(np.unique(one)) < 2 or len(np.unique(other)) < 2:
        return np.nan
    return (_weighted_rand(one, other) + _weighted_rand(other, one)) / 2


def _weighted_rand(reference: np.ndarray, other: np.ndarray) -> float:
    """Adjusted Rand index over pairs weighted by the product of 1 / size of the reference clusters."""
    (_, row), (_, column) = (np.unique(labels, return_inverse=True) for labels in (reference, other))
    counts = np.zeros((row.max() + 1, column.max() + 1))
    np.add.at(counts, (row, column), 1)
    weights = counts / counts.sum(1, keepdims=True)
    squares = weights / counts.sum(1, keepdims=True)  # of the neurons' weights: no pair with oneself

    def pairs(axis: int | tuple[()] | None) -> float:
        return float((weights.sum(axis) ** 2 - squares.sum(axis)).sum())

    both, first, second, total = pairs(()), pairs(1), pairs(0), pairs(None)
    chance = first * second / total
    return (both - chance) / ((first + second) / 2 - chance)


def bootstrap_stability(barcodes: np.ndarray, clusters: np.ndarray, n_bootstraps: int, seed: int) -> float:
    """Agreement of a clustering with those of resampled neurons.

    Every bootstrap clusters neurons drawn with replacement and assigns all neurons to its centers.

    Parameters
    ----------
    barcodes
        (neuron, channel).
    clusters
        (neuron,) labels of the clustering of all neurons.
    n_bootstraps
        Number of resamplings.
    seed
        Of the resampling.

    Returns
    -------
    Mean :func:`balanced_agreement` with ``clusters``; NaN for a single cluster.
    """
    rng = np.random.default_rng(seed)
    n_clusters = len(np.unique(clusters))
    if n_clusters < 2:
        return np.nan
    scores = []
    for _ in range(n_bootstraps):
        drawn = barcodes[rng.integers(0, len(barcodes), len(barcodes))]
        assigned = nearest(barcodes, centers_of(drawn, cluster(drawn, n_clusters)))
        # Neurons of one cluster alone, after an unlucky draw, tell nothing of the others.
        scores.append(np.nan_to_num(balanced_agreement(clusters, assigned)))
    return float(np.mean(scores))


def agreement_between_fits(neurons: list[np.ndarray], clusters: list[np.ndarray]) -> np.ndarray:
    """Agreement of every fit's clusters with those of the other fits, (fit,).

    Features are numbered differently in every fit, so neurons are matched, not features or labels. Per fit,
    ``neurons`` are (neuron,) indices into the dataset and ``clusters`` (neuron,) labels; negative labels do
    not count. Returns the mean :func:`balanced_agreement` on the neurons in common; NaN for a single fit, or
    where no other fit has two clusters among them.
    """
    scores = np.full((len(neurons), len(neurons)), np.nan)
    for i, j in itertools.permutations(range(len(neurons)), 2):
        _, mine, others = np.intersect1d(neurons[i], neurons[j], return_indices=True)
        one, other = clusters[i][mine], clusters[j][others]
        both = (one >= 0) & (other >= 0)
        if both.any():
            scores[i, j] = balanced_agreement(one[both], other[both])
    counts = np.isfinite(scores).sum(1)
    return np.divide(np.nansum(scores, 1), counts, out=np.full(len(counts), np.nan), where=counts > 0)


def pooled_features(model: Model, images: Iterable[Tensor]) -> Iterator[np.ndarray]:
    """Features under the mask of every neuron, in chunks (neuron, image, channel).

    ``model`` is a fitted model with masks; ``images`` are standardized chunks (image, channel, y, x).
    """
    model.eval()
    masks = model.masks()
    for chunk in images:
        with torch.inference_mode():
            features = model.features(model.prepare(chunk))
        if masks is None or features is None:
            raise ValueError("a model without masks pools no features")
        # One product, which leaves what is of one neuron together in memory.
        places = features.permute(2, 3, 0, 1).reshape(masks[0].numel(), -1)
        yield (masks.flatten(1) @ places).reshape(len(masks), *features.shape[:2]).numpy()


def half_weights(
    features: Iterator[np.ndarray],
    responses: np.ndarray,
    weights: np.ndarray,
    blocks: np.ndarray | None = None,
) -> np.ndarray:
    """Feature weights estimated again from either half of the images, in closed form, (2, neuron, channel).

    Core and masks stay those of the fit; weights are regressed on the features that the masks pool, with a
    ridge penalty for which weights of the fit's size are as likely as the responses' variance is noise.

    ``features`` are chunks (neuron, image, channel), as from :func:`pooled_features`. Every second image with
    a response (image, neuron) that is not NaN is in either half; of a movie, whose bins have a block
    (image,), every second block. ``weights`` (neuron, channel) are those of the fit; neurons whose weights
    are 0 keep 0.
    """
    n_neurons, n_channels = weights.shape
    # Of the mean, the features and the response.
    products = np.zeros((2, n_neurons, n_channels + 2, n_channels + 2))
    there = ~np.isnan(responses)
    # Number of an image among those that the neuron saw.
    number = there.cumsum(0) - 1 if blocks is None else np.broadcast_to(blocks[:, None], there.shape)
    start = 0
    for chunk in features:
        mine = slice(start, start + chunk.shape[1])
        for half in range(2):
            counted = there[mine] & (number[mine] % 2 == half)
            used = counted.any(1)
            counted = counted[used].T
            table = np.empty((*counted.shape, n_channels + 2), np.float32)
            table[..., 0] = counted
            np.multiply(chunk[:, used], counted[..., None], out=table[..., 1:-1])
            table[..., -1] = np.where(counted, responses[mine][used].T, 0)
            # Products in float32, sums over chunks in float64.
            products[half] += table.transpose(0, 2, 1) @ table
        start += chunk.shape[1]
    joint, cross = products[..., :-1, :-1], products[..., :-1, -1]
    size = (weights.astype(np.float64) ** 2).mean(1)
    variance = missing.variance(responses)
    fitted = (size > 0) & (variance > 0)
    estimates = np.zeros((2, n_neurons, n_channels))
    penalty = variance[fitted] / size[fitted]
    diagonal = np.eye(n_channels + 1)
    diagonal[0, 0] = 1e-12  # the mean is free
    system = joint[:, fitted] + penalty[:, None, None] * diagonal
    estimates[:, fitted] = np.linalg.solve(system, cross[:, fitted, :, None])[:, :, 1:, 0]
    return estimates
