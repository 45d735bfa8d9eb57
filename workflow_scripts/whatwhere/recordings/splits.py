"""Assigning images to training, validation and test (the ``split`` keys of a dataset)."""

import logging
from typing import Any

import numpy as np

from whatwhere.dataset import SPLITS, TEST, TRAIN, UNUSED, VALIDATION
from whatwhere.description import MIN_TESTED
from whatwhere.errors import UserError
from whatwhere.recordings.copies import linked

logger = logging.getLogger(__name__)

_OPEN = -1


def assign(
    groups: np.ndarray,
    given: np.ndarray | None,
    config: dict[str, Any] | None,
    name: str,
    near: np.ndarray | None = None,
) -> np.ndarray:
    """Draws folds, each of which is a complete random assignment, (fold, image) int8.

    A group of ``groups`` (image,), such as the copies or flips of one image, is never divided. ``given``
    (image,) is ``train``, ``validation``, ``test`` or empty, or None for all empty. A given split holds in
    every fold, also for copies of the image. Images with an empty split are assigned, and images of ``train``
    if no other image could validate. If a test set is given, they are divided into training and validation
    only, with ``validation`` relative to their number. ``near`` (image,) are larger groups, joined by near
    copies, which only given splits divide; images without a split that are near copies of given test images
    are not used.

    ``config`` has ``validation`` and ``test`` (shares of the images to assign), ``folds`` and ``seed``; None
    for one fold if every split is given. UserError if the shares leave nothing to train on, a given split is
    unknown, copies of one image are given different splits, or near copies link too many images.
    """
    fixed = _spread(groups, _codes(given, len(groups), name), name)
    divides_train = not np.isin((VALIDATION, _OPEN), fixed).any()
    if divides_train:
        if config is None:
            raise UserError(f"{name}: no image validates: add 'split', whose share of train then does")
        fixed[fixed == TRAIN] = _OPEN
    if config is None:
        if (fixed == _OPEN).any():
            raise UserError(f"{name}: image {np.argmin(fixed)} has no split: give it a split")
        return fixed[None]
    shares = {code: 0.0 if (fixed == code).any() else config[SPLITS[code]] for code in (VALIDATION, TEST)}
    if sum(shares.values()) >= 1:
        raise UserError(f"{name}.split: validation and test add up to 1 or more: leave images to train on")
    near = groups if near is None else near
    of_group = np.full(int(near.max()) + 1, _OPEN, np.int8)
    np.maximum.at(of_group, near, fixed)
    joins = (fixed == _OPEN) & (of_group[near] != _OPEN) & (not divides_train)
    fixed = np.where(joins, of_group[near], fixed)
    left_out = joins & (fixed == TEST)
    to_assign = fixed == _OPEN
    identical, largest = (int(np.bincount(one[to_assign]).max(initial=0)) for one in (groups, near))
    if identical <= (1 - sum(shares.values())) * to_assign.sum() < largest:
        raise UserError(
            f"{name}.split.near_copies: near copies link {largest} of {to_assign.sum()} images, too many for "
            "one split: raise the threshold, or set null to keep only identical images together"
        )
    rng = np.random.default_rng(config["seed"])
    folds = np.stack([_fold(groups, near, fixed, shares, rng) for _ in range(config["folds"])])
    folds[:, left_out] = UNUSED
    return folds


def repeated_images(shown: np.ndarray, wanted: bool | None, name: str) -> np.ndarray | None:
    """Splits in which repeated images test, ``given`` of :func:`assign`; None if all are assigned alike.

    ``shown`` (image,) is the number of presentations of every image; ``wanted`` says whether repeated images
    test, None: if ten or more images, but fewer than half, were repeated. UserError if repeated images are
    wanted for the test, and no image or every image was repeated.
    """
    repeated = shown > 1
    count = int(repeated.sum())
    if wanted and count in (0, len(shown)):
        found = f"{count} of {len(shown)} images were repeated"
        raise UserError(f"{name}.split.test_repeated: {found}, expected some: remove the key")
    tests = MIN_TESTED <= count < len(shown) / 2 if wanted is None else wanted
    if wanted is None and not tests and 0 < count < len(shown):
        text = "%s: %d of %d images were repeated and are assigned as other images"
        logger.warning(f"{text}: state split.test_repeated, true to test on them", name, count, len(shown))
    return np.where(repeated, "test", "") if tests else None


