"""Most exciting images of the best predicted neurons of every cell type: neurons.nc -> figure."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from whatwhere import plotting
from whatwhere.files import read_netcdf

MAX_GROUPS = 8
PER_GROUP = 10


def groups_of(neurons: xr.Dataset) -> tuple[str, np.ndarray]:
    """Kind of group and the group of every neuron: true types, or else clusters, or all."""
    for name, variable in (("type", "cell_type"), ("cluster", "cluster")):
        if variable in neurons:
            return name, neurons[variable].values
    return "all", np.zeros(neurons.sizes["neuron"], int)


def show(ax: Axes, image: np.ndarray) -> None:
    """Draws an image (channel, y, x) with its own contrast, gray where it equals the background."""
    offset = image - np.median(image)
    stretched = 0.5 + 0.5 * offset / (np.abs(offset).max() or 1.0)
    pixels = np.moveaxis(stretched, 0, -1) if len(stretched) == 3 else stretched.mean(0)
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=1)


def main(neurons: str | Path, model: str, dataset: str) -> Figure:
    """Draws one row of images per group; ``model`` and ``dataset`` are the names that readers see."""
    with read_netcdf(neurons) as stored:
        known = stored.load()
    name, group = groups_of(known)
    labels, counts = np.unique(group, return_counts=True)
    labels = np.sort(labels[np.argsort(-counts, kind="stable")[:MAX_GROUPS]])
    best_first = np.argsort(-known["correlation"].fillna(-1).values, kind="stable")
    height = plotting.PAGE / PER_GROUP * known.sizes["y"] / known.sizes["x"] + 0.16
    figure, axes = plt.subplots(
        len(labels), PER_GROUP, figsize=(plotting.PAGE, height * len(labels) + 0.3), squeeze=False
    )
    numbers = "; above each, the share of that response that a second fit predicts"
    explained = f"images with the largest predicted response{numbers if 'confirmed' in known else ''}"
    figure.suptitle(f"{model}, {dataset}\n{explained}", fontsize=7)
    for ax in axes.ravel():
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for line, label in zip(axes, labels, strict=True):
        line[0].set_ylabel(name if name == "all" else f"{name} {label + 1}")
        for ax, neuron in zip(line, best_first[group[best_first] == label], strict=False):
            show(ax, known["image"].values[neuron])
            if "confirmed" in known:
                ax.set_title(f"{known['confirmed'].values[neuron]:.2f}", fontsize=6, pad=2)
    return figure


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
