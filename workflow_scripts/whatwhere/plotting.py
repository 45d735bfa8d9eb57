"""What all figures share: palette, sizes, panels for images, and saving."""

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

from whatwhere.conditions import last_listed_condition
from whatwhere.files import atomic

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


def labelled(table: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Returns a table whose column ``model`` holds the labels of models; ``labels`` has the label of each."""
    return table.assign(model=table["model"].map(labels.__getitem__))


def label(model: str, n_neurons: int | None = None) -> str:
    """Name of a curve: the label, in lines where it is long, and the population size if it is given."""
    name = textwrap.fill(model.replace("_", " "), 28)
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


def styles_of(table: pd.DataFrame) -> dict[tuple[str, int], int]:
    """Number of the style of every curve, by model and population size."""
    curves = table[["model", "n_neurons"]].drop_duplicates().itertuples(index=False, name=None)
    return {(str(model), int(n_neurons)): index for index, (model, n_neurons) in enumerate(curves)}


def example(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the fit that stands for a model: the first seed of its last condition.

    Parameters
    ----------
    table
        As for :func:`whatwhere.conditions.last_listed_condition`, with a column ``seed``.
    """
    condition = last_listed_condition(table)
    return condition[condition.seed == condition.seed.iloc[0]]


def draw_curve(ax: Axes, table: pd.DataFrame, index: int, name: str, value: str = "feve") -> None:
    """Draw a value over images with the error bars ``_sd``, see :func:`whatwhere.population.over_seeds`."""
    table = table.sort_values("n_images")
    ax.errorbar(
        table["n_images"],
        table[value],
        table[f"{value}_sd"],
        capsize=1.8,
        elinewidth=0.8,
        markeredgewidth=0,
        label=name,
        **style(index),
    )


def draw_curves(
    ax: Axes,
    table: pd.DataFrame,
    styles: dict[tuple[str, int], int],
    reference: pd.DataFrame | None = None,
    value: str = "feve",
) -> bool:
    """Draw a curve per model and population size, each beside the paper's.

    Parameters
    ----------
    table
        Columns ``model``, ``n_neurons``, ``n_images``, the value and its ``_sd``.
    styles
        As :func:`styles_of` returns them.
    reference
        The paper's values: columns ``model``, ``n_neurons``, ``n_images``, ``feve``. Those between the sizes
        of the table are drawn.
    value
        A column.

    Returns
    -------
    Whether there was a curve of the paper.
    """
    drawn = False
    for (model, n_neurons), index in styles.items():
        rows = table[(table.model == model) & (table.n_neurons == n_neurons)]
        if rows.empty:
            continue
        draw_curve(ax, rows, index, label(model, n_neurons), value)
        if reference is not None:
            paper = reference[(reference.model == model) & (reference.n_neurons == n_neurons)]
            paper = paper[paper.n_images.between(table.n_images.min(), table.n_images.max())]
            if len(paper):
                draw_reference(ax, paper, index)
                drawn = True
    image_axis(ax, table.n_images)
    return drawn


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


def draw_intervals(ax: Axes, rows: pd.DataFrame, places: np.ndarray, lines: Iterable[float]) -> None:
    """Draw values with their 95 % intervals side by side, with an arrow where an interval has no end.

    Parameters
    ----------
    ax
        Axes whose limits along x become those of everything known.
    rows
        Columns ``value``, ``low``, ``high``, and ``paper`` where the paper's values are shown.
    places
        (row,) heights.
    lines
        Values at which a vertical line stands: solid at 0, dashed elsewhere.
    """
    columns = rows.filter(["value", "low", "high", "paper"])
    known = np.array([*columns.to_numpy(np.float64).ravel(), *lines])
    known = known[np.isfinite(known)]
    room = 0.06 * max(np.ptp(known), 0.1)
    edges = float(known.min() - room), float(known.max() + room)
    for line in lines:
        ax.axvline(line, color="0.6", linewidth=0.8, linestyle="--" if line else "-", zorder=0)
    for place, bounds in zip(places, rows[["low", "high"]].to_numpy(np.float64), strict=True):
        if np.isfinite(bounds).any():
            ends = np.where(np.isnan(bounds), edges, bounds)
            ax.plot(ends, (place, place), color=PALETTE[0], linewidth=1.2)
            for end, bound, arrow in zip(ends, bounds, "<>", strict=True):
                ax.plot(end, place, arrow if np.isnan(bound) else "|", color=PALETTE[0], markersize=5)
    ax.plot(rows["value"], places, "o", color=PALETTE[0], markersize=4.5, label="this run")
    if "paper" in rows and rows["paper"].notna().any():
        style: dict[str, Any] = {
            "color": REFERENCE,
            "markersize": 5,
            "markerfacecolor": "none",
            "label": "paper",
        }
        ax.plot(rows["paper"], places, "D", **style)
        ax.legend(loc="best", fontsize=7)
    ax.set_xlim(edges)


def interval_plot(rows: pd.DataFrame, names: list[str], xlabel: str, lines: Iterable[float]) -> Figure:
    """Return a figure of values with their intervals, one line per row; see :func:`draw_intervals`."""
    labels = [textwrap.fill(name, 62) for name in names]
    heights = np.array([0.06 + 0.13 * (1 + label.count("\n")) for label in labels])
    places = np.cumsum(heights) - heights / 2
    figure, ax = plt.subplots(figsize=(PAGE, 0.55 + heights.sum()))
    draw_intervals(ax, rows, places, lines)
    ax.set_yticks(places, labels, fontsize=7)
    ax.tick_params(axis="y", length=0)
    ax.set(xlabel=xlabel, ylim=(heights.sum() + 0.05, -0.05))
    return figure


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

    Models of which fits were stopped at max_steps, or have a penalty at the edge of its grid, with the share of those
    fits where it is not all.

    Parameters
    ----------
    fits
        Columns ``model`` (labels), ``converged`` and ``at_edge``: truth values, or shares of neurons.

    >>> fits = pd.DataFrame({"model": ["HSM", "HSM", "LNP"], "converged": [1, 0, 1], "at_edge": [0, 0, 1]})
    >>> remark(fits)
    'Not finished, ended by max_steps: HSM (50 %). Penalty at the edge of its grid: LNP.'
    """
    shares = fits.groupby(fits["model"].map(label), sort=False)[["converged", "at_edge"]].mean()
    parts = []
    for text, share in (
        ("Not finished, ended by max_steps", 1 - shares["converged"]),
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
