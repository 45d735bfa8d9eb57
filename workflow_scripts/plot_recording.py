"""A recorded dataset: averages and masks, predictions of single neurons, correlation per model."""

from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
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


def _field(ax: Axes, average: np.ndarray, mask: np.ndarray | None, stride: int) -> None:
    """Draws an average (y, x) with the outline of a mask."""
    plotting.show_field(ax, average)
    if mask is None or not mask.any() or min(mask.shape) < 2:
        return
    top, left = corner(mask.shape, average.shape, stride)
    size = np.abs(mask)
    y, x = np.arange(mask.shape[0]) * stride + top, np.arange(mask.shape[1]) * stride + left
    ax.contour(x, y, size, levels=[size.max() / 2], colors="black", linewidths=0.8)


def _scatter(ax: Axes, predicted: np.ndarray, measured: np.ndarray) -> None:
    ax.scatter(predicted, measured, s=5, alpha=0.6, linewidth=0)
    # What varies by rounding only is not spread over the whole axis.
    middle = (predicted.min() + predicted.max()) / 2
    reach = max(0.55 * np.ptp(predicted), 0.05 * abs(middle), 1e-3)
    ax.set_xlim(middle - reach, middle + reach)
    r = pearson(predicted[:, None], measured[:, None])[0]
    ax.set_title(f"r = {r:.2f}")
    ax.set(ylabel="measured")


def _examples(
    panel: SubFigure,
    selected: dict[str, int],
    sta: xr.Dataset,
    masks: np.ndarray | None,
    stride: int,
    neurons: np.ndarray,
    predictions: xr.Dataset,
    measured: np.ndarray,
) -> None:
    axes = panel.subplots(2, len(selected), height_ratios=[1, 1])
    for column, (label, neuron) in enumerate(selected.items()):
        position = int(np.flatnonzero(neurons == neuron)[0])
        mask = None if masks is None else masks[position]
        _field(axes[0, column], sta["sta"][0, position].values, mask, stride)
        axes[0, column].set_title(f"{label},\nneuron {neuron}")
        predicted = predictions["predictions"].sel(neuron=neuron).values
        recorded = np.isfinite(measured[:, position])
        _scatter(axes[1, column], predicted[recorded], measured[recorded, position])
        axes[1, column].set_xlabel("predicted")
    plotting.panel_letters(axes[0, 0])


def time_courses(model: Model, lags: int, positions: list[int]) -> tuple[np.ndarray, str] | None:
    """Weights at all lags, newest first, in the place and map of the largest weight.

    Parameters
    ----------
    model
        A model of windows.
    lags
        Frames of a window.
    positions
        Neurons whose filters are taken where neurons have filters of their own.

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
    bank = model.feature_bank
    features = bank if isinstance(bank, SpaceTimeFeatures) else None
    by_time = weights.unflatten(1, (lags if features is None else features.n_times, -1)).flatten(2).numpy()
    peak = np.abs(by_time).max(1).argmax(1)
    courses = np.take_along_axis(by_time, peak[:, None, None], 2)[:, :, 0]
    if features is not None and features.basis is not None:
        courses = courses @ features.basis.numpy()
    size = np.abs(courses).max(1, keepdims=True)
    return courses / np.where(size > 0, size, 1), name


def _draw_courses(ax: Axes, courses: np.ndarray, name: str, attributes: dict[str, float]) -> None:
    frame = 1000 / attributes["frames_per_second"]
    before = (np.arange(courses.shape[1]) + attributes["latency_frames"]) * frame
    for index, course in enumerate(courses):
        ax.plot(before, course, color=plotting.LINE_COLORS[index % len(plotting.LINE_COLORS)], linewidth=1)
    ax.axhline(0, color="0.8", zorder=-1)
    ax.set(xlabel="lag from frame to bin (ms)", ylabel="weight", title=name, xlim=(before[-1], before[0]))
    plotting.panel_letters(ax, first="b")


def _in_time(
    panel: SubFigure,
    selected: dict[str, int],
    sta: xr.Dataset,
    masks: np.ndarray | None,
    stride: int,
    neurons: np.ndarray,
    predictions: xr.Dataset,
    measured: np.ndarray,
    data: xr.Dataset,
) -> None:
    """Averages in space with masks, and predicted and measured responses over seconds of a movie."""
    seconds, bins = data.attrs["seconds_per_bin"], predictions["image"].values
    shown = np.isin(bins, consecutive(data, bins))
    in_space = sta["sta"][0, 0].size > 1
    widths = [1, 4] if in_space else [1]
    grid = panel.subplots(len(selected), len(widths), squeeze=False, width_ratios=widths)
    for ax, line, (label, neuron) in zip(grid[:, -1], grid, selected.items(), strict=True):
        position = int(np.flatnonzero(neurons == neuron)[0])
        if in_space:
            mask = None if masks is None else masks[position]
            _field(line[0], sta["sta"][0, position].values, mask, stride)
        recorded, predicted = measured[:, position], predictions["predictions"].sel(neuron=neuron).values
        known = np.isfinite(recorded)
        r = pearson(predicted[known, None], recorded[known, None])[0]
        plotting.draw_in_time(ax, recorded[shown], seconds, color="0.55", label="measured")
        plotting.draw_in_time(ax, predicted[shown], seconds, label="predicted")
        ax.set_title(f"{label}, neuron {neuron}, r = {r:.2f}", loc="right", fontsize=7, pad=2)
        ax.set(ylabel="response")
        if neuron != [*selected.values()][-1]:
            ax.set_xlabel("")
    plotting.legend_above(grid[0, -1], 2)
    plotting.panel_letters(grid[0, 0])


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
        masks = fit.model.masks()
        measured = repeat_mean(data, predicted["image"].values, fit.neurons)
        mine = rated[(rated.model == model) & rated.neuron.isin(fit.neurons)]
        masks = None if masks is None else masks.numpy()
        drawn = (examples(mine), stored.load(), masks, fit.model.stride, fit.neurons, predicted.load())
        figure = plt.figure(figsize=(plotting.PAGE, 4.6 if is_movie(data) else 3.4))
        left, right = figure.subfigures(1, 2, width_ratios=[1.7, 1])
        if is_movie(data):
            _in_time(left, *drawn, measured, data)
            length = f"{1000 * data.attrs['seconds_per_bin']:.4g} ms"
            figure.suptitle(f"{label}, bins of {length}: correlations depend on this length", fontsize=8)
            positions = [int(np.flatnonzero(fit.neurons == neuron)[0]) for neuron in drawn[0].values()]
            courses = time_courses(fit.model, int(data.attrs["lags"]), positions)
        else:
            _examples(left, *drawn, measured)
            courses = None
        axes = right.subplots(1 + (courses is not None), 1, squeeze=False)[:, 0]
        if courses is not None:
            _draw_courses(axes[0], *courses, data.attrs)
    rated = plotting.labeled(rated, labels)
    _models(axes[-1], rated, "b" if courses is None else "c")
    return plotting.noted(figure, plotting.remark(rated))


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
