"""The page of a dataset: what was understood and what is suspicious, before anything is trained."""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from whatwhere import plotting
from whatwhere.dataset import open_dataset, presented, select_images
from whatwhere.description import drift, findings, neuron_table, overview, repeated, split_sizes
from whatwhere.files import write_table
from whatwhere.logs import arguments, logged
from whatwhere.pages import heading, items, paragraph, table, write_page

N_EXAMPLES = 8
SPLIT_COLORS = [plotting.PALETTE[0], plotting.PALETTE[1], "0.9"]
"""Of train, validation and test; dark, middle and light in grey."""
MAX_COUNT = 100
"""Whole numbers up to this range have a bar each."""


def _show_examples(panel: SubFigure, dataset: xr.Dataset) -> None:
    selected = np.unique(np.linspace(0, dataset.sizes["image"] - 1, N_EXAMPLES).round().astype(int))
    images = select_images(dataset, selected)
    lowest, highest = images.min(), images.max()
    # Black to white, or colour; units are the owner's.
    shown = np.moveaxis((images - lowest) / (highest - lowest or 1), 1, -1)
    axes = panel.subplots(1, N_EXAMPLES)
    for ax in axes:
        ax.set_axis_off()
    for ax, image, index in zip(axes, shown, selected, strict=False):
        ax.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=1)
        ax.set_title(str(index))
    plotting.panel_letter(axes[0], "a")


def _nothing(ax: Axes, why: str) -> None:
    ax.annotate(why, (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", color=plotting.REFERENCE)
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
        ax.bar(
            numbers + 0.27 * (code - 1),
            frequency,
            0.25,
            color=SPLIT_COLORS[code],
            edgecolor="0.3",
            linewidth=0.5,
            label=f"{label} ({size})",
        )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set(xlabel="presentations of an image", ylabel="images")
    plotting.legend_above(ax, 3)


def _agreement(ax: Axes, neurons: pd.DataFrame) -> None:
    if neurons.oracle_correlation.isna().all():
        _nothing(ax, "no repeats of single trials")
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
        _nothing(ax, "no repeats of single trials")
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
    """Examples, responses, presentations, agreement of repeats and drift."""
    responses = dataset["responses"].values
    figure = plt.figure(figsize=(plotting.PAGE, 4.6))
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 3.4])
    _show_examples(top, dataset)
    axes = bottom.subplots(2, 2).flat
    _histogram(axes[0], responses)
    _presentations(axes[1], dataset)
    _agreement(axes[2], neurons)
    _drift(axes[3], responses)
    for ax, letter in zip(axes, "bcde", strict=True):
        plotting.panel_letter(ax, letter)
    plotting.save(figure, svg, png)


def describe(dataset: xr.Dataset, figure: str | Path, neurons: str | Path, page: str | Path) -> None:
    """Write one HTML file that holds everything, the figure too."""
    rows = pd.DataFrame(overview(dataset).items(), columns=["what", "value"])
    suspicious = findings(dataset)
    drawing = Path(figure).read_text(encoding="utf-8")
    parts = [
        table(rows),
        heading("To look at"),
        items(suspicious) if suspicious else paragraph("Nothing suspicious was found."),
        drawing[drawing.index("<svg") :],
        paragraph(
            "Responses of all images count here, those of the test set too; nothing here selects or scores "
            f"a model. Values per neuron are in {Path(neurons).name}."
        ),
    ]
    write_page(f"Dataset {dataset.attrs['name']}", parts, page)


def main(
    dataset: str | Path, neurons: str | Path, svg: str | Path, png: str | Path, page: str | Path
) -> None:
    """Describe a dataset in a table of its neurons, a figure and a page."""
    plotting.use_style()
    with open_dataset(dataset) as data:
        data["responses"].load()  # once: all of it is drawn
        known = neuron_table(data)
        write_table(known, neurons)
        draw(data, known, svg, png)
        describe(data, svg, neurons, page)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(**arguments(snakemake.input, snakemake.output))
