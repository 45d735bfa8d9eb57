"""Images, splits and seed that all kinds of simulations share."""

from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
import xarray as xr

from whatwhere.dataset import TEST, TRAIN, UNUSED, VALIDATION, VARIABLES
from whatwhere.streams import Purpose, stream
from whatwhere.subset import n_validation


@dataclass(frozen=True)
class Design:
    """Images, splits and seed of a simulated dataset.

    There are ``n_images`` training plus validation images, and ``n_test`` test images, in every one of
    ``repetitions``: folds of the dataset that share the neurons, and no image. ``validation_fraction`` and
    ``validation_max`` are as in :func:`whatwhere.subset.n_validation`. Every random quantity has its own
    random stream of ``seed``, so more images leave the neurons and the first images as they are.
    """

    name: str
    n_images: int
    n_test: int
    validation_fraction: float
    validation_max: int = 0
    seed: int = field(kw_only=True)
    repetitions: int = 1

    @classmethod
    def of(cls, name: str, definition: dict[str, Any]) -> tuple[Self, dict[str, Any]]:
        """Design of a simulated dataset of the configuration, and the other keys of its simulation."""
        shared = {field.name for field in fields(cls)} & set(definition)
        design = cls(name, **{key: definition[key] for key in shared})
        others = {"kind", "label", "sta_smoothing", *shared}
        return design, {key: definition[key] for key in definition if key not in others}

    @property
    def counts(self) -> dict[int, int]:
        """Number of images of one repetition by split, in the order in which they are stored."""
        validation = n_validation(self.n_images, self.validation_fraction, self.validation_max)
        return {TRAIN: self.n_images - validation, VALIDATION: validation, TEST: self.n_test}

    def split(self) -> np.ndarray:
        """Splits of repetitions whose images follow each other, (fold, image) int8."""
        one = np.repeat(np.array(list(self.counts), np.int8), list(self.counts.values()))
        split = np.full((self.repetitions, self.repetitions, len(one)), UNUSED, np.int8)
        split[np.arange(self.repetitions), np.arange(self.repetitions)] = one
        return split.reshape(self.repetitions, -1)

    def streams(self, number: int) -> list[np.random.SeedSequence]:
        """Independent random streams of the simulation."""
        return stream(self.seed, Purpose.SIMULATION).spawn(number)

    def dataset(
        self, arrays: dict[str, np.ndarray], units: str, *, source: str, normalize: str, noise_free_test: int
    ) -> xr.Dataset:
        """Dataset that fulfils the contract of :mod:`whatwhere.dataset`.

        ``arrays`` are its variables without ``split``, of any type of numbers; ``units`` are those of
        responses, rates and their sd.
        """
        attributes: dict[str, dict[str, str]] = {
            **{name: {"units": units} for name in ("responses", "rates", "response_sd")},
            "images": {"units": "as stored by the source"},
            "split": {"meaning": "0 train, 1 validation, 2 test, -1 of another repetition"},
            "location": {"units": "px", "axis": "y, x"},
        }
        arrays = {**arrays, "split": self.split()}
        variables = {
            name: (dims, arrays[name].astype(dtype, copy=False), attributes.get(name, {}))
            for name, (dims, dtype) in VARIABLES.items()
            if name in arrays and isinstance(dtype, str)
        }
        described = {
            "name": self.name,
            "kind": "simulated",
            "source": source,
            "normalize": normalize,
            "noise_free_test": noise_free_test,
            "repeat_averages": 0,
            "validation_fraction": self.validation_fraction,
            "validation_max": self.validation_max,
        }
        return xr.Dataset(variables, attrs=described)
