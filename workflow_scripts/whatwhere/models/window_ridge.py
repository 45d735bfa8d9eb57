"""Kernel ridge regression under a Gaussian window per neuron, on fixed features, in closed form.

The kernel of two images is the inner product of their features, summed over places under a window; or a
radial basis function of the distance that belongs to it. Leave-one-out errors, which are known from one
eigendecomposition per window, and a prior that all neurons share select windows and penalties of a neuron.
"""

from itertools import product
from typing import Any

import torch
from torch import Tensor

from whatwhere import missing
from whatwhere.fit_data import FitData
from whatwhere.models.base import ImageShape, Model
from whatwhere.sessions import Session, neurons_of

_CENTERS = 5  # rows and columns of a checkerboard, whose 13 places are centers of windows
_MEMBERS = 5  # windows of a neuron: the most probable ones
_LEAST_SHARE = 0.05  # probability below which a window of a neuron is left out
_SELECTION = 700  # images by which windows and penalties are selected; bounds the time of decompositions
_VALUES = 200_000_000  # of kernels that are held at once; bounds memory
_ROWS = 256  # images whose products with all others are held at once
# Share of the images that count in the likelihood, because leave-one-out errors are alike. Validation images
# of V4 selected it.
_COUNTED = 0.3
_ROUNDS = 50  # of expectation and maximization for the prior


class WindowRidge(Model):
    """Predicts responses by kernels between features and those of the training images.

    Attributes
    ----------
    support
        (place, image, channel) float16, features of the training images.
    windows
        (window, place), scaled so that the mean squared norm of a training image is 1.
    window_of, share
        (neuron, member) indices of the windows of a neuron, and their probabilities.
    dual
        (neuron, member, image) weights of the training images; 0 where a neuron did not see the image.
    """

    support: Tensor
    windows: Tensor
    window_of: Tensor
    share: Tensor
    dual: Tensor
    bias: Tensor

    def __init__(self, feature_shape: ImageShape, n_neurons: int, rbf_width: float | None) -> None:
        super().__init__()
        channels, height, width = feature_shape
        self.grid = (height, width)
        self.rbf_width = rbf_width
        self.register_buffer("support", torch.zeros(height * width, 0, channels, dtype=torch.float16))
        self.register_buffer("windows", torch.zeros(1, height * width))
        self.register_buffer("window_of", torch.zeros(n_neurons, _MEMBERS, dtype=torch.long))
        self.register_buffer("share", torch.zeros(n_neurons, _MEMBERS))
        self.register_buffer("dual", torch.zeros(n_neurons, _MEMBERS, 0))
        self.register_buffer("bias", torch.zeros(n_neurons))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *others: Any) -> None:
        # The number of training images and windows is that of the fit.
        for name in ("support", "windows", "dual"):
            if prefix + name in state_dict:
                setattr(self, name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *others)

    def forward(self, features: Tensor, session: Session | None = None) -> Tensor:
        """Predicted responses, (batch, channel, y, x) to (batch, neuron), of all neurons or a session."""
        mine = neurons_of(session)
        window_of, dual = self.window_of[mine], self.dual[mine]
        used = torch.unique(window_of)
        kernels = window_kernels(by_place(features), self.support.float(), self.windows[used], self.rbf_width)
        drive = self.bias[mine].expand(len(features), -1)
        for kernel, window in zip(kernels, used, strict=True):
            neurons, members = torch.nonzero(window_of == window, as_tuple=True)
            drive = drive.index_add(1, neurons, kernel @ dual[neurons, members].T)
        return drive

    def masks(self) -> Tensor:
        """Mean window of the neurons, (neuron, y, x)."""
        return torch.einsum("nm,nmp->np", self.share, self.windows[self.window_of]).unflatten(1, self.grid)

    def feature_weights(self) -> Tensor:
        """Mean gradient under the mask at the mean image, (neuron, channel).

        Under a linear kernel it does not depend on the image.
        """
        support = self.support.float()
        at_mean = torch.ones(len(self.windows), support.shape[1])
        if self.rbf_width is not None:
            squared = self.windows @ support.square().sum(2)
            at_mean = torch.exp(-squared / (2 * self.rbf_width**2)) / self.rbf_width**2
        masks = self.masks().flatten(1)
        weights = torch.zeros(len(masks), support.shape[2])
        for place, features in enumerate(support):
            for member in range(_MEMBERS):
                window_of = self.window_of[:, member]
                dual = self.dual[:, member] * at_mean[window_of]
                gradient = (dual @ features) * self.windows[window_of, place, None]
                weights += gradient * masks[:, place, None]
        return weights / masks.sum(1, keepdim=True).clamp(min=1e-12)


