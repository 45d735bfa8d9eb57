"""Draws the model for the glossary: ``python docs/draw_model.py docs/gallery/model.png``."""

import sys

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from scipy.signal import fftconvolve
from sklearn.datasets import load_sample_images

SIZE, HALF = 64, 7
WHERE, WHAT, SHARED = "#0072B2", "#D55E00", "#555555"
NEURONS = {"neuron A": ((46, 16), (1.0, 0.15, 0.3)), "neuron B": ((18, 44), (0.2, 0.9, 0.55))}
"""Location (x, y) in pixels and feature weights of the two neurons."""


def kernels():
    """Kernels (3, y, x): vertical stripes, horizontal stripes, and a blob without mean."""
    y, x = np.mgrid[-HALF : HALF + 1, -HALF : HALF + 1]
    envelope = np.exp(-(x**2 + y**2) / 18)
    blob = np.exp(-(x**2 + y**2) / 6) - np.exp(-(x**2 + y**2) / 18) / 3
    blob -= blob.mean()
    return np.stack([envelope * np.cos(0.9 * x), envelope * np.cos(0.9 * y), blob])


def masks():
    """Masks (neuron, y, x) with maximum 1."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return [np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 60) for at, _ in NEURONS.values()]


def show(figure, box, picture, color, cmap="gray"):
    """Adds a picture with a colored frame at ``box``: left, bottom, width, height in shares of the figure."""
    axes = figure.add_axes(box, xticks=[], yticks=[])
    axes.imshow(picture, cmap=cmap)
    axes.spines[:].set(color=color, linewidth=1.5)
    return axes


def arrow(figure, start, end, color):
    """Adds an arrow between two points in shares of the figure."""
    style = {"arrowstyle": "-|>", "mutation_scale": 11, "color": color, "linewidth": 1.2}
    figure.add_artist(FancyArrowPatch(start, end, transform=figure.transFigure, **style))


def draw():
    """Returns the figure."""
    mpl.rcParams.update({"font.size": 10})
    figure = plt.figure(figsize=(10, 4.2))
    picture = load_sample_images().images[0].mean(2)[60:316:4, 190:446:4]
    wide = np.pad(picture, HALF, mode="edge")
    maps = np.stack([np.abs(fftconvolve(wide - wide.mean(), kernel, mode="valid")) for kernel in kernels()])

    for left, width, label, color in [
        (0.155, 0.285, "core: shared by all neurons", SHARED),
        (0.475, 0.365, "readout: one row per neuron", "black"),
    ]:
        edge = FancyBboxPatch(
            (left, 0.05), width, 0.83, boxstyle="round,pad=0,rounding_size=0.015", fill=False
        )
        edge.set(transform=figure.transFigure, edgecolor=color, linewidth=1, linestyle="--")
        figure.add_artist(edge)
        figure.text(left + width / 2, 0.915, label, ha="center", weight="bold", color=color)

    show(figure, (0.01, 0.31, 0.12, 0.2857), picture, SHARED)
    figure.text(0.07, 0.62, "image", ha="center")
    for row, (kernel, channel) in enumerate(zip(kernels(), maps, strict=True)):
        bottom = 0.59 - 0.26 * row
        show(figure, (0.185, bottom + 0.025, 0.07, 0.1667), kernel, SHARED)
        show(figure, (0.325, bottom, 0.095, 0.226), channel, SHARED)
        arrow(figure, (0.133, 0.45), (0.182, bottom + 0.11), SHARED)
        arrow(figure, (0.258, bottom + 0.11), (0.322, bottom + 0.11), SHARED)
    figure.text(0.22, 0.835, "kernels", ha="center")
    figure.text(0.3725, 0.835, "feature maps", ha="center")

    drives = [
        np.einsum("c,yx,cyx", weights, mask, maps)
        for (_, weights), mask in zip(NEURONS.values(), masks(), strict=True)
    ]
    for row, ((name, (_, weights)), mask) in enumerate(zip(NEURONS.items(), masks(), strict=True)):
        bottom = 0.49 - 0.38 * row
        figure.text(0.485, bottom + 0.13, name, rotation=90, ha="left", va="center")
        show(figure, (0.515, bottom, 0.11, 0.262), mask, WHERE)
        figure.text(0.635, bottom + 0.13, "×", fontsize=16, va="center", ha="center")
        bars = figure.add_axes((0.655, bottom + 0.02, 0.07, 0.22), xticks=[], yticks=[])
        bars.bar(range(3), weights, color=WHAT)
        bars.spines[["top", "right"]].set_visible(False)
        barcode = np.array([weights]) / np.linalg.norm(weights)
        code = show(figure, (0.745, bottom + 0.02, 0.08, 0.22), barcode, WHAT, cmap="gray_r")
        code.set_aspect("auto")
        arrow(figure, (0.442, 0.47), (0.474, bottom + 0.13), "black")
        arrow(figure, (0.842, bottom + 0.13), (0.875, bottom + 0.13), "black")
        rates = figure.add_axes((0.885, bottom + 0.03, 0.1, 0.2), xticks=[], yticks=[])
        axis = np.linspace(-3, 3, 60)
        rates.plot(axis, np.log1p(np.exp(2 * axis)), color="black")
        drive = 4 * drives[row] / max(drives) - 2
        rates.plot(drive, np.log1p(np.exp(2 * drive)), "o", color=WHERE)
        rates.spines[["top", "right"]].set_visible(False)
        rates.set_xlabel("drive", labelpad=1)
    figure.text(0.57, 0.8, "mask: where", ha="center", color=WHERE)
    figure.text(0.69, 0.8, "feature weights:\nwhat", ha="center", va="center_baseline", color=WHAT)
    figure.text(0.785, 0.8, "barcode", ha="center", color=WHAT)
    figure.text(0.935, 0.8, "response", ha="center")
    return figure


if __name__ == "__main__":
    draw().savefig(sys.argv[1], dpi=130)
