"""What inference saves: FEVE, localisation error and cell types over the number of images."""

from pathlib import Path

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from whatwhere import plotting
from whatwhere.files import read_reference, read_table
from whatwhere.logs import logged

QUANTITIES = {"feve": "FEVE", "location_error": "localisation error / px", "ari": "adjusted Rand index"}


def panel(
    ax: Axes,
    table: pd.DataFrame,
    quantity: str,
    styles: dict[tuple[str, int], int],
    reference: pd.DataFrame,
) -> None:
    """One quantity over images, a curve per model and population size, and the paper's FEVE."""
    drawn = False
    for (model, n_neurons), rows in table.groupby(["model", "n_neurons"], sort=False):
        index = styles[model, n_neurons]
        curve = rows.rename(columns={quantity: "mean", f"{quantity}_sd": "sd"}).sort_values("n_images")
        plotting.draw_curve(ax, curve, index, plotting.label(model, n_neurons))
        paper = reference[(reference.model == model) & (reference.n_neurons == n_neurons)]
        paper = paper[paper.n_images.between(table.n_images.min(), table.n_images.max())]
        if quantity == "feve" and len(paper):
            plotting.draw_reference(ax, paper, index)
            drawn = True
    plotting.image_axis(ax, table.n_images)
    ax.set(ylabel=QUANTITIES[quantity])
    if quantity == "feve":
        ax.axhline(0, color="0.85", linewidth=0.8, zorder=-1)
        plotting.legend_below(ax, 1, paper=drawn)


def main(
    table: str | Path,
    reference: list[str],
    labels: dict[str, str],
    paper: dict[str, str],
    svg: str | Path,
    png: str | Path,
) -> None:
    """Draw one column per dataset and one row per quantity that it has, for the first selection rule."""
    plotting.use_style()
    rows = plotting.labelled(read_table(table), labels)
    rows = rows[rows.selection == rows.selection.iloc[0]]
    published = plotting.labelled(read_reference(reference, paper), labels)
    datasets = list(rows.dataset.unique())
    quantities = [name for name in QUANTITIES if name in rows and rows[name].notna().any()]
    figure = plt.figure(figsize=(plotting.PAGE, 2.6 * len(quantities)))
    axes = figure.subplots(len(quantities), len(datasets), squeeze=False)
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    for column, dataset in zip(axes.T, datasets, strict=True):
        mine = rows[rows.dataset == dataset]
        curves = mine.groupby(["model", "n_neurons"], sort=False).groups
        styles = {curve: index for index, curve in enumerate(curves)}
        column[0].set_title(dataset.replace("_", " "))
        for ax, quantity in zip(column, quantities, strict=True):
            known = mine.dropna(subset=quantity)
            if known.empty:
                ax.axis("off")
                continue
            panel(ax, known, quantity, styles, published)
            plotting.panel_letter(ax, next(letters))
    plotting.save(figure, svg, png, plotting.remark(rows))


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            table=snakemake.input.table,
            reference=list(snakemake.input.reference),
            labels=dict(snakemake.params.labels),
            paper=dict(snakemake.params.paper),
            svg=snakemake.output.svg,
            png=snakemake.output.png,
        )
