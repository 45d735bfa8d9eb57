"""What all figures share: palette, sizes, panels for images, and saving."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from whatwhere.files import atomic
from whatwhere.selection import last_cell

COLUMN = 3.4
PAGE = 7.0
"""Widths of a column and a page in inches."""

PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000"]
"""Okabe and Ito's colours, told apart by colour-blind readers."""
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
LINES = ["-", "--", "-.", (0, (8, 2)), (0, (5, 1, 1, 1, 1, 1))]
"""Line styles of curves; dotted lines are the paper's."""
LINE_COLORS = [*PALETTE[:6], PALETTE[7], "#882255", "#999933"]
"""Colours of curves: the palette without yellow, which is lost on white."""
REFERENCE = "0.35"
"""Grey of the paper's values."""
_CHARACTERS, _LINE = 22, 0.12
"""Of remarks: characters per inch of width, and height of a line in inches."""

LABELS = {
    "ols_patch": "OLS on patch",
    "lasso_patch": "lasso on patch",
    "ridge_patch": "ridge on patch",
    "ridge_shared_patch": "ridge, shared filter",
    "known_kernel": "kernel known",
    "cnn_one_kernel": "CNN",
    "cnn_one_kernel_smoothed": "CNN, smoothed start",
    "factorized_relu": "factorized",
    "factorized_relu_squared": "factorized, squared start",
    "fixed_mask_relu": "fixed mask",
    "fully_connected_relu": "fully connected",
    "factorized_two_kernels": "factorized",
    "factorized_three_layers": "factorized",
    "cnn_3_layers": "factorized, 3 layers",
    "cnn_2_layers": "factorized, 2 layers",
    "cnn_1_layer": "factorized, 1 layer",
    "cnn_fixed_mask": "fixed mask",
    "cnn_fully_connected": "fully connected",
    "hsm": "HSM",
    "lnp": "LNP",
    "ridge_rate": "ridge",
    "mean_rate": "mean",
    "localized_one_kernel": "inferred",
    "localized_two_kernels": "inferred",
    "localized_features": "inferred",
    "cnn_one_kernel_localized": "CNN, inferred start",
    "factorized_two_localized": "factorized, inferred start",
    "factorized_relu_localized": "factorized, inferred start",
}
"""What figures call models; others go by their name in the config."""


def use_style() -> None:
    """Fonts, lines and colours of all figures; file contents that do not depend on the moment."""
    mpl.use("Agg")
    sns.set_theme(context="paper", style="ticks", palette=PALETTE, font_scale=0.9)
    mpl.rcParams |= {
        "svg.fonttype": "none",
        "svg.hashsalt": "whatwhere",
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "image.interpolation": "nearest",
    }


