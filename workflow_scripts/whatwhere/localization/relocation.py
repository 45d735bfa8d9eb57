"""Global re-estimation of where neurons look, from the feature maps of a network in training.

Gradients move a mask only to pixels that already help. Here the best feature weights are found at every
location, by ridge regression of the responses on the features there, and a neuron whose best location
explains the responses far better than the neighbourhood of its current one moves to it: the same E-step as in
:mod:`whatwhere.localization.mixture`, in the learned feature space.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from scipy.special import betainccinv
from torch import Tensor

from whatwhere.models.base import Model
from whatwhere.models.encoder import Encoder
from whatwhere.models.gaussian_readout import GaussianReadout
from whatwhere.models.readouts import FactorizedReadout
from whatwhere.seen import require_all

_CHUNK = 256
_LOCATIONS = 64
"""Locations solved at once."""
_RIDGE = 0.01
"""Ridge in units of the mean variance of a feature."""
_FALSE_MOVES = 0.001
"""Share of neurons without any receptive field that may move."""
_ROOM = 1 << 30
"""Bytes that what features and responses have in common may take: neurons are looked at in parts."""
_NEAR = 2
"""Distance in pixels within which training finds the way by itself."""


def _features(encoder: Encoder, images: Tensor) -> Iterator[Tensor]:
    """Feature maps in evaluation mode, chunk by chunk, (image, channel, location)."""
    encoder.eval()
    with torch.inference_mode():
        for chunk in images.split(_CHUNK):
            yield encoder.core(chunk).flatten(2).double()


@dataclass(frozen=True)
class Everywhere:
    """What the features of every location know of every neuron.

    Attributes
    ----------
    explained
        (location, neuron) squared correlation of the responses with the best weighted features.
    weights
        (location, channel, neuron) those weights.
    mean
        (location, channel) mean features.
    """

    explained: Tensor
    weights: Tensor
    mean: Tensor


def explained_everywhere(encoder: Encoder, images: Tensor, responses: Tensor, positive: bool) -> Everywhere:
    """Regress the responses on the features of every location.

    Parameters
    ----------
    encoder
        The network.
    images, responses
        (image, channel, y, x) and (image, neuron).
    positive
        Whether feature weights must not be negative: negative ones of the regression are set to 0.
    """
    require_all(responses.cpu().numpy(), "relocation")
    channels, height, width = encoder.core.out_shape
    like = torch.zeros((), dtype=torch.float64, device=images.device)
    total = like.new_zeros(channels, height * width)
    products = like.new_zeros(height * width, channels, channels)
    cross = like.new_zeros(height * width, channels, responses.shape[1])
    centered = responses.double() - responses.mean(0, dtype=torch.float64)
    for features, responded in zip(_features(encoder, images), centered.split(_CHUNK), strict=True):
        total += features.sum(0)
        products += torch.einsum("icl,idl->lcd", features, features)
        # In place, because it is as large as all the rest.
        cross.view(-1, responses.shape[1]).addmm_(features.permute(2, 1, 0).flatten(0, 1), responded)
    mean = total.T / len(images)
    covariance = products / len(images) - mean[:, :, None] * mean[:, None, :]
    cross /= len(images)
    ridge = _RIDGE * covariance.diagonal(dim1=1, dim2=2).mean() + torch.finfo(torch.float64).tiny
    ridged = covariance + ridge * torch.eye(channels).to(like)
    variance = centered.square().mean(0)
    explained = []
    parts = (one.split(_LOCATIONS) for one in (covariance, ridged, cross))
    for of_features, penalized, with_responses in zip(*parts, strict=True):
        weights = torch.linalg.solve(penalized, with_responses)
        if positive:
            weights = weights.clamp(min=0)
        squared = (weights * with_responses).sum(1).clamp(min=0) ** 2
        scale = (weights * torch.einsum("lcd,ldn->lcn", of_features, weights)).sum(1) * variance
        explained.append(torch.where(scale > 0, squared / scale, 0.0))
        with_responses.copy_(weights)  # no longer needed
    return Everywhere(torch.cat(explained), cross, mean)


def least_gain(n_images: int, n_features: int, n_locations: int) -> float:
    """Log-likelihood that the best location gains by noise alone in :data:`_FALSE_MOVES` of the neurons.

    The squared multiple correlation of noise with K features over n images follows a beta distribution with
    parameters K / 2 and (n - 1 - K) / 2; locations count as independent. Infinite with fewer images than that
    takes.
    """
    free = n_images - 1 - n_features
    if free < 1:
        return math.inf
    explained = betainccinv(n_features / 2, free / 2, _FALSE_MOVES / n_locations)
    return -n_images / 2 * math.log1p(-explained)


def relocate(encoder: Model, images: Tensor, responses: Tensor) -> Tensor:
    """Move neurons whose best location is far from their current one and clearly better.

    Clearly means that the log-likelihood gained exceeds :func:`least_gain`. The mean drive does not change if
    the readout has a bias.

    Parameters
    ----------
    encoder
        The network with masks, free or Gaussian, or a Gaussian readout, which is changed in place.
    images, responses
        Training data, (image, channel, y, x) and (image, neuron).

    Returns
    -------
    (moved,) indices of the neurons that moved.
    """
    readout = getattr(encoder, "readout", None)
    if not isinstance(encoder, Encoder) or not isinstance(readout, FactorizedReadout | GaussianReadout):
        raise TypeError(f"{type(encoder).__name__} with {type(readout).__name__} has no locations")
    channels, height, width = encoder.core.out_shape
    n_locations = height * width
    needed = least_gain(len(images), channels, n_locations)
    with torch.no_grad():
        current = readout.mask.abs().flatten(1).argmax(1)
    parts = []
    for neurons in torch.arange(len(current), device=images.device).split(
        max(1, _ROOM // (8 * channels * n_locations))
    ):
        found = explained_everywhere(
            encoder, images, responses[:, neurons], readout.config["positive_features"]
        )
        near = _near(current[neurons], height, width)
        here = torch.where(near, found.explained, 0.0).amax(0)
        best, place = found.explained.max(0)
        each = torch.arange(len(neurons), device=images.device)
        gain = len(images) / 2 * (torch.log1p(-here) - torch.log1p(-best.clamp(max=1 - 1e-9)))
        moves = (gain > needed) & ~near[place, each]
        parts.append((neurons[moves], place[moves], found.weights[place[moves], :, each[moves]]))
    moved, place, weights = (torch.cat(one) for one in zip(*parts, strict=True))
    if len(moved):
        position = torch.stack([place // width, place % width], 1)
        _move(encoder, images, moved, position, weights.to(images), readout)
    return moved


def _near(current: Tensor, height: int, width: int) -> Tensor:
    """Which locations lie near the current ones (neuron,), truth values (location, neuron)."""
    every = torch.arange(height * width, device=current.device)[:, None]
    rows, columns = every // width - current // width, every % width - current % width
    return torch.maximum(rows.abs(), columns.abs()) <= _NEAR


def _move(
    encoder: Encoder,
    images: Tensor,
    moved: Tensor,
    position: Tensor,
    weights: Tensor,
    readout: FactorizedReadout | GaussianReadout,
) -> None:
    def mean_drive() -> Tensor:
        encoder.eval()
        with torch.inference_mode():
            parts = [readout(encoder.core(chunk)).sum(0) for chunk in images.split(_CHUNK)]
        return torch.stack(parts).sum(0)[moved] / len(images)

    before = mean_drive() if readout.bias is not None else None
    with torch.no_grad():
        readout.move(moved, position, weights)
        if readout.bias is not None and before is not None:
            readout.bias[moved] += before - mean_drive()
