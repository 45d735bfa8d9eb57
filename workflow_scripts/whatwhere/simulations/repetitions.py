"""Repetitions of a simulation: folds of one dataset that share its neurons, and no image."""

from __future__ import annotations

import numpy as np

from whatwhere.dataset import UNUSED

SPLIT_MEANING = "0 train, 1 validation, 2 test, -1 of another repetition"


def repeated_split(counts: dict[int, int], repetitions: int) -> np.ndarray:
    """Splits of repetitions whose images follow each other, (fold, image) int8.

    Parameters
    ----------
    counts
        Number of images of one repetition by split, in the order in which they are stored.
    repetitions
        How many.
    """
    one = np.repeat(np.array(list(counts), np.int8), list(counts.values()))
    split = np.full((repetitions, repetitions, len(one)), UNUSED, np.int8)
    split[np.arange(repetitions), np.arange(repetitions)] = one
    return split.reshape(repetitions, -1)
