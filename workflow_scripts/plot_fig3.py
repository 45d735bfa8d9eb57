"""Figure 3: model comparison over images, localization errors, and learned filters."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from whatwhere import plotting
from whatwhere.conditions import over_seeds
from whatwhere.files import groups_of, read_netcdf, read_reference, read_table, read_tables

SIZES = [256, 1024, 4096]
"""Numbers of images whose filters the paper shows; a run without them shows three of its own."""
CURVES = ["model", "n_neurons", "n_images"]
SOURCES = {"sta": "raw STA", "smoothed_sta": "smoothed STA"}


def errors(ax: Axes, locations: pd.DataFrame, styles: dict[tuple[str, int], int]) -> None:
    """Draws the mean localization error of averages and of masks, a curve per model and population size."""
    masks = locations[locations.source == "mask"].dropna(subset="error")
    # A color of the panel above keeps its meaning.
    for index, (source, name) in zip(itertools.count(len(styles)), SOURCES.items(), strict=False):
        start = over_seeds(locations[locations.source == source], ["error"], ["n_images"])
        plotting.draw_curve(ax, start, index, name, "error")
    plotting.draw_curves(ax, over_seeds(masks, ["error"], CURVES), styles, value="error")
    plotting.image_axis(ax, locations.n_images)
    ax.set(ylabel="localization error / px", ylim=(0, None))
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    plotting.legend_below(ax, 2, paper=False)


def filter_of(path: str | Path, group: str) -> np.ndarray | None:
    """The kernel of a network, or the filter of a linear model around the true location, (y, x).

    The sign is that of most masks. None if the condition was not fitted, or without kernel and filter.
    """
    if group not in groups_of(path):
        return None
    with read_netcdf(path, group) as stored:
        if {"kernels", "masks"} <= set(stored):
            return stored["kernels"].values[0, 0] * np.sign(stored["masks"].values.sum())
        if "filters" not in stored:
            return None
        field, size = stored["filters"].values[0, 0], stored.sizes["ry"]
        top, left = np.round(stored["location"].values[0]).astype(int) - size // 2
        return field[top : top + size, left : left + size]


def shown_sizes(n_images: pd.Series) -> list[int]:
    """Numbers of images whose filters are shown."""
    sizes = sorted(n_images.unique())
    if set(SIZES) <= set(sizes):
        return SIZES
    return [sizes[i] for i in np.unique(np.linspace(0, len(sizes) - 1, len(SIZES)).round().astype(int))]


def filters(
    panel: SubFigure, conditions: dict[tuple[str, int, int], str | Path], sizes: list[int]
) -> list[Axes]:
    """Draws learned filters, one row per model and population size and one column per data size.

    ``conditions`` has the file of every model, population size and data size.
    """
    rows = list(dict.fromkeys((model, n_neurons) for model, n_neurons, _ in conditions))
    axes = panel.subplots(len(rows), len(sizes), squeeze=False)
    for line, (model, n_neurons) in zip(axes, rows, strict=True):
        for ax, n_images in zip(line, sizes, strict=True):
            path = conditions.get((model, n_neurons, n_images))
            field = None if path is None else filter_of(path, f"n{n_neurons}-d{n_images}")
            if field is None:
                ax.set(xticks=[], yticks=[], box_aspect=1)
                ax.spines[:].set_visible(False)
            else:
                plotting.show_field(ax, field)
        name = plotting.label(model, n_neurons).replace(", ", "\n")
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=6.5)
    for ax, n_images in zip(axes[0], sizes, strict=True):
        ax.set_title(f"{n_images} images", fontsize=7)
    return list(axes[:, 0])


def main(
    scores: list[str],
    parameters: list[str],
    locations: list[str],
    reference: str | Path,
    labels: dict[str, str],
    paper: dict[str, str],
    known: list[str],
) -> Figure:
    """Draws the figure from the tables of its experiments, in one order.

    ``paper`` has the model of the paper beside a model; the models ``known`` know the filter.
    """
    tables = [plotting.labeled(read_table(path), labels) for path in scores]
    published = plotting.labeled(read_reference([reference], paper), labels)
    table = pd.concat(tables, ignore_index=True)
    # One experiment may have the small sizes of a population, and another the large ones.
    conditions = {
        (model, n_neurons, n_images): path
        for one, path in zip(tables, parameters, strict=True)
        for model, n_neurons, n_images in one.groupby(["model", "n_neurons", "n_images"], sort=False).groups
        if model not in {labels[name] for name in known}
    }
    figure = plt.figure(figsize=(plotting.PAGE, 6.4))
    left, right = figure.subfigures(1, 2, width_ratios=[1.25, 1])
    first, second = left.subplots(2, 1)
    means = over_seeds(table, ["feve"], CURVES, least=0)
    styles = plotting.styles_of(means)
    drawn = plotting.draw_curves(first, means, styles, published)
    first.set(ylabel="FEVE", ylim=(-0.02, 1.02))
    plotting.legend_below(first, 2, paper=drawn)
    errors(second, plotting.labeled(read_tables(locations), labels), styles)
    (third, *_) = filters(right, conditions, shown_sizes(table.n_images))
    plotting.panel_letters(first, second, third)
    return plotting.noted(figure, plotting.clipped(table), plotting.remark(table))


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