def fit_window_ridge(
    data: FitData, sds: list[float], penalties: list[float], rbf_width: float | None
) -> dict[str, Tensor]:
    """Kernel ridge regression of every neuron under the windows that suit it.

    Every pair of a window and a penalty has the likelihood of its leave-one-out errors, and a prior that
    makes the errors of the population most likely. The prediction is the mean of those under the most
    probable windows, each with its best penalty, in proportion to their probability.

    Images of ``data`` are maps of features (image, channel, y, x); ``sds`` are those of windows in units of
    the width, ``penalties`` in units of the mean squared norm of an image. Returns parameters of a
    :class:`WindowRidge`.
    """
    support = by_place(torch.from_numpy(data.train_images)).half().contiguous()
    features, responses = support.float(), torch.from_numpy(data.train_responses)
    windows = gaussian_windows((data.train_images.shape[2], data.train_images.shape[3]), sds)
    windows = windows / (windows @ features.square().sum(2)).mean(1, keepdim=True).clamp(min=1e-12)
    groups = [
        (torch.arange(len(responses))[images], torch.from_numpy(neurons))
        for images, neurons in missing.groups(data.train_responses)
    ]
    n_neurons = responses.shape[1]
    likelihood = torch.empty(len(windows), len(penalties), n_neurons)
    for images, neurons in groups:
        counted = _COUNTED * min(len(images), _SELECTION)
        chosen = images[torch.linspace(0, len(images) - 1, min(len(images), _SELECTION)).round().long()]
        for some in _blocks(torch.arange(len(windows)), len(chosen)):
            kernels = window_kernels(features[:, chosen], features[:, chosen], windows[some], rbf_width)
            for window, kernel in zip(some, kernels, strict=True):
                errors = leave_one_out(kernel, responses[chosen][:, neurons], penalties)
                likelihood[window][:, neurons] = -counted / 2 * errors.clamp(min=1e-12).log()
    probability = posterior(likelihood.flatten(0, 1)).view_as(likelihood)
    share, window_of = (one.T for one in probability.sum(1).topk(_MEMBERS, 0))
    share = torch.where(share < _LEAST_SHARE, 0.0, share)
    share = share / share.sum(1, keepdim=True)
    penalty_of = probability.argmax(1).T.gather(1, window_of)
    dual = torch.zeros(n_neurons, _MEMBERS, len(responses))
    bias = torch.zeros(n_neurons)
    for images, neurons in groups:
        mine = torch.zeros(n_neurons, 1, dtype=torch.bool)
        mine[neurons] = True
        mine = mine & (share > 0)
        for some in _blocks(torch.unique(window_of[mine]), len(images)):
            kernels = window_kernels(features[:, images], features[:, images], windows[some], rbf_width)
            for (window, kernel), index in product(zip(some, kernels, strict=True), range(len(penalties))):
                wanted = mine & (window_of == window) & (penalty_of == index)
                rows, members = torch.nonzero(wanted, as_tuple=True)
                if len(rows):
                    weights, offset = kernel_ridge(kernel, responses[images][:, rows], penalties[index])
                    dual[rows[:, None], members[:, None], images] = (weights * share[rows, members]).T
                    bias.index_add_(0, rows, offset * share[rows, members])
    return {
        "support": support,
        "windows": windows,
        "window_of": window_of.contiguous(),
        "share": share,
        "dual": dual,
        "bias": bias,
    }


