"""Figure 5: a nonlinear feature space: model comparison, selection rules, barcodes, number of types."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from whatwhere import plotting
from whatwhere.conditions import largest_condition, over_seeds
from whatwhere.files import read_reference, read_tables

RULES = {
    "population": "hyper-parameters per population",
    "median": "hyper-parameters for all seeds",
    "neuron": "hyper-parameters per neuron",
}
NOTE = (
    "The paper's values are of units of another feature space that saw other images: compare the order and "
    "the shape of curves, not the values."
)


def curves(axes: list[Axes], scores: pd.DataFrame, reference: pd.DataFrame) -> bool:
    """Draws FEVE over images, one panel per selection rule, and says if the paper has a curve of any rule."""
    drawn = []
    means = over_seeds(scores, ["feve"], ["selection", "model", "n_neurons", "n_images"], least=0)
    for ax, (rule, table) in zip(axes, means.groupby("selection", sort=False), strict=True):
        published = reference[reference.selection == rule]
        drawn.append(plotting.draw_curves(ax, table, plotting.styles_of(table), published))
        ax.set(title=RULES[rule], ylim=(-0.02, 1.02))
    axes[0].set_ylabel("FEVE")
    return any(drawn)


def barcodes_by_type(ax: Axes, barcodes: pd.DataFrame, score: pd.Series) -> None:
    """Draws normalized feature weights (feature, neuron), sorted by true type and cluster."""
    ordered = barcodes.sort_values(["cell_type", "cluster"], kind="stable")
    weights = ordered.filter(like="weight_").dropna(axis=1).to_numpy().T
    shown = ax.imshow(weights, aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1)
    borders = np.flatnonzero(np.diff(ordered.cell_type)) + 0.5
    for border in borders:
        ax.axvline(border, color="black", linewidth=0.8)
    middles = (np.array([-0.5, *borders]) + np.array([*borders, weights.shape[1] - 0.5])) / 2
    ax.set_xticks(middles, [f"type {index + 1}" for index in range(len(middles))])
    ax.tick_params(axis="x", length=0)
    ax.set_yticks(range(len(weights)), range(1, len(weights) + 1))
    title = f"{score.n_clusters:.0f} clusters, ARI {score.ari:.2f}, NMI {score.nmi:.2f}"
    ax.set(ylabel="feature", title=title)
    ax.figure.colorbar(shown, ax=ax, label="normalized weight", pad=0.02, aspect=20)


def over_neurons(scores: pd.DataFrame, n_types: dict[str, int], reference: pd.DataFrame) -> pd.DataFrame:
    """FEVE of every model on each dataset with types, sorted by the number of types and the sizes.

    Columns ``dataset``, ``n_types``, ``n_neurons``, ``n_images``, ``model``, ``mean`` and ``sd`` over neurons
    as in the paper, and ``paper``, the paper's value at these sizes, or NaN.
    """
    scores = scores[scores.dataset.isin(n_types)]
    scores = scores.assign(n_types=scores.dataset.map(n_types).astype(int))
    sizes = ["n_types", "n_images", "n_neurons", "dataset"]
    neurons = scores.groupby([*sizes, "model", "neuron"], sort=False).feve.mean()
    feve = neurons.groupby([*sizes, "model"], sort=False)
    table = pd.DataFrame({"mean": feve.mean(), "sd": feve.std(ddof=0)}).reset_index()
    paper = reference.rename(columns={"feve": "paper"})[["model", "n_neurons", "n_images", "paper"]]
    return table.sort_values(sizes, kind="stable").merge(paper, how="left", validate="many_to_one")


def types(ax: Axes, table: pd.DataFrame, styles: dict[str, int]) -> None:
    """Draws the models of :func:`over_neurons` side by side, one place for every dataset."""
    datasets = table.drop_duplicates("dataset")
    place = dict(zip(datasets.dataset, range(len(datasets)), strict=True))
    beside = table.groupby("dataset").model
    step = min(0.22, 0.8 / beside.size().max())
    offset = step * (beside.cumcount() - (beside.transform("size") - 1) / 2)
    table = table.assign(x=table.dataset.map(place) + offset)
    for model, rows in table.groupby("model", sort=False):
        style = plotting.style(styles.setdefault(model, max(styles.values()) + 1)) | {"linestyle": "none"}
        ax.errorbar(rows.x, rows["mean"], rows.sd, capsize=2, label=plotting.label(model), **style)
    published = table.dropna(subset="paper")
    if len(published):
        ends = published.x - step / 2, published.x + step / 2
        ax.hlines(published.paper, *ends, color=plotting.REFERENCE, label="paper")
    ax.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    names = [f"{one.n_types}\n{one.n_neurons}\n{one.n_images}" for one in datasets.itertuples()]
    ax.set_xticks(range(len(names)), names)
    # The ticks are a table, whose rows are named on their left.
    (tick, *_) = ax.get_xticklabels()
    below = -plt.rcParams["xtick.major.size"] - plt.rcParams["xtick.major.pad"]
    style = {"textcoords": "offset points", "ha": "right", "va": "top", "xycoords": ax.get_xaxis_transform()}
    ax.annotate("types\nneurons\nimages", (-0.6, 0), (-4, below), fontsize=tick.get_fontsize(), **style)
    ax.set(ylabel="FEVE", xlim=(-0.6, len(datasets) - 0.4))


def main(
    scores: list[str],
    barcodes: list[str],
    barcode_scores: list[str],
    reference: str | Path,
    labels: dict[str, str],
    paper: dict[str, str],
) -> Figure:
    """Draws curves and barcodes of the first dataset, and the number of types of all datasets.

    ``paper`` has the model of the paper beside a model.
    """
    table, codes, agreement = map(read_tables, (scores, barcodes, barcode_scores))
    table = plotting.labeled(table, labels)
    # Networks with other numbers of features share a label and the paper's values.
    published = plotting.labeled(read_reference([reference], paper), labels).drop_duplicates()
    first = table.dataset.iloc[0]
    fit = ["experiment", "dataset", "model"]
    example = agreement.loc[agreement.dataset == first, fit].iloc[0]
    shown, score = (plotting.example(one[(one[fit] == example).all(axis=1)]) for one in (codes, agreement))
    n_types = agreement.groupby("dataset").n_types.first().astype(int).to_dict()
    # The most images count first: few conditions have the largest population.
    datasets = table[table.selection == table.selection.iloc[0]].groupby("dataset", sort=False)
    largest = pd.concat(largest_condition(rows, ("n_images", "n_neurons")) for _, rows in datasets)

    figure = plt.figure(figsize=(plotting.PAGE, 5.6))
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.15, 1])
    mine = table[table.dataset == first]
    axes = list(np.ravel(top.subplots(1, mine.selection.nunique(), sharey=True)))
    drawn = curves(axes, mine, published)
    plotting.figure_legend(top, axes[-1], 3, paper=drawn)
    # A model keeps the color of its curve: of the population in the lower panel, or of the first.
    styles: dict[str, int] = {}
    for (model, n_neurons), index in plotting.styles_of(mine).items():
        if model not in styles or n_neurons in set(largest.loc[largest.dataset == first, "n_neurons"]):
            styles[model] = index
    left, right = bottom.subplots(1, 2, width_ratios=[1.3, 1])
    barcodes_by_type(left, shown, score.iloc[0])
    plotted = over_neurons(largest, n_types, published)
    types(right, plotted, styles)
    plotting.figure_legend(bottom, right, 4, paper=False)
    plotting.panel_letters(*axes, left, right)
    published_shown = drawn or plotted.paper.notna().any()
    return plotting.noted(
        figure, NOTE if published_shown else "", plotting.clipped(mine), plotting.remark(table)
    )


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
