"""Candidates for a recording ranked by validation, with what each step gains: ranking.csv -> panel.csv."""

from pathlib import Path

import pandas as pd

from whatwhere.files import read_table, write_table
from whatwhere.logs import arguments, logged
from whatwhere.scaling import largest


def panel(ranking: pd.DataFrame, summary: pd.DataFrame, ensemble: str) -> pd.DataFrame:
    """Members of a combination, best by validation first, and the combination itself last.

    Parameters
    ----------
    ranking
        A row per member and seed, as :func:`whatwhere.fitted.ensemble.fit_ensemble_seed` returns them.
    summary
        Rows of ``summary.csv`` of the same condition.
    combined
        Name of the combination.

    Returns
    -------
    ``model``; ``validation_fve``, ``validation_correlation`` and ``mean_weight``, means over seeds; the test
    ``correlation`` with its standard error over neurons and images; and ``gain``, its difference from that of
    the first row, the best single model by validation. A combination has no validation scores: its weights
    were fitted to them.
    """
    means = ranking.groupby("member")[["validation_fve", "validation_correlation", "mean_weight"]].mean()
    ranked = means.sort_values("validation_fve", ascending=False).rename_axis("model").reset_index()
    rows = pd.concat([ranked, pd.DataFrame({"model": [ensemble]})], ignore_index=True)
    tested = summary.drop_duplicates("model").set_index("model")
    rows = rows.join(tested[["correlation", "correlation_se", "converged", "at_edge"]], on="model")
    return rows.assign(gain=rows["correlation"] - rows["correlation"].iloc[0])


def main(rankings: list[str], names: list[dict[str, str]], summary: str | Path, table: str | Path) -> None:
    """Write the panels of all combinations, of their last conditions, to ``table``.

    ``names`` has experiment, dataset and model of every ranking.
    """
    summaries = read_table(summary)
    parts = []
    for path, one in zip(rankings, names, strict=True):
        of_fit = (summaries.experiment == one["experiment"]) & (summaries.dataset == one["dataset"])
        mine = summaries[of_fit]
        last = largest(mine[mine.model == one["model"]]).iloc[0]
        condition = (mine.n_neurons == last.n_neurons) & (mine.n_images == last.n_images)
        rows = panel(read_table(path), mine[condition], one["model"])
        for position, key in enumerate(("experiment", "dataset", "n_neurons", "n_images")):
            rows.insert(position, key, last[key])
        parts.append(rows)
    write_table(pd.concat(parts, ignore_index=True), table)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(**arguments(snakemake.input, snakemake.params, snakemake.output))
