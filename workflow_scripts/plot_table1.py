"""Table 1 as a figure: correlation of every model in every region beside the paper's: table1.csv -> svg."""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from whatwhere import plotting
from whatwhere.files import read_table

NOTE = (
    "Simulated neurons beside the paper's recorded neurons: compare the order of the models, not the values."
)


def _region(ax: Axes, rows: pd.DataFrame, title: str, kinds: tuple[str, str]) -> None:
    places = np.arange(len(rows))
    style = {"fmt": "o", "markersize": 4, "linewidth": 1, "capsize": 2, "color": plotting.PALETTE[0]}
    ax.errorbar(rows.correlation, places, xerr=rows.correlation_sem, label=kinds[0], **style)
    style = {"markersize": 4.5, "markerfacecolor": "none", "color": plotting.REFERENCE}
    ax.plot(rows.paper, places, "D", label=kinds[1], **style)
    ax.hlines(places, 0, 1, transform=ax.get_yaxis_transform(), color="0.93", linewidth=0.6, zorder=0)
    ax.set(xlabel="correlation with repeat mean", title=title)


def panels(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Title and rows of every panel: the regions and their average, or a single region alone.

    A single region that the paper does not have, such as a simulated one, stands beside the paper's average.
    """
    regions = [(str(name), rows) for name, rows in table.groupby("region", sort=False)]
    if len(regions) == 2:
        (name, rows), (_, average) = regions
        regions = [(name, average if rows.paper.isna().all() else rows)]
    titles = (f"region {n}" if n.isdigit() else textwrap.fill(n, 26) for n, _ in regions)
    return [(title, rows) for title, (_, rows) in zip(titles, regions, strict=True)]


def main(table: str | Path, labels: dict[str, str], datasets: dict[str, str], simulated: list[str]) -> Figure:
    """Draws one panel per region and one for the average.

    ``datasets`` has the labels of datasets; ``simulated`` are those that stand for regions of their own.
    """
    content = plotting.labeled(read_table(table).astype({"region": str}), labels)
    beside = content.region.isin(simulated).any() and content.paper.notna().any()
    kinds = ("this run, simulated", "paper, recorded") if beside else ("this run", "paper")
    content["region"] = content["region"].replace(datasets)
    models = content.model.unique()
    drawn = panels(content)
    size = min(plotting.PAGE, 3.2 + 1.3 * len(drawn)), 1.1 + 0.19 * len(models)
    figure, axes = plt.subplots(1, len(drawn), figsize=size, sharex=True, sharey=True, squeeze=False)
    for ax, (name, rows) in zip(axes[0], drawn, strict=True):
        _region(ax, rows.set_index("model").loc[models], f"{name}\n({rows.n_neurons.iloc[0]} neurons)", kinds)
    first = axes[0, 0]
    first.set_yticks(range(len(models)), [textwrap.fill(model, 34) for model in models])
    first.invert_yaxis()
    figure.legend(*first.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return plotting.noted(figure, NOTE if beside else "", plotting.remark(content))


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
