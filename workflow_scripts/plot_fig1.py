"""Figure 1: the model, drawn from a fit: stimulus, kernels, features, mask, feature weights, response."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import ConnectionPatch

from whatwhere import plotting
from whatwhere.files import groups_of, read_netcdf
from whatwhere.logs import logged

N_NEURONS = 2
MAX_FEATURES = 4


def example_neurons(masks: np.ndarray, weights: np.ndarray) -> list[int]:
    """One neuron for each of the features that most neurons read, that with the most concentrated mask.

    Parameters
    ----------
    masks
        (neuron, y, x).
    weights
        (neuron, feature).
    """
    strongest = np.abs(weights).argmax(1)
    size = np.abs(masks).sum((1, 2))
    concentration = np.divide(np.abs(masks).max((1, 2)), size, out=np.zeros(len(masks)), where=size > 0)
    favourites = np.argsort(-np.bincount(strongest), kind="stable")[:N_NEURONS]
    return [int(np.where(strongest == f, concentration, -1).argmax()) for f in favourites]


def _map(ax: Axes, values: np.ndarray) -> None:
    """Show (channel, y, x): a signed map, or colours for three channels."""
    if len(values) == 3:
        low, high = values.min(), values.max()
        ax.imshow(np.moveaxis((values - low) / (high - low), 0, -1))
        ax.set(xticks=[], yticks=[])
    else:
        plotting.show_field(ax, values.mean(0))
    for spine in ax.spines.values():
        spine.set(visible=True, linewidth=0.5, color="0.6")


def _outline(ax: Axes, mask: np.ndarray, color: str) -> None:
    """Mark where a mask has half of its largest value, on a map of the same size."""
    ax.contour(np.abs(mask), levels=[np.abs(mask).max() / 2], colors=color, linewidths=0.9)


def _arrow(start: Axes, end: Axes) -> None:
    start.figure.add_artist(
        ConnectionPatch(
            (1.04, 0.5),
            (-0.06, 0.5),
            "axes fraction",
            "axes fraction",
            axesA=start,
            axesB=end,
            arrowstyle="-|>",
            color="0.55",
            linewidth=0.7,
            mutation_scale=6,
        )
    )


def _weights(ax: Axes, weights: np.ndarray, color: str) -> None:
    position = np.arange(len(weights))
    ax.barh(position, weights, color=color, height=0.6)
    ax.axvline(0, color="0.6", linewidth=0.6)
    ax.set_yticks(position, position + 1)
    ax.set(ylim=(len(weights) - 0.4, -0.6))
    ax.tick_params(labelsize=6)


def _response(ax: Axes, parts: np.ndarray, color: str) -> None:
    """Contribution of every feature to the drive, and their sum."""
    position = np.arange(len(parts) + 1)
    ax.bar(position, [*parts, parts.sum()], color=[*(["0.75"] * len(parts)), color], width=0.65)
    ax.axhline(0, color="0.6", linewidth=0.6)
    ax.set_xticks(position, [*map(str, position[:-1] + 1), "sum"])
    ax.tick_params(labelsize=6)


def draw(fit: xr.Dataset) -> plt.Figure:
    """Draw one fit; only its strongest features if it has many."""
    masks, weights, features = (fit[name].values for name in ("masks", "feature_weights", "features"))
    neurons = example_neurons(masks, weights)
    strength = np.abs(weights[neurons]).max(0)
    shown = np.sort(np.argsort(-strength, kind="stable")[:MAX_FEATURES])
    kernels = fit["kernels"].values if fit.sizes["kernel"] == fit.sizes["feature"] else None

    figure = plt.figure(figsize=(plotting.PAGE, 0.85 + 0.95 * max(len(shown), N_NEURONS)))
    titles = ["stimulus", "kernels", "features", "mask\n(“where”)", "feature weights\n(“what”)", "response"]
    columns = figure.add_gridspec(1, 6, width_ratios=[1, 0.55, 1, 1, 0.8, 0.9])
    if kernels is None:
        titles[1] = "first-layer\nkernels"
        kernels, of_layer = fit["kernels"].values, np.arange(min(len(shown), fit.sizes["kernel"]))
    else:
        of_layer = shown
    stimulus = figure.add_subplot(columns[0])
    _map(stimulus, fit["image"].values)
    core = [figure.add_subplot(cell) for cell in columns[1].subgridspec(len(of_layer), 1)]
    for ax, index in zip(core, of_layer, strict=True):
        _map(ax, kernels[index])
    maps = [figure.add_subplot(cell) for cell in columns[2].subgridspec(len(shown), 1)]
    for ax, index in zip(maps, shown, strict=True):
        _map(ax, features[index][None])
        ax.set_ylabel(index + 1, rotation=0, va="center", labelpad=6)
    readout = [
        [figure.add_subplot(columns[column].subgridspec(len(neurons), 1)[row]) for column in (3, 4, 5)]
        for row in range(len(neurons))
    ]
    for (where, what, drive), neuron, color in zip(readout, neurons, plotting.PALETTE, strict=False):
        _map(where, masks[neuron][None])
        where.set_ylabel(f"neuron {int(fit['neuron'][neuron])}", color=color)
        for ax in maps:
            _outline(ax, masks[neuron], color)
        _weights(what, weights[neuron, shown], color)
        what.set_yticks(np.arange(len(shown)), shown + 1)
        pooled = (features * masks[neuron]).sum((1, 2))
        _response(drive, (pooled * weights[neuron])[shown], color)
    for title, ax in zip(titles, (stimulus, core[0], maps[0], *readout[0]), strict=True):
        ax.set_title(title, fontsize=7.5)
    readout[-1][1].set_xlabel("weight")
    readout[-1][2].set_xlabel("feature")
    for start in (stimulus,):
        _arrow(start, core[len(core) // 2])
    for first, second in zip(core, maps, strict=False):
        _arrow(first, second)
    for where, what, drive in readout:
        _arrow(maps[len(maps) // 2], where)
        _arrow(where, what)
        _arrow(what, drive)
    return figure


def main(parameters: str | Path, svg: str | Path, png: str | Path) -> None:
    """Draw the last cell of ``parameters``, the largest one if sizes are listed in rising order."""
    plotting.use_style()
    with read_netcdf(parameters, groups_of(parameters)[-1]) as fit:
        figure = draw(fit.load())
    plotting.save(figure, svg, png)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(snakemake.input.parameters, snakemake.output.svg, snakemake.output.png)
