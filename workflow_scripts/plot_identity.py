"""Who is found again on another day, and at which rank: identity.csv -> svg."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from whatwhere import plotting
from whatwhere.files import read_table
from whatwhere.logs import logged


def name_of(row: pd.Series) -> str:
    """What is compared, and by which model."""
    return f"{row.part}\n{plotting.label(row.model)}"


def main(table: str | Path, svg: str | Path, png: str | Path) -> None:
    """Draw one row of two panels per pair of recordings: shares that are first, and median ranks."""
    plotting.use_style()
    scores = read_table(table)
    models = list(scores.model.unique())
    pairs = list(scores.groupby(["experiment", "dataset", "recording", "among"], sort=False))
    lengths = [len(rows) for _, rows in pairs]
    figure = plt.figure(figsize=(plotting.PAGE, 0.9 * len(pairs) + 0.34 * sum(lengths)))
    grid = figure.subplots(len(pairs), 2, squeeze=False, sharey="row", height_ratios=lengths)
    for (first, median), (names, rows) in zip(grid, pairs, strict=True):
        place = np.arange(len(rows))
        colors = [plotting.PALETTE[models.index(model)] for model in rows.model]
        first.barh(
            place, rows.top1, xerr=rows.top1_se, color=colors, error_kw={"elinewidth": 0.8, "capsize": 2}
        )
        first.plot(rows.top1_single, place, "o", color="white", markeredgecolor="black", markersize=4)
        first.axvline(rows.top1_chance.iloc[0], color="0.35", linewidth=0.8, linestyle="--")
        median.scatter(rows.median_rank, place, s=24, color=colors)
        median.axvline(rows.median_rank_chance.iloc[0], color="0.35", linewidth=0.8, linestyle="--")
        first.set_yticks(place, [name_of(row) for _, row in rows.iterrows()], fontsize=6.5)
        first.invert_yaxis()
        _, dataset, later, earlier = (name.replace("_", " ") for name in names)
        pairs_of = f"{dataset}: {rows.n_pairs.iloc[0]} neurons of {later}"
        first.set(xlim=(0, 1), xlabel="partner most alike (share)", title=pairs_of)
        among = f"among {rows.n_candidates.iloc[0]} of {earlier}"
        median.set(xscale="log", xlim=(0.9, rows.n_candidates.iloc[0]), xlabel="median rank", title=among)
    for ax, letter in zip(grid[0], "ab", strict=True):
        plotting.panel_letter(ax, letter)
    plotting.save(figure, svg, png)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(snakemake.input.table, snakemake.output.svg, snakemake.output.png)
