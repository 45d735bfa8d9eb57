"""Barcodes of one model: feature weights of all neurons sorted by cluster, and the field of every cluster."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from whatwhere import plotting
from whatwhere.files import read_netcdf, read_table
from whatwhere.logs import logged

MAX_FIELDS = 8


def sort_neurons(table: pd.DataFrame) -> pd.DataFrame:
    """By cluster, then true type, then strongest weight."""
    strongest = table.filter(like="weight_").abs().max(axis=1)
    return table.assign(strongest=strongest).sort_values(
        ["cluster", "cell_type", "strongest"], ascending=[True, True, False]
    )


def _strip(ax: Axes, values: np.ndarray, name: str) -> None:
    """One row of colours and, for print in grey, the number of every run of equal values."""
    colors = [plotting.PALETTE[value % len(plotting.PALETTE)] for value in values]
    rgb = np.array([plt.matplotlib.colors.to_rgb(color) for color in colors])
    ax.imshow(rgb[None], aspect="auto")
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1), len(values)]
    for start, stop in pairwise(edges):
        if stop - start > len(values) / 40:
            dark = rgb[start].mean() < 0.5
            style = {"color": "white" if dark else "black", "ha": "center", "va": "center", "fontsize": 6}
            ax.text((start + stop - 1) / 2, 0, str(values[start] + 1), **style)
    ax.set(xticks=[], yticks=[0], yticklabels=[name])
    ax.tick_params(length=0)


def heat_map(panel: SubFigure, table: pd.DataFrame) -> Axes:
    """Weights (feature, neuron) over strips of clusters and, where known, true types."""
    ordered = sort_neurons(table)
    # Fits of other cores have more features.
    weights = ordered.filter(like="weight_").dropna(axis=1, how="all").to_numpy().T
    known = bool((ordered.cell_type >= 0).all())
    strips = ["cluster", *(["cell_type"] if known else [])]
    axes = panel.subplots(1 + len(strips), 1, height_ratios=[12, *([1] * len(strips))])
    shown = axes[0].imshow(weights, aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1)
    n_features = len(weights)
    axes[0].set(ylabel="feature", xticks=[])
    ticks = np.arange(n_features) if n_features <= 8 else np.arange(0, n_features, 8)
    axes[0].set_yticks(ticks, ticks + 1)
    for ax, name in zip(axes[1:], strips, strict=True):
        _strip(ax, ordered[name].to_numpy(), name.replace("_", " "))
    axes[-1].set_xlabel(f"{weights.shape[1]} neurons")
    panel.colorbar(shown, ax=axes[0], label="normalised weight", pad=0.02, aspect=25)
    return axes[0]


def fields(panel: SubFigure, averages: np.ndarray, counts: np.ndarray) -> Axes:
    """Mean receptive field of the largest clusters."""
    largest = np.sort(np.argsort(-counts, kind="stable")[:MAX_FIELDS])
    columns = int(np.ceil(np.sqrt(len(largest))))
    axes = panel.subplots(int(np.ceil(len(largest) / columns)), columns, squeeze=False).ravel()
    for ax, cluster in zip(axes, largest, strict=False):
        plotting.show_field(ax, averages[cluster], float(np.nanmax(np.abs(averages[cluster]))))
        ax.set_title(f"{cluster + 1} (n = {counts[cluster]})", fontsize=6.5)
    for ax in axes[len(largest) :]:
        ax.axis("off")
    return axes[0]


def title(score: pd.Series) -> str:
    """What the clustering is worth, in one line."""
    parts = [f"{score.n_clusters:.0f} clusters", f"silhouette {score.silhouette:.2f}"]
    if np.isfinite(score.ari):
        parts.append(f"ARI {score.ari:.2f}, NMI {score.nmi:.2f} against {score.n_types:.0f} types")
    parts.append(f"stability {score.stability_bootstraps:.2f} over bootstraps")
    if np.isfinite(score.stability_seeds):
        parts.append(f"{score.stability_seeds:.2f} over seeds")
    return " · ".join(parts)


def main(
    barcodes: str | Path, scores: str | Path, averages: str | Path, svg: str | Path, png: str | Path
) -> None:
    """Draw the first seed and selection rule of the last cell."""
    plotting.use_style()
    codes, rated = (plotting.example(read_table(path)) for path in (barcodes, scores))
    figure = plt.figure(figsize=(plotting.PAGE, 2.8))
    figure.suptitle(title(rated.iloc[0]), fontsize=7.5)
    left, right = figure.subfigures(1, 2, width_ratios=[1.9, 1])
    first = heat_map(left, codes)
    with read_netcdf(averages) as stored:
        second = fields(right, stored["field"].values, stored["n_neurons"].values)
    plotting.panel_letter(first, "a")
    plotting.panel_letter(second, "b")
    plotting.save(figure, svg, png)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            barcodes=snakemake.input.barcodes,
            scores=snakemake.input.scores,
            averages=snakemake.input.fields,
            svg=snakemake.output.svg,
            png=snakemake.output.png,
        )
