"""Starts of networks from inferred locations: the files of their localizer."""

from typing import Any

import numpy as np
import xarray as xr

from whatwhere.localization.localized import LocalizedEncoder, localized_start
from whatwhere.models.base import LocalizedStart
from whatwhere.models.spec import Setting, settings
from whatwhere.training.fits import load_model


def best_setting(grid: list[Setting], validation_loss: np.ndarray, n_kernels: int | None) -> int:
    """Setting of a localizer with the lowest mean validation loss.

    Parameters
    ----------
    grid
        Of the localizer.
    validation_loss
        (setting, neuron).
    n_kernels
        Only settings with this number of kernels count; None: all.
    """
    counts = np.array([setting["n_kernels"] for setting in grid])
    allowed = np.full(len(counts), True) if n_kernels is None else counts == n_kernels
    return int(np.where(allowed, validation_loss.mean(1), np.inf).argmin())


def kernels_needed(definition: dict[str, Any]) -> int | None:
    """Number of kernels that a network must start from; None if it takes locations only."""
    counts = {core["channels"][0] for core in definition["cores"] if core.get("kernel_start") == "posterior"}
    return counts.pop() if counts else None


def start_from(
    fits: dict[str, Any], validation: xr.Dataset, definition: dict[str, Any], seed: int
) -> tuple[LocalizedStart, dict[str, np.ndarray]]:
    """Start of one seed of a network, as :func:`whatwhere.localization.localized.localized_start` returns it.

    Parameters
    ----------
    fits, validation
        Content of the localizer's ``fits.pt`` and ``validation.nc``, for the same neurons and images. The
        first fits count, which did not see the validation images.
    definition
        The network.
    seed
        Of the fit.
    """
    loss = validation["validation_loss"].sel(seed=seed).values
    setting = best_setting(settings(fits["definition"]), loss, kernels_needed(definition))
    encoder = load_model(fits, seed, setting, first=True)
    if not isinstance(encoder, LocalizedEncoder):
        raise TypeError(f"a localizer cannot be {type(encoder).__name__}")
    return localized_start(encoder)
