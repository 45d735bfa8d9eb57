"""One question as a picture: its comparisons as points with their intervals, zero, and the paper's value."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from whatwhere import plotting

MAX_ROWS = 16
"""Comparisons that a picture shows; the table has all."""

AXES = {
    1: ("{}: together minus alone", [0]),
    2: ("{}: factorized minus rival", [0]),
    3: ("{}: factorized minus rival", [0]),
    4: ("adjusted Rand index: 0 chance, 1 perfect", [0, 1]),
    5: ("doublings of images that one doubling of neurons is worth", [0, 1]),
    6: ("{}: this way minus the own ridge", [0]),
}
"""What the axis of every question says, and where it has lines."""

_MEASURES = {"feve": "FEVE", "correlation": "correlation"}
_BEGIN = {
    1: "{n_neurons:.0f} against {against}",
    4: "{model}",
    6: "{model}",
    5: "{against} to {n_neurons:.0f}",
}
_REST = {"dataset": "{}", "n_images": "{:.0f} images", "n_neurons": "N = {:.0f}"}
_REST |= {"selection": "chosen by {}", "model": "{}"}


def names(question: int, rows: pd.DataFrame) -> list[str]:
    """Name of every row: what is compared, and of the rest what is needed to tell rows apart."""
    begin = _BEGIN.get(question, "{against}")
    found = [begin.format_map(row) for _, row in rows.iterrows()]
    for column, text in _REST.items():
        longer = [
            f"{name}, {text.format(value)}" if pd.notna(value) else name
            for name, value in zip(found, rows[column], strict=True)
        ]
        if len(set(longer)) > len(set(found)):
            found = longer
    return [name.replace("_", " ") for name in found]


def draw(question: int, rows: pd.DataFrame) -> Figure:
    """Draw the comparisons of a question that have values of one kind.

    Parameters
    ----------
    question
        Its number.
    rows
        Rows of ``tables/answers.csv``, all of them differences, agreements or exchange rates.
    """
    shown = rows.head(MAX_ROWS)
    labels = [textwrap.fill(name, 62) for name in names(question, shown)]
    heights = np.array([0.06 + 0.13 * (1 + label.count("\n")) for label in labels])
    places = np.cumsum(heights) - heights / 2
    figure, ax = plt.subplots(figsize=(plotting.PAGE, 0.55 + heights.sum()))
    title, lines = AXES[question]
    measures = " or ".join(_MEASURES.get(name, "") for name in shown["measure"].unique())
    for line in lines:
        ax.axvline(line, color="0.6", linewidth=0.8, linestyle="-" if line == 0 else "--", zorder=0)
    left, right = _limits(shown, lines)
    for place, (_, row) in zip(places, shown.iterrows(), strict=True):
        _interval(ax, row, place, left, right)
    ax.plot(shown["value"], places, "o", color=plotting.PALETTE[0], markersize=4.5, label="this run")
    if shown["paper"].notna().any():
        (diamonds,) = ax.plot(shown["paper"], places, "D", label="paper", color=plotting.REFERENCE)
        diamonds.set(markersize=5, markerfacecolor="none")
        ax.legend(loc="best", fontsize=7)
    ax.set_yticks(places, labels, fontsize=7)
    ax.tick_params(axis="y", length=0)
    ax.set(xlabel=title.format(measures), xlim=(left, right), ylim=(heights.sum() + 0.05, -0.05))
    return figure


def _limits(rows: pd.DataFrame, lines: list[int]) -> tuple[float, float]:
    """Range of the axis: everything known, the lines, and some room."""
    values = np.array([*rows[["value", "low", "high", "paper"]].to_numpy(dtype=float).ravel(), *lines])
    values = values[np.isfinite(values)]
    room = 0.06 * max(np.ptp(values), 0.1)
    return float(values.min() - room), float(values.max() + room)


def _interval(ax: Axes, row: pd.Series, place: float, left: float, right: float) -> None:
    """A 95 % interval, with an arrow where it has no end."""
    low, high = float(row["low"]), float(row["high"])
    if np.isnan(low) and np.isnan(high):
        return
    ends = (left if np.isnan(low) else low, right if np.isnan(high) else high)
    ax.plot(ends, (place, place), color=plotting.PALETTE[0], linewidth=1.2)
    for end, known, arrow in zip(ends, (low, high), "<>", strict=True):
        ax.plot(end, place, arrow if np.isnan(known) else "|", color=plotting.PALETTE[0], markersize=5)
