"""Figure 4: two cell types, the kernels learned, feature weights as barcodes, and performance."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from whatwhere import plotting
from whatwhere.files import groups_of, read_netcdf, read_table, read_tables


def _fields(axes: list[Axes], kernels: list[np.ndarray], name: str) -> None:
    for index, (ax, kernel) in enumerate(zip(axes, kernels, strict=True)):
        plotting.show_field(ax, kernel)
        ax.set_title(f"{name} {index + 1}")


def _weights(ax: Axes, barcodes: pd.DataFrame, ari: float) -> None:
    barcodes = barcodes[barcodes.cluster >= 0]
    raw = barcodes[["weight_0", "weight_1"]].mul(barcodes["norm"], axis=0)
    for (cell_type, cluster), rows in raw.groupby([barcodes.cell_type, barcodes.cluster]):
        marker = plotting.MARKERS[cluster % len(plotting.MARKERS)]
        style = {"s": 7, "color": plotting.PALETTE[cell_type], "alpha": 0.6, "linewidth": 0}
        label = f"type {cell_type + 1}, cluster {cluster + 1}"
        ax.scatter(rows.weight_0, rows.weight_1, marker=marker, label=label, **style)
    ax.axhline(0, color="0.8", zorder=0)
    ax.axvline(0, color="0.8", zorder=0)
    ax.set(xlabel="weight of kernel 1", ylabel="weight of kernel 2", title=f"ARI {ari:.3f}")
    ax.legend(markerscale=1.5, handletextpad=0.2)


def _histogram(ax: Axes, scores: pd.DataFrame, barcodes: pd.DataFrame, reference: float) -> None:
    merged = scores.merge(barcodes[["neuron", "cell_type"]], on="neuron")
    bins = np.linspace(min(0.5, merged.feve.min()), 1, 41)
    groups = [rows.feve for _, rows in merged.groupby("cell_type")]
    labels = [f"type {cell_type + 1}" for cell_type in sorted(merged.cell_type.unique())]
    ax.hist(groups, bins, stacked=True, color=plotting.PALETTE[: len(groups)], label=labels)
    mean = merged.feve.mean()
    ax.axvline(mean, color="black", linewidth=1, label=f"mean {mean:.3f}")
    style = {"color": plotting.REFERENCE, "linewidth": 1, "linestyle": "--"}
    ax.axvline(reference, label=f"paper {reference:.3f}", **style)
    ax.set(xlabel="FEVE", ylabel="neurons")
    ax.legend(loc="upper left")


def main(
    parameters: list[str],
    scores: list[str],
    barcodes: list[str],
    barcode_scores: list[str],
    reference: str | Path,
    labels: dict[str, str],
) -> Figure:
    """Draws the first seed of the condition listed last, of the factorized model; lists hold one file."""
    codes, rated = (plotting.example(read_tables(paths)) for paths in (barcodes, scores))
    agreement = plotting.example(read_tables(barcode_scores)).iloc[0]
    with read_netcdf(parameters[0], groups_of(parameters[0])[-1]) as fit:
        kernels = list(fit["kernels"].values[:, 0])
        _, first = np.unique(fit["cell_type"].values, return_index=True)
        fields = list(fit["receptive_field"].values[first])
    expected = float(read_table(reference).feve.iloc[0])

    figure = plt.figure(figsize=(plotting.PAGE, 2.6))
    outer = figure.add_gridspec(1, 3, width_ratios=[1, 1.15, 1.15])
    images = outer[0].subgridspec(2, max(len(fields), len(kernels)))
    top = [figure.add_subplot(images[0, index]) for index in range(len(fields))]
    bottom = [figure.add_subplot(images[1, index]) for index in range(len(kernels))]
    _fields(top, fields, "type")
    _fields(bottom, kernels, "kernel")
    scatter, histogram = figure.add_subplot(outer[1]), figure.add_subplot(outer[2])
    _weights(scatter, codes, agreement.ari)
    _histogram(histogram, rated, codes, expected)
    plotting.panel_letters(top[0], bottom[0], scatter, histogram)
    return plotting.noted(figure, plotting.remark(plotting.labeled(rated, labels)))


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
