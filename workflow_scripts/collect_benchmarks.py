"""Run times and memory per rule: benchmarks/**/*.tsv -> run_times.csv."""

from pathlib import Path

import pandas as pd

from whatwhere.files import write_table
from whatwhere.logs import logged

TOTAL = "all rules"


def summarize(benchmarks: pd.DataFrame) -> pd.DataFrame:
    """One row per rule, the longest first, and their sum.

    Parameters
    ----------
    benchmarks
        Columns of Snakemake's benchmark files and ``rule``, one row per job.
    """
    table = (
        pd.concat([benchmarks, benchmarks.assign(rule=TOTAL)])
        .groupby("rule")
        .agg(
            n_jobs=("s", "size"),
            seconds=("s", "sum"),
            longest_job_seconds=("s", "max"),
            cpu_seconds=("cpu_time", "sum"),
            max_memory_mb=("max_rss", "max"),
        )
    )
    rules = table.drop(TOTAL).sort_values("seconds", ascending=False)
    return pd.concat([rules, table.loc[[TOTAL]]]).reset_index()


def main(folder: str | Path, output: str | Path) -> None:
    """Write the run times of all jobs whose benchmark lies in ``folder`` to ``output``."""
    folder = Path(folder)
    parts = [
        # Jobs shorter than the sampling interval have no memory and CPU time: a dash.
        pd.read_csv(path, sep="\t", na_values="-").assign(
            rule=path.relative_to(folder).parts[0].split(".")[0]
        )
        for path in sorted(folder.rglob("*.tsv"))
    ]
    write_table(summarize(pd.concat(parts, ignore_index=True)), output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(snakemake.params.folder, snakemake.output.table)
