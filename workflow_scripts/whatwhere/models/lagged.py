"""Closed forms for movies: ridge regression on windows, and the product of what, where and when.

Both need second moments of windows alone, which follow from those of frames: the product of the values at
two lags depends on the difference of the lags, up to the ends of contiguous runs of bins.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from whatwhere import missing
from whatwhere.errors import UserError
from whatwhere.fit_data import FitData
from whatwhere.models.factorized_ridge import grid_laplacian, solve_penalized, sum_parameters
from whatwhere.models.spec import Setting
from whatwhere.sta import separate, space_time_average
from whatwhere.windows import Windows

_CHUNK = 8192
"""Bins whose products are summed in single precision."""
_LARGEST = 4 << 30
"""Bytes of the second moments of windows."""
_ROUNDS = 6
"""Alternations between the three factors of a new product."""
_REFIT_ROUNDS = 2
"""Alternations for a product that is fitted again because another product joined."""

Place = tuple[slice, slice]
"""Rows and columns of a part of the frames."""


@dataclass(frozen=True)
class LaggedMoments:
    """Second moments of centered windows and responses.

    Attributes
    ----------
    gram
        (time, value, time, value); values are map times place.
    products
        (neuron, time, value), with the responses.
    window_mean
        (time, value).
    response_mean
        (neuron,).
    """

    gram: Tensor
    products: Tensor
    window_mean: Tensor
    response_mean: Tensor

    @classmethod
    def of(cls, windows: Windows, responses: np.ndarray) -> "LaggedMoments":
        """Moments of all windows and of responses (image, neuron) without NaN.

        Raises
        ------
        UserError
            If they do not fit into memory.
        """
        frames, last, lags = windows.frames.flatten(1), windows.last, windows.lags
        n_values = frames.shape[1]
        size = 4 * (lags * n_values) ** 2
        if size > _LARGEST:
            raise UserError(
                f"{lags} lags x {n_values} values of a window have moments of {size / 1e9:.0f} GB: "
                "set 'window' to the pixels around the receptive field, or fewer lags"
            )
        order = last.argsort()
        last, measured = last[order], torch.from_numpy(responses)[order]
        mean = frames[last].mean(0)
        response_mean = measured.mean(0)
        centered, target = frames - mean, measured - response_mean
        gram = torch.zeros(lags, n_values, lags, n_values)
        products = torch.zeros(measured.shape[1], lags, n_values)
        shift = torch.zeros(lags, n_values)
        step = int(torch.diff(last).min()) if len(last) > 1 else 1
        for lag in range(lags):
            totals = torch.zeros(min(step, lag + 1), n_values, n_values, dtype=torch.float64)
            for some, one in zip(last.split(_CHUNK), target.split(_CHUNK), strict=True):
                delayed = centered[some - lag]
                for first, total in enumerate(totals):
                    total += centered[some - first].T @ delayed
                products[:, lag] += one.T @ delayed
                shift[lag] += delayed.sum(0)
            gram[: len(totals), :, lag] = totals
        _fill(gram, centered, last, step)
        # Windows of other lags have means that differ at the ends of runs.
        shift /= len(last)
        gram -= len(last) * shift[:, :, None, None] * shift
        if windows.basis is not None:
            basis = windows.basis
            gram = torch.einsum("kl,lvmw->kvmw", basis, gram)
            gram = torch.einsum("jm,kvmw->kvjw", basis, gram)
            products = torch.einsum("kl,nlv->nkv", basis, products)
            window_mean = basis @ (mean + shift)
        else:
            window_mean = mean + shift
        return cls(gram, products, window_mean, response_mean)


def _fill(gram: Tensor, frames: Tensor, last: Tensor, step: int) -> None:
    """Fills moments (lag, value, lag, value) from those with first lags below ``step``, run by run.

    In a run, bins are ``step`` frames apart. Moving both lags by as much adds the products before the first
    bin of every run, and removes those of its last bin.
    """
    lags = len(gram)
    ends = torch.nonzero(torch.diff(last) != step)[:, 0]
    starts = torch.cat([last[:1], last[ends + 1]])
    stops = torch.cat([last[ends], last[-1:]])
    for first in range(lags):
        for second in range(first, lags):
            if first >= step:
                added = frames[starts - first].T @ frames[starts - second]
                removed = frames[stops - first + step].T @ frames[stops - second + step]
                gram[first, :, second] = gram[first - step, :, second - step] + added - removed
            gram[second, :, first] = gram[first, :, second].T.clone()


def _windows(data: FitData) -> Windows:
    return cast(Windows, data.train_images)


def places_of(data: FitData, window: int | None) -> list[tuple[Place, np.ndarray]]:
    """Parts of the frames, and the neurons (neuron,) that get them.

    ``window`` is the side of the part around the peak of every neuron's spike-triggered average in space, in
    places of the maps; None gives all neurons the whole frames.
    """
    n_neurons = data.train_responses.shape[1]
    windows = _windows(data)
    _, _, height, width = windows.shape
    if window is None:
        return [((slice(None), slice(None)), np.arange(n_neurons))]
    found: dict[tuple[int, int], list[int]] = {}
    size = (min(window, height), min(window, width))
    for images, neurons in missing.groups(data.train_responses):
        responses = missing.select(data.train_responses, images, neurons)
        maps, _ = separate(space_time_average(windows[images], responses - responses.mean(0)))
        peaks = np.abs(maps).reshape(len(maps), -1).argmax(1)
        for neuron, peak in zip(neurons, peaks, strict=True):
            middle = np.unravel_index(peak, (height, width))
            corner = [
                int(np.clip(at - side // 2, 0, full - side))
                for at, side, full in zip(middle, size, (height, width), strict=True)
            ]
            found.setdefault((corner[0], corner[1]), []).append(int(neuron))
    return [
        ((slice(row, row + size[0]), slice(column, column + size[1])), np.array(neurons))
        for (row, column), neurons in found.items()
    ]


def moments_of(data: FitData, window: int | None) -> Iterator[tuple[Place, np.ndarray, LaggedMoments]]:
    """Moments of windows and responses, for neurons that share a part of the frames and their bins."""
    for place, some in places_of(data, window):
        cropped = _windows(data).crop(*place)
        for images, inside in missing.groups(data.train_responses[:, some]):
            neurons = some[inside]
            responses = missing.select(data.train_responses[:, some], images, inside)
            yield place, neurons, LaggedMoments.of(cropped[images], responses)


def by_window(settings: Sequence[Setting]) -> dict[int | None, list[int]]:
    """Indices of settings with the same ``window``; None where a setting has none."""
    found: dict[int | None, list[int]] = {}
    for index, setting in enumerate(settings):
        found.setdefault(int(setting["window"]) if "window" in setting else None, []).append(index)
    return found


def fit_ridge(data: FitData, settings: Sequence[Setting]) -> list[dict[str, Tensor]]:
    """Ridge regression of every neuron on all values of its windows.

    The objective is that of :func:`whatwhere.models.linear.solve_ridge`, and values are as for
    :func:`whatwhere.models.linear.fit_linear`. Settings have ``ridge_l2``, none for ordinary least squares,
    and may have a ``window``, as for :func:`places_of`.
    """
    shape, n_neurons = data.train_images.shape[1:], data.train_responses.shape[1]
    filters = torch.zeros(len(settings), n_neurons, *shape)
    bias = torch.zeros(len(settings), n_neurons)
    of_windows = (
        (indices, one) for window, indices in by_window(settings).items() for one in moments_of(data, window)
    )
    for indices, (place, neurons, moments) in of_windows:
        size = moments.window_mean.numel()
        gram = moments.gram.reshape(size, size).double()
        variances, directions = torch.linalg.eigh(gram)
        projected = moments.products.flatten(1).double() @ directions
        keep = variances > variances.max() * size * torch.finfo(torch.float32).eps
        rows, columns = place
        for index in indices:
            penalty = settings[index].get("ridge_l2", 0.0)
            shrink = torch.where(keep, 1 / torch.where(keep, variances + penalty, 1), 0)
            weights = ((projected * shrink) @ directions.T).float()
            part = filters[index, :, :, rows, columns]
            part[neurons] = weights.view(len(neurons), shape[0], *part.shape[2:])
            bias[index, neurons] = moments.response_mean - weights @ moments.window_mean.flatten()
    return [{"filters": one, "bias": other} for one, other in zip(filters, bias, strict=True)]


def fit_factorized(data: FitData, settings: Sequence[Setting]) -> list[dict[str, Tensor]]:
    """Alternating ridge regression of every neuron on a sum of products of what, where and when.

    Minimizes the sum of squared residuals of ``bias + sum over r, l, f, p of w_rl a_rf m_rp x_lfp`` over
    courses in time w, feature weights a and masks m. Each factor with the others fixed is a ridge
    regression, whose penalty for masks and courses has the squared differences between neighbors. Strengths
    are in units of the mean diagonal of the Gram matrix of each regression.

    Parameters
    ----------
    data
        Data of the fit; its images are windows of maps.
    settings
        ``rank``, ``mask_l2``, ``feature_l2`` and ``temporal_l2`` of every fit, strengths above 0; and
        ``window``, as for :func:`places_of`, where neurons do not get whole frames.

    Returns
    -------
    Parameters of a :class:`whatwhere.models.factorized_ridge.FactorizedRidge` for every setting; its
    channels are times times maps.
    """
    windows = _windows(data)
    n_neurons, (n_channels, height, width) = data.train_responses.shape[1], windows.shape[1:]
    n_maps = windows.frames.shape[1]
    totals = torch.zeros(len(settings), n_neurons, n_channels, height, width)
    bias = torch.zeros(len(settings), n_neurons)
    smooth_time = windows.basis is None
    rank = max(int(one["rank"]) for one in settings)
    of_windows = (
        (indices, one) for window, indices in by_window(settings).items() for one in moments_of(data, window)
    )
    for indices, ((rows, columns), neurons, moments) in of_windows:
        grid = totals[0, 0, 0, rows, columns].shape
        problem = _Problem(moments, n_maps, (grid[0], grid[1]), smooth_time)
        for inside, neuron in enumerate(neurons):
            fitted: dict[tuple[float, ...], list[Tensor]] = {}
            for index in indices:
                setting = settings[index]
                strengths = (setting["temporal_l2"], setting["feature_l2"], setting["mask_l2"])
                if strengths not in fitted:
                    fitted[strengths] = problem.sums(moments.products[inside], rank, strengths)
                total = fitted[strengths][int(setting["rank"]) - 1]
                totals[index, neuron, :, rows, columns] = total.reshape(n_channels, *grid)
                bias[index, neuron] = moments.response_mean[inside] - (total * moments.window_mean).sum()
    return [
        sum_parameters(total.flatten(2), int(setting["rank"]), of_bias, (height, width))
        for total, of_bias, setting in zip(totals, bias, settings, strict=True)
    ]


_Product = tuple[Tensor, Tensor, Tensor]
"""Course (time,), feature weights (map,) and mask (place,)."""


class _Problem:
    """Regressions of one part of the frames, whose moments all neurons share."""

    def __init__(self, moments: LaggedMoments, n_maps: int, grid: tuple[int, int], smooth_time: bool) -> None:
        n_times = len(moments.gram)
        self.shape = (n_times, n_maps, grid[0] * grid[1])
        self.gram = moments.gram.view(*self.shape, *self.shape)
        course = grid_laplacian(n_times, 1) if smooth_time else torch.zeros(n_times, n_times)
        self.penalties = (
            torch.eye(n_times) + course,
            torch.eye(n_maps),
            torch.eye(self.shape[2]) + grid_laplacian(*grid),
        )

    def sums(self, products: Tensor, rank: int, strengths: tuple[float, ...]) -> list[Tensor]:
        """Weights (time, value) of sums of 1, 2, ... ``rank`` products; ``products`` are (time, value)."""
        left = products.view(self.shape)
        terms: list[_Product] = []
        found = []
        for _ in range(rank):
            terms.append(self._fit(left, self._start(left), strengths, _ROUNDS))
            left = left - self._explained(terms[-1])
            for index, term in enumerate(terms if len(terms) > 1 else []):
                left = left + self._explained(term)
                terms[index] = self._fit(left, term, strengths, _REFIT_ROUNDS)
                left = left - self._explained(terms[index])
            found.append(sum((_outer(term) for term in terms), torch.zeros(self.shape)).flatten(1))
        return found

    def _start(self, products: Tensor) -> _Product:
        """Leading directions of the products with the responses, axis by axis."""
        course = torch.linalg.svd(products.flatten(1), full_matrices=False).U[:, 0]
        spatial = torch.tensordot(course, products, 1)
        left, _, right = torch.linalg.svd(spatial, full_matrices=False)
        return course, left[:, 0], right[0]

    def _explained(self, term: _Product) -> Tensor:
        """Products of windows with the predictions of a product, (time, map, place)."""
        return torch.tensordot(_outer(term), self.gram, 3)

    def _fit(self, products: Tensor, start: _Product, strengths: tuple[float, ...], rounds: int) -> _Product:
        course, weights, mask = start
        for _ in range(rounds):
            # Only the product counts, so that each factor is fitted beside unit vectors of the others.
            course, weights = functional.normalize(course, dim=0), functional.normalize(weights, dim=0)
            in_time = torch.tensordot(torch.tensordot(course, self.gram, 1), course, ([2], [0]))
            given = torch.tensordot(course, products, 1)
            for _ in range(2 if len(weights) > 1 else 1):
                gram = torch.einsum("f,fpgq,g->pq", weights, in_time, weights)
                mask = _ridge(gram, weights @ given, strengths[2], self.penalties[2])
                if len(weights) > 1:
                    unit = functional.normalize(mask, dim=0)
                    gram = torch.einsum("p,fpgq,q->fg", unit, in_time, unit)
                    weights = _ridge(gram, given @ unit, strengths[1], self.penalties[1])
                    weights = functional.normalize(weights, dim=0)
            mask = functional.normalize(mask, dim=0)
            values = (weights[:, None] * mask).flatten()
            gram = (self.gram.flatten(4).flatten(1, 2) @ values).movedim(1, 2) @ values
            target = products.flatten(1) @ values
            course = _ridge(gram, target, strengths[0], self.penalties[0])
        return course, weights, mask


def _outer(term: _Product) -> Tensor:
    course, weights, mask = term
    return course[:, None, None] * weights[:, None] * mask


def _ridge(gram: Tensor, products: Tensor, strength: float, penalty: Tensor) -> Tensor:
    """Solves (gram + strength * mean diagonal * penalty) w = products; errors as for solve_penalized."""
    return solve_penalized(gram[None], products[None], strength, penalty)[0]
