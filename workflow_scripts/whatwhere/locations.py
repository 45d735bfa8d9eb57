"""Locations of neurons by masks and spike-triggered averages, and their errors."""

import numpy as np

_MIN_NEURONS = 5


def corner(map_shape: tuple[int, ...], image_shape: tuple[int, ...], stride: int = 1) -> np.ndarray:
    """Middle of the first place of a map that is centered in the image, (y, x) in image pixels.

    Both shapes are (y, x), of a mask of VALID convolutions or an average, and of the images; ``stride`` is
    the number of pixels from one place of the map to the next.
    """
    places = -(-np.array(image_shape) // stride)
    return (places - map_shape) // 2 * stride + (stride - 1) // 2


def in_pixels(maps: np.ndarray, image_shape: tuple[int, ...], stride: int) -> np.ndarray:
    """Maps (neuron, y, x) with a square of pixels for every place, cropped to the image, for drawing."""
    squares = maps.repeat(stride, axis=1).repeat(stride, axis=2)
    return squares[:, : image_shape[0], : image_shape[1]]


def peaks(maps: np.ndarray, image_shape: tuple[int, ...], stride: int = 1) -> np.ndarray:
    """Position (y, x) of the largest absolute value of maps (neuron, y, x), in image pixels, (neuron, 2).

    ``image_shape`` and ``stride`` as for :func:`corner`.
    """
    # The number of places is spelled out: reshape cannot infer it for an empty array.
    flat = np.abs(maps).reshape(len(maps), maps.shape[1] * maps.shape[2]).argmax(1)
    position = np.stack(np.unravel_index(flat, maps.shape[1:]), 1)
    last = np.array(image_shape) - 1
    return np.minimum(position * stride + corner(maps.shape[1:], image_shape, stride), last)


def location_errors(positions: np.ndarray, truth: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Distance in pixels of positions from the truth, without the shift that a group shares, (neuron,).

    A kernel that is shifted one way and masks that are shifted the other way are the same model, so the
    median displacement of the neurons that read the same kernel, whose number ``groups`` (neuron,) holds, is
    not an error. With fewer than five such neurons it is unknown, and their errors are NaN. ``positions`` and
    ``truth`` are (neuron, 2) as (y, x).
    """
    displacement = positions - truth
    errors = np.full(len(positions), np.nan)
    for group in np.unique(groups):
        mine = groups == group
        if mine.sum() >= _MIN_NEURONS:
            shift = np.median(displacement[mine], axis=0)
            errors[mine] = np.linalg.norm(displacement[mine] - shift, axis=1)
    return errors
