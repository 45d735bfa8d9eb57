"""What all figures share: palette, sizes, panels for images, and saving."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from whatwhere.files import atomic

COLUMN = 3.4
PAGE = 7.0
"""Widths of a column and a page in inches."""

PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000"]
"""Okabe and Ito's colours, told apart by colour-blind readers."""
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
REFERENCE = "0.35"
"""Grey of the paper's values."""


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
    ax.imshow(field, cmap="RdBu_r", vmin=-limit or None, vmax=limit or None)
    ax.set(xticks=[], yticks=[])
    sns.despine(ax=ax, left=True, bottom=True)


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


def save(figure: Figure, svg: str | Path, png: str | Path) -> None:
    """Write a figure as SVG and as PNG (200 dpi) and close it."""
    with atomic(svg) as path:
        figure.savefig(path, metadata={"Date": None})
    with atomic(png) as path:
        figure.savefig(path, dpi=200, metadata={"Software": None})
    plt.close(figure)
