"""Palette, sizes, curves, intervals, legends and saving of all figures."""

import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.rcsetup import cycler

from whatwhere.conditions import last_listed_condition
from whatwhere.files import atomic
from whatwhere.logs import logged, named

COLUMN = 3.4
PAGE = 7.0
"""Widths of a column and a page in inches."""

PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000"]
"""Okabe and Ito's colors, which color-blind readers can distinguish."""
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
LINES = ["-", "--", "-.", (0, (8, 2)), (0, (5, 1, 1, 1, 1, 1))]
"""Line styles of curves; dotted lines are the paper's."""
LINE_COLORS = [*PALETTE[:6], PALETTE[7], "#882255", "#999933"]
"""Colors of curves: the palette without yellow, which is lost on white."""
REFERENCE = "0.35"
"""Gray of the paper's values."""
DOTTED: Any = (0, (1, 1.5))
_CHARACTERS, _LINE = 22, 0.12
"""Of remarks: characters per inch of width, and height of a line in inches."""


def use_style() -> None:
    """Sets fonts, lines and colors of all figures; equal figures become equal files."""
    mpl.use("Agg")
    plt.style.use(Path(__file__).with_suffix(".mplstyle"))
    plt.rcParams["axes.prop_cycle"] = cycler(color=PALETTE)


def show_field(ax: Axes, field: np.ndarray, limit: float | None = None) -> None:
    """Draws a signed map (y, x): red positive, blue negative, white zero, no ticks."""
    limit = float(np.abs(field).max()) if limit is None else limit
    limit = limit or 1.0  # a field of zeros is white
    ax.imshow(field, cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def draw_in_time(
    ax: Axes, responses: np.ndarray, seconds_per_bin: float, color: str = PALETTE[0], label: str = ""
) -> None:
    """Draws responses (bin,) to consecutive bins of a movie as steps over seconds."""
    edges = np.arange(len(responses) + 1) * seconds_per_bin
    ax.stairs(responses, edges, color=color, linewidth=0.8, label=label)
    ax.set(xlim=(0, edges[-1]), xlabel=f"time (s), bins of {1000 * seconds_per_bin:.4g} ms")


def labeled(table: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Replaces names by labels in the column ``model``."""
    return table.assign(model=table["model"].map(labels.__getitem__))


def label(model: str, n_neurons: int | None = None) -> str:
    """Name of a curve: the label, wrapped if it is long, and the population size if it is given."""
    name = textwrap.fill(model, 28)
    return name if n_neurons is None else f"{name}, N = {n_neurons}"


def style(index: int) -> dict[str, Any]:
    """Color, marker and line style of curve number ``index``, distinct in grayscale too."""
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
    """Selects the first seed of :func:`whatwhere.conditions.last_listed_condition`."""
    condition = last_listed_condition(table)
    return condition[condition.seed == condition.seed.iloc[0]]


def draw_curve(ax: Axes, table: pd.DataFrame, index: int, name: str, value: str = "feve") -> None:
    """Draws a value over images with error bars, see :func:`whatwhere.conditions.over_seeds`."""
    table = table.sort_values("n_images")
    lines = {"capsize": 1.8, "elinewidth": 0.8, "markeredgewidth": 0} | style(index)
    ax.errorbar(table["n_images"], table[value], table[f"{value}_sd"], label=name, **lines)


def draw_curves(
    ax: Axes,
    table: pd.DataFrame,
    styles: dict[tuple[str, int], int],
    reference: pd.DataFrame | None = None,
    value: str = "feve",
) -> bool:
    """Draws a curve per model and population size with the paper's curves, and says if there are any.

    The table has the columns ``model``, ``n_neurons``, ``n_images``, ``value`` and its ``_sd``, the paper's
    ``reference`` has ``feve`` for ``value``. Of the paper, values between the sizes of the table are drawn:
    dotted and lighter, in the color of the curve of this run.
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
                color = LINE_COLORS[index % len(LINE_COLORS)]
                style: dict[str, Any] = {"linestyle": DOTTED, "linewidth": 1, "alpha": 0.55, "zorder": 0}
                ax.plot(paper.n_images, paper.feve, color=color, **style)
                drawn = True
    image_axis(ax, table.n_images)
    return drawn


def image_axis(ax: Axes, sizes: Iterable[float], unit: str = "images") -> None:
    """Makes the axis of data sizes, images or minutes, logarithmic."""
    sizes = sorted(set(sizes))
    ax.set_xscale("log", base=2)
    ax.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    ax.set_xlabel(f"{unit} (training + validation)")
    if unit == "minutes":
        ax.xaxis.set_major_formatter("{x:g}")


def _entries(ax: Axes, paper: bool) -> dict[str, Any]:
    """Handles and labels of a legend, with an entry for the paper's curves if there are any."""
    # Curves with error bars first, in the order in which they were drawn.
    entries: list[Any] = list(zip(*ax.get_legend_handles_labels(), strict=True))
    entries.sort(key=lambda entry: isinstance(entry[0], Line2D))
    if paper:
        entries.append((Line2D([], [], color=REFERENCE, linestyle=DOTTED, linewidth=1), "paper"))
    return {"handles": [handle for handle, _ in entries], "labels": [name for _, name in entries]}


_LEGEND: dict[str, Any] = {"fontsize": 6.5, "columnspacing": 1.0, "handlelength": 2.6}


def legend_below(ax: Axes, columns: int, *, paper: bool) -> None:
    """Draws a legend under the axes."""
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.28), "borderaxespad": 0}
    ax.legend(**_entries(ax, paper), ncols=columns, **place, **_LEGEND)


