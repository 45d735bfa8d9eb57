"""Estimates of the time and disk of fits and runs from sizes and measured speeds: to plan by, not to bill by.

The speeds are those of one core of :data:`MACHINE` in float32. ``tests/test_cost.py`` holds the estimates
against committed timings.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from whatwhere.bank_layout import BankLayout
from whatwhere.config import plan
from whatwhere.config.files import Config
from whatwhere.config.kinds import kind_of
from whatwhere.config.load import load
from whatwhere.config.traits import traits_of
from whatwhere.dataset import TRAIN, VALIDATION, is_movie, open_dataset
from whatwhere.logs import report
from whatwhere.models.spec import ModelSpec, Schedule, settings
from whatwhere.subset import n_validation

MACHINE = "an AMD EPYC with AVX-512"

JOB = 4.0
"""Seconds of a job that fits almost nothing: libraries, data and files."""
EVALUATION = 12.0
"""Seconds of the jobs that select, score and describe the fits of a model."""
STEP = 0.004
"""Seconds of a training step of the smallest network."""
PRODUCTS = 45e9
"""Multiply-adds per second."""
VALUES = 0.25e9
"""Values of feature maps per second: normalized, through the activation, and back."""
IMPROVING = 900
"""Steps with progress before early stopping ends a training, besides burn-in and patience."""
LASSO_SWEEPS = 100
"""Passes over all pixels until a lasso converges."""
SELECTION = 700
"""Images by which a kernel ridge regression selects windows, at most."""
INFERENCE = 0.25
"""Seconds of the inference of one kernel under one prior."""


@dataclass(frozen=True)
class Size:
    """Sizes of a dataset or of a part of it; an image has the ``shape`` (channel, y, x).

    ``fraction`` and ``maximum`` are the share and largest number of validation images, see
    :func:`whatwhere.subset.n_validation`; ``megabytes`` is the room of the file of the dataset.
    """

    n_neurons: int
    n_train: int
    n_validation: int
    shape: tuple[int, int, int]
    fraction: float
    maximum: int
    megabytes: float

    @classmethod
    def simulated(cls, definition: dict[str, Any]) -> "Size":
        """Size of a simulated dataset of the configuration."""
        fraction, maximum = definition["validation_fraction"], definition.get("validation_max", 0)
        n_images, side = definition["n_images"], definition["image_size"]
        shape = (3 if definition.get("color") == "rgb" else definition.get("lags", 1), side, side)
        n_held = n_validation(n_images, fraction, maximum)
        # White noise is drawn from its seed and is not stored, frames of a movie are stored once. Responses
        # have rates beside them.
        stored = 0 if definition["kind"] == "simulated_dog" else math.prod(shape) // definition.get("lags", 1)
        stored += (definition.get("n_repeats", 1) + 1) * definition["n_neurons"]
        n_shown = definition.get("repetitions", 1) * (n_images + definition["n_test"])
        megabytes = 4e-6 * n_shown * stored
        return cls(definition["n_neurons"], n_images - n_held, n_held, shape, fraction, maximum, megabytes)

    @classmethod
    def of(cls, dataset: xr.Dataset) -> "Size":
        """Size of a recording that was loaded, with the splits of its first fold."""
        n_train, n_held = (int((dataset["split"].values[0] == code).sum()) for code in (TRAIN, VALIDATION))
        lags = int(dataset.attrs.get("lags", 1))
        shape = (lags * dataset.sizes["channel"], dataset.sizes["y"], dataset.sizes["x"])
        fraction, maximum = (dataset.attrs[name] for name in ("validation_fraction", "validation_max"))
        n_stored = dataset["frames" if is_movie(dataset) else "images"].size + dataset["responses"].size
        return cls(
            dataset.sizes["neuron"], n_train, n_held, shape, float(fraction), int(maximum), 4e-6 * n_stored
        )

    def subset(self, n_neurons: str, n_images: str) -> "Size":
        """Size of a condition: numbers, or ``all``."""
        if n_neurons != "all":
            self = replace(self, n_neurons=int(n_neurons))
        if n_images != "all":
            n_held = n_validation(int(n_images), self.fraction, self.maximum)
            self = replace(self, n_train=int(n_images) - n_held, n_validation=n_held)
        return self

    @property
    def n_images(self) -> int:
        """Number of training and validation images."""
        return self.n_train + self.n_validation


def duration(seconds: float) -> str:
    """A rounded duration with its unit."""
    if seconds < 57:
        return f"{max(5 * round(seconds / 5), 5)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5940 else f"{seconds / 3600:.1f} h"


def seconds_of_fits(model: dict[str, Any], size: Size, n_seeds: int, patch: int | None) -> float:
    """Seconds of the job that fits every setting and seed of a condition with its size.

    ``model`` is one of the resolved configuration, ``patch`` the width of known receptive fields in px.
    """
    spec, rule = ModelSpec.of(model), traits_of(model).rule
    if rule == "fit_ensemble":
        return JOB
    if rule == "fit_baseline":
        one = seconds_of_closed_form(spec, size, patch) * (2 if spec.refit else 1)
        return JOB + n_seeds * one
    schedule = spec.trained[1].with_steps(size.n_train)
    n_steps = schedule.max_steps
    if schedule.schedule == "stages":
        evaluations = schedule.burn_in + schedule.patience * schedule.n_stages
        n_steps = min(n_steps, IMPROVING + int(evaluations * schedule.evaluate_every))
    one = n_steps * seconds_of_step(model, size, schedule)
    return JOB + n_seeds * len(spec.settings) * (2 if spec.refit else 1) * one


def seconds_of_step(model: dict[str, Any], size: Size, schedule: Schedule) -> float:
    """Seconds of a training step with its share of the evaluations, the mean over the cores of a model."""
    shown = min(schedule.batch_size, size.n_train) + size.n_validation / schedule.evaluate_every / 3
    products, values = zip(*(_forward(model, core, size) for core in model.get("cores", [None])), strict=True)
    each = 3 * sum(products) / PRODUCTS + sum(values) / VALUES
    return STEP + shown * each / len(products)


def _features(model: dict[str, Any], shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Shape (channel, y, x) of what a core or a linear model sees."""
    bank = model.get("feature_bank")
    if bank is None:
        return shape
    layout = BankLayout(bank, shape[0], shape[2])
    return layout.n_maps, -(-shape[1] // layout.stride), -(-shape[2] // layout.stride)


def _forward(model: dict[str, Any], core: dict[str, Any] | None, size: Size) -> tuple[float, float]:
    """Multiply-adds, and values of feature maps, of the prediction of one image."""
    channels, height, width = first = _features(model, size.shape)
    products = values = 0.0
    if core is not None:
        layers = zip(core["channels"], core["kernels"], core["padding"], strict=True)
        for n_filters, kernel, padding in layers:
            lost = kernel - 1 if padding == "valid" else 0
            height, width = height - lost, width - lost
            products += channels * n_filters * kernel**2 * height * width
            values += n_filters * height * width
            channels = n_filters
        if core.get("side_by_side"):
            channels = first[0] + sum(core["channels"])
    places = {"cnn_fixed_mask": 1, "cnn_gaussian": 4, "hsm": 1}.get(model["family"], height * width)
    return products + size.n_neurons * channels * places, values


def seconds_of_closed_form(spec: ModelSpec, size: Size, patch: int | None) -> float:
    """Seconds of all settings of a model that is not trained, for one seed."""
    model, n_settings, n_neurons = spec.definition, len(spec.settings), size.n_neurons
    channels, height, width = _features(model, size.shape)
    n_places = height * width
    n_features, n_problems = channels * n_places, 1
    if model.get("input") == "known_patch" or model["family"] == "ridge_shared":
        n_features, n_problems = patch**2 if patch else n_features, n_neurons
    windows = [int(one["window"]) for one in spec.settings if "window" in one]
    if windows:
        # A movie, with one problem per neuron; moments of lags follow from those of frames.
        n_places = min(max(windows), height) * min(max(windows), width)
        n_features = channels * n_places
        moments = n_features * n_places * size.n_images
        solutions = (
            n_settings * 20 * n_features**2 if "temporal_l2" in spec.settings[0] else 10 * n_features**3
        )
        seen = min(n_neurons * n_places, height * width)
        averages = 2 * size.n_images * channels * height * width
        predictions = 4 * n_settings * size.n_images * seen * channels
        repeats = 2 if spec.refit else 1
        return repeats * n_neurons * (moments + solutions + averages + predictions) / PRODUCTS
    smaller, larger = sorted((n_features, size.n_images))
    decomposition = n_problems * smaller**2 * larger
    match model["family"]:
        case "mean":
            return 0.0
        case "lasso":
            return LASSO_SWEEPS * n_settings * n_neurons * n_features**2 / PRODUCTS + decomposition / PRODUCTS
        case "localization":
            n_kernels = sum(one["n_kernels"] for one in spec.settings)
            return INFERENCE * n_kernels * len(model["smoothness"]) * len(model["extent"])
        case "factorized_ridge":
            # Four alternations for a new pair of mask and features, and two for each pair before it. Every
            # combination of penalties is fitted once, up to its largest rank.
            rank_of: dict[tuple[float, ...], float] = {}
            for one in spec.settings:
                strengths = (one["mask_l2"], one["feature_l2"])
                rank_of[strengths] = max(one["rank"], rank_of.get(strengths, 0))
            rounds = sum(rank * (rank + 3) for rank in rank_of.values())
            return (2 * rounds * n_neurons * n_features**2 + n_features**2 * size.n_images) / PRODUCTS
        case "window_ridge":
            # Products of images by place, their sums under windows, a decomposition and a few factorizations.
            n_windows, selected = 1 + 13 * len(model["window_sd"]), min(size.n_images, SELECTION)
            sums = 2 * n_windows * n_places * size.n_images**2
            solved = n_windows * (12 * selected**3 + len(model["ridge_l2"]) * size.n_images**3 / 6)
            return (2 * n_features * size.n_images**2 + sums + solved) / PRODUCTS
        case _:
            return (10 * decomposition + n_settings * n_neurons * smaller * larger) / PRODUCTS


def megabytes_of_fits(model: dict[str, Any], size: Size, n_seeds: int) -> float:
    """Disk of the parameters of every setting and seed of a condition, and of their predictions."""
    n_parameters = 0.0
    for core in model.get("cores", [None]):
        channels, height, width = _features(model, size.shape)
        if core is not None:
            channels = core["channels"][-1]
        places = height * width
        weights = channels * places
        if traits_of(model).masks:
            weights = channels + places
        n_parameters = max(n_parameters, size.n_neurons * weights)
        if model["family"] == "window_ridge":
            # Features of all images, in half precision, and three weights of every image for a neuron.
            n_parameters = size.n_images * (channels * places / 2 + 3 * size.n_neurons)
    n_predicted = size.n_neurons * size.n_validation
    return 4e-6 * n_seeds * len(ModelSpec.of(model).settings) * (n_parameters + n_predicted)


def sizes(config: Config) -> dict[str, Size]:
    """Sizes of the simulated datasets, and of the recordings that the run has loaded already, by name."""
    found = {}
    for name in plan.used(config, "datasets"):
        definition = config["datasets"][name]
        stored = Path("results", config["run"], "data", f"{name}.nc")
        if kind_of(definition).simulated:
            found[name] = Size.simulated(definition)
        elif stored.exists():
            with open_dataset(stored) as dataset:
                found[name] = Size.of(dataset)
    return found


def condition_costs(config: Config, of: Mapping[str, Size]) -> pd.DataFrame:
    """Estimates the work of every condition, in the order of :func:`whatwhere.config.plan.conditions`.

    Columns ``fits``, the number of settings and seeds; ``seconds`` of one core and ``megabytes``, NaN for
    datasets of unknown size. Parameters are those of :func:`cost`.
    """
    seeds = {one["name"]: len(one["seeds"]) for one in config["experiments"]}
    rows = []
    for row in plan.conditions(config).to_dict("records"):
        model, n_seeds = config["models"][row["model"]], seeds[row["experiment"]]
        estimate = {"fits": n_seeds * len(settings(model)), "seconds": math.nan, "megabytes": math.nan}
        if row["dataset"] in of:
            size = of[row["dataset"]].subset(row["n_neurons"], row["n_images"])
            patch = config["datasets"][row["dataset"]].get("patch")
            estimate["seconds"] = seconds_of_fits(model, size, n_seeds, patch)
            estimate["megabytes"] = megabytes_of_fits(model, size, n_seeds)
        rows.append(estimate)
    return pd.DataFrame(rows)


def cost(config: Config, of: Mapping[str, Size]) -> pd.DataFrame:
    """Estimates the work of every fit of a resolved configuration: the time on one core of :data:`MACHINE`.

    Columns ``experiment``, ``dataset``, ``model``; ``fits``, the number of settings and seeds at all sizes;
    ``minutes`` of the jobs that fit, select, score and describe them, and ``megabytes`` of their files, NaN
    for datasets that are not in ``of``. The first fit to a dataset also counts the file of the dataset.
    """
    names = ["experiment", "dataset", "model"]
    rows = pd.concat([plan.conditions(config)[names], condition_costs(config, of)], axis=1)
    table = rows.groupby(names, sort=False, as_index=False).sum(min_count=1)
    files = table.dataset.map({name: size.megabytes for name, size in of.items()}).astype(float)
    table["megabytes"] += files.where(~table.dataset.duplicated(), 0.0)
    table.insert(4, "minutes", (table.pop("seconds") + EVALUATION) / 60)
    return table


def summary(table: pd.DataFrame) -> str:
    """The sums of a :func:`cost` in one line."""
    models, datasets = (table[name].nunique() for name in ("model", "dataset"))
    line = f"models: {models}, datasets: {datasets}, fits (sizes, settings, seeds): {table.fits.sum()}"
    unknown = sorted(table.dataset[table.minutes.isna()].unique())
    if len(unknown) < datasets:
        line += f"; about {duration(60 * table.minutes.sum())} on one core of {MACHINE}"
        line += f" and {table.megabytes.sum():.0f} MB"
    return line + (f"; unknown until they are loaded: {', '.join(unknown)}" if unknown else "")


def listing(paths: Sequence[str]) -> list[str]:
    """Lines that say what configurations run: conditions with their minutes, and files."""
    config = load(paths).config
    of = sizes(config)
    minutes = (condition_costs(config, of).seconds / 60).map("{:.1f}".format, na_action="ignore").fillna("")
    columns = ["experiment", "dataset", "model", "rule", "condition", "localizer", "last", "minutes"]
    table = plan.conditions(config).assign(minutes=minutes)[columns].to_string(index=False)
    return [
        f"run {config['run']}: {summary(cost(config, of))}",
        "",
        table,
        "",
        *plan.results(plan.fits(config)),
    ]


def main(paths: Sequence[str]) -> int:
    """Prints what :func:`listing` returns."""
    return report(lambda: listing(paths))
