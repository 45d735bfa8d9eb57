"""Gains from other recordings, in correlation and in images saved: transfer.csv -> svg."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from whatwhere import plotting
from whatwhere.config.strategies import OWN_RIDGE, STRATEGIES
from whatwhere.files import read_table

QUANTITIES = {"correlation": "correlation with repeat mean", "image_doublings": "doublings of images saved"}
APART = 0.04
"""Doublings of images by which curves are moved apart, so that bars do not hide each other."""


def panel(ax: Axes, table: pd.DataFrame, quantity: str, limits: tuple[float, float]) -> None:
    """Draws a quantity of a target over images, a curve per strategy; bars without an end get an arrow."""
    strategies = list(table.strategy.unique())
    for (strategy, _), rows in table.dropna(subset=quantity).groupby(["strategy", "model"], sort=False):
        style = plotting.style(STRATEGIES.index(strategy))
        x = rows.n_images * 2 ** (APART * (strategies.index(strategy) - (len(strategies) - 1) / 2))
        low, high = rows[f"{quantity}_low"], rows[f"{quantity}_high"]
        ax.plot(x, rows[quantity], label=strategy, markeredgewidth=0, **style)
        ax.vlines(x, low.fillna(limits[0]), high.fillna(limits[1]), color=style["color"], linewidth=0.8)
        for end, limit, marker in ((low, limits[0], "v"), (high, limits[1], "^")):
            for endless in x[end.isna()]:
                ax.plot(endless, limit, marker, color=style["color"], markersize=3, clip_on=False)
    plotting.image_axis(ax, table.n_images)
    ax.set(ylim=limits)


def limits_of(table: pd.DataFrame, quantity: str) -> tuple[float, float]:
    """Limits of an axis around all finite values."""
    values = table[[quantity, f"{quantity}_low", f"{quantity}_high"]].to_numpy()
    low, high = np.nanmin(values), np.nanmax(values)
    return low - 0.05 * (high - low), high + 0.05 * (high - low)


def main(table: str | Path, labels: dict[str, str], datasets: dict[str, str]) -> Figure:
    """Draws one column per target; images saved only if a strategy other than the ridge has any."""
    content = read_table(table)
    others = content[content.strategy != OWN_RIDGE]
    shown = {"correlation": content}
    if others.image_doublings.notna().any():
        shown["image_doublings"] = others
    targets = content.target.unique()
    figure = plt.figure(figsize=(plotting.PAGE, 0.8 + 2.4 * len(shown)))
    axes = figure.subplots(len(shown), len(targets), squeeze=False, sharex="col")
    for row, (quantity, rows) in zip(axes, shown.items(), strict=True):
        limits = limits_of(rows, quantity)
        row[0].set_ylabel(QUANTITIES[quantity])
        for ax, target in zip(row, targets, strict=True):
            panel(ax, rows[rows.target == target], quantity, limits)
            if quantity == "image_doublings":
                ax.axhline(0, color="0.75", linewidth=0.8, linestyle="--", zorder=0)
    for ax, target in zip(axes[0], targets, strict=True):
        n_neurons = content[content.target == target].n_neurons.max()
        ax.set_title(f"{datasets.get(target, target)}\n{n_neurons} neurons", fontsize=8)
        ax.set_xlabel("images (training + validation)" if len(shown) == 1 else "")
    plotting.panel_letters(*axes.flat)
    plotting.figure_legend(figure, axes[0, 0], 3, paper=False)
    return plotting.noted(figure, plotting.remark(plotting.labeled(content, labels)))


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
