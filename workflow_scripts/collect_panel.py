"""Candidates for a recording ranked by validation, with what each step gains: ranking.csv -> panel.csv."""

from pathlib import Path

import pandas as pd

from whatwhere.conditions import largest_condition
from whatwhere.files import read_table, write_table
from whatwhere.logs import run_job


def panel(ranking: pd.DataFrame, summary: pd.DataFrame, ensemble: str) -> pd.DataFrame:
    """Members of an ensemble, best by validation first, and the ensemble last.

    ``ranking`` has a row per member and seed, ``summary`` the rows of ``summary.csv`` of the condition.
    Columns: ``model``; ``validation_fve``, ``validation_correlation`` and ``mean_weight``, means over seeds;
    the test ``correlation`` with its standard error over neurons and images; and ``gain``, its difference
    from the first row, the best single model by validation. An ensemble has no validation scores: its weights
    were fitted to the validation responses.
    """
    means = ranking.groupby("member")[["validation_fve", "validation_correlation", "mean_weight"]].mean()
    ranked = means.sort_values("validation_fve", ascending=False).rename_axis("model").reset_index()
    rows = pd.concat([ranked, pd.DataFrame({"model": [ensemble]})], ignore_index=True)
    tested = summary.drop_duplicates("model").set_index("model")
    rows = rows.join(tested[["correlation", "correlation_se", "converged", "at_edge"]], on="model")
    return rows.assign(gain=rows["correlation"] - rows["correlation"].iloc[0])


def main(rankings: list[str], names: list[dict[str, str]], summary: str | Path, table: str | Path) -> None:
    """Writes the panels of all ensembles, of their largest conditions, to ``table``.

    ``names`` has experiment, dataset and model of every ranking.
    """
    summaries = read_table(summary)
    keys = ["experiment", "dataset", "n_neurons", "n_images"]
    panels = []
    for path, fit in zip(rankings, names, strict=True):
        ours = (summaries[list(fit)] == pd.Series(fit)).all(axis=1)
        largest = largest_condition(summaries[ours]).iloc[0]
        condition = summaries[(summaries[keys] == largest[keys]).all(axis=1)]
        rows = panel(read_table(path), condition, fit["model"])
        for position, key in enumerate(keys):
            rows.insert(position, key, largest[key])
        panels.append(rows)
    write_table(pd.concat(panels, ignore_index=True), table)


if __name__ == "__main__":
    run_job(main, snakemake)
