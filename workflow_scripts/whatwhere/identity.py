"""The same neurons on another day: who is who by responses, and who is found again by masks and weights.

Where two recordings share pictures, responses to them tell which neurons are the same. A fit to one recording
and a fit to the other, on a core or a bank that both share, describe every neuron by where it looks and what
it sees. A neuron is found again if its description is most like its partner's.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from whatwhere import barcodes
from whatwhere.dataset import repeat_mean
from whatwhere.errors import UserError
from whatwhere.pool import Pool

LEAST_PICTURES = 50
"""Recordings that share fewer pictures say little of who is who."""
LEAST_CORRELATION = 0.5
"""Of the responses of partners, more than this."""
LEAST_MARGIN = 0.1
"""By which partners are more alike than either is to any other neuron, more than this."""


@dataclass(frozen=True)
class Days:
    """Two recordings of a pool that share pictures.

    Attributes
    ----------
    earlier, later
        Their names, in the order of the pool.
    candidates, neurons
        Indices of the neurons of the earlier and of the later one.
    partners
        (pair, 2) positions in ``neurons`` and in ``candidates`` of those that are the same.
    n_pictures
        That both show.
    """

    earlier: str
    later: str
    candidates: np.ndarray
    neurons: np.ndarray
    partners: np.ndarray
    n_pictures: int


def days_of(dataset: xr.Dataset) -> list[Days]:
    """All pairs of recordings of a pool that share :data:`LEAST_PICTURES` pictures or more.

    Raises
    ------
    UserError
        If there is none, or a pair in which no neuron has a partner.
    """
    pool = Pool.of(dataset)
    if pool is None:
        raise UserError(f"{dataset.attrs['name']}: is no pool: name a dataset of kind pooled")
    first_image: list[dict[bytes, int]] = [{} for _ in pool.names]
    for index, (recording, image) in enumerate(zip(pool.images, dataset["images"].values, strict=True)):
        first_image[recording].setdefault(image.tobytes(), index)
    found = []
    for one, other in itertools.combinations(range(len(pool.names)), 2):
        shared = [key for key in first_image[one] if key in first_image[other]]
        if len(shared) < LEAST_PICTURES:
            continue
        neurons = [np.flatnonzero(pool.neurons == number) for number in (one, other)]
        earlier, later = (
            repeat_mean(dataset, np.array([first_image[number][key] for key in shared]), mine)
            for number, mine in zip((one, other), neurons, strict=True)
        )
        pairs = partners(later, earlier)
        names = pool.names[one], pool.names[other]
        if not len(pairs):
            raise UserError(
                f"{dataset.attrs['name']}: no neuron of '{names[1]}' responds to the pictures that it shares "
                f"with '{names[0]}' as one there does: leave one of them out"
            )
        found.append(Days(names[0], names[1], neurons[0], neurons[1], pairs, len(shared)))
    if not found:
        raise UserError(
            f"{dataset.attrs['name']}: no two recordings share {LEAST_PICTURES} pictures: pool two that do"
        )
    return found


def partners(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Neurons that are the same, from responses (picture, neuron) to the same pictures.

    Each is the other's best match, by a correlation above :data:`LEAST_CORRELATION` that exceeds those with
    all other neurons by more than :data:`LEAST_MARGIN`. Neurons without variance match nobody.

    Returns
    -------
    (pair, 2) positions.
    """
    z = []
    for responses in (one, other):
        centred = responses - responses.mean(0, dtype=np.float64)
        norm = np.linalg.norm(centred, axis=0)
        z.append(np.divide(centred, norm, out=np.zeros_like(centred), where=norm > 0))
    correlation = z[0].T @ z[1]
    rivals = [_largest_other(correlation, axis) for axis in (0, 1)]
    clear = (correlation > LEAST_CORRELATION) & (correlation - np.maximum(*rivals) > LEAST_MARGIN)
    return np.argwhere(clear)


def _largest_other(values: np.ndarray, axis: int) -> np.ndarray:
    """For every value the largest of the others along an axis, -inf if there is none."""
    padded = np.concatenate([values, np.full_like(values.take([0], axis), -np.inf)], axis)
    ordered = np.sort(padded, axis)
    first, second = (ordered.take([index], axis) for index in (-1, -2))
    return np.where(values == first, second, first)


def alikeness(masks: np.ndarray, feature_weights: np.ndarray, days: Days) -> dict[str, np.ndarray]:
    """How alike neurons are by ``mask``, by ``feature weights`` and by ``both``, (neuron, candidate) each.

    Cosines. Signs are settled by the largest absolute value of the mask; the product of mask and weights
    needs no such choice, and its cosine is the product of theirs.

    Parameters
    ----------
    masks, feature_weights
        (neuron, y, x) and (neuron, channel), of all neurons of the pool.
    days
        Which of them to compare.
    """
    where = cosines(masks * barcodes.mask_signs(masks)[:, None, None], days)
    what = cosines(barcodes.normalize(feature_weights, masks), days)
    return {"mask": where, "feature weights": what, "both": where * what}


def cosines(descriptions: np.ndarray, days: Days) -> np.ndarray:
    """Cosines of descriptions (neuron, ...) of the neurons of both days, (neuron, candidate); 0 of zeros."""
    flat = descriptions.reshape(len(descriptions), -1)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = np.divide(flat, norm, out=np.zeros_like(flat), where=norm > 0)
    return unit[days.neurons] @ unit[days.candidates].T


def ranks(alike: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Rank of the true partner among all candidates, (pair,) from 1; ties share the mean of their ranks.

    Parameters
    ----------
    alike
        (neuron, candidate).
    pairs
        (pair, 2) positions of neuron and candidate.
    """
    neuron, candidate = pairs.T
    return rankdata(-alike[neuron], axis=1)[np.arange(len(pairs)), candidate]


def summary(found: np.ndarray, n_candidates: int) -> dict[str, float]:
    """What ranks (pair,) say beside chance: the share that is first, its standard error, and the median."""
    first = float((found == 1).mean())
    return {
        "n_pairs": len(found),
        "n_candidates": n_candidates,
        "top1": first,
        "top1_se": float(np.sqrt(first * (1 - first) / len(found))),
        "median_rank": float(np.median(found)),
        "top1_chance": 1 / n_candidates,
        "median_rank_chance": (n_candidates + 1) / 2,
    }