def show_field(ax: Axes, field: np.ndarray, limit: float | None = None) -> None:
    """Draw a signed map (y, x): red positive, blue negative, white zero, no ticks."""
    limit = float(np.abs(field).max()) if limit is None else limit
    limit = limit or 1.0  # a field of zeros is white
    ax.imshow(field, cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set(xticks=[], yticks=[])
    sns.despine(ax=ax, left=True, bottom=True)


def label(model: str, n_neurons: int | None = None) -> str:
    """Name of a curve: the model, in lines where it is long, and the population size if it is given."""
    name = LABELS.get(model) or textwrap.fill(model.replace("_", " "), 28)
    return name if n_neurons is None else f"{name}, N = {n_neurons}"


def style(index: int) -> dict[str, Any]:
    """Colour, marker and line style of curve number ``index``, distinct in greyscale too."""
    return {
        "color": LINE_COLORS[index % len(LINE_COLORS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index % len(LINES)],
        "markersize": 3.5,
        "linewidth": 1.1,
    }


def over_seeds(scores: pd.DataFrame, value: str = "feve") -> pd.DataFrame:
    """Mean and sd over seeds of the mean over neurons, by ``n_images``, clipped at 0 as in the paper.

    Returns
    -------
    Columns ``n_images``, ``mean``, ``sd`` (ddof 0, as in the paper; 0 for a single seed) and ``n_seeds``.
    """
    population = scores.groupby(["n_images", "seed"])[value].mean().clip(lower=0)
    groups = population.groupby("n_images")
    table = pd.DataFrame({"mean": groups.mean(), "sd": groups.std(ddof=0), "n_seeds": groups.size()})
    return table.reset_index()


def example(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the fit that stands for a model: the first seed of its last cell.

    Parameters
    ----------
    table
        As for :func:`whatwhere.selection.last_cell`, with a column ``seed``.
    """
    cell = last_cell(table)
    return cell[cell.seed == cell.seed.iloc[0]]


def draw_curve(ax: Axes, table: pd.DataFrame, index: int, name: str) -> None:
    """Draw a table of :func:`over_seeds` with error bars."""
    ax.errorbar(
        table.n_images,
        table["mean"],
        table["sd"],
        capsize=1.8,
        elinewidth=0.8,
        markeredgewidth=0,
        label=name,
        **style(index),
    )


def draw_reference(ax: Axes, reference: pd.DataFrame, index: int) -> None:
    """Draw the paper's curve (columns ``n_images``, ``feve``): the colour of ours, dotted, lighter."""
    ax.plot(
        reference.n_images,
        reference.feve,
        color=LINE_COLORS[index % len(LINE_COLORS)],
        linestyle=(0, (1, 1.5)),
        linewidth=1,
        alpha=0.55,
        zorder=0,
    )


def image_axis(ax: Axes, sizes: Iterable[int]) -> None:
    """Logarithmic axis of data sizes with powers of two."""
    sizes = sorted(set(sizes))
    ax.set_xscale("log", base=2)
    ax.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    ax.set_xlabel("images (training + validation)")


def _entries(ax: Axes, paper: bool) -> tuple[list[Any], list[str]]:
    """Handles and names of a legend, with an entry for the paper's curves if there are any."""
    handles, names = ax.get_legend_handles_labels()
    # Curves with error bars first, in the order in which they were drawn.
    order = sorted(range(len(handles)), key=lambda index: isinstance(handles[index], Line2D))
    handles, names = [handles[index] for index in order], [names[index] for index in order]
    if paper:
        handles.append(Line2D([], [], color=REFERENCE, linestyle=(0, (1, 1.5)), linewidth=1))
        names.append("paper")
    return handles, names


_LEGEND: dict[str, Any] = {"fontsize": 6.5, "columnspacing": 1.0, "handlelength": 2.6}


def legend_below(ax: Axes, columns: int, *, paper: bool) -> None:
    """Legend under the axes."""
    handles, names = _entries(ax, paper)
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.28), "borderaxespad": 0}
    ax.legend(handles, names, ncols=columns, **place, **_LEGEND)


def legend_above(ax: Axes, columns: int) -> None:
    """Legend over the axes, where it covers nothing."""
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
    ax.legend(ncols=columns, **place, **(_LEGEND | {"handlelength": 1.2}))


def figure_legend(figure: Figure | SubFigure, ax: Axes, columns: int, *, paper: bool) -> None:
    """One legend under all axes of a figure, with the entries of one of them."""
    handles, names = _entries(ax, paper)
    figure.legend(handles, names, ncols=columns, loc="outside lower center", **_LEGEND)


def panel_letter(ax: Axes, letter: str) -> None:
    """Name a panel in its upper left corner."""
    ax.annotate(
        letter,
        (0, 1),
        (-4, 6),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontweight="bold",
        fontsize=10,
    )


def remark(fits: pd.DataFrame) -> str:
    """What a figure must say of the fits it compares, empty if there is nothing to say.

    Models of which fits were cut short, or have a penalty at the edge of its grid, with the share of those
    fits where it is not all.

    Parameters
    ----------
    fits
        Columns ``model``, ``finished`` and ``at_edge``: truth values, or shares of neurons.

    >>> fits = pd.DataFrame({"model": ["hsm", "hsm", "lnp"], "finished": [1, 0, 1], "at_edge": [0, 0, 1]})
    >>> remark(fits)
    'Not finished, ended by max_steps: HSM (50 %). Penalty at the edge of its grid: LNP.'
    """
    shares = fits.groupby(fits["model"].map(label), sort=False)[["finished", "at_edge"]].mean()
    parts = []
    for text, share in (
        ("Not finished, ended by max_steps", 1 - shares["finished"]),
        ("Penalty at the edge of its grid", shares["at_edge"]),
    ):
        names = [
            str(name).replace("\n", " ") + (f" ({100 * part:.0f} %)" if part < 1 else "")
            for name, part in share[share > 0].items()
        ]
        parts += [f"{text}: {', '.join(names)}."] if names else []
    return " ".join(parts)


def save(figure: Figure, svg: str | Path, png: str | Path, note: str = "") -> None:
    """Write a figure as SVG and as PNG (200 dpi) and close it, with a :func:`remark` below its panels."""
    if note:
        lines = textwrap.wrap(note, int(_CHARACTERS * figure.get_figwidth()))
        figure.set_figheight(figure.get_figheight() + _LINE * len(lines))
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=6, color=REFERENCE)
    # Legends outside the axes move with them: the layout needs a first pass to know their room.
    figure.canvas.draw()
    with atomic(svg) as path:
        figure.savefig(path, metadata={"Date": None})
    with atomic(png) as path:
        figure.savefig(path, dpi=200, metadata={"Software": None})
    plt.close(figure)
