"""Figure of a fitted model: masks, feature weights, and predictions against responses."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from whatwhere.locations import in_pixels
from whatwhere.metrics import pearson

if TYPE_CHECKING:
    from whatwhere.fitted.model import FittedModel

N_SHOWN = 6
"""Best predicted neurons whose masks and predictions are drawn."""

SECONDS = 5
"""Longest time over which responses to a movie are drawn."""


def draw(fitted: "FittedModel", data: tuple[np.ndarray, np.ndarray] | None) -> Figure:
    """Draws a model of any family; panels say what a family does not have.

    ``data`` are mean responses over repeats, and predictions, (image, neuron) each, which are drawn over the
    time of a movie. Without data, scores of the test images are drawn.
    """
    correlation = fitted.scores["correlation"].to_numpy().reshape(len(fitted.seed_fits), -1).mean(0)
    if data is not None:
        correlation = pearson(data[1], data[0])
    best = np.argsort(-np.nan_to_num(correlation, nan=-1.0), kind="stable")[:N_SHOWN]
    figure = plt.figure(figsize=(10, 3.2), layout="constrained")
    panels: Any = figure.subfigures(1, 3, wspace=0.05)
    _draw_masks(panels[0], fitted, best)
    _draw_barcodes(panels[1], fitted)
    if data is None:
        _draw_scores(panels[2], fitted, correlation)
    else:
        _draw_predictions(panels[2], fitted, best, *data, correlation)
    # A notebook shows the figure that a cell returns; an open figure it would show a second time.
    plt.close(figure)
    return figure


def _draw_masks(panel: SubFigure, fitted: "FittedModel", best: np.ndarray) -> None:
    panel.suptitle("where: masks of the best predicted neurons", fontsize=9)
    if fitted.masks is None:
        _say(panel.subplots(), "this family has no masks")
        return
    masks = in_pixels(fitted.arrays.masks[best], fitted.image_space.shape[1:], fitted.stride)
    for ax, neuron, mask in zip(_grid(panel, len(best)), best, masks, strict=True):
        limit = np.abs(mask).max() or 1.0
        ax.imshow(mask, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.set_title(str(fitted.neuron_ids[neuron]), fontsize=7, pad=2)


def _draw_barcodes(panel: SubFigure, fitted: "FittedModel") -> None:
    panel.suptitle("what: feature weights, unit vectors", fontsize=9)
    ax = panel.subplots()
    if fitted.feature_weights is None:
        _say(ax, "this family has no feature weights")
        return
    codes = fitted.arrays.barcodes
    limit = np.abs(codes).max() or 1.0
    shown = ax.imshow(codes, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    ax.set(xlabel="feature", ylabel="neuron, in the order of the recording")
    ax.locator_params(integer=True)
    panel.colorbar(shown, ax=ax, shrink=0.7)


def _draw_scores(panel: SubFigure, fitted: "FittedModel", correlation: np.ndarray) -> None:
    panel.suptitle("scores on the test images", fontsize=9)
    ax = panel.subplots()
    order = np.argsort(-np.nan_to_num(correlation, nan=-1.0), kind="stable")
    ceiling = fitted.scores["cc_max"].to_numpy().reshape(len(fitted.seed_fits), -1).mean(0)
    ax.plot(correlation[order], "o", markersize=3, label="correlation with mean response")
    if np.isfinite(ceiling).any():
        ax.plot(ceiling[order], "_", color="0.5", label="ceiling that noise allows")
    ax.axhline(0, color="0.7", linewidth=0.8)
    ax.set(xlabel="neuron, best first", ylabel="correlation")
    ax.locator_params("x", integer=True)
    ax.legend(fontsize=7, frameon=False)


def _draw_predictions(
    panel: SubFigure,
    fitted: "FittedModel",
    best: np.ndarray,
    measured: np.ndarray,
    predicted: np.ndarray,
    correlation: np.ndarray,
) -> None:
    timing = fitted.image_space.timing
    known = "predicted (x) against measured (y) responses"
    panel.suptitle(known if timing is None else "measured (gray), predicted; time (s)", fontsize=9)
    for ax, neuron in zip(_grid(panel, len(best)), best, strict=True):
        if timing is None:
            ax.plot(predicted[:, neuron], measured[:, neuron], ".", markersize=2)
            ends = np.nanmin(predicted[:, neuron]), np.nanmax(predicted[:, neuron])
            ax.plot(ends, ends, color="0.5", linewidth=0.8)
        else:
            shown = slice(round(SECONDS / timing.seconds_per_bin))
            times = np.arange(len(measured))[shown] * timing.seconds_per_bin
            ax.plot(times, measured[shown, neuron], color="0.6", linewidth=0.8)
            ax.plot(times, predicted[shown, neuron], linewidth=0.8)
        ax.tick_params(labelsize=6)
        ax.set_title(f"{fitted.neuron_ids[neuron]}, r = {correlation[neuron]:.2f}", fontsize=7, pad=2)


def _grid(panel: SubFigure, n_shown: int) -> list[Axes]:
    """Axes of some neurons, three in a row."""
    axes = panel.subplots(-(-n_shown // 3), 3, squeeze=False).ravel().tolist()
    for ax in axes[n_shown:]:
        ax.remove()
    return axes[:n_shown]


def _say(ax: Axes, text: str) -> None:
    ax.set_axis_off()
    ax.text(0.5, 0.5, text, ha="center", va="center", fontsize=8)
