"""Models that are linear in the pixels and have a closed form or a convex objective (section D)."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from whatwhere import missing
from whatwhere.errors import UserError
from whatwhere.fit_data import FitData
from whatwhere.models.base import ImageShape, Model
from whatwhere.models.cores import ACTIVATIONS
from whatwhere.sessions import Session, neurons_of
from whatwhere.windows import Windows

Solver = Callable[[np.ndarray, np.ndarray, list[float]], np.ndarray]
"""Centered images (image, pixel), responses (image, neuron) and penalties to (penalty, pixel, neuron)."""

_LASSO_ITERATIONS = 10_000


class LinearEncoder(Model):
    """One filter of the shape of an image (channel, y, x) per neuron, a bias and a nonlinearity."""

    output = "identity"  # nonlinearity, a key of `ACTIVATIONS`

    def __init__(self, image_shape: ImageShape, n_neurons: int) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.zeros(n_neurons, *image_shape))
        self.bias = nn.Parameter(torch.zeros(n_neurons))
        self.nonlinearity = ACTIVATIONS[self.output]()

    def forward(self, images: Tensor, session: Session | None = None) -> Tensor:
        """Predicted responses, (batch, channel, y, x) to (batch, neuron), of all neurons or a session."""
        mine = neurons_of(session)
        return self._respond(images.flatten(1) @ self.filters[mine].flatten(1).T, mine)

    def of_windows(self, windows: Windows, session: Session | None) -> Tensor:
        """Predicted responses to all windows at once, (image, neuron)."""
        mine = neurons_of(session)
        return self._respond(windows.project(self.filters[mine]), mine)

    def _respond(self, filtered: Tensor, mine: slice) -> Tensor:
        drive = filtered + self.bias[mine]
        return self.nonlinearity(drive if self.curve is None else self.curve(drive, mine))

    def pixel_filters(self) -> Tensor | None:
        """Filters of pixels, (neuron, channel, y, x); None on a feature bank, whose weights are no image."""
        return self.filters.detach() if self.feature_bank is None else None


def fit_mean(data: FitData) -> dict[str, Tensor]:
    """Parameters of the :class:`LinearEncoder` that predicts the mean training response."""
    mean = missing.mean(data.train_responses, np.float64)
    return _parameters(np.zeros((len(mean), *data.train_images.shape[1:])), mean)


def fit_linear(solve: Solver, penalties: list[float], data: FitData, view: str) -> list[dict[str, Tensor]]:
    """Linear regression with an intercept for every neuron and penalty.

    The intercept is also used for prediction. Section D fits an intercept and drops it there, which helps
    only where responses are known to have mean zero, and by less than 0.01 FEVE at 2^10 images.

    ``solve`` is :func:`solve_ridge` or :func:`solve_lasso`. With the view ``image`` or ``features`` a neuron
    gets all values of the images, which are maps of the feature bank for ``features``; with ``known_patch``
    it gets the patch around its true receptive field (Figure 3), and its filter is zero elsewhere. Returns
    parameters of a :class:`LinearEncoder` for every penalty. UserError if the patches are not known.
    """
    shape = data.train_images.shape[1:]
    response_mean = missing.mean(data.train_responses, np.float64)
    filters = np.zeros((len(penalties), len(response_mean), *shape), np.float32)
    bias = np.zeros((len(penalties), len(response_mean)))
    for images, neurons, rows, columns in _views(data, view):
        patch = data.train_images[images, :, rows, columns]
        pixels = patch.reshape(len(patch), -1).astype(np.float64)
        pixel_mean = pixels.mean(0)
        responses = data.train_responses[images][:, neurons]
        weights = solve(pixels - pixel_mean, responses - response_mean[neurons], penalties)
        patches = weights.transpose(0, 2, 1).reshape(len(penalties), len(neurons), *patch.shape[1:])
        filters[:, neurons, :, rows, columns] = patches
        bias[:, neurons] = response_mean[neurons] - pixel_mean @ weights
    return [_parameters(*fit) for fit in zip(filters, bias, strict=True)]


def _views(data: FitData, view: str) -> Iterator[tuple[missing.Images, np.ndarray, slice, slice]]:
    """Images, neurons with responses to all of them, and the rows and columns that the neurons get."""
    if view != "known_patch":
        for images, some in missing.groups(data.train_responses):
            yield images, some, slice(None), slice(None)
        return
    known, size = _known_patches(data, "input: known_patch", "set input: image")
    corners, group = np.unique(known, axis=0, return_inverse=True)
    for index, (row, column) in enumerate(corners):
        neurons = np.flatnonzero(group.ravel() == index)
        yield slice(None), neurons, slice(row, row + size), slice(column, column + size)


def _known_patches(data: FitData, what: str, advice: str) -> tuple[np.ndarray, int]:
    """Top-left pixels (neuron, 2) and width of the true receptive fields."""
    if data.patch_corner is None or data.patch_size is None:
        raise UserError(f"{what} needs a simulated dataset with known receptive fields: {advice}")
    return data.patch_corner, data.patch_size


def fit_shared(data: FitData, penalties: list[float]) -> list[dict[str, Tensor]]:
    """Ridge regression of all neurons on one filter at their known locations (Figure 2).

    Minimizes the sum over neurons of ||y_n - X_n w - b_n||^2, plus penalty ||w||^2, where X_n are the
    pixels around the true receptive field of neuron n. N neurons then count like N times the images.
    Parameters, values and errors as for :func:`fit_linear`.
    """
    corners, size = _known_patches(data, "ridge_shared", "use ridge")
    missing.require_all(data.train_responses, "ridge_shared")
    places = [(slice(row, row + size), slice(column, column + size)) for row, column in corners]
    patches = [data.train_images[:, :, rows, columns] for rows, columns in places]
    pixels = np.stack([patch.reshape(len(patch), -1) for patch in patches]).astype(np.float64)
    pixel_mean = pixels.mean(1, keepdims=True)
    responses = data.train_responses.T.astype(np.float64)
    response_mean = responses.mean(1, keepdims=True)
    stacked = (pixels - pixel_mean).reshape(-1, pixels.shape[2])
    fits = []
    for weight in solve_ridge(stacked, (responses - response_mean).reshape(-1, 1), penalties)[:, :, 0]:
        filters = np.zeros((len(places), *data.train_images.shape[1:]), np.float32)
        for one, (rows, columns) in zip(filters, places, strict=True):
            one[:, rows, columns] = weight.reshape(patches[0].shape[1:])
        fits.append(_parameters(filters, response_mean[:, 0] - pixel_mean[:, 0] @ weight))
    return fits


def solve_ridge(images: np.ndarray, responses: np.ndarray, penalties: list[float]) -> np.ndarray:
    """Minimizes ||y - X w||^2 + penalty ||w||^2 for all neurons and penalties from one decomposition.

    The objective is scikit-learn's. Penalty 0 is ordinary least squares, with the smallest of all
    solutions where there are many.
    """
    if images.shape[1] <= images.shape[0]:
        variances, directions = np.linalg.eigh(images.T @ images)
        projected = directions.T @ (images.T @ responses)
    else:
        variances, left = np.linalg.eigh(images @ images.T)
        directions, projected = images.T @ left, left.T @ responses
    # Directions without variance, up to rounding, carry no weight.
    keep = variances > variances.max(initial=0) * len(variances) * np.finfo(variances.dtype).eps
    weights = np.empty((len(penalties), len(directions), projected.shape[1]))
    for penalty, found in zip(penalties, weights, strict=True):
        shrink = np.where(keep, 1 / np.where(keep, variances + penalty, 1), 0)
        np.matmul(directions, shrink[:, None] * projected, out=found)
    return weights


def solve_lasso(images: np.ndarray, responses: np.ndarray, penalties: list[float]) -> np.ndarray:
    """Minimizes ||y - X w||^2 / (2 n) + penalty ||w||_1, n the number of images.

    The objective and the coordinate descent are scikit-learn's. All neurons and penalties share one Gram
    matrix, and every penalty starts from the solution of the next larger one.
    """
    # Imported here: it takes a third of a second, which other families do not need.
    from sklearn.linear_model import lasso_path

    gram, products = images.T @ images, (images.T @ responses).T.copy()
    weights = np.empty((len(penalties), images.shape[1], responses.shape[1]))
    largest_first = np.argsort(penalties)[::-1]
    for neuron, (product, response) in enumerate(zip(products, responses.T.copy(), strict=True)):
        options = {"precompute": gram, "Xy": product, "check_input": False, "max_iter": _LASSO_ITERATIONS}
        _, path, _ = lasso_path(images, response, alphas=np.array(penalties, float), **options)
        weights[largest_first, :, neuron] = path.T
    return weights


def _parameters(filters: np.ndarray, bias: np.ndarray) -> dict[str, Tensor]:
    return {
        "filters": torch.from_numpy(filters.astype(np.float32, copy=False)),
        "bias": torch.from_numpy(bias.astype(np.float32)),
    }
