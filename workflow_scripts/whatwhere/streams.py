"""Random streams: one per purpose, so that a dataset and a fit of the same seed share no random numbers."""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """Purpose of random numbers; never 0, because numpy pads seeds: [seed, 0] is the stream of seed."""

    TRAINING = 1
    SUBSET = 2
    SIMULATION = 3
    SHUFFLE = 4


def stream(seed: int, purpose: Purpose) -> np.random.SeedSequence:
    """Random stream of a seed for a purpose, to be spawned from."""
    return np.random.SeedSequence([seed, int(purpose)])
