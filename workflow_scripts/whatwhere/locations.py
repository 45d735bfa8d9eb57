"""Where masks and spike-triggered averages put a neuron, and how far that is from the truth."""

from __future__ import annotations

import numpy as np

_MIN_NEURONS = 5


def peaks(maps: np.ndarray, image_shape: tuple[int, int]) -> np.ndarray:
    """Position of the largest absolute value of every map, in image pixels.

    Parameters
    ----------
    maps
        (neuron, y, x), centred in the image: a mask of VALID convolutions, or an average of image size.
    image_shape
        (y, x) of the images.

    Returns
    -------
    (neuron, 2) as (y, x).
    """
    flat = np.abs(maps).reshape(len(maps), -1).argmax(1)
    position = np.stack(np.unravel_index(flat, maps.shape[1:]), 1)
    margin = (np.array(image_shape) - maps.shape[1:]) // 2
    return position + margin


def location_errors(positions: np.ndarray, truth: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Distance of positions from the truth, without the shift that a group of neurons shares.

    A kernel that is shifted one way and masks that are shifted the other way are the same model, so the
    median displacement of the neurons that read the same kernel is not an error. It is not known for
    fewer than five neurons, whose errors are NaN.

    Parameters
    ----------
    positions, truth
        (neuron, 2) as (y, x), in pixels.
    groups
        (neuron,) which kernel a neuron reads.

    Returns
    -------
    (neuron,) in pixels.
    """
    displacement = positions - truth
    errors = np.full(len(positions), np.nan)
    for group in np.unique(groups):
        mine = groups == group
        if mine.sum() >= _MIN_NEURONS:
            shift = np.median(displacement[mine], axis=0)
            errors[mine] = np.linalg.norm(displacement[mine] - shift, axis=1)
    return errors
