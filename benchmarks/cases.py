"""Networks and data that are timed, at the sizes of the paper."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from eager import EagerNetwork
from torch.utils.flop_counter import FlopCounterMode

from whatwhere.config.load import load
from whatwhere.models.base import ImageShape, Model
from whatwhere.models.spec import ModelSpec
from whatwhere.training.blocks import Block, Tensors
from whatwhere.training.families import build
from whatwhere.training.loop import Fit, Training
from whatwhere.training.losses import Objective
from whatwhere.windows import Windows

CONFIG = Path(__file__).parents[1] / "config"


def two_kernels() -> dict[str, Any]:
    """Network of Figure 4 (section E)."""
    config = load([CONFIG / "fig4.yaml"]).config
    return copy.deepcopy(config["models"]["factorized_two_kernels"])


def one_kernel() -> dict[str, Any]:
    """Network of Figure 3 with its ten penalties (section D)."""
    definition = two_kernels()
    norm = {"decay": 0.998, "shift": False}
    definition["cores"][0].update(channels=[1], unit_norm=False, batch_norm=norm, truncated=False)
    definition["grid"] = [{"mask_l1": [round(10 ** (exponent / 3), 6) for exponent in range(-9, 1)]}]
    definition["training"].update(batch_size=256, patience=5, n_stages=3, burn_in=0)
    return definition


def three_layers() -> dict[str, Any]:
    """Network of Table 1 with kernels of 13, 3 and 3 px and 48 channels (section G.2)."""
    definition = copy.deepcopy(load([]).config["models"]["factorized_three_layers"])
    definition["cores"][0].update(channels=[48] * 3, kernels=[13, 3, 3])
    definition["grid"] = [{"smoothness": [0.03], "group_sparsity": [0.05], "joint_l1": [0.02]}]
    return definition


def nonlinear_features() -> dict[str, Any]:
    """Network of Figure 5 with ten pairs of penalties (section F.2)."""
    definition = three_layers()
    definition["cores"][0].update(
        channels=[32, 64, 4],
        kernels=[5, 5, 5],
        padding=["valid"] * 3,
        batch_norm={"decay": 0.998, "shift": True},
        activation="relu",
        last_activation="relu",
    )
    definition["readout"].update(positive_mask=False)
    definition["convention"] = "paper_simulation"
    weights = [0.003, 0.01, 0.03, 0.1, 0.3]
    definition["grid"] = [{"mask_l1": [0.001, 0.003], "feature_l1": weights}]
    definition["training"].update(batch_size=64, patience=5)
    return definition


def checkerboard() -> tuple[dict[str, Any], Tensors]:
    """Two layers of 24 kernels of 3 px, free masks of 7 neurons, windows of 18 frames of 21 x 13 px."""
    models = load([CONFIG / "movies.yaml"]).config["models"]
    definition = copy.deepcopy(models["movie_network"]) | {"lags": 18}
    definition["cores"] = copy.deepcopy(models["checkerboard_network"]["cores"])
    return definition, windows(18, (1, 21, 13), 7)


def flicker() -> tuple[dict[str, Any], Tensors]:
    """Network of the flicker recording with 16 lags in place of 16 functions of time, for 243 neurons."""
    definition = copy.deepcopy(load([CONFIG / "movies.yaml"]).config["models"]["flicker_network"])
    del definition["temporal_basis"]
    return definition | {"lags": 16, "grid": [{}]}, windows(16, (1, 1, 1), 243)


def windows(lags: int, shape: ImageShape, n_neurons: int) -> Tensors:
    """4096 windows of white-noise frames (channel, y, x), two for validation, and Poisson counts."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(4096 + lags - 1, *shape, generator=generator)
    images = Windows(frames, torch.arange(lags - 1, len(frames)), lags)
    responses = torch.poisson(torch.ones(len(images), n_neurons), generator=generator)
    return Tensors(images[:-2], responses[:-2], images[-2:], responses[-2:])


def population(n_images: int, shape: ImageShape, n_neurons: int, seed: int) -> tuple[torch.Tensor, ...]:
    """White-noise images and positive responses of random local filters, with noise."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n_images, *shape, generator=generator)
    room = torch.tensor([shape[1] - 9.0, shape[2] - 9.0])
    centers = torch.rand(n_neurons, 2, generator=generator) * room + 4
    y, x = torch.arange(shape[1])[:, None], torch.arange(shape[2])[None]
    distance = (y - centers[:, 0, None, None]) ** 2 + (x - centers[:, 1, None, None]) ** 2
    center, surround = torch.exp(-distance / 4), torch.exp(-distance / 16)
    fields = center / center.sum((1, 2), keepdim=True) - surround / surround.sum((1, 2), keepdim=True)
    responses = torch.empty(n_images, n_neurons)
    for start in range(0, n_images, 4096):
        block = slice(start, start + 4096)
        rates = 4 * (images[block].mean(1).flatten(1) @ fields.flatten(1).T)
        responses[block] = torch.poisson(torch.nn.functional.softplus(rates), generator=generator)
    return images, responses


@dataclass
class Case:
    """A network and its data, to be trained by this project or by the baseline.

    Attributes
    ----------
    definition
        A model of the config.
    data
        Training and validation data, on the device.
    """

    definition: dict[str, Any]
    data: Tensors

    @property
    def spec(self) -> ModelSpec:
        """Settings, groups and schedule of the model."""
        return ModelSpec.of(self.definition)

    def encoders(self) -> list[Model]:
        """One initialized model per setting; all models start from the same values."""
        encoders = []
        for setting in self.spec.settings:
            shape = tuple(self.data.train_images.shape[1:])
            encoder = build(self.spec, setting, shape, self.data.train_responses.shape[1])
            generator = torch.Generator().manual_seed(0)
            with torch.no_grad():
                for name, parameter in encoder.named_parameters():
                    if parameter.requires_grad and not name.endswith("shift"):
                        # In the order of rows, whatever the memory layout.
                        parameter.copy_(0.01 * torch.randn(parameter.shape, generator=generator))
            encoder.core.use_fast_layout()
            encoders.append(encoder.to(self.data.train_images.device))
        return encoders

    def strengths(self) -> list[dict[str, float]]:
        """Penalties of every setting."""
        return [
            {name: value for name, value in setting.items() if name != "core"}
            for setting in self.spec.settings
        ]

    def train(self, together: int, **changes: Any) -> list[Fit]:
        """Trains every setting with this project, ``together`` at once, with changes of ``training``."""
        convention, schedule = self.spec.trained
        encoders, config = self.encoders(), replace(schedule, **changes)
        objectives = [
            Objective(convention.loss, convention.reduction, strengths) for strengths in self.strengths()
        ]
        fits = []
        for first in range(0, len(encoders), together):
            batch = slice(first, first + together)
            order = torch.Generator().manual_seed(1)
            training = Training(encoders[batch], [Block(self.data)], objectives[batch], config, [order])
            fits += training.run(lambda _: None)
        return fits

    def operations(self) -> int:
        """Multiplications and additions in convolutions and products of one step of every setting."""
        counts = []
        for n_steps in (1, 2):
            # Both runs evaluate once; the difference removes the evaluation.
            with FlopCounterMode(display=False) as counter:
                self.train(1, max_steps=n_steps, evaluate_every=n_steps)
            counts.append(counter.get_total_flops())
        return counts[1] - counts[0]

    def eager(self, encoder: Model) -> EagerNetwork:
        """Baseline network with the values of an encoder."""
        return EagerNetwork(self.definition, encoder).to(self.data.train_images.device)
