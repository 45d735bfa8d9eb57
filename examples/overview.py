"""Draws a fitted model: recording, masks, feature weights, predictions.

python examples/overview.py RUN DATASET MODEL PICTURE, for instance
python examples/overview.py results/v4 v4_201025 factorized_bank overview.png
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import FancyArrowPatch

from whatwhere import plotting
from whatwhere.api import load
from whatwhere.dataset import TEST, open_dataset, repeat_mean, select_images
from whatwhere.fitted.model import FittedModel

N_SHOWN = 3
"""Best-predicted neurons, drawn in color."""
N_IMAGES = 40
"""Test images whose responses are shown."""


def best(fitted: FittedModel) -> np.ndarray:
    """Positions of the best-predicted neurons, best first."""
    return np.argsort(-fitted.scores["correlation"].fillna(-1).to_numpy(), kind="stable")[:N_SHOWN]


def _recording(panel: SubFigure, images: np.ndarray, measured: np.ndarray) -> None:
    """Draws four images, and responses of all neurons, z-scored."""
    above, below = panel.subplots(2, 1, height_ratios=[1, 1.3])
    above.imshow(np.concatenate(list(images[:4].mean(1)), axis=1), cmap="gray")
    above.set_axis_off()
    spread = np.nanstd(measured, axis=0)
    scores = (measured - np.nanmean(measured, axis=0)) / np.where(spread > 0, spread, 1)
    below.imshow(scores.T, cmap="Greys", aspect="auto", vmin=-1, vmax=3, interpolation="none")
    below.set(xlabel="image", ylabel="neuron", xticks=[], yticks=[])


def _where(ax: Axes, image: np.ndarray, fitted: FittedModel, selected: np.ndarray) -> None:
    """Draws masks of the selected neurons at half of their maximum."""
    ax.imshow(image, cmap="gray", alpha=0.45)
    masks = abs(fitted.masks)
    for neuron, color in zip(selected, plotting.PALETTE, strict=False):
        mask = masks.values[neuron]
        ax.contour(masks["x"], masks["y"], mask, levels=[mask.max() / 2], colors=[color], linewidths=1.6)
    ax.set_axis_off()


def _what(ax: Axes, codes: np.ndarray, selected: np.ndarray) -> None:
    """Draws barcodes of the selected neurons, one color per neuron."""
    for line, (neuron, color) in enumerate(zip(selected, plotting.PALETTE, strict=False)):
        height = np.abs(codes[neuron]) / np.abs(codes[neuron]).max()
        ax.vlines(
            np.arange(len(height)), line - 0.42 * height, line + 0.42 * height, color=color, linewidth=1
        )
    ax.set(yticks=range(len(selected)), xlabel="feature", ylim=(len(selected) - 0.5, -0.5))
    labels = [f"neuron {neuron + 1}" for neuron in selected]
    ax.set_yticklabels(labels, rotation=90, va="center", fontsize=6.5)


def _prediction(
    panel: SubFigure, measured: np.ndarray, predicted: np.ndarray, selected: np.ndarray, r: np.ndarray
) -> None:
    axes = np.atleast_1d(panel.subplots(len(selected), 1, sharex=True))
    for ax, neuron, color in zip(axes, selected, plotting.PALETTE, strict=False):
        ax.plot(measured[:, neuron], color="0.6", linewidth=1)
        ax.plot(predicted[:, neuron], color=color, linewidth=1.2)
        ax.set(yticks=[])
        ax.set_title(f"r = {r[neuron]:.2f}", fontsize=7, color=color, pad=1, loc="right")
    axes[-1].set_xlabel("test image")


def draw(fitted: FittedModel, images: np.ndarray, measured: np.ndarray) -> Figure:
    """Draws recording, masks, barcodes and predictions side by side.

    Parameters
    ----------
    fitted
        A model with masks and feature weights.
    images
        (image, channel, y, x) test images, in the form that the model takes.
    measured
        (image, neuron) mean responses to these images.
    """
    images, measured = images[:N_IMAGES], measured[:N_IMAGES]
    selected = best(fitted)
    figure = plt.figure(figsize=(plotting.PAGE, 2.3))
    panels = figure.subfigures(1, 4, width_ratios=[1.1, 1, 1.1, 1.3], wspace=0.09)
    titles = (
        "recording: images\nand responses",
        "where: one mask\nper neuron",
        "what: weights on\nshared features",
        "prediction\n(gray: measured)",
    )
    for panel, title in zip(panels, titles, strict=True):
        panel.suptitle(title, fontsize=8)
    _recording(panels[0], images, measured)
    _where(panels[1].subplots(), images[0].mean(0), fitted, selected)
    _what(panels[2].subplots(), fitted.arrays.barcodes, selected)
    predicted = fitted.arrays.predict(images)
    _prediction(panels[3], measured, predicted, selected, fitted.scores["correlation"].to_numpy())
    for edge in np.cumsum([1.1, 1, 1.1]) / 4.5:
        style = {"arrowstyle": "-|>", "mutation_scale": 11, "linewidth": 1.4, "color": "0.4"}
        figure.add_artist(
            FancyArrowPatch((edge - 0.012, 0.93), (edge + 0.016, 0.93), transform=figure.transFigure, **style)
        )
    return figure


def main(run: str, dataset: str, model: str, picture: str) -> None:
    """Draws the fit of seed 0 to ``picture``, a PNG."""
    plotting.use_style()
    fitted = load(run, dataset=dataset, model=model, seed=0)
    with open_dataset(Path(run, "data", f"{dataset}.nc")) as data:
        tested = np.flatnonzero(fitted.split == TEST)
        figure = draw(fitted, select_images(data, tested), repeat_mean(data, tested, fitted.neurons))
    figure.savefig(picture, dpi=200, metadata={"Software": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
