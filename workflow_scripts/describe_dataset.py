"""Describes a dataset before anything is trained: dataset.nc -> page, figure, table of neurons."""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from whatwhere import plotting
from whatwhere.dataset import is_movie, open_dataset, presented, repeat_mean, select_images
from whatwhere.description import consecutive, drift, findings, neuron_table, overview, repeated, split_sizes
from whatwhere.files import write_table
from whatwhere.logs import run_job
from whatwhere.pages import heading, items, paragraph, table, write_page

N_EXAMPLES = 8
N_IN_TIME = 3
"""Neurons whose responses to a movie are drawn over time."""
SPLIT_COLORS = [*plotting.PALETTE[:2], "0.9"]
"""Colors of train, validation and test; dark, middle and light when printed in gray."""
MAX_COUNT = 100
"""Range of whole numbers up to which every number has a bar of its own."""


def _show_examples(panel: SubFigure, dataset: xr.Dataset) -> None:
    """Images, or frames of a movie, at equal distances."""
    dim = "frame" if is_movie(dataset) else "image"
    selected = np.unique(np.linspace(0, dataset.sizes[dim] - 1, N_EXAMPLES).round().astype(int))
    images = dataset["frames"][selected].values if is_movie(dataset) else select_images(dataset, selected)
    lowest, highest = images.min(), images.max()
    shown = np.moveaxis((images - lowest) / (highest - lowest or 1), 1, -1)
    axes = panel.subplots(1, N_EXAMPLES)
    for ax in axes:
        ax.set_axis_off()
    for ax, image, index in zip(axes, shown, selected, strict=False):
        ax.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=1)
        ax.set_title(str(index))
        if is_movie(dataset):
            ax.set_axis_on()
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set(visible=True, color="0.7", linewidth=0.5)
    plotting.panel_letters(axes[0])


def _show_in_time(panel: SubFigure, dataset: xr.Dataset, neurons: pd.DataFrame) -> None:
    """Repeats and their mean over time, of the neurons whose repeats agree best or that respond most."""
    times = presented(dataset).sum(0)
    bins = consecutive(dataset, np.flatnonzero(times == times.max()))
    responses = dataset["responses"][:, bins].values
    order = neurons["oracle_correlation" if neurons.oracle_correlation.notna().any() else "mean"].copy()
    order[np.isnan(responses).all((0, 1))] = np.nan
    shown = order.sort_values(ascending=False, kind="stable").index[:N_IN_TIME].to_numpy()
    means = repeat_mean(dataset, bins, shown)
    seconds = dataset.attrs["seconds_per_bin"]
    repeats = responses[~np.isnan(responses).all((1, 2))]
    rows = 2 if len(repeats) > 1 else 1
    axes = panel.subplots(rows, len(shown), sharex=True, squeeze=False)
    for column, neuron, mean in zip(axes.T, shown, means.T, strict=True):
        if rows > 1:
            extent = (0, len(bins) * seconds, len(repeats) + 0.5, 0.5)
            column[0].imshow(repeats[:, :, neuron], cmap="gray_r", aspect="auto", extent=extent, vmin=0)
            column[0].yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=3))
        column[0].set_title(f"neuron {neuron}")
        plotting.draw_in_time(column[-1], mean, seconds)
    axes[0, 0].set_ylabel("repeat")
    axes[-1, 0].set_ylabel("mean" if rows > 1 else "response")


def _no_repeats(ax: Axes) -> None:
    style = {"ha": "center", "va": "center", "color": plotting.REFERENCE}
    ax.annotate("no repeats of single trials", (0.5, 0.5), xycoords="axes fraction", **style)
    ax.set_axis_off()


def _histogram(ax: Axes, responses: np.ndarray) -> None:
    present = responses[~np.isnan(responses)]
    counts = np.ptp(present) <= MAX_COUNT and (present == present.round()).all()
    bins = np.arange(present.min() - 0.5, present.max() + 1) if counts else 50
    ax.hist(present, bins=bins, color=plotting.PALETTE[0])
    ax.set(yscale="log", xlabel="response", ylabel="presentations")


