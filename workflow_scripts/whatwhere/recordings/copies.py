"""Copies and near copies of pictures, which no split may divide.

Pictures are near copies if small grey versions of them correlate: neighboring frames of a film, or one
photograph at several contrasts. A model that is fitted to one of them has seen the other.
"""

import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from whatwhere.dataset import TEST, TRAIN, VALIDATION, duplicate_groups

NEAR_COPIES = 0.95
"""Correlation of small grey versions above which pictures are near copies (``split.near_copies``)."""

_SIDE = 28
_FEWEST_PIXELS = 64
"""Smaller pictures correlate by chance."""
_TOGETHER = 2048


def small_greys(images: np.ndarray) -> np.ndarray:
    """Grey versions of at most 28 x 28 px, (image, pixel) float32 of mean 0 and norm 1.

    ``images`` is (image, channel, y, x); grey is the mean over channels. Uniform pictures become 0.
    """
    size = [min(side, _SIDE) for side in images.shape[2:]]
    small = np.empty((len(images), *size), np.float32)
    for index, image in enumerate(images):
        # Pixels that are not finite are refused elsewhere.
        grey = np.nan_to_num(image.astype(np.float32), posinf=0, neginf=0).mean(0)
        small[index] = np.asarray(Image.fromarray(grey).resize(size[::-1], Image.Resampling.BOX))
    flat = small.reshape(len(small), -1)
    spread = np.ptp(flat, axis=1) > 1e-6 * np.abs(flat).max(axis=1, initial=0)
    flat = flat - flat.mean(1, keepdims=True)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.where(spread[:, None], flat / np.where(norm > 0, norm, 1), 0).astype(np.float32)


def fingerprints(images: np.ndarray) -> np.ndarray:
    """:func:`small_greys` of images as int8, for :func:`seen`."""
    greys = small_greys(images)
    return np.rint(greys * (127 / np.abs(greys).max(1, initial=1e-6, keepdims=True))).astype(np.int8)


def seen(images: np.ndarray, fingerprints: np.ndarray, threshold: float) -> np.ndarray:
    """Whether images (image, channel, y, x) are near copies of pictures with fingerprints, bool (image,)."""
    mine, greys = small_greys(images), fingerprints.astype(np.float32)
    if greys.shape[1:] != mine.shape[1:] or greys.shape[1] < _FEWEST_PIXELS:
        return np.zeros(len(images), bool)
    greys /= np.maximum(np.linalg.norm(greys, axis=1, keepdims=True), 1)
    return np.concatenate(
        [(part @ greys.T > threshold).any(1) for part in np.array_split(mine, len(mine) // _TOGETHER + 1)]
    )


def groups_of_copies(images: np.ndarray, threshold: float | None) -> np.ndarray:
    """Group numbers (image,), equal for copies and for pictures that near copies link.

    ``images`` is (image, channel, y, x); ``threshold`` None asks for identical pictures alone.
    """
    copies = duplicate_groups(images)
    if threshold is None or np.prod(images.shape[2:]) < _FEWEST_PIXELS:
        return copies
    firsts = np.unique(copies, return_index=True)[1]
    greys = small_greys(images[firsts])
    pairs = [np.empty((2, 0), int)]
    for start in range(0, len(greys), _TOGETHER):
        first, second = np.nonzero(greys[start : start + _TOGETHER] @ greys[start:].T > threshold)
        pairs.append(np.stack([first, second])[:, first < second] + start)
    return linked(np.concatenate(pairs, axis=1), len(greys))[copies]


def near_copy_counts(near: np.ndarray, copies: np.ndarray, split: np.ndarray) -> dict[str, int]:
    """Attributes of a dataset: images with near copies, and test images with near copies in training.

    ``near`` and ``copies`` (image,) are :func:`groups_of_copies` with and without a threshold; ``split`` is
    (fold, image), and the worst fold counts.
    """
    has = np.bincount(near)[near] > np.bincount(copies)[copies]
    fitted = [np.isin(near, near[(fold == TRAIN) | (fold == VALIDATION)]) for fold in split]
    torn = [int((has & (fold == TEST) & seen).sum()) for fold, seen in zip(split, fitted, strict=True)]
    return {"n_near_copies": int(has.sum()), "n_near_copies_divided": max(torn)}


def linked(pairs: np.ndarray, size: int) -> np.ndarray:
    """Group numbers (size,) of things that pairs (2, pair) of their indices link."""
    links = coo_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(size, size))
    return connected_components(links, directed=False)[1]