def validation_share(split: np.ndarray, given: np.ndarray | None, config: dict[str, Any] | None) -> float:
    """Share of the images of a fit that validate: configured, or counted in ``split`` if splits are given.

    ``split`` (fold, image) is the result of :func:`assign`; ``given`` and ``config`` as for :func:`assign`.
    """
    if given is None and config is not None:
        return config["validation"] / (1 - config["test"])
    fitted = split[0][split[0] != TEST]
    return float((fitted == VALIDATION).mean()) if len(fitted) else 0.0


def joined_groups(copies: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Numbers of groups of images that are copies or share a label of their owner, (image,).

    ``copies`` (image,) is equal for copies, ``groups`` holds the labels (image,) or is None.
    """
    if groups is None:
        return copies
    labels = np.unique(groups, return_inverse=True)[1]
    n_copies = int(copies.max()) + 1
    return linked(np.stack([copies, n_copies + labels]), n_copies + int(labels.max()) + 1)[copies]


def _codes(given: np.ndarray | None, n_images: int, name: str) -> np.ndarray:
    codes = np.full(n_images, _OPEN, np.int8)
    if given is None:
        return codes
    unknown = np.flatnonzero(~np.isin(given, (*SPLITS, "")))
    if len(unknown):
        found = f"image {unknown[0]} is given the split {str(given[unknown[0]])!r}"
        raise UserError(f"{name}: {found}, expected {', '.join(SPLITS)} or empty")
    for code, label in enumerate(SPLITS):
        codes[given == label] = code
    return codes


def _spread(groups: np.ndarray, codes: np.ndarray, name: str) -> np.ndarray:
    """Gives all images of a group the split that is given to any image of the group."""
    n_groups = int(groups.max(initial=-1)) + 1
    of_group = np.full(n_groups, _OPEN, np.int8)
    given = np.flatnonzero(codes != _OPEN)
    of_group[groups[given]] = codes[given]
    torn = given[of_group[groups[given]] != codes[given]]
    if len(torn):
        other = given[(groups[given] == groups[torn[0]]) & (codes[given] != codes[torn[0]])][0]
        advice = "remove one of them, or give both the same split"
        raise UserError(f"{name}: image {torn[0]} and its copy {other} are given different splits: {advice}")
    return of_group[groups]


def _fold(
    groups: np.ndarray,
    near: np.ndarray,
    fixed: np.ndarray,
    shares: dict[int, float],
    rng: np.random.Generator,
) -> np.ndarray:
    split, to_assign = fixed.copy(), fixed == _OPEN
    copies, of_image = np.unique(groups[to_assign], return_inverse=True)
    rank = np.argsort(rng.permutation(len(copies)))
    # Near copies follow the first of them, so that a few pairs leave the other images where they were.
    _, first, group, counts = np.unique(
        near[to_assign], return_index=True, return_inverse=True, return_counts=True
    )
    shuffled = np.argsort(rank[of_image[first]])
    # Whole groups in random order: first test until it is full, then validation, then training.
    filled = np.cumsum(counts[shuffled]) - counts[shuffled]
    n_test, n_validation = (round(shares[code] * to_assign.sum()) for code in (TEST, VALIDATION))
    codes = np.where(filled < n_test, TEST, TRAIN)
    codes[(filled >= n_test) & (filled < n_test + n_validation)] = VALIDATION
    assigned = np.empty(len(counts), np.int8)
    assigned[shuffled] = codes
    split[to_assign] = assigned[group]
    return split
