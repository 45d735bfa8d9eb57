"""Eager PyTorch baseline of a factorized network: einsum readout, one fit after the other.

The baseline is written independently of the library, as reference for the results (tests) and the speed
(benchmarks) of the library.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from whatwhere.models.spec import ModelSpec

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda features: features,
    "relu": functional.relu,
    "elu": functional.elu,
    "softplus": functional.softplus,
}
LAPLACE = torch.tensor([[0.25, 0.5, 0.25], [0.5, -3.0, 0.5], [0.25, 0.5, 0.25]])


class EagerNetwork(nn.Module):
    """Convolutions, batch normalization, masks and feature weights, with the values of an encoder.

    Parameters
    ----------
    definition
        A model of the config, family ``cnn_factorized``, with one core.
    encoder
        The library's encoder of the same definition, whose parameters are copied.
    """

    def __init__(self, definition: dict[str, Any], encoder: nn.Module) -> None:
        super().__init__()
        self.definition = definition
        self.convention, _ = ModelSpec.of(definition).trained
        self.core = definition["cores"][0]
        values = {name: value.detach().clone() for name, value in encoder.state_dict().items()}
        n_layers = len(self.core["channels"])
        # In torch's default layout; contiguous() keeps another layout if there is only one channel.
        stored = [values[f"core.layers.{index}.kernels"] for index in range(n_layers)]
        kernels = [torch.empty(kernel.shape, dtype=kernel.dtype).copy_(kernel) for kernel in stored]
        self.kernels = nn.ParameterList(kernels)
        self.norms = nn.ModuleList()
        for kernel in kernels if self.core["batch_norm"] else []:
            norm = nn.BatchNorm2d(len(kernel), eps=1e-3, momentum=1 - self.core["batch_norm"]["decay"])
            norm.weight.requires_grad_(False)
            norm.bias.requires_grad_(self.core["batch_norm"]["shift"])
            shift = values.get(f"core.layers.{len(self.norms)}.norm.shift")
            if shift is not None:
                norm.bias.data = shift
            self.norms.append(norm.to(kernel.dtype))
        self.mask = nn.Parameter(values["readout.raw_mask"])
        weights = values["readout.raw_feature_weights"]
        self.feature_weights = nn.Parameter(weights, requires_grad=weights.shape[1] > 1)
        self.bias = nn.Parameter(values["readout.bias"]) if self.convention.bias else None

    def forward(self, images: Tensor) -> Tensor:
        """Predicted responses, (batch, channel, y, x) to (batch, neuron)."""
        features = images
        for index, kernels in enumerate(self.kernels):
            if self.core["unit_norm"]:
                kernels = kernels / (1e-5 + kernels.square().sum((2, 3), keepdim=True).sqrt())
            features = functional.conv2d(features, kernels, padding=self.core["padding"][index])
            if len(self.norms):
                features = self.norms[index](features)
            last = index == len(self.kernels) - 1
            features = ACTIVATIONS[self.core["last_activation" if last else "activation"]](features)
        mask = self.mask.abs() if self.definition["readout"]["positive_mask"] else self.mask
        weights = self.feature_weights
        weights = weights.abs() if self.definition["readout"]["positive_features"] else weights
        drive = torch.einsum("bnc,nc->bn", torch.einsum("bcyx,nyx->bnc", features, mask), weights)
        drive = drive if self.bias is None else drive + self.bias
        return ACTIVATIONS[self.convention.nonlinearity](drive)

    def loss(self, images: Tensor, responses: Tensor) -> Tensor:
        """Loss of every neuron, (neuron,)."""
        predictions = self(images)
        if self.convention.loss == "mse":
            return ((predictions - responses) ** 2).mean(0)
        return (predictions - responses * torch.log(predictions + 1e-5)).mean(0)

    def penalty(self, name: str) -> Tensor:
        """A penalty by its name in a grid: a scalar, or (neuron,)."""
        mask, weights = self.mask.abs().sum((1, 2)), self.feature_weights.abs().sum(1)
        if name in ("mask_l1", "feature_l1", "joint_l1"):
            return {"mask_l1": mask, "feature_l1": weights, "joint_l1": mask * weights}[name]
        total = torch.zeros(())
        for index, kernels in enumerate(self.kernels):
            squares = kernels.square().sum((2, 3))
            if name == "smoothness":
                filters = kernels.flatten(0, 1)[:, None]
                rough = functional.conv2d(filters, LAPLACE.to(kernels)[None, None], padding=1)
                ratio = rough.square().sum((1, 2, 3)) / (squares.flatten() + 1e-12)
                total = total + self.core["smooth_layers"][index] * ratio.sum()
            else:
                total = total + self.core["sparse_layers"][index] * squares.sqrt().sum()
        return total

    def objective(self, images: Tensor, responses: Tensor, strengths: dict[str, float]) -> Tensor:
        """Loss plus penalties, a scalar."""
        reduce = torch.mean if self.convention.reduction == "mean" else torch.sum
        total = reduce(self.loss(images, responses))
        for name, strength in strengths.items():
            penalty = self.penalty(name)
            total = total + strength * (reduce(penalty) if penalty.ndim else penalty)
        return total


def step(
    network: EagerNetwork,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    responses: Tensor,
    strengths: dict[str, float],
) -> Tensor:
    """Takes one training step and returns the objective."""
    network.train()
    optimizer.zero_grad()
    value = network.objective(images, responses, strengths)
    value.backward()
    optimizer.step()
    return value


def fit(
    network: EagerNetwork,
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    strengths: dict[str, float],
    generator: torch.Generator,
) -> list[tuple[int, float, float]]:
    """Trains with the early stopping of section C.5 (no roll-back) and restores the best weights.

    Returns
    -------
    (step, objective, mean validation loss) at every evaluation.
    """
    config = network.definition["training"]
    optimizer = torch.optim.Adam(
        [parameter for parameter in network.parameters() if parameter.requires_grad],
        lr=config["learning_rate"],
    )
    history: list[tuple[int, float, float]] = []
    best, best_state, waited, stage, taken = float("inf"), copy.deepcopy(network.state_dict()), 0, 0, 0
    order = torch.arange(len(train[0]))
    while True:
        for batch in order.split(min(config["batch_size"], len(order))):
            value = step(network, optimizer, train[0][batch], train[1][batch], strengths)
            taken += 1
            if taken % config["evaluate_every"] == 0:
                network.eval()
                with torch.no_grad():
                    loss = float(network.loss(*validation).mean())
                history.append((taken, value.item(), loss))
                waited = 0 if loss < best or len(history) <= config["burn_in"] else waited + 1
                if loss < best:
                    best, best_state = loss, copy.deepcopy(network.state_dict())
                if waited == config["patience"]:
                    waited, stage = 0, stage + 1
                    optimizer.param_groups[0]["lr"] *= config["factor"]
            if stage == config["n_stages"] or taken == config["max_steps"]:
                network.load_state_dict(best_state)
                return history
        order = torch.randperm(len(order), generator=generator)
