"""Fitted models: predictions for images of a user, and masks, feature weights and locations of neurons."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from whatwhere.dataset import TEST
from whatwhere.errors import UserError
from whatwhere.files import read_tensors, write_tensors
from whatwhere.fitted.image_space import ImageSpace
from whatwhere.fitted.seed_fit import MeanFit, SeedFit
from whatwhere.locations import corner, peaks
from whatwhere.metrics import SCORES, scores
from whatwhere.missing import mean_of_repeats
from whatwhere.models.calibrated import CalibratedModel
from whatwhere.models.spec import Setting
from whatwhere.population import above_ceiling, population_scores
from whatwhere.presentations import columns_of, given_columns
from whatwhere.recordings.arrays import Layout
from whatwhere.recordings.in_memory import measured_responses
from whatwhere.recordings.movie_contract import Timing
from whatwhere.windows import Images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIND = "whatwhere fitted model"
VERSION = 4  # raised whenever the content of the file of a fitted model changes


@dataclass(frozen=True, eq=False, repr=False)
class FittedModel:
    """A fitted model, or the mean of several that were fitted to the same neurons with other seeds.

    Results carry the names of the neurons. :attr:`arrays` gives the same results as plain arrays. Two models
    are equal only if they are one object.

    Attributes
    ----------
    dataset
        Name of the dataset.
    neurons
        (neuron,) indices into the dataset.
    neuron_ids
        (neuron,) names of the neurons in the recording; :attr:`neurons` if the recording names none.
    scores
        One row per seed and neuron: ``seed``, ``neuron`` (its name), and the columns of
        :data:`whatwhere.metrics.SCORES` on the test images, which neither training nor the selection of
        hyper-parameters saw.
    split
        (image,) use of the images, first seed: 0 train, 1 validation, 2 test.
    image_space
        The images that the model takes.
    seed_fits
        The fits, one per seed.
    """

    dataset: str
    neurons: np.ndarray
    neuron_ids: list[Any]
    scores: pd.DataFrame
    split: np.ndarray
    image_space: ImageSpace
    seed_fits: tuple[SeedFit, ...]

    @property
    def arrays(self) -> MeanFit:
        """Predictions for stored images, masks and weights as plain arrays, without labels and checks."""
        return MeanFit(self.seed_fits)

    @property
    def setting(self) -> Setting:
        """The hyper-parameters that validation selected from the grid, for most neurons of the first seed."""
        return self.seed_fits[0].setting

    @property
    def stride(self) -> int:
        """Pixels of the model from one place of the masks to the next."""
        return self.seed_fits[0].model.stride

    @property
    def module(self) -> CalibratedModel:
        """The trained ``torch.nn.Module``: stored images (image, channel, y, x) to responses (image, neuron).

        If neurons selected several settings, it is the one that most neurons selected.

        Raises
        ------
        UserError
            If this is the mean of several seeds.
        """
        if len(self.seed_fits) > 1:
            raise UserError(f"module: these are {len(self.seed_fits)} seeds: ask one of 'seed_fits'")
        return self.seed_fits[0].module

    def predict(
        self,
        images: Any,
        *,
        covariates: Mapping[str, Any] | None = None,
        images_layout: Layout = None,
        preprocessed: bool = False,
    ) -> xr.DataArray:
        """Predicted responses to images as the user has them.

        Color, crop and size become those of the fit, as in the workflow; so does the normalization. Pixels
        are in the units of the images that were fitted; a warning says where they cannot be.

        Parameters
        ----------
        images
            (image, y, x), (image, channel, y, x) or (image, y, x, channel), of any type that
            :func:`whatwhere.api.fit` takes; or a list of images of any size. Names of axes count as for it.
        covariates
            For a model with state, (image,) numbers by name, of a movie (time,) for all bins. None predicts
            the responses at mean covariates.
        images_layout
            The order of the axes of images, such as ``("y", "x", "image")``.
        preprocessed
            Color, crop and size are already those of the model.

        Returns
        -------
        (image, neuron), float32, with the names of neurons, and of images that have names. For a movie,
        (time, neuron), with the times at which bins begin, s; bins without a whole window are left out.

        Raises
        ------
        UserError
            If the images cannot be made into images of the model.
        """
        shown, along, names = self._prepared(images, images_layout, preprocessed)
        if covariates is None:
            predicted = self.arrays.predict(shown)
        else:
            timing, n = self.image_space.timing, len(shown)
            first = 0.0 if timing is None else float(names[along][0])
            before = 0 if timing is None else round(first / timing.seconds_per_bin)
            columns = given_columns(self._state, covariates, before, n)
            predicted = self.arrays.predict_trials(shown, np.arange(n), columns)
        return self._labelled("response", (along, "neuron"), predicted, **names)

    @property
    def _state(self) -> dict[str, Any]:
        found: dict[str, Any] | None = self.seed_fits[0].content["definition"].get("state")
        if found is None:
            raise UserError(
                "covariates: this model has no state: leave covariates out, or fit one with state"
            )
        return found

    @property
    def gains(self) -> xr.DataArray:
        """Change of the log gain per sd of a covariate, (neuron, covariate), of the first seed.

        A covariate of a movie with lags has a column for every lag. UserError without linear gains.
        """
        state = self.seed_fits[0].model.state if "modulation" in self._state else None
        if state is None or state.gain_weights is None or state.hidden is not None:
            raise UserError("gains: this model has no gains that are linear in covariates")
        names = [f"{name}, lag {lag}" if lag else name for name, lag in columns_of(self._state)]
        weights = state.gain_weights.numpy()
        return self._labelled("gain", ("neuron", "covariate"), weights, covariate=names[: weights.shape[1]])

    def gaze_shift(self, covariates: Mapping[str, Any]) -> pd.DataFrame:
        """Shift of all masks at positions of the eye, mean over seeds, one row per position.

        ``covariates`` are (position,) numbers by the names of the gaze. Columns ``y`` and ``x`` are in pixels
        of the original image, downwards and to the right, and ``y_degrees`` and ``x_degrees`` where the
        configuration gives ``degrees_per_pixel``. UserError if the model has no gaze.
        """
        if "gaze" not in self._state:
            raise UserError("gaze_shift: this model has no gaze: fit one with 'state: gaze'")
        n = max(np.size(values) for values in covariates.values())
        columns = torch.from_numpy(given_columns({"gaze": self._state["gaze"]}, covariates, 0, n))
        shift = np.mean([one.model.state.shift(columns).numpy() for one in self.seed_fits], axis=0)
        (ends, degrees), (start, at) = map(self.image_space.locate, (shift, np.zeros_like(shift)))
        table = pd.DataFrame(ends - start, columns=["y", "x"])
        if degrees is not None and at is not None:
            table[["y_degrees", "x_degrees"]] = degrees - at
        return table

    def features(
        self, images: Any, *, images_layout: Layout = None, preprocessed: bool = False
    ) -> xr.DataArray:
        """Feature maps (image, channel, y, x); parameters and errors as for :meth:`predict`."""
        shown, along, names = self._prepared(images, images_layout, preprocessed)
        return xr.DataArray(self.arrays.features(shown), names, (along, "channel", "y", "x"), name="features")

    def score(
        self,
        images: Any,
        responses: Any,
        *,
        images_layout: Layout = None,
        responses_layout: Layout = None,
        preprocessed: bool = False,
    ) -> pd.DataFrame:
        """Scores of predictions on other data, as the workflow scores test images.

        Parameters
        ----------
        images, images_layout, preprocessed
            As for :meth:`predict`.
        responses, responses_layout
            As for :func:`whatwhere.api.fit`. Neurons that have names are matched by name.

        Returns
        -------
        One row per neuron: ``neuron`` (its name), and the columns of :data:`whatwhere.metrics.SCORES`.

        Raises
        ------
        UserError
            If images and responses cannot be read, or are not of the neurons of this model.
        """
        shown, names = self.image_space.prepare(images, images_layout, preprocessed=preprocessed)
        measured = measured_responses(responses, responses_layout, shown, names, self.neuron_ids)
        table = pd.DataFrame(scores(self.arrays.predict(shown), measured, noise_free=False))
        table.insert(0, "neuron", self.neuron_ids)
        return table

    def _prepared(self, images: Any, layout: Layout, done: bool) -> tuple[Images, str, dict[str, Any]]:
        """Images of the model, the name of their axis, and their names, or times in s, as a coordinate."""
        shown, names = self.image_space.prepare(images, layout, preprocessed=done)
        along = "image" if self.image_space.timing is None else "time"
        return shown, along, {} if names is None else {along: names}

    @property
    def masks(self) -> xr.DataArray | None:
        """Masks ("where"), (neuron, y, x), at pixels of the model; None for a family without masks.

        Of several seeds, the mean with signs settled, sum 1.
        """
        if self.seed_fits[0].model.masks() is None:
            return None
        masks, stride = self.arrays.masks, self.stride
        first = corner(masks.shape[1:], self.image_space.shape[1:], stride)
        y, x = (start + stride * np.arange(size) for start, size in zip(first, masks.shape[1:], strict=True))
        return self._labelled("mask", ("neuron", "y", "x"), masks, y=y, x=x)

    @property
    def feature_weights(self) -> xr.DataArray | None:
        """Feature weights ("what"), (neuron, channel); None for a family without them."""
        if self.seed_fits[0].model.feature_weights() is None:
            return None
        return self._labelled("feature_weight", ("neuron", "channel"), self.arrays.feature_weights)

    @property
    def barcodes(self) -> xr.DataArray | None:
        """Feature weights with sign and scale settled, unit vectors (neuron, channel), or None."""
        if self.seed_fits[0].model.feature_weights() is None:
            return None
        return self._labelled("barcode", ("neuron", "channel"), self.arrays.barcodes)

    def _labelled(
        self, name: str, dims: tuple[str, ...], values: np.ndarray, **coordinates: Any
    ) -> xr.DataArray:
        return xr.DataArray(values, coordinates | {"neuron": self.neuron_ids}, dims, name=name)

    @property
    def positions(self) -> np.ndarray:
        """Locations of neurons: the peaks of their masks (neuron, 2), as (y, x) in pixels of the model."""
        return peaks(self.arrays.masks, self.image_space.shape[1:], self.stride)

    @property
    def locations(self) -> pd.DataFrame:
        """Locations of neurons in the images of the user, one row per neuron.

        Columns ``neuron`` (its name), ``y`` and ``x`` in pixels of the original image, from the middle of
        the first one, and, if the configuration gives ``degrees_per_pixel``, ``y_degrees`` and ``x_degrees``
        from the middle of the image, downwards and to the right.

        Raises
        ------
        UserError
            If the model has no masks, or the original images have no size in common.
        """
        original, degrees = self.image_space.locate(self.positions)
        table = pd.DataFrame({"neuron": self.neuron_ids})
        table["y"], table["x"] = original.T
        if degrees is not None:
            table["y_degrees"], table["x_degrees"] = degrees.T
        return table

    def plot(
        self,
        images: Any = None,
        responses: Any = None,
        *,
        images_layout: Layout = None,
        responses_layout: Layout = None,
    ) -> "Figure":
        """Draws masks, feature weights, and predictions against responses.

        Parameters
        ----------
        images, responses, images_layout, responses_layout
            Data as for :meth:`score`. Without data the scores on the test images are drawn instead.

        Raises
        ------
        UserError
            If matplotlib is not installed, only one of images and responses is given, or as for
            :meth:`score`.
        """
        try:
            from whatwhere.fitted.plot import draw
        except ModuleNotFoundError as error:
            raise UserError("plot: needs matplotlib: pip install 'whatwhere[plots]'") from error
        if (images is None) != (responses is None):
            raise UserError("plot: give images and responses, or neither of them")
        if images is None:
            return draw(self, None)
        shown, names = self.image_space.prepare(images, images_layout, preprocessed=False)
        measured = measured_responses(responses, responses_layout, shown, names, self.neuron_ids)
        return draw(self, (mean_of_repeats(measured), self.arrays.predict(shown)))

    def _facts(self) -> dict[str, str]:
        """Facts by their heading: the fit, its images, the selected setting, and the scores."""
        n_seeds, first = len(self.seed_fits), self.seed_fits[0]
        definition = first.content["definition"]
        whole = f"{definition['family']} for {len(self.neurons)} neurons of '{self.dataset}'"
        shape = " x ".join(map(str, self.image_space.shape))
        one_core = len(definition.get("cores", [])) < 2
        parts = [f"{key} {value:g}" for key, value in self.setting.items() if key != "core" or not one_core]
        masks, weights = first.model.masks(), first.model.feature_weights()
        if masks is not None:
            parts.append(f"masks of {masks.shape[1]} x {masks.shape[2]}")
        if weights is not None:
            parts.append(f"{weights.shape[1]} features")
        rated = population_scores({name: self.scores[name].to_numpy() for name in SCORES})
        feve = rated["feve_pooled"]
        explained = (
            "no FEVE: it needs repeats and explainable variance"
            if np.isnan(feve)
            else f"pooled FEVE {feve:.2f}"
        )
        remark = above_ceiling(rated)
        return {
            "FittedModel": whole if n_seeds == 1 else f"{whole}, mean of {n_seeds} seeds",
            "images": f"{first.stored['n_images']} of {shape} (channel, y, x) to fit, "
            f"{(self.split == TEST).sum()} to test",
            "selected": ", ".join(parts) or "nothing to select",
            "test": f"mean correlation {rated['correlation']:.2f}, {explained}{remark and f' ({remark})'}",
        }

    def __repr__(self) -> str:
        """Four facts, a line each."""
        return "\n".join(f"{heading}: {fact}" for heading, fact in self._facts().items())

    def _repr_html_(self) -> str:
        """The facts as a table, for notebooks."""
        rows = [f"<tr><th>{name}</th><td>{escape(fact)}</td></tr>" for name, fact in self._facts().items()]
        return f"<table>{''.join(rows)}</table>"

    def save(self, path: str | Path) -> None:
        """Writes the model to one file, which :func:`whatwhere.api.load` reads."""
        space = self.image_space
        content = {
            "dataset": self.dataset,
            "neurons": _tensor(self.neurons),
            "neuron_ids": self.neuron_ids,
            "scores": {str(key): _tensor(column) for key, column in self.scores.items() if key != "neuron"},
            "split": _tensor(self.split),
            "image_space": dataclasses.asdict(space)
            | {"low": _tensor(space.low), "high": _tensor(space.high)}
            | {"timing": space.timing and space.timing.attributes()},
            "seed_fits": [
                {"seed": one.seed, "content": one.content, "selected": _tensor(one.selected)}
                for one in self.seed_fits
            ],
        }
        write_tensors(_interned({"kind": KIND, "version": VERSION} | content), path)

    @classmethod
    def read(cls, path: str | Path) -> "FittedModel":
        """Reads a file of :meth:`save`; never executes code from the file.

        Raises
        ------
        UserError
            If the file is missing or damaged, holds something else, or has another version.
        """
        if not Path(path).is_file():
            raise UserError(f"{path}: no such file")
        content = read_tensors(path)
        if not isinstance(content, dict) or content.get("kind") != KIND:
            raise UserError(f"{path}: holds no fitted model: give a file of 'save', or the folder of a run")
        found = content["version"]
        if found != VERSION:
            advice = "update whatwhere" if found > VERSION else "fit and save the model again"
            raise UserError(f"{path}: has version {found} of the format, expected {VERSION}: {advice}")
        space, scores = content["image_space"], {n: one.numpy() for n, one in content["scores"].items()}
        limits = {limit: space[limit].numpy() for limit in ("low", "high")}
        if space.get("timing"):
            limits["timing"] = Timing.of(space["timing"])
        return cls(
            dataset=content["dataset"],
            neurons=content["neurons"].numpy(),
            neuron_ids=content["neuron_ids"],
            scores=named_scores(scores, content["neuron_ids"]),
            split=content["split"].numpy(),
            image_space=ImageSpace(**space | limits),
            seed_fits=tuple(
                SeedFit(one["seed"], one["content"], one["selected"].numpy()) for one in content["seed_fits"]
            ),
        )


def together(models: Sequence[FittedModel]) -> FittedModel:
    """The mean of several fitted models; UserError if they were fitted to different neurons."""
    first = models[0]
    for other in models[1:]:
        if other.dataset != first.dataset or not np.array_equal(other.neurons, first.neurons):
            raise UserError("these fits are of different neurons: load one seed, or fit all neurons")
    return dataclasses.replace(
        first,
        scores=pd.concat([model.scores for model in models], ignore_index=True),
        seed_fits=tuple(one for model in models for one in model.seed_fits),
    )


def named_scores(columns: Mapping[str, np.ndarray], neuron_ids: list[Any]) -> pd.DataFrame:
    """Scores of :class:`FittedModel` from columns with one value per seed and neuron, seeds outermost."""
    table = pd.DataFrame(columns)
    table.insert(1, "neuron", neuron_ids * (len(table) // len(neuron_ids)))
    return table


def _tensor(values: np.ndarray | pd.Series) -> torch.Tensor:
    # A copy, because a column of a table may be read-only.
    return torch.from_numpy(np.array(values))


def _interned(content: Any) -> Any:
    """The content with equal strings as one object, which the file then holds once."""
    if isinstance(content, str):
        return sys.intern(str(content))
    if isinstance(content, dict):
        return {_interned(key): _interned(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_interned(value) for value in content]
    return content