def _presentations(ax: Axes, dataset: xr.Dataset) -> None:
    counts = presented(dataset).sum(0)
    split = dataset["split"].values[0]
    for code, (label, size) in enumerate(split_sizes(dataset).items()):
        numbers, frequency = np.unique(counts[split == code], return_counts=True)
        style = {"color": SPLIT_COLORS[code], "edgecolor": "0.3", "linewidth": 0.5}
        ax.bar(numbers + 0.27 * (code - 1), frequency, 0.25, label=f"{label} ({size})", **style)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    unit = "bin" if is_movie(dataset) else "image"
    ax.set(xlabel=f"presentations of {'a' if is_movie(dataset) else 'an'} {unit}", ylabel=f"{unit}s")
    plotting.legend_above(ax, 3)


def _agreement(ax: Axes, neurons: pd.DataFrame) -> None:
    if neurons.oracle_correlation.isna().all():
        _no_repeats(ax)
        return
    rank = np.arange(1, len(neurons) + 1)
    for column, label, color in (
        ("cc_max", "noise ceiling of means", plotting.PALETTE[1]),
        ("oracle_correlation", "trial with other repeats", plotting.PALETTE[0]),
    ):
        ax.plot(rank, np.sort(neurons[column]), label=label, color=color)
    ax.axhline(0, color="0.8", zorder=-1)
    ax.set(xlabel="neuron by rank", ylabel="correlation", yticks=[0, 0.5, 1])
    ax.set_ylim(min(-0.05, neurons.oracle_correlation.min()), 1.05)
    plotting.legend_above(ax, 2)


def _drift(ax: Axes, responses: np.ndarray) -> None:
    again = repeated(responses)
    if not again.size:
        _no_repeats(ax)
        return
    by_repeat = drift(again)[1]
    known = ~np.isnan(by_repeat).all(1)
    by_repeat, number = by_repeat[known], np.flatnonzero(known) + 1
    ax.plot(number, by_repeat, color="0.8", linewidth=0.5)
    ax.plot(number, np.nanmean(by_repeat, axis=1), color=plotting.PALETTE[0], label="mean of neurons")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set(xlabel="repeat", ylabel="response less that of\nother repeats (sd)")
    plotting.legend_above(ax, 1)


def draw(dataset: xr.Dataset, neurons: pd.DataFrame, svg: str | Path, png: str | Path) -> None:
    """Draws examples of images, responses, presentations, agreement of repeats and drift.

    Of a movie also responses over time.
    """
    responses = dataset["responses"].values
    heights = [1, 1.9, 3.4] if is_movie(dataset) else [1, 3.4]
    figure = plt.figure(figsize=(plotting.PAGE, 4.6 * sum(heights) / 4.4))
    top, *middle, bottom = figure.subfigures(len(heights), 1, height_ratios=heights)
    _show_examples(top, dataset)
    for panel in middle:
        _show_in_time(panel, dataset, neurons)
    axes = bottom.subplots(2, 2).flat
    _histogram(axes[0], responses)
    _presentations(axes[1], dataset)
    _agreement(axes[2], neurons)
    _drift(axes[3], responses)
    plotting.panel_letters(*axes, first="b")
    plotting.save(figure, svg, png)


def main(
    dataset: str | Path, label: str, neurons: str | Path, svg: str | Path, png: str | Path, page: str | Path
) -> None:
    """Describes a dataset in a table of its neurons, a figure, and a page that holds the figure.

    ``label`` is the name that readers see.
    """
    plotting.use_style()
    with open_dataset(dataset) as data:
        data["responses"].load()  # once: all of it is drawn
        known, suspicious = neuron_table(data), findings(data)
        write_table(known, neurons)
        draw(data, known, svg, png)
        drawing = Path(svg).read_text(encoding="utf-8")
        content = [
            table(pd.DataFrame(overview(data).items(), columns=["property", "value"])),
            heading("To look at"),
            items(suspicious) if suspicious else paragraph("Nothing suspicious was found."),
            drawing[drawing.index("<svg") :],
            paragraph(
                "Responses to all images count here, also to test images; nothing here selects or scores a "
                f"model. Values per neuron are in {Path(neurons).name}."
            ),
        ]
        write_page(f"Dataset: {label}", content, page)


if __name__ == "__main__":
    run_job(main, snakemake)
