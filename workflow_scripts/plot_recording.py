"""A recorded dataset: averages and masks, predictions of single neurons, correlation per model."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
import torch
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from whatwhere import plotting
from whatwhere.conditions import last_listed_condition
from whatwhere.dataset import is_movie, open_dataset, repeat_mean
from whatwhere.description import consecutive
from whatwhere.files import read_netcdf, read_table
from whatwhere.fitted.seed_fit import selected_fits
from whatwhere.locations import corner
from whatwhere.metrics import pearson
from whatwhere.models.base import Model
from whatwhere.models.encoder import Encoder
from whatwhere.models.space_time import SpaceTimeFeatures
from whatwhere.models.state import State
from whatwhere.recordings.preprocess import PREPARATION

N_KERNELS = 8
"""Kernels of a first layer whose courses in time are drawn, those of largest norm."""
QUANTILES = {"good": 0.9, "median": 0.5, "bad": 0.1}


def examples(scores: pd.DataFrame) -> dict[str, int]:
    """A good, a median and a bad neuron by correlation of one model; silent ones only if all are."""
    means = scores.groupby("neuron").correlation.mean()
    ranked = means.dropna().sort_values() if means.notna().any() else means
    return {
        label: int(ranked.index[round(quantile * (len(ranked) - 1))]) for label, quantile in QUANTILES.items()
    }


class Example(NamedTuple):
    """A neuron with its average (y, x), mask (y, x) if it has any, and responses (image,), NaN for none."""

    title: str
    average: np.ndarray
    mask: np.ndarray | None
    predicted: np.ndarray
    measured: np.ndarray

    def correlation(self) -> str:
        """Correlation of predicted and measured responses, as text."""
        known = np.isfinite(self.measured)
        return f"r = {pearson(self.predicted[known, None], self.measured[known, None])[0]:.2f}"


def _field(ax: Axes, example: Example, stride: int) -> None:
    """Draws the average with the outline of the mask."""
    plotting.show_field(ax, example.average)
    mask = example.mask
    if mask is None or not mask.any() or min(mask.shape) < 2:
        return
    top, left = corner(mask.shape, example.average.shape, stride)
    size = np.abs(mask)
    y, x = np.arange(mask.shape[0]) * stride + top, np.arange(mask.shape[1]) * stride + left
    ax.contour(x, y, size, levels=[size.max() / 2], colors="black", linewidths=0.8)


def _scatters(panel: SubFigure, shown: list[Example], stride: int) -> None:
    """Draws averages with masks, and measured against predicted responses."""
    axes = panel.subplots(2, len(shown), height_ratios=[1, 1])
    for (upper, lower), example in zip(axes.T, shown, strict=True):
        _field(upper, example, stride)
        upper.set_title(example.title)
        recorded = np.isfinite(example.measured)
        predicted = example.predicted[recorded]
        lower.scatter(predicted, example.measured[recorded], s=5, alpha=0.6, linewidth=0)
        # What varies by rounding only is not spread over the whole axis.
        middle = (predicted.min() + predicted.max()) / 2
        reach = max(0.55 * np.ptp(predicted), 0.05 * abs(middle), 1e-3)
        lower.set_xlim(middle - reach, middle + reach)
        lower.set_title(example.correlation())
        lower.set(xlabel="predicted", ylabel="measured")
    plotting.panel_letters(axes[0, 0])


def _in_time(panel: SubFigure, shown: list[Example], stride: int, data: xr.Dataset, bins: np.ndarray) -> None:
    """Draws averages with masks, and responses to consecutive ones of the predicted bins of a movie."""
    drawn = np.isin(bins, consecutive(data, bins))
    widths = [1, 4] if shown[0].average.size > 1 else [1]
    grid = panel.subplots(len(shown), len(widths), squeeze=False, width_ratios=widths)
    for line, example in zip(grid, shown, strict=True):
        if len(line) > 1:
            _field(line[0], example, stride)
        for color, name in (("0.55", "measured"), (plotting.PALETTE[0], "predicted")):
            response = getattr(example, name)[drawn]
            plotting.draw_in_time(line[-1], response, data.attrs["seconds_per_bin"], color=color, label=name)
        title = f"{example.title}, {example.correlation()}".replace("\n", " ")
        line[-1].set_title(title, loc="right", fontsize=7, pad=2)
        line[-1].set(ylabel="response")
    for ax in grid[:-1, -1]:
        ax.set_xlabel("")
    plotting.legend_above(grid[0, -1], 2)
    plotting.panel_letters(grid[0, 0])


def time_courses(model: Model, lags: int, positions: list[int]) -> tuple[np.ndarray, str] | None:
    """Weights of a model of windows at all lags, newest first, where the largest weight is.

    ``positions`` are the neurons whose weights are taken from a model without convolutions.

    Returns
    -------
    Courses (curve, lag), largest absolute value 1, and the name of the weights; None if the model has none.
    """
    filters, weights = model.pixel_filters(), model.feature_weights()
    if isinstance(model, Encoder):
        kernels = model.core.conv_layers()[0].constrained_kernels().detach()
        largest = kernels.flatten(1).norm(dim=1).argsort(descending=True, stable=True)[:N_KERNELS]
        weights, name = kernels[largest], "kernels of the first layer"
    elif filters is not None:
        weights, name = filters[positions], "filters of these neurons"
    elif weights is not None:
        weights, name = weights.detach()[positions], "feature weights of these neurons"
    else:
        return None
    features = model.feature_bank if isinstance(model.feature_bank, SpaceTimeFeatures) else None
    by_time = weights.unflatten(1, (lags if features is None else features.n_times, -1)).flatten(2).numpy()
    peak = np.abs(by_time).max(1).argmax(1)
    courses = np.take_along_axis(by_time, peak[:, None, None], 2)[:, :, 0]
    if features is not None and features.basis is not None:
        courses = courses @ features.basis.numpy()
    size = np.abs(courses).max(1, keepdims=True)
    return courses / np.where(size > 0, size, 1), name


def _draw_courses(ax: Axes, courses: np.ndarray, name: str, attributes: dict[str, float]) -> None:
    ms = 1000 / attributes["frames_per_second"]
    before = ms * (np.arange(courses.shape[1]) + attributes["latency_frames"])
    for course, color in zip(courses, plotting.LINE_COLORS, strict=False):
        ax.plot(before, course, color=color, linewidth=1)
    ax.axhline(0, color="0.8", zorder=-1)
    ax.set(xlabel="lag (ms)", ylabel="weight", xlim=(before[-1], before[0]))
    ax.set_title(name, fontsize=7)
    plotting.panel_letters(ax, first="b")


def _draw_state(
    axes: Iterator[Axes], rated: pd.DataFrame, state: State, data: xr.Dataset, letters: str
) -> None:
    """Draws correlations with single trials with and without covariates, and the map of the gaze."""
    ax = next(axes)
    ax.scatter(rated["single_trial_stimulus"], rated["single_trial_state"], s=5, alpha=0.6, linewidth=0)
    ax.axline((0, 0), slope=1, color="0.8", linewidth=0.8, zorder=-1)
    ax.set(xlabel="predicted from image alone", ylabel="and covariates")
    ax.set_title("correlation with single trials", fontsize=7)
    plotting.panel_letters(ax, first=letters[0])
    if not state.n_gaze:
        return
    ax = next(axes)
    steps = torch.meshgrid(*[torch.linspace(-2, 2, 5)] * min(state.n_gaze, 2), indexing="ij")
    gaze = torch.zeros(*steps[0].shape, state.n_gaze)
    gaze[..., : len(steps)] = torch.stack(steps, -1)
    covariates = state.mean[-state.n_gaze :] + gaze * state.sd[-state.n_gaze :]
    shift = state.shift(covariates.flatten(0, -2)).unflatten(0, steps[0].shape) * pixel_degrees(data)[0]
    for lines in (shift, shift.transpose(0, -2)):
        ax.plot(lines[..., 1], lines[..., 0], ".-", color=plotting.PALETTE[0], linewidth=0.8, markersize=3)
    unit = pixel_degrees(data)[1]
    ax.set(xlabel=f"shift to the right ({unit})", ylabel=f"shift down ({unit})", aspect="equal")
    ax.invert_yaxis()
    ax.set_title("masks, for an eye within 2 sd", fontsize=7)
    plotting.panel_letters(ax, first=letters[1])


def pixel_degrees(data: xr.Dataset) -> tuple[float, str]:
    """Size of a pixel of the model and its unit: in degrees, or 1 px where that is not known."""
    kept = json.loads(data.attrs.get(PREPARATION, "{}"))
    extent = kept["crop"][2:] if kept.get("crop") else kept.get("original")
    if not kept.get("degrees_per_pixel") or not extent:
        return 1.0, "px"
    return kept["degrees_per_pixel"] * extent[1] / data.sizes["x"], "degrees"


def _models(ax: Axes, scores: pd.DataFrame, letter: str) -> None:
    neurons = scores.groupby(["model", "neuron"], sort=False).correlation.mean().reset_index()
    neurons = neurons.assign(model=neurons.model.map(plotting.label))
    # Seaborn takes no generator for its jitter; equal scores must give equal bytes.
    np.random.seed(0)  # noqa: NPY002
    sns.stripplot(neurons, x="correlation", y="model", ax=ax, size=2.5, color="0.6", zorder=0)
    sns.pointplot(
        neurons,
        x="correlation",
        y="model",
        ax=ax,
        errorbar="se",
        linestyle="none",
        color=plotting.PALETTE[0],
        capsize=0.2,
        markersize=4,
        err_kws={"linewidth": 1.2},
    )
    ax.axvline(0, color="0.8", zorder=-1)
    ax.set(xlabel="correlation", ylabel="")
    plotting.panel_letters(ax, first=letter)


def main(
    dataset: str | Path,
    label: str,
    averages: list[str],
    fits: list[str],
    selection: list[str],
    scores: list[str],
    predictions: list[str],
    models: list[str],
    conditions: list[str],
    labels: dict[str, str],
) -> Figure:
    """Draws the last condition: neurons of the first of ``models``, correlations of all models in ``scores``.

    ``averages``, ``fits``, ``selection`` and ``conditions`` hold those of the first model. ``label`` is the
    name of the dataset that readers see.
    """
    model = models[0]
    tables = [read_table(path) for path in scores]
    rated = pd.concat([last_listed_condition(table) for table in tables], ignore_index=True)
    index = next(i for i, table in enumerate(tables) if table.model.iloc[0] == model)
    with (
        open_dataset(dataset) as data,
        read_netcdf(predictions[index]) as predicted,
        read_netcdf(averages[0]) as stored,
    ):
        seed = int(predicted.attrs["seed"])
        fit = next(one.fit for one in selected_fits(selection[0], conditions, fits) if one.fit.seed == seed)
        masks, bins = fit.model.masks(), predicted["image"].values
        measured = repeat_mean(data, bins, fit.neurons)
        selected = examples(rated[(rated.model == model) & rated.neuron.isin(fit.neurons)])
        positions = [int(np.flatnonzero(fit.neurons == neuron)[0]) for neuron in selected.values()]
        shown = [
            Example(
                f"{name},\nneuron {neuron}",
                stored["sta"][0, position].values,
                None if masks is None else masks[position].numpy(),
                predicted["predictions"].sel(neuron=neuron).values,
                measured[:, position],
            )
            for (name, neuron), position in zip(selected.items(), positions, strict=True)
        ]
        movie, courses = is_movie(data), None
        figure = plt.figure(figsize=(plotting.PAGE, 4.6 if movie else 3.4))
        left, right = figure.subfigures(1, 2, width_ratios=[1.7, 1])
        if movie:
            length = f"{1000 * data.attrs['seconds_per_bin']:.4g} ms"
            figure.suptitle(f"{label}, bins of {length}: correlations depend on this length", fontsize=8)
            _in_time(left, shown, fit.model.stride, data, bins)
            courses = time_courses(fit.model, int(data.attrs["lags"]), positions)
        else:
            _scatters(left, shown, fit.model.stride)
        state = fit.model.state
        n_further = 0 if state is None else 1 + (state.n_gaze > 0)
        figure.set_figheight(figure.get_figheight() + 1.7 * n_further)
        axes = right.subplots((1 if courses is None else 2) + n_further, 1, squeeze=False)[:, 0]
        if courses is not None:
            _draw_courses(axes[0], *courses, data.attrs)
        if state is not None:
            first = int(courses is not None)
            of_model = rated[rated.model == model]
            _draw_state(iter(axes[first:]), of_model, state, data, "bcdef"[first:])
    rated = plotting.labeled(rated, labels)
    _models(axes[-1], rated, "abcdef"[len(axes)])
    return plotting.noted(figure, plotting.remark(rated))


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
