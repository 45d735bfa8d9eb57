"""Performance over population and data size, and the worth of a doubling of neurons in images or minutes."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from whatwhere import plotting
from whatwhere.conditions import over_seeds
from whatwhere.dataset import is_movie, open_dataset
from whatwhere.files import read_table

NAMES = {"feve": "FEVE", "correlation": "correlation with repeat mean"}


def minutes_per_bin(data: list[str]) -> dict[str, float]:
    """Length of a time bin by the name of the dataset, min, for the files of movies among ``data``."""
    found = {}
    for path in data:
        with open_dataset(path) as dataset:
            if is_movie(dataset):
                found[dataset.attrs["name"]] = dataset.attrs["seconds_per_bin"] / 60
    return found


def _curves(ax: Axes, scores: pd.DataFrame, measure: str, unit: str) -> None:
    """Draws performance over images or minutes, one curve per population size."""
    for index, (n_neurons, rows) in enumerate(scores.groupby("n_neurons")):
        means = over_seeds(rows, [measure], ["n_images"], least=0)
        name = "1 neuron" if n_neurons == 1 else f"{n_neurons} neurons"
        plotting.draw_curve(ax, means, index, name, measure)
    plotting.image_axis(ax, scores.n_images, unit)
    ax.set(ylabel=NAMES[measure], ylim=(0, None))
    plotting.legend_below(ax, 2, paper=False)


def _map(ax: Axes, scores: pd.DataFrame, measure: str, unit: str) -> None:
    """Draws performance of every condition, and lines of equal total recordings."""
    conditions = scores.groupby(["n_neurons", "n_images"])[measure].mean().clip(lower=0).reset_index()
    x = np.geomspace(conditions.n_images.min() / 1.4, conditions.n_images.max() * 1.4, 80)
    y = np.geomspace(conditions.n_neurons.min() / 1.6, conditions.n_neurons.max() * 1.6, 80)
    for total in 2.0 ** np.arange(0, 41, 4):
        ax.plot(x, total / x, color="0.75", linewidth=0.6, linestyle="--", zorder=0)
    norm = Normalize(0, conditions[measure].max())
    style = {"s": 38, "cmap": "viridis", "norm": norm, "edgecolor": "white", "zorder": 3}
    points = ax.scatter(conditions.n_images, conditions.n_neurons, c=conditions[measure], **style)
    plotting.image_axis(ax, scores.n_images, unit)
    ax.set_yscale("log", base=2)
    ax.set(ylabel="neurons", xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.figure.colorbar(points, ax=ax, label=NAMES[measure], pad=0.02, aspect=30)


def _rates(ax: Axes, rates: pd.DataFrame, unit: str) -> None:
    """Draws the exchange rates of all pairs of populations with their confidence intervals."""
    places = np.arange(len(rates))[::-1]
    plotting.draw_intervals(ax, rates.rename(columns={"rate": "value"}), places, (0, 1))
    for place, rate in zip(places, rates["rate"], strict=True):
        text, at = ("beyond", np.mean(ax.get_xlim())) if np.isnan(rate) else (f"{rate:.2f}", rate)
        ax.annotate(text, (at, place), (0, 4), textcoords="offset points", ha="center", fontsize=6.5)
    sizes = zip(rates.neurons_from, rates.neurons_to, rates.performance, strict=True)
    names = [f"{few} to {many}\nat {performance:.2f}" for few, many, performance in sizes]
    ax.set_yticks(places, names, fontsize=6.5)
    ax.set(xlabel=f"doublings of {unit}\nper doubling of neurons", ylim=(-0.6, len(rates) - 0.4))


def main(
    scaling: str | Path, rates: str | Path, data: list[str], labels: dict[str, str], datasets: dict[str, str]
) -> Figure:
    """Draws one row of panels for every dataset and model of several sizes, for the first selection rule.

    ``data`` are the files of the datasets: the data size of a movie is its duration in minutes.
    """
    minutes = minutes_per_bin(data)
    scores, fitted = (plotting.labeled(read_table(path), labels) for path in (scaling, rates))
    fitted = fitted[fitted.stated.ne(True)]
    scores = scores[scores.selection == scores.selection.iloc[0]]
    fitted = fitted[fitted.selection == scores.selection.iloc[0]]
    groups = list(scores.groupby(["dataset", "model"], sort=False))
    # A model of a single population size is drawn only if there is no other.
    groups = [(names, group) for names, group in groups if group.n_neurons.nunique() > 1] or groups
    figure = plt.figure(figsize=(plotting.PAGE, 2.8 * len(groups)))
    rows = figure.subfigures(len(groups), 1, squeeze=False)[:, 0]
    for row, ((dataset, model), group) in zip(rows, groups, strict=True):
        mine = fitted[(fitted.dataset == dataset) & (fitted.model == model)]
        measure = group.measure.iloc[0]
        row.suptitle(f"{datasets[dataset]}: {model}", fontsize=8)
        axes = row.subplots(1, 3, width_ratios=[1, 1.15, 0.85])
        unit = "minutes" if dataset in minutes else "images"
        sized = group.assign(n_images=group.n_images * minutes.get(dataset, 1))
        _curves(axes[0], sized, measure, unit)
        _map(axes[1], sized, measure, unit)
        if len(mine):
            _rates(axes[2], mine, unit)
        else:
            axes[2].axis("off")
    plotting.panel_letters(*(ax for ax in rows[0].axes[:3] if ax.axison))
    shown = pd.concat([group for _, group in groups])
    return plotting.noted(figure, plotting.clipped(shown[shown.measure == "feve"]), plotting.remark(shown))


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
