"""Starts of networks from inferred locations: the files of their localizer."""

from typing import Any

import numpy as np
import torch
import xarray as xr

from whatwhere.localization.localized import LocalizedEncoder
from whatwhere.models.base import LocalizedStart
from whatwhere.models.spec import Setting, settings
from whatwhere.training.fits import load_model


def best_setting(grid: list[Setting], validation_loss: np.ndarray, definition: dict[str, Any]) -> int:
    """Setting of a localizer from which a network can start, with the lowest mean loss (setting, neuron).

    A network with a core that starts from kernels needs as many kernels as the core has channels.
    """
    needed = {core["channels"][0] for core in definition["cores"] if core.get("kernel_start") == "posterior"}
    allowed = [not needed or setting["n_kernels"] in needed for setting in grid]
    return int(np.where(allowed, validation_loss.mean(1), np.inf).argmin())


def start_from(
    fits: dict[str, Any], validation: xr.Dataset, definition: dict[str, Any], seed: int
) -> tuple[LocalizedStart, dict[str, np.ndarray]]:
    """Start of one seed of a network: kernels and feature weights, and maps in the frame of the image.

    ``fits`` and ``validation`` are the content of ``fits.pt`` and ``validation.nc`` of the localizer, for the
    neurons and images of the network. The first fits count, which did not see the validation images. Maps by
    name are (neuron, y, x), of image size: ``posterior``, the probability that the middle of the receptive
    field, if there is one, lies on a pixel, and ``amplitude``, the mask on the kernels' outputs.
    """
    loss = validation["validation_loss"].sel(seed=seed).values
    setting = best_setting(settings(fits["definition"]), loss, definition)
    encoder = load_model(fits, seed, setting, first=True)
    if not isinstance(encoder, LocalizedEncoder):
        raise TypeError(f"a localizer cannot be {type(encoder).__name__}")
    readout = encoder.readout
    patch = encoder.kernels.shape[-1]
    before = (patch - 1) // 2
    border = (before, patch - 1 - before, before, patch - 1 - before)
    # A mask has to start somewhere, even where a receptive field is unlikely.
    probable = readout.posterior.sum(1) + torch.finfo(torch.float32).tiny
    maps = {"posterior": probable / probable.sum((1, 2), keepdim=True), "amplitude": readout.mask.detach()}
    framed = {name: torch.nn.functional.pad(one, border).numpy() for name, one in maps.items()}
    return LocalizedStart(encoder.kernels.detach(), readout.feature_weights.detach()), framed
