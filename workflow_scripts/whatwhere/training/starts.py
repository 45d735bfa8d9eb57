"""What a model starts from when its definition names a localizer: the files of another model's cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from whatwhere.localization.localized import LocalizedEncoder, localized_start
from whatwhere.models.base import LocalizedStart
from whatwhere.training.families import settings
from whatwhere.training.fits import load_model


def best_setting(definition: dict[str, Any], validation_loss: np.ndarray, n_kernels: int | None) -> int:
    """Setting of a localizer with the lowest mean validation loss.

    Parameters
    ----------
    definition
        The localizer of the config.
    validation_loss
        (setting, neuron).
    n_kernels
        Only settings with this number of kernels count; None: all.
    """
    counts = np.array([setting["n_kernels"] for setting in settings(definition)])
    allowed = np.full(len(counts), True) if n_kernels is None else counts == n_kernels
    return int(np.where(allowed, validation_loss.mean(1), np.inf).argmin())


def kernels_needed(definition: dict[str, Any]) -> int | None:
    """Number of kernels that a network must start from; None if it takes locations only."""
    counts = {core["channels"][0] for core in definition["cores"] if core.get("kernel_start") == "posterior"}
    return counts.pop() if counts else None


def start_from(
    starts: dict[str, Any], validation: xr.Dataset, definition: dict[str, Any], seed: int
) -> tuple[LocalizedStart, dict[str, np.ndarray]]:
    """Start of one seed of a network, as :func:`whatwhere.localization.localized.localized_start` returns it.

    Parameters
    ----------
    starts, validation
        Content of the localizer's ``starts.pt`` and ``validation.nc``, for the same cell.
    definition
        The network.
    seed
        Of the fit.
    """
    loss = validation["validation_loss"].sel(seed=seed).values
    setting = best_setting(starts["definition"], loss, kernels_needed(definition))
    encoder = load_model(starts, seed, setting)
    if not isinstance(encoder, LocalizedEncoder):
        raise TypeError(f"a localizer cannot be {type(encoder).__name__}")
    return localized_start(encoder)
