"""Run times, software, machine, configuration and doubtful fits of a run -> run.html and two tables."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from whatwhere.config.files import dump
from whatwhere.files import read_table, write_table
from whatwhere.logs import run_job
from whatwhere.pages import code, heading, paragraph, table, write_page

TOTAL = "all rules"
KEYS = ["experiment", "dataset", "recording", "model", "selection", "n_neurons", "n_images"]


def software(workflow: Path) -> pd.DataFrame:
    """Name and version of the workflow, of Python and of every installed package."""
    revision = ["git", "-C", str(workflow), "describe", "--always", "--dirty", "--tags"]
    packages = {package.name: package.version for package in metadata.distributions()}
    rows = {
        "whatwhere (this workflow)": _output(revision, "unknown, not a git clone"),
        "python": platform.python_version(),
        **dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }
    return pd.DataFrame(rows.items(), columns=["package", "version"])


def _output(command: list[str], otherwise: str) -> str:
    """Output of a command, or ``otherwise`` if it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return otherwise


def machine() -> pd.DataFrame:
    """Processor, memory, graphics card and system of the machine of this job."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    rows = {
        "processor": next(iter(names), platform.machine()),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "graphics card": _output(query, "none"),
        "system": platform.platform(),
    }
    return pd.DataFrame(rows.items(), columns=["component", "value"])


def doubtful(summary: pd.DataFrame) -> list[str]:
    """Rows of ``summary.csv`` with fits that did not converge or have a penalty at the edge of its grid."""
    doubted = summary[(summary["converged"] < 1) | (summary["at_edge"] > 0)]
    if doubted.empty:
        return [paragraph("All fits converged, and no selected penalty lies at the edge of its grid.")]
    text = (
        "converged: share of neurons and seeds whose training was not stopped at max_steps. at_edge: share "
        "with a penalty at the edge of its grid, where a wider grid may score better. All other fits "
        "converged with their penalties inside their grids."
    )
    return [paragraph(text), table(doubted.filter([*KEYS, "converged", "at_edge"]))]


def times(folder: str | Path) -> pd.DataFrame:
    """Sums over the jobs of every rule, the longest first, from Snakemake's benchmarks in ``folder``."""
    jobs = []
    for path in sorted(Path(folder).rglob("*.tsv")):
        # Jobs shorter than the sampling interval have no memory and CPU time: a dash.
        job = pd.read_csv(path, sep="\t", na_values="-")
        jobs.append(job.assign(rule=path.relative_to(folder).parts[0].split(".")[0]))
    timed = pd.concat(jobs, ignore_index=True)
    table = pd.concat([timed, timed.assign(rule=TOTAL)]).groupby("rule")
    table = table.agg(
        n_jobs=("s", "size"),
        seconds=("s", "sum"),
        longest_job_seconds=("s", "max"),
        cpu_seconds=("cpu_time", "sum"),
        max_memory_mb=("max_rss", "max"),
    )
    rules = table.drop(TOTAL).sort_values("seconds", ascending=False)
    return pd.concat([rules, table.loc[[TOTAL]]]).reset_index()


def main(
    config: dict[str, Any],
    workflow: str | Path,
    benchmarks: str | Path,
    summary: str | Path,
    run_times: str | Path,
    versions: str | Path,
    page: str | Path,
) -> None:
    """Writes ``run_times`` and installed packages (``versions``) as tables, and the page of the run."""
    packages = software(Path(workflow))
    write_table(packages, versions)
    write_table(times(benchmarks), run_times)
    sections = [
        heading("Fits that stopped at max_steps, and penalties at the edge of their grid"),
        *doubtful(read_table(summary)),
        heading("Run times"),
        paragraph(
            "Sums over the jobs of a rule, also of jobs of earlier configurations of this run. Seconds are "
            "wall-clock time, memory is in MB."
        ),
        table(read_table(run_times)),
        heading("Machine"),
        paragraph("Software and machine are those of the job that wrote this page, the last of the run."),
        table(machine()),
        heading("Software"),
        table(packages),
        heading("Configuration"),
        code(dump(config)),
    ]
    write_page(f"The run '{config['run']}'", sections, page)


if __name__ == "__main__":
    run_job(main, snakemake)
