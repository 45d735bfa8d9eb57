"""Adam as training uses it: changed in place, so that a step recorded on a GPU can be replayed."""

from typing import Any

import torch
from torch import Tensor

from whatwhere.models.base import Model
from whatwhere.models.spec import Schedule

_RELATIVE = "relative_rate"
"""Key of an optimizer's parameters that learn at another rate: how many times the rate of all others."""

Moments = dict[int, dict[str, Tensor]]
"""Moving averages and step counts by parameter, ``state_dict()["state"]`` of an optimizer."""


def new_optimizer(encoder: Model, config: Schedule) -> torch.optim.Optimizer:
    """Adam, or AdamW (Loshchilov & Hutter 2019) that decays what :meth:`Model.decayed` names."""
    trainable = [p for p in encoder.parameters() if p.requires_grad]
    transferred, rate = encoder.transferred()
    slower = [p for p in transferred if p.requires_grad]
    device = trainable[0].device
    # Only what lies on the GPU, steps and rates too, can change when a recorded step is replayed.
    on_gpu = device.type == "cuda"

    def lasting(value: float) -> float | Tensor:
        return torch.tensor(value, device=device) if on_gpu else value

    peak = config.learning_rate
    if config.weight_decay is None and not slower:
        return torch.optim.Adam(trainable, lr=lasting(peak), fused=True, capturable=on_gpu)
    decayed = [p for p in encoder.decayed() if p.requires_grad]
    others = [p for p in trainable if all(p is not one for one in [*decayed, *slower])]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay or 0.0, "lr": lasting(peak)},
        {"params": others, "weight_decay": 0.0, "lr": lasting(peak)},
        {"params": slower, "weight_decay": 0.0, "lr": lasting(rate * peak), _RELATIVE: rate},
    ]
    return torch.optim.AdamW([one for one in groups if one["params"]], fused=True, capturable=on_gpu)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate; parameters that learn more slowly get their share of the rate."""
    for group in optimizer.param_groups:
        value = rate * group.get(_RELATIVE, 1.0)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value


def put_back(optimizer: torch.optim.Optimizer, moments: Moments) -> None:
    """Sets moments and step counts to earlier values; without values to zero, as at the start."""
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if moments:
                value.copy_(moments[index][name])
            else:
                value.zero_()


def load(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Continues from ``state_dict()``, which may come from another device."""
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if isinstance(rate, Tensor):
            group["lr"] = rate.fill_(float(group["lr"]))
