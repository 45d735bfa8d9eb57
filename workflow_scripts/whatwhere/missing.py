"""Missing responses: statistics of responses (image, neuron) that are NaN where a neuron has no response.

Without missing responses every statistic is that of numpy, bit by bit.
"""

import warnings
from collections.abc import Callable

import numpy as np

from whatwhere.errors import UserError

Images = slice | np.ndarray
"""Selection of images: all images, or indices."""

_Statistic = Callable[..., np.ndarray]


def mean(responses: np.ndarray, dtype: type | None = None) -> np.ndarray:
    """Mean over images with a response, (image, neuron) to (neuron,)."""
    return _over_images(np.mean, np.nanmean, responses, dtype)


def sd(responses: np.ndarray) -> np.ndarray:
    """Standard deviation over images with a response, (image, neuron) to (neuron,)."""
    return _over_images(np.std, np.nanstd, responses)


def variance(responses: np.ndarray) -> np.ndarray:
    """Variance over images with a response, (image, neuron) to (neuron,)."""
    return _over_images(np.var, np.nanvar, responses)


def _over_images(
    complete: _Statistic, incomplete: _Statistic, responses: np.ndarray, dtype: type | None = None
) -> np.ndarray:
    if not np.isnan(responses).any():
        return complete(responses, axis=0, dtype=dtype)
    return incomplete(responses, axis=0, dtype=dtype or np.float64).astype(dtype or responses.dtype)


def mean_of_repeats(responses: np.ndarray) -> np.ndarray:
    """Mean over the repeats that exist, (repeat, image, neuron) to (image, neuron); NaN where none does."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return np.asarray(np.nanmean(responses, axis=0, dtype=np.float64))


def groups(responses: np.ndarray) -> list[tuple[Images, np.ndarray]]:
    """Images and neurons of groups of neurons with responses to the same images.

    A closed form can share its computations on images within a group. Without missing responses there is one
    group, with a slice of all images.

    >>> groups(np.array([[1.0, np.nan, 2.0], [1.0, 3.0, 2.0]]))
    [(array([1]), array([1])), (array([0, 1]), array([0, 2]))]
    """
    present = ~np.isnan(responses)
    if present.all():
        return [(slice(None), np.arange(responses.shape[1]))]
    patterns, of_neuron = np.unique(present.T, axis=0, return_inverse=True)
    return [
        (np.flatnonzero(pattern), np.flatnonzero(of_neuron.ravel() == group))
        for group, pattern in enumerate(patterns)
    ]


def select(responses: np.ndarray, images: Images, neurons: np.ndarray) -> np.ndarray:
    """Responses of a group, (image, neuron); the array, without a copy, if nothing is missing."""
    return responses if isinstance(images, slice) else responses[np.ix_(images, neurons)]


def counts(present: np.ndarray) -> str:
    """Text that counts complete neurons and complete images, from truth values (image, neuron).

    >>> counts(np.array([[True, True], [True, False], [True, True]]))
    '1 of 2 neurons saw all 3 images; 2 saw 2'
    """
    n_images, n_neurons = present.shape
    return (
        f"{present.all(0).sum()} of {n_neurons} neurons saw all {n_images} images; "
        f"{n_neurons} saw {present.all(1).sum()}"
    )


def require_all(responses: np.ndarray, what: str) -> None:
    """Refuses missing responses for ``what``, a method that needs all, by a UserError with counts."""
    present = ~np.isnan(responses)
    if not present.all():
        raise UserError(
            f"{what} needs a response of every neuron to every image, but {counts(present)}: leave it out, "
            "or remove images or neurons"
        )
