"""Cores transferred to other neurons, from the files of a fitted network."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from whatwhere.dataset import TEST, select_images
from whatwhere.errors import UserError
from whatwhere.files import read_netcdf, read_tensors
from whatwhere.models.base import ImageShape
from whatwhere.models.spec import refuse_earlier, settings
from whatwhere.recordings.copies import NEAR_COPIES, fingerprints, seen
from whatwhere.standardize import Standardizer
from whatwhere.subset import Subset


@dataclass(frozen=True)
class TransferredCore:
    """The core of a fitted network."""

    definition: dict[str, Any]
    core: dict[str, Any]  # the element of its `cores` that was fitted
    # Parameters and moving averages of the network below its readout: names begin with `core.` and
    # `feature_bank.`.
    state: dict[str, Tensor]
    image_shape: ImageShape  # (channel, y, x) of the images it was fitted to
    normalize: str  # standardization of these images
    # (picture, pixel) int8, fingerprints of the pictures of recordings it was fitted to; None for simulations
    # and movies.
    pictures: Tensor | None = None
    name: str = ""  # of its fits, in messages

    @classmethod
    def of(cls, fits: dict[str, Any], validation: xr.Dataset, seed: int, name: str) -> "TransferredCore":
        """The core of the fit of one seed with the lowest mean validation loss.

        ``fits`` and ``validation`` are the content of ``fits.pt`` and ``validation.nc`` of the network, which
        messages call ``name``. UserError if the model is no network, or was fitted by an earlier version or
        without this seed.
        """
        _refuse_without_core(fits["definition"], name)
        if seed not in fits["seeds"]:
            have = ", ".join(map(str, fits["seeds"]))
            raise UserError(f"core_from: {name} was not fitted with seed {seed}, only {have}: add it there")
        loss = validation["validation_loss"].sel(seed=seed).mean("neuron").values
        best = int(np.where(np.isfinite(loss), loss, np.inf).argmin())
        return cls.of_setting(fits, seed, best, name)

    @classmethod
    def of_setting(cls, fits: dict[str, Any], seed: int, setting: int, name: str) -> "TransferredCore":
        """The core of the fit of one seed and setting; parameters and errors as for :meth:`of`."""
        definition, stored = fits["definition"], fits["seeds"][seed]
        _refuse_without_core(definition, name)
        parameters = stored["parameters"][setting]
        standardize = Standardizer(stored["input_mean"].numpy(), stored["input_sd"].numpy())
        return cls(
            definition,
            definition["cores"][int(settings(definition)[setting]["core"])],
            {key: value for key, value in parameters.items() if key.startswith(("core.", "feature_bank."))},
            standardize.image_shape,
            standardize.normalize,
            stored.get("pictures"),
            name,
        )

    def of_feature_bank(self) -> dict[str, Tensor]:
        """State of the feature bank below the core."""
        prefix = "feature_bank."
        return {n.removeprefix(prefix): v for n, v in self.state.items() if n.startswith(prefix)}

    def completed(self, definition: dict[str, Any]) -> dict[str, Any]:
        """A model that names the core, with what it takes to build it again."""
        fitted = {"core": self.core, "feature_bank": self.definition.get("feature_bank")}
        fitted |= {key: self.definition[key] for key in ("lags", "temporal_basis") if key in self.definition}
        return definition | {"core_from": definition["core_from"] | {"fitted": fitted}}

    def refuse_seen(self, dataset: xr.Dataset, seed: int) -> None:
        """UserError if the test images of a fit are among the pictures that the core was fitted to.

        ``seed`` is that of the fit; near copies count.
        """
        if self.pictures is None or "images" not in dataset:
            return
        fold = dataset["split"].values[seed % dataset.sizes["fold"]]
        test = np.asarray(select_images(dataset, np.flatnonzero(fold == TEST)))
        known = int(seen(test, self.pictures.numpy(), dataset.attrs.get("near_copies") or NEAR_COPIES).sum())
        if known:
            raise UserError(
                f"core_from: {self.name} was fitted to {known} of the {len(test)} test images of "
                f"{dataset.attrs['name']} or to near copies: fit the core without them, in a configuration "
                "by the key 'without_images_of' of a pooled dataset"
            )

    def check(self, standardize: Standardizer, definition: dict[str, Any]) -> None:
        """Refuses images or a network for which the core was not fitted.

        UserError if the images have another shape or are standardized otherwise, or the network has other
        layers or another feature bank; the line names the key.
        """
        if standardize.image_shape != self.image_shape:
            theirs, ours = (" x ".join(map(str, one)) for one in (self.image_shape, standardize.image_shape))
            raise UserError(
                f"core_from: the core was fitted to images of {theirs} (channel, y, x), these are {ours}: "
                "set the same color, size and lags"
            )
        if standardize.normalize != self.normalize:
            raise UserError(
                f"core_from: the core was fitted to images normalized as {self.normalize}, these are "
                f"{standardize.normalize}: set the same image.normalize"
            )
        if "cores" not in definition:
            return
        for key in ("feature_bank", "temporal_basis"):
            if definition.get(key) != self.definition.get(key):
                raise UserError(f"core_from: the core stands on another {key}: set the same '{key}'")
        if definition["cores"] != [self.core]:
            raise UserError("core_from: the core has other layers: set the same 'cores'")


def pictures_seen(dataset: xr.Dataset, subset: Subset, core: TransferredCore | None) -> np.ndarray | None:
    """Fingerprints of the pictures of a recording that a fit sees, and of those that its core has seen."""
    if dataset.attrs["kind"] == "simulated" or "images" not in dataset:
        return None
    images = select_images(dataset, np.concatenate([subset.train, subset.validation]))
    own = fingerprints(np.asarray(images))
    earlier = None if core is None else core.pictures
    if earlier is None or earlier.shape[1] != own.shape[1]:
        return own
    return np.concatenate([own, earlier.numpy()])


def _refuse_without_core(definition: dict[str, Any], name: str) -> None:
    refuse_earlier(definition, f"core_from: {name}")
    if "cores" not in definition:
        raise UserError(f"core_from: {name} is a {definition['family']}, which has no core: name a network")


def transferred_cores(files: list[str], seeds: list[int]) -> dict[int, TransferredCore]:
    """The core for every seed from ``fits.pt`` and ``validation.nc`` of a network; none without files.

    UserError as :meth:`TransferredCore.of`; and if seeds selected cores of different layouts.
    """
    if not files:
        return {}
    fits = read_tensors(files[0])
    with read_netcdf(files[1]) as validation:
        found = {seed: TransferredCore.of(fits, validation, seed, files[0]) for seed in seeds}
    if any(one.core != found[seeds[0]].core for one in found.values()):
        raise UserError(f"core_from: seeds of {files[0]} selected different 'cores': let it have one")
    return found
