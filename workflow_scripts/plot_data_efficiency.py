"""FEVE, localization error and cell types over the number of images, by inference and by training."""

from pathlib import Path

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from whatwhere import plotting
from whatwhere.files import read_reference, read_table

QUANTITIES = {"feve": "FEVE", "location_error": "localization error / px", "ari": "adjusted Rand index"}


def main(
    table: str | Path,
    reference: list[str],
    labels: dict[str, str],
    datasets: dict[str, str],
    paper: dict[str, str],
) -> Figure:
    """Draws one column per dataset and one row per quantity, for the first selection rule.

    ``paper`` has the model of the paper beside a model.
    """
    rows = plotting.labeled(read_table(table), labels)
    rows = rows[rows.selection == rows.selection.iloc[0]]
    published = plotting.labeled(read_reference(reference, paper), labels)
    shown = list(rows.dataset.unique())
    quantities = [name for name in QUANTITIES if name in rows and rows[name].notna().any()]
    figure = plt.figure(figsize=(plotting.PAGE, 2.6 * len(quantities)))
    axes = figure.subplots(len(quantities), len(shown), squeeze=False)
    for column, dataset in zip(axes.T, shown, strict=True):
        mine = rows[rows.dataset == dataset]
        styles = plotting.styles_of(mine)
        column[0].set_title(datasets[dataset])
        for ax, quantity in zip(column, quantities, strict=True):
            known = mine.dropna(subset=quantity)
            if known.empty:
                ax.axis("off")
                continue
            beside = published if quantity == "feve" else None
            drawn = plotting.draw_curves(ax, known, styles, beside, quantity)
            ax.set(ylabel=QUANTITIES[quantity])
            if quantity == "feve":
                ax.axhline(0, color="0.85", linewidth=0.8, zorder=-1)
                plotting.legend_below(ax, 1, paper=drawn)
    plotting.panel_letters(*(ax for ax in axes.T.flat if ax.axison))
    return plotting.noted(figure, plotting.remark(rows))


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
