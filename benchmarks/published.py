"""Network of section G.2, built from layers of neuralpredictors 0.3.0."""

import collections
import collections.abc
import sys
import types
from collections.abc import Callable

import torch
from torch import nn

from whatwhere.training.blocks import Tensors

# The published release imports Iterable from its place before Python 3.10.
collections.Iterable = collections.abc.Iterable
# The library imports torchvision; the core and the readout below do not use it.
sys.modules.setdefault("torchvision", types.ModuleType("torchvision"))

from neuralpredictors.layers.cores import Stacked2dCore  # noqa: E402
from neuralpredictors.layers.readouts.factorized import FullFactorized2d  # noqa: E402


def published_steps(data: Tensors, size: int, n_steps: int) -> Callable[[], None]:
    """Training steps of batch ``size`` with the library's core, readout, penalties and torch's Adam."""
    _, channel, height, width = data.train_images.shape
    n_neurons = data.train_responses.shape[1]
    core = Stacked2dCore(
        channel,
        48,
        input_kern=13,
        hidden_kern=3,
        layers=3,
        gamma_input=0.03,
        gamma_hidden=0.05,
        final_nonlinearity=False,
        momentum=0.1,
        pad_input=False,
        stack=-1,
        use_avg_reg=False,
    )
    readout = FullFactorized2d(
        (48, height - 12, width - 12),
        n_neurons,
        bias=True,
        normalize=False,
        constrain_pos=True,
        mean_activity=data.train_responses.mean(0).cpu(),
        spatial_and_feature_reg_weight=0.02,
    )
    network = nn.Sequential(core, readout, nn.Softplus()).to(data.train_images.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def task() -> None:
        network.train()
        for step in range(n_steps):
            batch = torch.arange(step * size, (step + 1) * size) % len(data.train_images)
            optimizer.zero_grad()
            predictions, responses = network(data.train_images[batch]), data.train_responses[batch]
            loss = (predictions - responses * torch.log(predictions + 1e-5)).mean(0).sum()
            (loss + core.regularizer() + readout.regularizer()).backward()
            optimizer.step()

    return task
