"""Figure 1: the model, drawn from a fit: stimulus, kernels, features, mask, feature weights, response."""

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.ticker import MaxNLocator

from whatwhere import plotting
from whatwhere.files import groups_of, read_netcdf

N_NEURONS = 2
MAX_FEATURES = 4


def example_neurons(masks: np.ndarray, weights: np.ndarray) -> list[int]:
    """Neuron with the most concentrated mask (neuron, y, x), for each of the two features most read.

    The feature that a neuron reads has the largest of its weights (neuron, feature).
    """
    strongest = np.abs(weights).argmax(1)
    size = np.abs(masks).sum((1, 2))
    concentration = np.divide(np.abs(masks).max((1, 2)), size, out=np.zeros(len(masks)), where=size > 0)
    readers = np.bincount(strongest)
    favorites = np.argsort(-readers, kind="stable")[: min(N_NEURONS, np.count_nonzero(readers))]
    return [int(np.where(strongest == f, concentration, -1).argmax()) for f in favorites]


class Canvas:
    """A figure as wide as a page, whose axes are placed in inches from its top left corner: a diagram."""

    def __init__(self, height: float) -> None:
        self.height = height
        self.figure = plt.figure(figsize=(plotting.PAGE, height))
        self.figure.set_layout_engine("none")

    def axes(self, left: float, middle: float, width: float, height: float) -> Axes:
        """Axes with a left edge and a vertical middle."""
        bottom = self.height - middle - height / 2
        return self.figure.add_axes(
            (left / plotting.PAGE, bottom / self.height, width / plotting.PAGE, height / self.height)
        )

    def arrow(self, start: tuple[float, float], end: tuple[float, float], color: str = "0.45") -> None:
        """An arrow between two points."""
        points = [(x / plotting.PAGE, 1 - y / self.height) for x, y in (start, end)]
        style = {"arrowstyle": "-|>", "mutation_scale": 7, "linewidth": 0.8, "color": color}
        self.figure.add_artist(FancyArrowPatch(*points, transform=self.figure.transFigure, **style))

    def title(self, left: float, width: float, text: str) -> None:
        """Names a column, at the top."""
        x = (left + width / 2) / plotting.PAGE
        self.figure.text(x, 1 - 0.08 / self.height, text, ha="center", va="top", fontsize=7.5)


def _map(ax: Axes, values: np.ndarray) -> None:
    """Shows (channel, y, x): a signed map, or colors for three channels."""
    if len(values) == 3:
        low, high = values.min(), values.max()
        ax.imshow(np.moveaxis((values - low) / (high - low), 0, -1))
        ax.set(xticks=[], yticks=[])
    else:
        plotting.show_field(ax, values.mean(0))
    for spine in ax.spines.values():
        spine.set(visible=True, linewidth=0.5, color="0.6")


def _outline(ax: Axes, mask: np.ndarray, color: str) -> None:
    """Circles the largest value of a mask on a map of the same size."""
    y, x = np.unravel_index(np.abs(mask).argmax(), mask.shape)
    style = {"markersize": 7, "markeredgecolor": color, "markeredgewidth": 1.2, "clip_on": False}
    ax.plot(x, y, "o", markerfacecolor="none", **style)


