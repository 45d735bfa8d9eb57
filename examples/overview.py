"""Draws a fitted model from left to right: recording, core, mask times feature weights, prediction.

PYTHONPATH=workflow_scripts python examples/overview.py RUN DATASET MODEL PICTURE, for instance
results/quick v1_like cnn_3_layers_quick overview.png
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from plot_fig1 import Canvas
from whatwhere import plotting
from whatwhere.api import load
from whatwhere.dataset import TEST, open_dataset, repeat_mean, select_images
from whatwhere.fitted.model import FittedModel
from whatwhere.locations import corner

N_SHOWN = 2
"""Neurons, one row each."""
N_FEATURES = 4
"""Features whose maps and weights are shown: the strongest of the neurons."""
N_IMAGES = 24
"""Test images whose responses are shown."""
TOP, ROW = 0.55, 1.2
"""Heights in inches of the titles and of a row."""
COLUMNS = {
    "recording: images\nand responses": (0.12, 1.3),
    "core: maps of features\nthat neurons share": (1.88, 0.56),
    "where:\nmask of a neuron": (3.0, 0.95),
    "what: its weights\nof the features": (4.45, 0.72),
    "prediction\n(gray: measured)": (5.6, 1.3),
}
"""Left edge and width of every column in inches."""


def best(fitted: FittedModel, weights: np.ndarray) -> list[int]:
    """Positions of the best-predicted neurons with different strongest features, best first."""
    ranked = np.argsort(-fitted.scores["correlation"].fillna(-1).to_numpy(), kind="stable")
    strongest = np.abs(weights).argmax(1)
    _, first = np.unique(strongest[ranked], return_index=True)
    different = sorted(first)[:N_SHOWN]
    others = [place for place in range(len(ranked)) if place not in different]
    return [int(ranked[place]) for place in [*different, *others][: min(N_SHOWN, len(ranked))]]


def _image(ax: Axes, image: np.ndarray, alpha: float = 1) -> None:
    """Shows an image (channel, y, x) in gray, with a thin frame."""
    ax.imshow(image.mean(0), cmap="gray", alpha=alpha)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, linewidth=0.5, color="0.6")


def _recording(canvas: Canvas, left: float, width: float, images: np.ndarray, measured: np.ndarray) -> None:
    """Draws a stack of images over the responses (image, neuron), z-scored."""
    size, middle = 0.86, TOP + 0.5
    for behind in (2, 1, 0):
        _image(canvas.axes(left + 0.2 * behind, middle + 0.1 - 0.1 * behind, size, size), images[behind])
    spread = np.nanstd(measured, axis=0)
    scores = (measured - np.nanmean(measured, axis=0)) / np.where(spread > 0, spread, 1)
    below = canvas.axes(left + 0.12, TOP + 1.7, width - 0.16, 0.9)
    below.imshow(scores.T, cmap="Greys", aspect="auto", vmin=-1, vmax=3, interpolation="none")
    below.set(xticks=[], yticks=[])
    below.set_xlabel("images", fontsize=6.5, labelpad=2)
    below.set_ylabel("neurons", fontsize=6.5, labelpad=2)


def _where(ax: Axes, image: np.ndarray, mask: np.ndarray, stride: int, color: str) -> None:
    """Draws a mask (y, x) as a veil of a color over a pale image (channel, y, x)."""
    _image(ax, image, alpha=0.5)
    y, x = np.array(corner(mask.shape, image.shape[1:], stride)) - stride / 2
    height, width = np.array(mask.shape) * stride
    veil = np.empty((*mask.shape, 4))
    veil[..., :3], veil[..., 3] = to_rgb(color), np.abs(mask) / (np.abs(mask).max() or 1.0)
    ax.imshow(veil, extent=(x, x + width, y + height, y))
    ax.set(xlim=(-0.5, image.shape[2] - 0.5), ylim=(image.shape[1] - 0.5, -0.5))


def _what(ax: Axes, weights: np.ndarray, names: list[str], color: str) -> None:
    """Draws the weights of the shown features as bars."""
    ax.barh(names, weights, color=color, height=0.6)
    ax.axvline(0, color="0.6", linewidth=0.6)
    ax.invert_yaxis()
    ax.set(xticks=[])
    ax.tick_params(labelsize=6.5, length=0, pad=2)


def _prediction(ax: Axes, measured: np.ndarray, predicted: np.ndarray, title: str, color: str) -> None:
    ax.plot(measured, color="0.6", linewidth=1)
    ax.plot(predicted, color=color, linewidth=1.3)
    ax.set(xticks=[], yticks=[], ylim=(min(0, measured.min(), predicted.min()), None))
    ax.set_title(title, fontsize=7, color=color, pad=2)
    ax.set_xlabel("test images", fontsize=6.5, labelpad=2)
    ax.set_ylabel("response", fontsize=6.5, labelpad=2)


def draw(fitted: FittedModel, images: np.ndarray, measured: np.ndarray) -> Figure:
    """Draws the way from a recording to predictions, with a row for each of two neurons.

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
    masks, weights = np.asarray(fitted.masks), np.asarray(fitted.feature_weights)
    neurons = best(fitted, weights)
    shown = np.sort(np.argsort(-np.abs(weights[neurons]).max(0), kind="stable")[:N_FEATURES])
    names = [str(number) for number in range(1, len(shown) + 1)]
    maps = np.asarray(fitted.features(images[:1], preprocessed=True))[0, shown]
    predicted = np.asarray(fitted.predict(images, preprocessed=True))
    r = fitted.scores["correlation"].to_numpy()

    body = ROW * N_SHOWN
    canvas = Canvas(TOP + body + 0.1)
    (recording, core, where, what, prediction) = COLUMNS.values()
    for title, (left, width) in COLUMNS.items():
        canvas.title(left, width, title)
    _recording(canvas, *recording, images, measured)
    heights = TOP + body * (np.arange(len(shown)) + 0.5) / len(shown)
    for number, values, height in zip(names, maps, heights, strict=True):
        ax = canvas.axes(core[0], height, core[1], core[1])
        plotting.show_field(ax, values - np.median(values))
        ax.spines[:].set(visible=True, linewidth=0.5, color="0.6")
        ax.set_ylabel(number, rotation=0, ha="right", va="center", labelpad=3, fontsize=7)
        canvas.arrow((recording[0] + recording[1] + 0.06, TOP + 0.5), (core[0] - 0.2, height))
    for row, (neuron, color) in enumerate(zip(neurons, plotting.PALETTE, strict=False)):
        middle = TOP + ROW * (row + 0.5)
        _where(canvas.axes(where[0], middle, *[where[1]] * 2), images[0], masks[neuron], fitted.stride, color)
        _what(canvas.axes(what[0], middle, what[1], 0.85), weights[neuron, shown], names, color)
        title = f"neuron {neuron + 1}, r = {r[neuron]:.2f}"
        ax = canvas.axes(prediction[0], middle, prediction[1], 0.75)
        _prediction(ax, measured[:, neuron], predicted[:, neuron], title, color)
        canvas.arrow((core[0] + core[1] + 0.06, TOP + body / 2), (where[0] - 0.06, middle), color)
        y = 1 - middle / canvas.height
        for x, sign in ((where[0] + where[1] + 0.2, "×"), (what[0] + what[1] + 0.17, "→")):
            canvas.figure.text(x / plotting.PAGE, y, sign, ha="center", va="center", fontsize=13)
    return canvas.figure


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
