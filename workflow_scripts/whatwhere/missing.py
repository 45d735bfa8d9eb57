"""Neurons that did not see every image: responses (image, neuron) that are NaN where there was none.

Without missing pairs every function here computes what the plain one of numpy does, bit by bit.
"""

import warnings
from collections.abc import Callable

import numpy as np

from whatwhere.errors import UserError

Images = slice | np.ndarray
"""Selection of images: all of them, or indices."""


def mean(responses: np.ndarray, dtype: type | None = None) -> np.ndarray:
    """Mean over the images that a neuron saw, (image, neuron) to (neuron,)."""
    return _over_images(np.mean, np.nanmean, responses, dtype)


def sd(responses: np.ndarray) -> np.ndarray:
    """Standard deviation over the images that a neuron saw, (image, neuron) to (neuron,)."""
    return _over_images(np.std, np.nanstd, responses, None)


def variance(responses: np.ndarray) -> np.ndarray:
    """Variance over the images that a neuron saw, (image, neuron) to (neuron,)."""
    return _over_images(np.var, np.nanvar, responses, None)


def _over_images(
    plain: Callable[..., np.ndarray],
    without_missing: Callable[..., np.ndarray],
    responses: np.ndarray,
    dtype: type | None,
) -> np.ndarray:
    if not np.isnan(responses).any():
        return plain(responses, axis=0, dtype=dtype)
    return without_missing(responses, axis=0, dtype=dtype or np.float64).astype(dtype or responses.dtype)


def mean_of_repeats(responses: np.ndarray) -> np.ndarray:
    """Mean over the repeats that exist, (repeat, image, neuron) to (image, neuron); NaN where none does."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return np.asarray(np.nanmean(responses, axis=0, dtype=np.float64))


def groups(responses: np.ndarray) -> list[tuple[Images, np.ndarray]]:
    """Neurons that saw the same images: what a closed form computes of images, it can share among them.

    Parameters
    ----------
    responses
        (image, neuron).

    Returns
    -------
    Images and neurons of every group; one group with a slice of all images if nothing is missing.

    >>> groups(np.array([[1.0, np.nan, 2.0], [1.0, 3.0, 2.0]]))
    [(array([1]), array([1])), (array([0, 1]), array([0, 2]))]
    """
    seen = ~np.isnan(responses)
    if seen.all():
        return [(slice(None), np.arange(responses.shape[1]))]
    patterns, of_neuron = np.unique(seen.T, axis=0, return_inverse=True)
    return [
        (np.flatnonzero(pattern), np.flatnonzero(of_neuron.ravel() == group))
        for group, pattern in enumerate(patterns)
    ]


def select(responses: np.ndarray, images: Images, neurons: np.ndarray) -> np.ndarray:
    """Responses of a group, (image, neuron); all of them as they lie in memory if nothing is missing."""
    return responses if isinstance(images, slice) else responses[np.ix_(images, neurons)]


def counts(seen: np.ndarray) -> str:
    """Counts neurons that saw everything and images that all neurons saw, from truth values (image, neuron).

    >>> counts(np.array([[True, True], [True, False], [True, True]]))
    '1 of 2 neurons saw all 3 images; 2 saw 2'
    """
    n_images, n_neurons = seen.shape
    return (
        f"{seen.all(0).sum()} of {n_neurons} neurons saw all {n_images} images; "
        f"{n_neurons} saw {seen.all(1).sum()}"
    )


def require_all(responses: np.ndarray, what: str) -> None:
    """Refuse missing pairs on behalf of a method that cannot do without them.

    Raises
    ------
    UserError
        With the counts of neurons and images.
    """
    seen = ~np.isnan(responses)
    if not seen.all():
        raise UserError(
            f"{what} needs a response of every neuron to every image, but {counts(seen)}: leave it out, or "
            "remove images or neurons"
        )
