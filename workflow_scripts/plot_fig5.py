"""Figure 5: a nonlinear feature space: model comparison, selection rules, barcodes, number of types."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from whatwhere import plotting
from whatwhere.files import read_table
from whatwhere.logs import logged

RULES = {
    "population": "setting per population",
    "median": "setting for all seeds",
    "neuron": "setting per neuron, or the mean",
}


def curves(axes: list[Axes], scores: pd.DataFrame, reference: pd.DataFrame) -> bool:
    """FEVE over images, one panel per selection rule, the paper's curves in the panel of their rule.

    Returns whether there were any.
    """
    drawn = False
    for ax, rule in zip(axes, scores.selection.unique(), strict=True):
        groups = scores[scores.selection == rule].groupby(["model", "n_neurons"], sort=False)
        for index, ((model, n_neurons), part) in enumerate(groups):
            plotting.draw_curve(ax, plotting.over_seeds(part), index, plotting.label(model, n_neurons))
            mine = reference[(reference.model == model) & (reference.n_neurons == n_neurons)]
            mine = mine[mine.n_images.between(scores.n_images.min(), scores.n_images.max())]
            mine = mine[mine.selection == rule]
            if len(mine):
                plotting.draw_reference(ax, mine, index)
                drawn = True
        plotting.image_axis(ax, scores.n_images)
        ax.set(title=RULES[rule], ylim=(-0.02, 1.02))
    axes[0].set_ylabel("FEVE")
    return drawn


def barcodes_by_type(ax: Axes, barcodes: pd.DataFrame, score: pd.Series) -> None:
    """Normalised feature weights (feature, neuron), sorted by true type and cluster."""
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
    ax.set(
        ylabel="feature",
        title=f"{score.n_clusters:.0f} clusters, ARI {score.ari:.2f}, NMI {score.nmi:.2f}",
    )
    ax.figure.colorbar(shown, ax=ax, label="normalised weight", pad=0.02, aspect=20)


def types(ax: Axes, scores: pd.DataFrame, n_types: dict[str, int], reference: pd.DataFrame) -> None:
    """FEVE of every model at the largest size of each dataset: mean and sd over neurons, as in the paper."""
    counts = sorted(set(n_types.values()))
    last = scores.groupby("dataset")[["n_neurons", "n_images"]].transform("max")
    largest = scores[(scores.n_neurons == last.n_neurons) & (scores.n_images == last.n_images)]
    # Networks with one feature per type are named after their number.
    largest = largest.assign(model=largest.model.str.replace(r"_\d+$", "", regex=True))
    models = list(largest.model.unique())
    for index, model in enumerate(models):
        part = largest[largest.model == model]
        neurons = part.groupby(["dataset", "neuron"]).feve.mean().reset_index()
        neurons = neurons.assign(n_types=neurons.dataset.map(n_types))
        groups = neurons.groupby("n_types").feve
        position = np.array([counts.index(n) for n in groups.groups]) + (index - (len(models) - 1) / 2) * 0.22
        style = plotting.style(index) | {"linestyle": "none"}
        ax.errorbar(
            position, groups.mean(), groups.std(ddof=0), capsize=2, label=plotting.label(model), **style
        )
        for count, x in zip(groups.groups, position, strict=True):
            paper = reference[(reference.model == model) & (reference.experiment == f"fig5_types_{count}")]
            ax.plot([x + 0.07] * len(paper), paper.feve, "_", color=plotting.REFERENCE, markersize=9)
    ax.plot([], [], "_", color=plotting.REFERENCE, markersize=9, label="paper")
    ax.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    ax.set_xticks(range(len(counts)), counts)
    ax.set(xlabel="cell types", ylabel="FEVE", xlim=(-0.6, len(counts) - 0.4))
    plotting.legend_below(ax, 2, paper=False)


def main(
    scores: list[str],
    barcodes: list[str],
    barcode_scores: list[str],
    reference: str | Path,
    svg: str | Path,
    png: str | Path,
) -> None:
    """Draw the figure: curves and barcodes of its first dataset, the number of types from all of them."""
    plotting.use_style()
    table = pd.concat([read_table(path) for path in scores], ignore_index=True)
    codes, agreement = (
        pd.concat([read_table(path) for path in paths], ignore_index=True)
        for paths in (barcodes, barcode_scores)
    )
    paper = read_table(reference)
    first = table.dataset.iloc[0]
    fit = ["experiment", "dataset", "model"]
    example = agreement.loc[agreement.dataset == first, fit].iloc[0]
    shown, score = (plotting.example(one[(one[fit] == example).all(axis=1)]) for one in (codes, agreement))
    n_types = agreement.groupby("dataset").n_types.first().astype(int).to_dict()
    main_rule = table[table.selection == table.selection.iloc[0]]

    figure = plt.figure(figsize=(plotting.PAGE, 5.6))
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.15, 1])
    mine = table[table.dataset == first]
    axes = list(np.ravel(top.subplots(1, mine.selection.nunique(), sharey=True)))
    drawn = curves(axes, mine, paper)
    plotting.figure_legend(top, axes[-1], 3, paper=drawn)
    left, right = bottom.subplots(1, 2, width_ratios=[1.5, 1])
    barcodes_by_type(left, shown, score.iloc[0])
    types(right, main_rule, n_types, paper)
    for letter, ax in zip("abcde", [*axes, left, right], strict=False):
        plotting.panel_letter(ax, letter)
    plotting.save(figure, svg, png, plotting.remark(table))


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            scores=list(snakemake.input.scores),
            barcodes=list(snakemake.input.barcodes),
            barcode_scores=list(snakemake.input.barcode_scores),
            reference=snakemake.input.reference,
            svg=snakemake.output.svg,
            png=snakemake.output.png,
        )
