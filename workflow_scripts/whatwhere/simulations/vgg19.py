"""The ``vgg19`` feature space: maps of the first layers of VGG-19 (Simonyan & Zisserman 2015) at stride 1.

In VGG-19 a pooling of 2 x 2 px at stride 2 follows conv1_2, so that conv2_2 has a unit at every second pixel
only. Here pooling moves by one pixel and the next layers are dilated by two: the units at the locations of
VGG-19 are equal to the units of VGG-19, and a location in between has the unit of VGG-19 on an image shifted
by one pixel. Receptive fields of layers up to conv2_2 have 14 px at most; no layer is padded.
"""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from whatwhere.errors import UserError

LAYERS = {"conv1_1": 0, "conv1_2": 2, "conv2_1": 5, "conv2_2": 7}
"""Position of every layer in torchvision's ``features``."""
RECEPTIVE_FIELDS = {"conv1_1": 3, "conv1_2": 5, "conv2_1": 10, "conv2_2": 14}
"""Height and width, px."""


class VGG19:
    """Random feature maps of one layer, after its rectification.

    Parameters
    ----------
    weights
        Checkpoint of torchvision's VGG-19, a state dict; only the layers that are needed are read.
    layer
        A key of :data:`LAYERS`.
    n_types
        Number of feature maps.
    images
        (image, 3, y, x) standardized images; maps that respond to none of the images are not selected.
    seed
        Random stream of the selection; fewer types are the first of more types.

    Raises
    ------
    UserError
        If the checkpoint is not of VGG-19 or has too few maps that respond.
    """

    def __init__(
        self, weights: Path, layer: str, n_types: int, images: np.ndarray, seed: np.random.SeedSequence
    ) -> None:
        self.receptive_field = RECEPTIVE_FIELDS[layer]
        self._layers = _read(weights, layer)
        with torch.no_grad():
            active = np.flatnonzero(self._all_maps(torch.from_numpy(images)).amax((0, 2, 3)).numpy() > 0)
        if len(active) < n_types:
            found = f"{len(active)} maps of {layer} respond, expected {n_types}"
            raise UserError(f"{weights}: {found}: set n_types to at most {len(active)}")
        self._selected = torch.from_numpy(np.random.default_rng(seed).permutation(active)[:n_types])

    def __call__(self, images: Tensor) -> Tensor:
        """Feature maps, (image, 3, y, x) to (image, type, y, x) where the receptive field fits."""
        return self._all_maps(images)[:, self._selected]

    def _all_maps(self, images: Tensor) -> Tensor:
        maps, dilation = images, 1
        for name, (kernel, bias) in self._layers.items():
            if name == "conv2_1":
                maps, dilation = functional.max_pool2d(maps, 2, stride=1), 2
            maps = functional.relu(functional.conv2d(maps, kernel, bias, dilation=dilation))
        return maps


def _read(path: Path, last: str) -> dict[str, tuple[Tensor, Tensor]]:
    """Kernel and bias of the layers up to ``last``."""
    try:
        # Mapped, so that of half a gigabyte only the first layers are read.
        state = torch.load(path, weights_only=True, map_location="cpu", mmap=zipfile.is_zipfile(path))
        return {
            name: (state[f"features.{position}.weight"], state[f"features.{position}.bias"])
            for name, position in LAYERS.items()
            if position <= LAYERS[last]
        }
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError) as error:
        raise UserError(f"{path}: {error}: use torchvision's checkpoint of VGG-19") from error
