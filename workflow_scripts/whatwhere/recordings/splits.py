"""Assigning images to training, validation and test (the ``split`` keys of a dataset)."""

from __future__ import annotations

from typing import Any

import numpy as np

from whatwhere.dataset import SPLITS, TEST, TRAIN, VALIDATION
from whatwhere.errors import UserError


def assign(groups: np.ndarray, given: np.ndarray | None, config: dict[str, Any], name: str) -> np.ndarray:
    """Draw the folds: every one a complete random assignment.

    Parameters
    ----------
    groups
        (image,) group numbers; a group, such as the copies of one image, is never divided.
    given
        (image,) ``train``, ``validation``, ``test`` or ``pool``, or None for a pool of all images. What is
        given stays in every fold. If a test set is given, the pool is divided into training and
        validation only, with ``validation`` relative to the pool.
    config
        ``validation`` and ``test`` (shares of the pool), ``folds``, ``seed``.
    name
        The dataset's key, for messages.

    Returns
    -------
    (fold, image) int8 with the codes of :mod:`whatwhere.dataset`.

    Raises
    ------
    UserError
        If copies of one image are given different splits.
    """
    given = np.full(len(groups), "pool") if given is None else given
    fixed = np.full(len(groups), -1, np.int8)
    for code, label in enumerate(SPLITS):
        fixed[given == label] = code
    for group in np.unique(groups[fixed >= 0]):
        members = np.flatnonzero(groups == group)
        codes = np.unique(fixed[members][fixed[members] >= 0])
        if len(codes) > 1:
            raise UserError(
                f"{name}: image {members[0]} and its copy {members[-1]} are given different splits: "
                "remove one of them"
            )
        fixed[members] = codes[0]
    shares = {
        VALIDATION: 0.0 if (fixed == VALIDATION).any() else config["validation"],
        TEST: 0.0 if (fixed == TEST).any() else config["test"],
    }
    rng = np.random.default_rng(config["seed"])
    return np.stack([_fold(groups, fixed, shares, rng) for _ in range(config["folds"])])


def _fold(
    groups: np.ndarray, fixed: np.ndarray, shares: dict[int, float], rng: np.random.Generator
) -> np.ndarray:
    split = fixed.copy()
    pool = fixed < 0
    order, counts = np.unique(groups[pool], return_counts=True)
    shuffled = rng.permutation(len(order))
    # Whole groups in random order: first test until it is full, then validation, the rest trains.
    filled = np.cumsum(counts[shuffled]) - counts[shuffled]
    n_test, n_validation = (round(shares[code] * pool.sum()) for code in (TEST, VALIDATION))
    codes = np.where(filled < n_test, TEST, TRAIN)
    codes[(filled >= n_test) & (filled < n_test + n_validation)] = VALIDATION
    assigned = np.empty(len(order), np.int8)
    assigned[shuffled] = codes
    split[pool] = assigned[np.searchsorted(order, groups[pool])]
    return split