def _blocks(windows: Tensor, n_images: int) -> tuple[Tensor, ...]:
    """Windows whose kernels are held at once."""
    return windows.split(max(1, _VALUES // n_images**2))


def posterior(likelihood: Tensor) -> Tensor:
    """Probability of every candidate for every neuron, from logarithms of likelihoods, (candidate, neuron).

    The prior over candidates is that of all neurons, found by expectation and maximization.
    """
    prior = torch.full((len(likelihood), 1), 1 / len(likelihood))
    for _ in range(_ROUNDS):
        probability = torch.softmax(likelihood + prior.log(), 0)
        # A tenth of a neuron keeps every candidate possible.
        counts = probability.sum(1, keepdim=True) + 0.1
        prior = counts / counts.sum()
    return torch.softmax(likelihood + prior.log(), 0)


def by_place(features: Tensor) -> Tensor:
    """Features (image, channel, y, x) as (place, image, channel)."""
    return features.flatten(2).permute(2, 0, 1)


def window_kernels(images: Tensor, others: Tensor, windows: Tensor, rbf_width: float | None) -> Tensor:
    """Kernels between images under every window, (window, image, other).

    ``images`` and ``others`` are features (place, image, channel), ``windows`` (window, place). The kernel is
    the inner product of features, summed under the window; with ``rbf_width`` w it is exp(-d^2 / (2 w^2)) of
    the distance d that belongs to this inner product.
    """
    kernels = images.new_empty(len(windows), images.shape[1], others.shape[1])
    for first in range(0, images.shape[1], _ROWS):
        rows = slice(first, first + _ROWS)
        kernels[:, rows] = torch.tensordot(windows, torch.bmm(images[:, rows], others.transpose(1, 2)), 1)
    if rbf_width is None:
        return kernels
    half = [windows @ one.square().sum(2) / 2 for one in (images, others)]
    return ((kernels - half[0][:, :, None] - half[1][:, None]) / rbf_width**2).exp()


def gaussian_windows(grid: tuple[int, int], sds: list[float]) -> Tensor:
    """Windows that a neuron may have, (window, place): the whole picture, and Gaussians at 13 places.

    ``sds`` are in units of the width of the grid, (y, x).
    """
    height, width = grid
    y, x = (torch.arange(size) + 0.5 for size in grid)
    steps = [(index + 0.5) / _CENTERS for index in range(_CENTERS)]
    windows = [torch.ones(height, width)]
    for sd in sds:
        for row, down in enumerate(steps):
            for across in steps[row % 2 :: 2]:
                squared = (y[:, None] - down * height) ** 2 + (x - across * width) ** 2
                windows.append(torch.exp(-squared / (2 * (sd * width) ** 2)))
    return torch.stack(windows).flatten(1)


def leave_one_out(kernel: Tensor, responses: Tensor, penalties: list[float]) -> Tensor:
    """Mean squared leave-one-out error of :func:`kernel_ridge`, (penalty, neuron).

    ``kernel`` is (image, image), ``responses`` (image, neuron). The prediction for an image is that of the
    regression on all other images; all follow from one eigendecomposition.
    """
    centered = kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()
    values, vectors = torch.linalg.eigh(centered)
    projected, squared = vectors.T @ (responses - responses.mean(0)), vectors.square()
    losses = []
    for penalty in penalties:
        inverse = 1 / (values.clamp(min=0) + penalty)
        # The intercept is free, so that the constant direction has no place in the inverse.
        diagonal = squared @ inverse - 1 / (len(kernel) * penalty)
        errors = vectors @ (inverse[:, None] * projected) / diagonal[:, None]
        losses.append(errors.square().mean(0))
    return torch.stack(losses)


def kernel_ridge(kernel: Tensor, responses: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Kernel ridge regression with an intercept: weights of images (image, neuron) and intercepts (neuron,).

    ``kernel`` is (image, image), ``responses`` (image, neuron).
    """
    factor = torch.linalg.cholesky(kernel + penalty * torch.eye(len(kernel)))
    solved = torch.cholesky_solve(torch.cat([torch.ones(len(kernel), 1), responses], 1), factor)
    ones, weights = solved[:, :1], solved[:, 1:]
    intercept = weights.sum(0) / ones.sum()
    return weights - ones * intercept, intercept