def scaled(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Values with short numbers on their axis, and for its label the power of ten they were divided by."""
    largest = np.abs(values).max()
    if largest == 0 or 0.1 <= largest < 100:
        return values, ""
    exponent = int(np.floor(np.log10(largest)))
    return values / 10.0**exponent, f" ($10^{{{exponent}}}$)"


def _bars(ax: Axes, values: np.ndarray, names: list[str], colors: list[str], quantity: str) -> None:
    """A bar for every name, from top to bottom."""
    shown, power = scaled(values)
    ax.barh(names, shown, color=colors, height=0.6)
    ax.axvline(0, color="0.6", linewidth=0.6)
    ax.invert_yaxis()
    ax.tick_params(labelsize=6, pad=2)
    # Two or three short numbers neither touch each other nor what is beside the axis.
    ax.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
    ax.set_xlabel(f"{quantity}{power}", fontsize=6.5, labelpad=1)


def contributions(terms: np.ndarray, shown: np.ndarray, names: list[str]) -> tuple[np.ndarray, list[str]]:
    """Contributions (feature,) of the shown features, of the rest, if any, and their sum; and names."""
    rest = np.delete(terms, shown)
    if not len(rest):
        return np.array([*terms[shown], terms.sum()]), [*names, "sum"]
    return np.array([*terms[shown], rest.sum(), terms.sum()]), [*names, "rest", "sum"]


def draw(fit: xr.Dataset) -> Figure:
    """Draws one fit; only its strongest features if it has many."""
    masks, weights, features = (fit[name].values for name in ("masks", "feature_weights", "features"))
    neurons = example_neurons(masks, weights)
    strength = np.abs(weights[neurons]).max(0)
    shown = np.sort(np.argsort(-strength, kind="stable")[:MAX_FEATURES])
    names = [str(index + 1) for index in shown]
    one_layer = int(fit["n_layers"]) == 1
    kernels = fit["kernels"].values[shown] if one_layer else fit["kernels"].values[:MAX_FEATURES]

    row, top = 1.35, 0.5
    body = max(row * len(neurons), 0.95 * len(shown))
    canvas = Canvas(top + body + 0.25)
    center = top + body / 2
    columns = {"stimulus": (0.08, 1.05), "kernels": (1.45, 0.45), "features": (2.3, 0.82)}
    columns |= {"mask": (3.6, 0.95), "weights": (4.95, 0.68), "drive": (6.18, 0.75)}
    titles = ["stimulus", "kernels" if one_layer else "kernels of\nfirst layer", "feature maps"]
    titles += ["mask\n(“where”)", "feature weights\n(“what”)", "drive, by\nfeature"]
    for (left, width), title in zip(columns.values(), titles, strict=True):
        canvas.title(left, width, title)

    left, width = columns["stimulus"]
    _map(canvas.axes(left, center, width, width), fit["image"].values)
    middles = {
        "kernels": top + body * (np.arange(len(kernels)) + 0.5) / len(kernels),
        "features": top + body * (np.arange(len(shown)) + 0.5) / len(shown),
        "mask": top + body * (np.arange(len(neurons)) + 0.5) / len(neurons),
    }
    for kernel, middle in zip(kernels, middles["kernels"], strict=True):
        _map(canvas.axes(columns["kernels"][0], middle, columns["kernels"][1], columns["kernels"][1]), kernel)
        canvas.arrow((left + width + 0.03, center), (columns["kernels"][0] - 0.03, middle))
    left, width = columns["features"]
    maps = []
    for index, name, middle in zip(shown, names, middles["features"], strict=True):
        maps.append(canvas.axes(left, middle, width, width))
        _map(maps[-1], features[index][None])
        maps[-1].set_ylabel(name, rotation=0, ha="right", va="center", labelpad=3, fontsize=7)
    ends = middles["features"] if one_layer else [center] * len(kernels)
    for start, end in zip(middles["kernels"], ends, strict=True):
        canvas.arrow((columns["kernels"][0] + 0.48, start), (left - 0.2, end))
    for neuron, middle, color in zip(neurons, middles["mask"], plotting.PALETTE, strict=False):
        for ax in maps:
            _outline(ax, masks[neuron], color)
        where = canvas.axes(columns["mask"][0], middle, columns["mask"][1], columns["mask"][1])
        _map(where, masks[neuron][None])
        where.set_title(f"neuron {int(fit['neuron'][neuron]) + 1}", color=color, fontsize=7, pad=2)
        what = canvas.axes(columns["weights"][0], middle, columns["weights"][1], 0.75)
        _bars(what, weights[neuron, shown], names, [color] * len(names), "weight")
        drive = canvas.axes(columns["drive"][0], middle, columns["drive"][1], 0.75)
        terms = (features * masks[neuron]).sum((1, 2)) * weights[neuron]
        values, bars = contributions(terms, shown, names)
        _bars(drive, values, bars, [*["0.75"] * (len(bars) - 1), color], "contribution")
        canvas.arrow((left + width + 0.05, center), (columns["mask"][0] - 0.04, middle), color)
        canvas.arrow((columns["mask"][0] + 1.0, middle), (columns["weights"][0] - 0.17, middle), color)
        canvas.arrow((columns["weights"][0] + 0.72, middle), (columns["drive"][0] - 0.28, middle), color)
    return canvas.figure


def main(parameters: list[str]) -> Figure:
    """Draws the last condition of the only file, the largest one if sizes are listed in rising order."""
    with read_netcdf(parameters[0], groups_of(parameters[0])[-1]) as fit:
        return draw(fit.load())


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
