"""Factorized readout in closed form, on fixed features: masks times weights by alternating ridge."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from whatwhere import missing
from whatwhere.errors import UserError
from whatwhere.fit_data import FitData
from whatwhere.models.base import ImageShape, Model
from whatwhere.models.readouts import FactorizedReadout
from whatwhere.sessions import ALL, Session, neurons_of
from whatwhere.windows import Windows

_ROUNDS = 4  # alternations between the mask and the feature weights of a new pair
_REFIT_ROUNDS = 2  # alternations for a pair that is fitted again because another pair joined
_BLOCK = 512  # neurons that are solved at once; bounds memory

_Pair = tuple[Tensor, Tensor]  # feature weights (neuron, channel) and masks (neuron, place)


class FactorizedSumReadout(FactorizedReadout):
    """A sum of masks times feature weights for every neuron, ``rank`` pairs of features (channel, y, x).

    The pairs are the singular pairs of the sum, largest first: ``mask`` and ``feature_weights`` are the best
    description of the sum by a single pair. Feature weights are unit vectors, and the largest absolute value
    of a mask is positive. There are no more pairs than channels or places.
    """

    def __init__(self, feature_shape: ImageShape, n_neurons: int, rank: int) -> None:
        signed = {"positive_mask": False, "positive_features": False}
        super().__init__(feature_shape, n_neurons, signed)
        channels, height, width = feature_shape
        further = min(rank, channels, height * width) - 1
        self.further_masks = nn.Parameter(torch.zeros(n_neurons, further, height, width))
        self.further_feature_weights = nn.Parameter(torch.zeros(n_neurons, further, channels))

    def forward(self, features: Tensor, neurons: slice = ALL) -> Tensor:
        """Drive of neurons, (batch, channel, y, x) to (batch, neuron)."""
        drive = super().forward(features, neurons)
        pairs = zip(self.further_masks.unbind(1), self.further_feature_weights.unbind(1), strict=True)
        for mask, weights in pairs:
            pooled = features.flatten(2) @ mask[neurons].flatten(1).T
            drive = drive + (pooled * weights[neurons].T).sum(1)
        return drive


class FactorizedRidge(Model):
    """Predicts responses from features by a :class:`FactorizedSumReadout`; parameters as there."""

    def __init__(self, feature_shape: ImageShape, n_neurons: int, rank: int) -> None:
        super().__init__()
        self.readout = FactorizedSumReadout(feature_shape, n_neurons, rank)

    def forward(self, features: Tensor, session: Session | None = None) -> Tensor:
        """Predicted responses, (batch, channel, y, x) to (batch, neuron), of all neurons or a session."""
        mine = neurons_of(session)
        return self._respond(self.readout(features, mine), mine)

    def of_windows(self, windows: Windows, session: Session | None) -> Tensor:
        """Predicted responses to all windows at once, (image, neuron)."""
        mine = neurons_of(session)
        readout = self.readout
        masks = torch.cat([readout.mask[mine, None], readout.further_masks[mine]], 1)
        weights = torch.cat([readout.feature_weights[mine, None], readout.further_feature_weights[mine]], 1)
        filters = torch.einsum("nrc,nryx->ncyx", weights, masks)
        return self._respond(windows.project(filters) + readout.bias[mine], mine)

    def first_layer(self) -> Tensor:
        """Filters of the feature bank, (feature, channel, y, x); without it every channel is a feature."""
        if self.feature_bank is not None:
            return self.feature_bank.filters()
        return torch.eye(self.readout.feature_weights.shape[1])[:, :, None, None]

    def _respond(self, drive: Tensor, mine: slice) -> Tensor:
        return drive if self.curve is None else self.curve(drive, mine)


def fit_factorized(data: FitData, settings: list[dict[str, float]]) -> list[dict[str, Tensor]]:
    """Alternating ridge regression of every neuron on a sum of masks times feature weights.

    Minimizes the sum of squared residuals of ``response = bias + sum over r, f, p of a_rf m_rp x_fp`` over
    feature weights a and masks m. With a fixed, m is a ridge regression whose penalty is the sum of its
    squares and of the squared differences between neighbors; with m fixed, a is a ridge regression. Strengths
    are in units of the mean diagonal of the Gram matrix of each regression, so that they mean the same for
    any number of images and any scale. A pair starts at the leading singular pair of the covariance of
    features and residuals; when it has joined, all pairs are fitted again in turn.

    Images of ``data`` are maps of features (image, channel, y, x). Settings have ``rank``, ``mask_l2`` and
    ``feature_l2``, above 0. Returns parameters of a :class:`FactorizedRidge` for every setting.
    """
    grid = (data.train_images.shape[2], data.train_images.shape[3])
    groups = missing.groups(data.train_responses)
    fitted = [
        _fit_group(data.train_images[group[0]], missing.select(data.train_responses, *group), settings)
        for group in groups
    ]
    back = np.argsort(np.concatenate([neurons for _, neurons in groups]))
    fits = []
    for index, setting in enumerate(settings):
        total, bias = (torch.cat(of)[back] for of in zip(*(group[index] for group in fitted), strict=True))
        fits.append(sum_parameters(total, int(setting["rank"]), bias, grid))
    return fits


def _fit_group(
    images: np.ndarray, measured: np.ndarray, settings: list[dict[str, float]]
) -> list[tuple[Tensor, Tensor]]:
    """Weights (neuron, channel, place) and biases (neuron,) of neurons with responses to all images."""
    features, responses = torch.from_numpy(images).flatten(2), torch.from_numpy(measured)
    feature_mean, response_mean = features.mean(0), responses.mean(0)
    centered = (features - feature_mean).flatten(1)
    grid = (images.shape[2], images.shape[3])
    moments = _moments(centered, features.shape[1], grid)
    products = ((responses - response_mean).T @ centered).view(-1, *feature_mean.shape)
    rank = max(int(setting["rank"]) for setting in settings)
    sums: dict[tuple[float, float], list[Tensor]] = {}
    fits = []
    for setting in settings:
        strengths = (setting["mask_l2"], setting["feature_l2"])
        if strengths not in sums:
            blocks = [fit_sums(moments, block, rank, strengths) for block in products.split(_BLOCK)]
            sums[strengths] = [torch.cat(tensors) for tensors in zip(*blocks, strict=True)]
        total = sums[strengths][int(setting["rank"]) - 1]
        bias = response_mean - torch.tensordot(total, feature_mean, 2)
        fits.append((total, bias))
    return fits


@dataclass(frozen=True)
class _Moments:
    """Second moments of the features, which all neurons share."""

    gram: Tensor  # (channel, place, channel, place)
    pairs: Tensor
    """(pair of channels, pair of places): the component of ``gram`` that is symmetric in both.

    A quadratic form in one mask or one set of weights needs no more, so that one product of matrices serves
    all neurons.
    """
    penalty: Tensor  # (place, place) of masks: 1 plus the Laplacian of the grid

    def explained(self, pair: _Pair) -> Tensor:
        """Products of features with the predictions of a pair, (neuron, channel, place)."""
        weights, mask = pair
        return torch.tensordot(weights[:, :, None] * mask[:, None], self.gram, 2)


def _moments(features: Tensor, channels: int, grid: tuple[int, int]) -> _Moments:
    """Moments of centered features (image, channel * place)."""
    places = grid[0] * grid[1]
    gram = (features.T @ features).view(channels, places, channels, places)
    first, second = torch.triu_indices(channels, channels)
    symmetric = (gram[first, :, second] + gram[second, :, first]) / 2
    first, second = torch.triu_indices(places, places)
    return _Moments(gram, symmetric[:, first, second], torch.eye(places) + grid_laplacian(*grid))


def grid_laplacian(height: int, width: int) -> Tensor:
    """Matrix of the sum of squared differences between neighbors of a grid, (place, place)."""
    rows, columns = (torch.diff(torch.eye(size), dim=0) for size in (height, width))
    return torch.kron(rows.T @ rows, torch.eye(width)) + torch.kron(torch.eye(height), columns.T @ columns)


def fit_sums(moments: _Moments, products: Tensor, rank: int, strengths: tuple[float, float]) -> list[Tensor]:
    """Weights (neuron, channel, place) of sums of 1, 2, ... ``rank`` pairs.

    ``products`` are those of features and responses, (neuron, channel, place); ``strengths`` those of the
    penalties on masks and on feature weights.
    """
    left = products
    pairs: list[_Pair] = []
    sums = []
    for _ in range(rank):
        start = torch.linalg.svd(left, full_matrices=False).U[:, :, 0]
        pairs.append(_fit_pair(moments, left, start, strengths, _ROUNDS))
        left = left - moments.explained(pairs[-1])
        for index, pair in enumerate(pairs if len(pairs) > 1 else []):
            left = left + moments.explained(pair)
            pairs[index] = _fit_pair(moments, left, pair[0], strengths, _REFIT_ROUNDS)
            left = left - moments.explained(pairs[index])
        sums.append(torch.stack([weights[:, :, None] * mask[:, None] for weights, mask in pairs]).sum(0))
    return sums


def _fit_pair(
    moments: _Moments, products: Tensor, weights: Tensor, strengths: tuple[float, float], rounds: int
) -> _Pair:
    """Mask and feature weights of every neuron, from feature weights (neuron, channel) to start with."""
    mask_l2, feature_l2 = strengths
    one = torch.eye(weights.shape[1])
    mask = products[:, 0]
    for _ in range(rounds):
        # Only the product counts, so that each is fitted beside a unit vector of the other.
        gram = _unpack(_products_of_pairs(functional.normalize(weights)) @ moments.pairs, mask.shape[1])
        target = torch.einsum("nf,nfp->np", functional.normalize(weights), products)
        mask = functional.normalize(scaled_ridge(gram, target, mask_l2, moments.penalty))
        gram = _unpack(_products_of_pairs(mask) @ moments.pairs.T, weights.shape[1])
        weights = scaled_ridge(gram, torch.einsum("np,nfp->nf", mask, products), feature_l2, one)
    return weights, mask


def scaled_ridge(gram: Tensor, products: Tensor, strength: float, penalty: Tensor) -> Tensor:
    """Solves (gram + strength * mean diagonal * penalty) w = products, (..., n, n) and (..., n).

    UserError if rounding leaves the sum without an inverse.
    """
    size = gram.diagonal(dim1=-2, dim2=-1).mean(-1)
    # A silent neuron has a Gram matrix of zeros, and zeros as solution.
    size = torch.where(size > 0, size, 1.0)
    factor, failed = torch.linalg.cholesky_ex(gram + strength * size[..., None, None] * penalty)
    if failed.any():
        raise UserError(f"grid: a penalty of {strength:g} is too small for these images: enlarge it")
    return torch.cholesky_solve(products[..., None], factor)[..., 0]


def _products_of_pairs(values: Tensor) -> Tensor:
    """Products of all pairs of elements, off-diagonal ones twice, (neuron, n) to (neuron, n (n + 1) / 2)."""
    first, second = torch.triu_indices(values.shape[1], values.shape[1])
    # Selecting takes a third of the time of indexing.
    products = values.index_select(1, first) * values.index_select(1, second)
    return products * (1 + (first != second).to(values.dtype))


def _unpack(packed: Tensor, size: int) -> Tensor:
    """Symmetric matrices (neuron, size, size) of their upper triangles (neuron, size (size + 1) / 2)."""
    first, second = torch.triu_indices(size, size)
    position = torch.empty(size, size, dtype=torch.long)
    position[first, second] = position[second, first] = torch.arange(len(first))
    return packed.index_select(1, position.flatten()).unflatten(1, (size, size))


def sum_parameters(total: Tensor, rank: int, bias: Tensor, grid: tuple[int, int]) -> dict[str, Tensor]:
    """State dict of a :class:`FactorizedRidge` that has weights ``total`` (neuron, channel, place)."""
    left, size, right = torch.linalg.svd(total, full_matrices=False)
    weights = left[:, :, :rank].permute(2, 0, 1)
    masks = (size[:, :rank, None] * right[:, :rank]).transpose(0, 1)
    peak = masks.gather(2, masks.abs().argmax(2, keepdim=True))
    sign = torch.where(peak < 0, -1.0, 1.0)
    weights, masks = weights * sign, (masks * sign).unflatten(2, grid)
    return {
        "readout.raw_mask": masks[0].clone(),
        "readout.raw_feature_weights": weights[0].clone(),
        "readout.bias": bias,
        "readout.further_masks": masks[1:].transpose(0, 1).clone(),
        "readout.further_feature_weights": weights[1:].transpose(0, 1).clone(),
    }
