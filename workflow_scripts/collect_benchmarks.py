"""Run times and memory per rule: benchmarks/**/*.tsv -> run_times.csv."""

from pathlib import Path

import pandas as pd

from whatwhere.files import write_table
from whatwhere.logs import run_job

TOTAL = "all rules"


def summarize(benchmarks: pd.DataFrame) -> pd.DataFrame:
    """One row per rule, the longest first, and their sum, from Snakemake's benchmarks of jobs."""
    table = pd.concat([benchmarks, benchmarks.assign(rule=TOTAL)]).groupby("rule")
    table = table.agg(
        n_jobs=("s", "size"),
        seconds=("s", "sum"),
        longest_job_seconds=("s", "max"),
        cpu_seconds=("cpu_time", "sum"),
        max_memory_mb=("max_rss", "max"),
    )
    rules = table.drop(TOTAL).sort_values("seconds", ascending=False)
    return pd.concat([rules, table.loc[[TOTAL]]]).reset_index()


def main(folder: str | Path, table: str | Path) -> None:
    """Writes the run times of all jobs whose benchmark lies in ``folder`` to ``table``."""
    jobs = []
    for path in sorted(Path(folder).rglob("*.tsv")):
        # Jobs shorter than the sampling interval have no memory and CPU time: a dash.
        times = pd.read_csv(path, sep="\t", na_values="-")
        jobs.append(times.assign(rule=path.relative_to(folder).parts[0].split(".")[0]))
    write_table(summarize(pd.concat(jobs, ignore_index=True)), table)


if __name__ == "__main__":
    run_job(main, snakemake)