def legend_above(ax: Axes, columns: int) -> None:
    """Draws a legend over the axes."""
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
    ax.legend(ncols=columns, **place, **(_LEGEND | {"handlelength": 1.2}))


def figure_legend(figure: Figure | SubFigure, ax: Axes, columns: int, *, paper: bool) -> None:
    """Draws a legend with the entries of ``ax`` under all axes of a figure."""
    figure.legend(**_entries(ax, paper), ncols=columns, loc="outside lower center", **_LEGEND)


def draw_intervals(ax: Axes, rows: pd.DataFrame, places: np.ndarray, lines: Iterable[float]) -> None:
    """Draws values with their 95 % intervals, with an arrow where an interval has no end.

    ``rows`` have the columns ``value``, ``low``, ``high``, and ``paper`` where the paper's values are shown,
    and stand at the heights ``places`` (row,). A vertical line at 0 is solid, any other is dashed.
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
        style: dict[str, Any] = {"color": REFERENCE, "markersize": 5, "markerfacecolor": "none"}
        ax.plot(rows["paper"], places, "D", label="paper", **style)
        ax.legend(loc="best", fontsize=7)
    ax.set_xlim(edges)


def interval_plot(rows: pd.DataFrame, names: list[str], xlabel: str, lines: Iterable[float]) -> Figure:
    """Returns a figure of values with their intervals, one line per row; see :func:`draw_intervals`."""
    labels = [textwrap.fill(name, 62) for name in names]
    heights = np.array([0.06 + 0.13 * (1 + label.count("\n")) for label in labels])
    places = np.cumsum(heights) - heights / 2
    figure, ax = plt.subplots(figsize=(PAGE, 0.55 + heights.sum()))
    draw_intervals(ax, rows, places, lines)
    ax.set_yticks(places, labels, fontsize=7)
    ax.tick_params(axis="y", length=0)
    # A browser may draw the label wider, in another font.
    ax.set(xlabel=textwrap.fill(xlabel, 54), ylim=(heights.sum() + 0.05, -0.05))
    return figure


def panel_letters(*axes: Axes, first: str = "a") -> None:
    """Names panels by letters in their upper left corners, in their order."""
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
    style: dict[str, Any] = {"ha": "right", "va": "bottom", "fontweight": "bold", "fontsize": 10}
    for code, ax in enumerate(axes, ord(first)):
        ax.annotate(chr(code), (0, 1), (-4, 6), **place, **style)


def remark(fits: pd.DataFrame) -> str:
    """Names the models with fits that stopped at max_steps, or with a penalty at the edge of its grid.

    ``converged`` and ``at_edge`` are truth values, or shares of neurons.

    >>> fits = pd.DataFrame({"model": ["HSM", "HSM", "LNP"], "converged": [1, 0, 1], "at_edge": [0, 0, 1]})
    >>> remark(fits)
    'Stopped at max_steps: HSM (50 %). Penalty at the edge of its grid: LNP.'
    """
    shares = fits.groupby(fits["model"].map(label), sort=False)[["converged", "at_edge"]].mean()
    sentences = []
    for text, doubtful in (
        ("Stopped at max_steps", 1 - shares["converged"]),
        ("Penalty at the edge of its grid", shares["at_edge"]),
    ):
        names = [
            str(name).replace("\n", " ") + (f" ({100 * share:.0f} %)" if share < 1 else "")
            for name, share in doubtful[doubtful > 0].items()
        ]
        sentences += [f"{text}: {', '.join(names)}."] if names else []
    return " ".join(sentences)


def clipped(fits: pd.DataFrame) -> str:
    """Names the curves of which a figure draws mean FEVE below 0 at 0, with their lowest mean.

    >>> fits = pd.DataFrame({"model": ["OLS", "OLS"], "selection": "median", "n_neurons": 1, "n_images": 64})
    >>> clipped(fits.assign(seed=[0, 1], feve=[0.5, -14.72]))
    'FEVE below 0 is drawn at 0: OLS (down to -14.7).'
    """
    means = fits.groupby(["model", "selection", "n_neurons", "n_images", "seed"], sort=False)["feve"].mean()
    lowest = means.groupby("model", sort=False).min()
    names = [f"{name} (down to {value:.1f})" for name, value in lowest.items() if value < -0.05]
    return f"FEVE below 0 is drawn at 0: {', '.join(names)}." if names else ""


def noted(figure: Figure, *notes: str) -> Figure:
    """Writes notes, such as :func:`remark`, below the panels of a figure, and returns the figure."""
    width = int(_CHARACTERS * figure.get_figwidth())
    lines = [line for note in notes for line in textwrap.wrap(note, width)]
    if lines:
        figure.set_figheight(figure.get_figheight() + _LINE * len(lines))
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=6, color=REFERENCE)
    return figure


def save(figure: Figure, svg: str | Path, png: str | Path) -> None:
    """Writes a figure as SVG and PNG (200 dpi), and closes it."""
    # Legends outside the axes move with them: the layout needs a first pass to know their room.
    figure.canvas.draw()
    with atomic(svg) as path:
        figure.savefig(path, metadata={"Date": None})
    with atomic(png) as path:
        figure.savefig(path, dpi=200, metadata={"Software": None})
    plt.close(figure)


def draw_job(draw: Callable[..., Figure], job: Any) -> None:
    """Saves the figure of ``draw``, the ``main`` of a script, with its arguments in a job of Snakemake."""
    with logged(job.log[0]):
        use_style()
        save(draw(**named(draw, job)), job.output.svg, job.output.png)
