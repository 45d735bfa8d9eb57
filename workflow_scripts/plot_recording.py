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
from whatwhere.dataset import open_dataset, repeat_mean
from whatwhere.files import read_netcdf, read_table
from whatwhere.fitted.seed_fit import selected_fits
from whatwhere.locations import corner
from whatwhere.metrics import pearson

QUANTILES = {"good": 0.9, "median": 0.5, "bad": 0.1}


def examples(scores: pd.DataFrame) -> dict[str, int]:
    """A good, a median and a bad neuron by correlation of one model; silent ones only if all are."""
    means = scores.groupby("neuron").correlation.mean()
    ranked = means.dropna().sort_values() if means.notna().any() else means
    return {
        label: int(ranked.index[round(quantile * (len(ranked) - 1))]) for label, quantile in QUANTILES.items()
    }


def _outline(ax: Axes, mask: np.ndarray, image_shape: tuple[int, ...], stride: int) -> None:
    top, left = corner(mask.shape, image_shape, stride)
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
        average = sta["sta"][0, position].values
        plotting.show_field(axes[0, column], average)
        if masks is not None and masks[position].any():
            _outline(axes[0, column], masks[position], average.shape, stride)
        axes[0, column].set_title(f"{label},\nneuron {neuron}")
        predicted = predictions["predictions"].sel(neuron=neuron).values
        recorded = np.isfinite(measured[:, position])
        _scatter(axes[1, column], predicted[recorded], measured[recorded, position])
        axes[1, column].set_xlabel("predicted")
    plotting.panel_letters(axes[0, 0])


def _models(ax: Axes, scores: pd.DataFrame) -> None:
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
    plotting.panel_letters(ax, first="b")


def main(
    dataset: str | Path,
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

    ``averages``, ``fits``, ``selection`` and ``conditions`` hold those of the first model.
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
        figure = plt.figure(figsize=(plotting.PAGE, 3.4))
        left, right = figure.subfigures(1, 2, width_ratios=[1.7, 1])
        _examples(
            left,
            examples(mine),
            stored.load(),
            None if masks is None else masks.numpy(),
            fit.model.stride,
            fit.neurons,
            predicted.load(),
            measured,
        )
    rated = plotting.labeled(rated, labels)
    _models(right.subplots(), rated)
    return plotting.noted(figure, plotting.remark(rated))


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
