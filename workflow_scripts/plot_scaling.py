"""Performance over population and data size, and what a doubling of neurons is worth in images."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from whatwhere import plotting
from whatwhere.files import read_table
from whatwhere.logs import logged
from whatwhere.scaling import Curve

NAMES = {"feve": "FEVE", "correlation": "correlation with repeat mean"}
LEVELS = np.linspace(0, 1, 11)


def _curves(ax: Axes, scores: pd.DataFrame, measure: str, curve: Curve | None) -> None:
    """Performance over images, one curve per population size, the fit beside it."""
    for index, (n_neurons, part) in enumerate(scores.groupby("n_neurons")):
        plotting.draw_curve(ax, plotting.over_seeds(part, measure), index, f"N = {n_neurons}")
        if curve is not None:
            sizes = np.geomspace(part.n_images.min(), part.n_images.max(), 50)
            ax.plot(
                sizes, curve(n_neurons, sizes), color=plotting.style(index)["color"], linewidth=0.7, alpha=0.6
            )
    plotting.image_axis(ax, scores.n_images)
    ax.set(ylabel=NAMES[measure], ylim=(0, None))
    plotting.legend_below(ax, 2, paper=False)


def _map(ax: Axes, scores: pd.DataFrame, measure: str, curve: Curve | None) -> None:
    """Performance of every cell, contours of the fit, and lines of equal total recordings."""
    cells = scores.groupby(["n_neurons", "n_images"])[measure].mean().clip(lower=0).reset_index()
    x = np.geomspace(cells.n_images.min() / 1.4, cells.n_images.max() * 1.4, 80)
    y = np.geomspace(cells.n_neurons.min() / 1.6, cells.n_neurons.max() * 1.6, 80)
    for total in 2.0 ** np.arange(0, 41, 4):
        ax.plot(x, total / x, color="0.75", linewidth=0.6, linestyle="--", zorder=0)
    norm = Normalize(0, cells[measure].max())
    if curve is not None:
        ax.contour(x, y, curve(y[:, None], x[None]), LEVELS, norm=norm, cmap="viridis", linewidths=0.8)
    style = {"s": 38, "cmap": "viridis", "norm": norm, "edgecolor": "white", "zorder": 3}
    points = ax.scatter(cells.n_images, cells.n_neurons, c=cells[measure], **style)
    plotting.image_axis(ax, scores.n_images)
    ax.set_yscale("log", base=2)
    ax.set(ylabel="neurons", xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.figure.colorbar(points, ax=ax, label=NAMES[measure], pad=0.02, aspect=30)


def _rates(ax: Axes, rates: pd.DataFrame) -> None:
    """Exchange rates with their confidence intervals, over all sizes and between neighbours."""
    names = [
        f"{low} to {high}\nneurons" for low, high in zip(rates.neurons_from, rates.neurons_to, strict=True)
    ]
    position = np.arange(len(rates))[::-1]
    below, above = (rates.rate - rates.low).clip(lower=0), (rates.high - rates.rate).clip(lower=0)
    style = {"fmt": "o", "color": plotting.PALETTE[0], "capsize": 2, "markersize": 4}
    ax.errorbar(rates.rate, position, xerr=[below, above], **style)
    for value, y in zip(rates.rate, position, strict=True):
        ax.annotate(f"{value:.2f}", (value, y), (0, 4), textcoords="offset points", ha="center", fontsize=6.5)
    for value in (0, 1):
        ax.axvline(value, color="0.75", linewidth=0.8, linestyle="--", zorder=0)
    names[0] = "all" if len(names) > 1 else names[0]
    ax.set_yticks(position, names)
    ax.set(
        xlabel="doublings of images\nper doubling of N",
        xlim=(min(-0.1, rates.low.min() - 0.1), max(1.1, rates.high.max() + 0.1)),
        ylim=(-0.6, len(rates) - 0.4),
    )


def main(scaling: str | Path, rates: str | Path, svg: str | Path, png: str | Path) -> None:
    """Draw one row of panels for every dataset and model of several sizes, for the first selection rule."""
    plotting.use_style()
    scores, fitted = read_table(scaling), read_table(rates)
    scores = scores[scores.selection == scores.selection.iloc[0]]
    fitted = fitted[fitted.selection == scores.selection.iloc[0]]
    groups = list(scores.groupby(["dataset", "model"], sort=False))
    # A model of a single population size says nothing about neurons; it is drawn if there is no other.
    groups = [(names, part) for names, part in groups if part.n_neurons.nunique() > 1] or groups
    figure = plt.figure(figsize=(plotting.PAGE, 2.8 * len(groups)))
    rows = figure.subfigures(len(groups), 1, squeeze=False)[:, 0]
    for row, ((dataset, model), part) in zip(rows, groups, strict=True):
        mine = fitted[(fitted.dataset == dataset) & (fitted.model == model)]
        measure = part.measure.iloc[0]
        curve = None
        if len(mine):
            curve = Curve(*mine.iloc[0][["rate", "top", "slope", "midpoint"]])
        row.suptitle(f"{dataset.replace('_', ' ')}: {plotting.label(model)}", fontsize=8)
        axes = row.subplots(1, 3, width_ratios=[1, 1.15, 0.85])
        _curves(axes[0], part, measure, curve)
        _map(axes[1], part, measure, curve)
        if len(mine):
            _rates(axes[2], mine)
        else:
            axes[2].axis("off")
    for letter, ax in zip("abc", axes if len(groups) == 1 else rows[0].axes[:3], strict=False):
        plotting.panel_letter(ax, letter)
    plotting.save(figure, svg, png)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            scaling=snakemake.input.scaling,
            rates=snakemake.input.rates,
            svg=snakemake.output.svg,
            png=snakemake.output.png,
        )
