"""Fits of one condition as they are stored, for selection by validation and for prediction."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from whatwhere.files import read_netcdf, read_tensors, write_netcdf, write_tensors
from whatwhere.models.base import Model
from whatwhere.models.spec import ModelSpec, settings
from whatwhere.standardize import Standardizer
from whatwhere.training.families import build
from whatwhere.training.loop import Fit


@dataclass
class Candidates:
    """The fits of one seed: one per setting, to be selected from by validation."""

    seed: int
    neurons: np.ndarray  # (neuron,) indices into the dataset
    standardize: Standardizer
    response_scale: np.ndarray  # (neuron,) factor of predictions
    parameters: list[dict[str, Tensor]]  # one state dict per setting
    fits: list[Fit]  # one per setting
    validation_loss_of_mean: np.ndarray  # (neuron,) validation loss of predicting the mean training response
    response_mean: np.ndarray  # (neuron,) mean training response, in the units of the recording
    n_images: int  # number of training plus validation images; of several recordings, those of the first
    recording: np.ndarray | None = None  # (neuron,) number of the recording, if there are several
    # (setting, image, neuron) of validation images, in the units of the recording, by fits that did not see
    # them, where `parameters` are of fits that did.
    validation_predictions: np.ndarray | None = None
    # State dicts of fits that did not see validation images, from which networks start, where `parameters`
    # are of fits that did.
    first_parameters: list[dict[str, Tensor]] | None = None
    pictures: np.ndarray | None = None  # fingerprints of all pictures of recordings that a core has seen


@dataclass(frozen=True)
class ModelFits:
    """Fits of all settings and seeds of a model to one condition."""

    name: str  # name of the model, or of its file, in messages
    # Content of `fits.pt` and `validation.nc`: `to_tensors` and `to_validation`.
    fits: dict[str, Any]
    validation: xr.Dataset

    @classmethod
    def of(cls, name: str, definition: dict[str, Any], candidates: list[Candidates]) -> "ModelFits":
        """Fits of a model with a definition, one element of ``candidates`` per seed."""
        return cls(name, to_tensors(definition, candidates), to_validation(definition, candidates))

    @classmethod
    def read(cls, name: str, files: Sequence[str | Path]) -> "ModelFits":
        """Reads ``fits.pt`` and ``validation.nc``."""
        with read_netcdf(files[1]) as validation:
            return cls(name, read_tensors(files[0]), validation.load())

    def write(self, fits: str | Path, validation: str | Path) -> None:
        """Writes ``fits.pt`` and ``validation.nc``."""
        write_netcdf(self.validation, validation)
        write_tensors(self.fits, fits)


def to_tensors(definition: dict[str, Any], candidates: list[Candidates]) -> dict[str, Any]:
    """Content of ``fits.pt``: everything needed to predict with every fit of a condition.

    All seeds of a condition get the smallest number of images of a seed, because tables identify a condition
    by this number. The folds of seeds differ by a few images where copies of an image share a split.
    """
    n_images = min(one.n_images for one in candidates)
    return {
        "definition": definition,
        "seeds": {
            one.seed: {
                "neurons": torch.from_numpy(one.neurons),
                "input_mean": torch.from_numpy(one.standardize.mean),
                "input_sd": torch.from_numpy(one.standardize.sd),
                "response_scale": torch.from_numpy(one.response_scale),
                "parameters": one.parameters,
                "response_mean": torch.from_numpy(one.response_mean),
                "n_images": n_images,
                **({"first_parameters": one.first_parameters} if one.first_parameters else {}),
                **{
                    name: torch.from_numpy(value)
                    for name in ("recording", "validation_predictions", "pictures")
                    if (value := getattr(one, name)) is not None
                },
            }
            for one in candidates
        },
    }


def to_validation(definition: dict[str, Any], candidates: list[Candidates]) -> xr.Dataset:
    """Content of ``validation.nc``: what selection may see.

    Variables ``validation_loss`` (seed, setting, neuron), ``validation_loss_of_mean`` (seed, neuron),
    ``best_step``, ``last_step`` and ``converged`` (seed, setting), ``neuron_index`` (seed, neuron), and every
    hyper-parameter along ``setting``.
    """
    combinations = settings(definition)
    names = sorted({name for setting in combinations for name in setting})

    def of_fits(name: str) -> np.ndarray:
        return np.array([[getattr(fit, name) for fit in one.fits] for one in candidates])

    def of_seeds(name: str) -> np.ndarray:
        return np.array([getattr(one, name) for one in candidates])

    return xr.Dataset(
        {
            "validation_loss": (("seed", "setting", "neuron"), of_fits("validation_loss")),
            "validation_loss_of_mean": (("seed", "neuron"), of_seeds("validation_loss_of_mean")),
            "best_step": (("seed", "setting"), of_fits("best_step")),
            "last_step": (("seed", "setting"), of_fits("last_step")),
            "converged": (("seed", "setting"), of_fits("converged").astype(int)),
            "neuron_index": (("seed", "neuron"), of_seeds("neurons")),
        },
        coords={"seed": [one.seed for one in candidates]}
        | {name: ("setting", [float(one.get(name, 0.0)) for one in combinations]) for name in names},
    )


def load_model(fits: dict[str, Any], seed: int, setting: int, *, first: bool = False) -> Model:
    """Builds the model of one fit from the content of ``fits.pt``; it takes standardized images.

    With ``first``, the fit that did not see the validation images, where a second one did.
    """
    stored, spec = fits["seeds"][seed], ModelSpec.of(fits["definition"])
    channel, height, width = stored["input_mean"].shape[-3:]
    model = build(spec, spec.settings[setting], (channel, height, width), len(stored["neurons"]))
    key = "first_parameters" if first and "first_parameters" in stored else "parameters"
    model.load_state_dict(stored[key][setting])
    return model
