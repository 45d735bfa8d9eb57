"""One linear filter for all neurons at known locations: feature sharing in its simplest form (Figure 2)."""

import numpy as np
import torch
from torch import Tensor

from whatwhere.errors import UserError
from whatwhere.fit_data import FitData
from whatwhere.missing import require_all
from whatwhere.models.linear import solve_ridge


def fit_shared(data: FitData, penalties: list[float]) -> list[dict[str, Tensor]]:
    """Ridge regression of all neurons on one filter, which each applies to the patch it lives in.

    Minimises the sum over neurons of ||y_n - X_n w - b_n||^2, plus penalty ||w||^2, where X_n are the
    pixels around the true receptive field of neuron n. N neurons then count like N times the images.

    Parameters
    ----------
    data
        What the fit may see.
    penalties
        Strengths, not negative.

    Returns
    -------
    Parameters of a :class:`whatwhere.models.linear.LinearEncoder` for every penalty.

    Raises
    ------
    UserError
        If the patches are not known.
    """
    size = data.patch_size
    if data.patch_corner is None or size is None:
        raise UserError("ridge_shared needs a simulated dataset with known receptive fields: use ridge")
    require_all(data.train_responses, "ridge_shared")
    patches = [(slice(row, row + size), slice(column, column + size)) for row, column in data.patch_corner]
    seen = [data.train_images[:, :, rows, columns] for rows, columns in patches]
    pixels = np.stack([patch.reshape(len(patch), -1) for patch in seen]).astype(np.float64)
    pixel_mean = pixels.mean(1, keepdims=True)
    responses = data.train_responses.T.astype(np.float64)
    response_mean = responses.mean(1, keepdims=True)
    pooled = (pixels - pixel_mean).reshape(-1, pixels.shape[2])
    weights = solve_ridge(pooled, (responses - response_mean).reshape(-1, 1), penalties)[:, :, 0]
    fits = []
    for weight in weights:
        filters = np.zeros((len(patches), *data.train_images.shape[1:]), np.float32)
        for one, (rows, columns) in zip(filters, patches, strict=True):
            one[:, rows, columns] = weight.reshape(seen[0].shape[1:])
        bias = response_mean[:, 0] - pixel_mean[:, 0] @ weight
        fits.append({"filters": torch.from_numpy(filters), "bias": torch.from_numpy(bias.astype(np.float32))})
    return fits
