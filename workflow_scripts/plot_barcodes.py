"""Barcodes of one model: feature weights sorted by cluster, the clearest gap, and fields of clusters."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from whatwhere import plotting
from whatwhere.files import read_netcdf, read_table

MAX_FIELDS = 8
PALEST = 0.15
"""Opacity of a neuron that may belong to any cluster."""
GRAYS = [0.35, 0.85, 0.6]
"""Grays of numbered clusters and types; neighbors differ."""


def sort_neurons(table: pd.DataFrame) -> pd.DataFrame:
    """Sorts by cluster, neurons without cluster last, then by true type, then by certainty."""
    last = table["cluster"].where(table["cluster"] >= 0, table["cluster"].max() + 1)
    order = {"last": True, "cell_type": True, "certainty": False}
    return table.assign(last=last).sort_values([*order], ascending=[*order.values()], kind="stable")


def _strip(ax: Axes, values: np.ndarray, name: str) -> None:
    """Draws one row of numbered grays, white for no value: colors are those of weights."""
    grays = np.array([GRAYS[value % len(GRAYS)] if value >= 0 else 1.0 for value in values])
    ax.imshow(grays[None], cmap="gray", vmin=0, vmax=1, aspect="auto")
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1), len(values)]
    for start, stop in pairwise(edges):
        if stop - start > len(values) / 40 and values[start] >= 0:
            color = "white" if grays[start] < 0.5 else "black"
            style = {"color": color, "ha": "center", "va": "center", "fontsize": 6}
            ax.text((start + stop - 1) / 2, 0, str(values[start] + 1), **style)
    ax.set(xticks=[], yticks=[0], yticklabels=[name])
    ax.tick_params(length=0)


def heat_map(panel: SubFigure, table: pd.DataFrame) -> Axes:
    """Draws weights (feature, neuron), pale where uncertain, over strips of clusters and known true types."""
    ordered = sort_neurons(table)
    # Fits of other cores have more features.
    weights = ordered.filter(like="weight_").dropna(axis=1, how="all").to_numpy().T
    known = bool((ordered.cell_type >= 0).all())
    strips = {"cluster": "cluster", **({"cell_type": "true type"} if known else {})}
    axes = panel.subplots(1 + len(strips), 1, height_ratios=[12, *([1] * len(strips))])
    limit = float(np.nanquantile(np.abs(weights), 0.99)) or 1.0
    shown = plt.cm.ScalarMappable(plt.Normalize(-limit, limit), cmap="RdBu_r")
    alpha = np.broadcast_to(ordered["certainty"].clip(lower=PALEST).to_numpy(), weights.shape)
    axes[0].imshow(shown.to_rgba(weights, alpha=1), aspect="auto", alpha=alpha)
    axes[0].set(ylabel="feature", xticks=[])
    ticks = np.arange(0, len(weights), -(-len(weights) // 10))
    axes[0].set_yticks(ticks, ticks + 1)
    for ax, (column, name) in zip(axes[1:], strips.items(), strict=True):
        _strip(ax, ordered[column].to_numpy(), name)
    axes[-1].set_xlabel(f"{weights.shape[1]} neurons, sorted by cluster")
    panel.colorbar(shown, ax=axes[0], label="normalized weight", pad=0.02, aspect=25, extend="both")
    return axes[0]


def gap(panel: SubFigure, evidence: float, positions: np.ndarray) -> Axes:
    """Draws positions (neuron,) on the axis of the clearest gap; NaN for neurons of neither group."""
    ax = panel.subplots()
    shown = positions[np.isfinite(positions)]
    if not len(shown):
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no test:\ntoo few neurons\nwith weights", ha="center", va="center", fontsize=7)
        return ax
    ax.hist(shown, 24, color="0.6", linewidth=0)
    for center in (-0.5, 0.5):
        ax.axvline(center, color="black", linewidth=0.8, linestyle="dotted")
    ax.set(xticks=[-0.5, 0, 0.5], xlabel="position between\ntwo groups", ylabel="neurons")
    ax.set_title(f"clearest gap, evidence {evidence:.1f}", fontsize=6.5)
    return ax


def mean_fields(panel: SubFigure, averages: np.ndarray, counts: np.ndarray) -> Axes:
    """Draws the mean receptive field of the largest clusters."""
    largest = np.sort(np.argsort(-counts, kind="stable")[:MAX_FIELDS])
    columns = int(np.ceil(np.sqrt(len(largest))))
    axes = panel.subplots(int(np.ceil(len(largest) / columns)), columns, squeeze=False).ravel()
    for ax, cluster in zip(axes, largest, strict=False):
        plotting.show_field(ax, averages[cluster], float(np.nanmax(np.abs(averages[cluster]))))
        ax.set_title(f"cluster {cluster + 1}\n{counts[cluster]} neurons", fontsize=6.5)
    for ax in axes[len(largest) :]:
        ax.axis("off")
    return axes[0]


def title(score: pd.Series, model: str, dataset: str) -> str:
    """Model, dataset, and in a second line number, agreement and stability of the clusters."""
    p_value = "< 0.001" if score.p_value < 0.001 else f"= {score.p_value:.3f}"
    found = f"{score.n_clusters:.0f} clusters" if score.n_clusters > 1 else "no clusters: a continuum"
    texts = [f"{found} (p {p_value})" if np.isfinite(score.p_value) else "too few neurons with weights"]
    if score.n_unfitted:
        texts.append(f"{score.n_unfitted:.0f} neurons without weights")
    if np.isfinite(score.ari):
        texts.append(f"ARI {score.ari:.2f} against {score.n_types:.0f} true types")
    stable = {"halves of the images": "halves", "bootstraps": "bootstraps", "seeds": "seeds"}
    rated = {name: score[f"stability_{key}"] for name, key in stable.items()}
    known = [f"{value:.2f} over {name}" for name, value in rated.items() if np.isfinite(value)]
    stability = ["stability " + ", ".join(known)] if known else []
    return "\n".join([f"{model}, {dataset}", " · ".join(texts), *stability])


def main(barcodes: str | Path, scores: str | Path, fields: str | Path, model: str, dataset: str) -> Figure:
    """Draws the first seed and selection rule of the condition listed last.

    ``model`` and ``dataset`` are the names that readers see.
    """
    codes, rated = (plotting.example(read_table(path)) for path in (barcodes, scores))
    figure = plt.figure(figsize=(plotting.PAGE, 3.0))
    figure.suptitle(title(rated.iloc[0], model, dataset), fontsize=7)
    left, middle, right = figure.subfigures(1, 3, width_ratios=[1.8, 1, 1])
    drawn = [heat_map(left, codes)]
    with read_netcdf(fields) as stored:
        drawn.append(gap(middle, float(stored["evidence"]), stored["position"].values))
        if stored.sizes["cluster"]:
            drawn.append(mean_fields(right, stored["field"].values, stored["n_neurons"].values))
    plotting.panel_letters(*drawn)
    return plotting.noted(figure, plotting.remark(rated.assign(model=model)))


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
