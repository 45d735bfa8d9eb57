"""Presentations of images one by one, with the covariates of each: what a model with state is fitted to."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from whatwhere.dataset import presented, select_trials
from whatwhere.errors import UserError
from whatwhere.streams import Purpose, stream

MISSING = ("leave_out", "hold_last")
"""Rules that a dataset may state for missing values of a covariate."""


@dataclass(frozen=True)
class Shown:
    """Presentations of images, one row each, image after image.

    Attributes
    ----------
    image
        (presentation,) position among the images, rising.
    covariates
        (presentation, column) float32, in the units of the recording, see :func:`columns_of`.
    responses
        (presentation, neuron) float32, NaN where missing.
    """

    image: np.ndarray
    covariates: np.ndarray
    responses: np.ndarray

    def scaled(self, sd: np.ndarray) -> "Shown":
        """The same presentations with responses divided by ``sd`` (neuron,)."""
        return replace(self, responses=self.responses / sd)

    def joined(self, other: "Shown", n_images: int) -> "Shown":
        """These presentations, then those of other images, which follow the ``n_images`` images of these."""
        later = replace(other, image=other.image + n_images)
        return Shown(*(np.concatenate([getattr(one, name) for one in (self, later)]) for name in vars(self)))

    def means(self, n_images: int) -> np.ndarray:
        """Mean response to every image, (image, neuron) float32; NaN where there is none."""
        known = ~np.isnan(self.responses)
        total, count = (np.zeros((n_images, self.responses.shape[1])) for _ in range(2))
        np.add.at(total, self.image, np.where(known, self.responses, 0))
        np.add.at(count, self.image, known)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def columns_of(state: dict[str, Any]) -> list[tuple[str, int]]:
    """Covariate and lag in bins of every column: of ``modulation`` lag by lag, then of ``gaze``."""
    modulation = state.get("modulation", {})
    names = modulation.get("covariates", [])
    columns = [(name, lag) for lag in modulation.get("lags", [0]) for name in names]
    return columns + [(name, 0) for name in state.get("gaze", {}).get("covariates", [])]


def given_columns(state: dict[str, Any], given: Mapping[str, Any], before: int, n: int) -> np.ndarray:
    """Covariates that a user gives for ``n`` predictions with a ``state``, (presentation, column) float32.

    ``given`` are (image,) numbers by name; for a movie (time,) for all bins, ``before`` of which precede the
    first that is predicted. A value before the first bin is NaN. UserError if the length is another.
    """
    found = np.full((n, len(columns_of(state))), np.nan, np.float32)
    for column, (name, lag) in enumerate(columns_of(state)):
        values = np.asarray(given.get(name, ()), np.float32)
        if values.shape != (before + n,):
            raise UserError(
                f"covariates: '{name}' has shape {values.shape}, expected ({before + n},): one per image"
            )
        start = before - lag
        found[max(-start, 0) :, column] = values[max(start, 0) : start + n]
    return found


def earlier_bins(dataset: xr.Dataset, lag: int) -> np.ndarray:
    """Bin that lies ``lag`` bins before every bin of a movie, (image,); -1 where there is none."""
    last = dataset["last_frame"].values.astype(np.int64)
    bins = np.full(dataset.sizes["frame"], -1)
    bins[last] = np.arange(len(last))
    wanted = last - int(dataset.attrs["frames_per_bin"])
    previous = np.where(wanted >= 0, bins[wanted], -1)
    found = np.arange(len(last))
    for _ in range(lag):
        found = np.where(found >= 0, previous[found], -1)
    return found


def covariates_of(dataset: xr.Dataset, state: dict[str, Any]) -> np.ndarray:
    """Covariates of a model's ``state`` in all presentations, (repeat, image, column); NaN where missing.

    Raises
    ------
    UserError
        If the dataset has no such covariate, or values are missing and it does not say what to do.
    """
    name = f"datasets.{dataset.attrs['name']}"
    there = dataset["covariate_name"].values.astype(str).tolist() if "covariates" in dataset else []
    columns = columns_of(state)
    unknown = next((one for one, _ in columns if one not in there), None)
    if unknown is not None:
        raise UserError(f"{name}: has no covariate '{unknown}': choose from {', '.join(there) or 'none'}")
    stored, shown = dataset["covariates"].values, presented(dataset)
    said = dataset.get("covariate_missing", np.full(len(there), ""))
    found = np.empty((*stored.shape[:2], len(columns)), np.float32)
    for column, (one, lag) in enumerate(columns):
        index = there.index(one)
        values = stored[:, :, index]
        lost = int((shown & np.isnan(values)).sum())
        if lost and not str(said[index].item()):
            raise UserError(
                f"{name}.missing: covariate '{one}' is missing in {lost} presentations: set {one} to "
                "leave_out, or to hold_last, which takes the last value before"
            )
        if lag:
            before = earlier_bins(dataset, lag)
            values = np.where(before >= 0, values[:, before], np.nan)
        found[:, :, column] = values
    return found


def presentations_of(
    dataset: xr.Dataset, images: np.ndarray, neurons: np.ndarray, state: dict[str, Any], seed: int
) -> Shown:
    """Presentations of images of a dataset to neurons, without those that lack a covariate.

    With ``shuffled``, covariates are exchanged between the presentations, by a stream of the seed. Errors as
    for :func:`covariates_of`.
    """
    covariates = covariates_of(dataset, state)[:, images]
    image, repeat = np.nonzero((presented(dataset)[:, images] & ~np.isnan(covariates).any(2)).T)
    responses = select_trials(dataset, images, neurons, image, repeat)
    found = Shown(image, covariates[repeat, image], responses)
    if not state.get("shuffled"):
        return found
    order = np.random.default_rng(stream(seed, Purpose.SHUFFLE)).permutation(len(image))
    return replace(found, covariates=found.covariates[order])
