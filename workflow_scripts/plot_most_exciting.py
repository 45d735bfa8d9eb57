"""Most exciting images or clips of the best predicted neurons of every cell type: neurons.nc -> figure."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from whatwhere import plotting
from whatwhere.files import read_netcdf
from whatwhere.thumbnails import frames_of, stretched

MAX_GROUPS = 8
PER_GROUP = 10
N_FRAMES = 15
"""Frames of a clip that are drawn at most, at equal distances up to the newest."""


def groups_of(neurons: xr.Dataset) -> tuple[str, np.ndarray]:
    """Kind of group and the group of every neuron: true types, or else clusters, or all."""
    for name, variable in (("type", "cell_type"), ("cluster", "cluster")):
        if variable in neurons:
            return name, neurons[variable].values
    return "all", np.zeros(neurons.sizes["neuron"], int)


def film(clip: np.ndarray, attributes: dict[str, float]) -> list[tuple[str, np.ndarray]]:
    """Lags and frames (channel, y, x) of a window (lag * channel, y, x), oldest first."""
    n_lags = int(attributes["lags"])
    frames = frames_of(stretched(clip), n_lags)
    shown = np.arange(0, n_lags, -(-n_lags // N_FRAMES))[::-1]
    ms = 1000 * (shown + attributes["latency_frames"]) / attributes["frames_per_second"]
    return [(f"{time:.0f} ms", frames[n_lags - 1 - lag]) for time, lag in zip(ms, shown, strict=True)]


def main(neurons: str | Path, model: str, dataset: str) -> Figure:
    """Draws one row of images per group, or of a movie one row of frames per neuron.

    ``model`` and ``dataset`` are the names that readers see.
    """
    with read_netcdf(neurons) as stored:
        known = stored.load()
    name, group = groups_of(known)
    labels, counts = np.unique(group, return_counts=True)
    labels = np.sort(labels[np.argsort(-counts, kind="stable")[:MAX_GROUPS]])
    best_first = np.argsort(-known["correlation"].fillna(-1).values, kind="stable")
    images, movie = known["image"].values, "lags" in known.attrs
    shares = [f"{share:.2f}" for share in known["confirmed"].values] if "confirmed" in known else None
    rows: list[tuple[str, list[tuple[str, np.ndarray]]]] = []
    for label in labels:
        title = name if name == "all" else f"{name} {label + 1}"
        mine = best_first[group[best_first] == label]
        if movie:
            for neuron in mine[: MAX_GROUPS // len(labels)]:
                beside = f"{title}\n{shares[neuron]}" if shares else title
                rows.append((beside, film(images[neuron], known.attrs)))
        else:
            above = [shares[neuron] if shares else "" for neuron in mine[:PER_GROUP]]
            rows.append((title, [*zip(above, map(stretched, images[mine[:PER_GROUP]]), strict=True)]))
    n_columns = max(PER_GROUP, *(len(pictures) for _, pictures in rows))
    height = plotting.PAGE / n_columns * known.sizes["y"] / known.sizes["x"] + 0.16
    figure = plt.figure(figsize=(plotting.PAGE, height * len(rows) + 0.3))
    axes = figure.subplots(len(rows), n_columns, squeeze=False)
    subject, place = ("clips", "beside") if movie else ("images", "above")
    numbers = f"; {place} each, the share of that response that a second fit predicts"
    explained = f"{subject} with the largest predicted response{numbers if shares else ''}"
    figure.suptitle(f"{model}, {dataset}\n{explained}", fontsize=7)
    for ax in axes.ravel():
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for row, (line, (title, pictures)) in enumerate(zip(axes, rows, strict=True)):
        line[0].set_ylabel(title, fontsize=7 if movie else None)
        for ax, (above, image) in zip(line, pictures, strict=False):
            pixels = np.moveaxis(image, 0, -1) if len(image) == 3 else image.mean(0)
            ax.imshow(pixels, cmap="gray", vmin=0, vmax=1)
            if not movie or row == 0:
                ax.set_title(above, fontsize=6, pad=2)
    return figure


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
