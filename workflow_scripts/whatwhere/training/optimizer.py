"""Adam as training uses it: changed in place, so that a step recorded on a GPU can be replayed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from whatwhere.models.base import Model
from whatwhere.models.spec import Schedule

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
Moments = dict[int, dict[str, Tensor]]
"""Moving averages and number of steps by parameter, counted over all groups."""
_KERNEL: Callable[..., None] = torch._fused_adamw_


@dataclass
class Group:
    """Parameters that share their weight decay and learning rate, ``relative`` times that of others.

    The rate is a tensor on a GPU, because nothing else can change when a recorded step is replayed.
    """

    parameters: list[torch.nn.Parameter]
    rate: float | Tensor
    relative: float = 1.0
    decay: float = 0.0

    def set_rate(self, rate: float) -> None:
        """Sets the learning rate, in place on a GPU."""
        self.rate = self.rate.fill_(rate) if isinstance(self.rate, Tensor) else rate


class Adam:
    """AdamW (Loshchilov & Hutter 2019), without weight decay Adam (Kingma & Ba 2015), by a kernel of torch.

    Gives the bytes of ``torch.optim.AdamW(fused=True)``, whose first step imports the compiler of torch: 800
    modules, which take as long to import as torch.
    """

    def __init__(self, groups: list[Group]) -> None:
        self.groups = groups
        self.moments: Moments = {}

    @torch.no_grad()
    def step(self) -> None:
        """Moves every parameter that has a gradient."""
        first = 0
        for group in self.groups:
            moved = {n: p for n, p in enumerate(group.parameters, first) if p.grad is not None}
            first += len(group.parameters)
            for number, one in moved.items():
                if number not in self.moments:
                    start = torch.zeros((), device=one.device), torch.zeros_like(one), torch.zeros_like(one)
                    self.moments[number] = dict(zip(MOMENTS, start, strict=True))
            moments = [self.moments[number] for number in moved]
            if moved:
                steps, means, squares = ([one[name] for one in moments] for name in MOMENTS)
                torch._foreach_add_(steps, 1)
                _KERNEL(
                    list(moved.values()),
                    [parameter.grad for parameter in moved.values()],
                    means,
                    squares,
                    [],
                    steps,
                    lr=group.rate,
                    beta1=0.9,
                    beta2=0.999,
                    weight_decay=group.decay,
                    eps=1e-8,
                    amsgrad=False,
                    maximize=False,
                )

    def set_rate(self, rate: float) -> None:
        """Sets the learning rate; parameters that learn more slowly get their share of the rate."""
        for group in self.groups:
            group.set_rate(rate * group.relative)

    def put_back(self, moments: Moments) -> None:
        """Sets moments and numbers of steps to earlier values; without values to zero, as at the start."""
        for index, values in self.moments.items():
            for name, value in values.items():
                value.copy_(moments[index][name] if moments else torch.zeros_like(value))

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes, for a checkpoint."""
        return {"moments": self.moments, "rates": [float(group.rate) for group in self.groups]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from :meth:`state_dict`, which may come from another device."""
        parameters = [parameter for group in self.groups for parameter in group.parameters]
        self.moments = {
            index: {name: value.to(parameters[index].device) for name, value in values.items()}
            for index, values in state["moments"].items()
        }
        for group, rate in zip(self.groups, state["rates"], strict=True):
            group.set_rate(rate)


def new_optimizer(encoder: Model, config: Schedule) -> Adam:
    """Optimizer that decays what :meth:`Model.decayed` names."""
    trainable = [p for p in encoder.parameters() if p.requires_grad]
    transferred, relative = encoder.transferred()
    slower = [p for p in transferred if p.requires_grad]
    device = trainable[0].device

    def lasting(value: float) -> float | Tensor:
        return torch.tensor(value, device=device) if device.type == "cuda" else value

    peak = config.learning_rate
    decayed = [p for p in encoder.decayed() if p.requires_grad and config.weight_decay]
    others = [p for p in trainable if all(p is not one for one in [*decayed, *slower])]
    groups = [
        Group(decayed, lasting(peak), decay=config.weight_decay or 0.0),
        Group(others, lasting(peak)),
        Group(slower, lasting(relative * peak), relative),
    ]
    return Adam([group for group in groups if group.parameters])
