"""What a run was made with, and which of its fits to doubt -> run.html, software.csv."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from whatwhere.config.files import dump
from whatwhere.files import read_table, write_table
from whatwhere.logs import arguments, logged
from whatwhere.pages import code, heading, paragraph, table, write_page

_CARD = ["--query-gpu=name,driver_version", "--format=csv,noheader"]
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
    """What a command prints, or other words where it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return otherwise


def machine() -> pd.DataFrame:
    """Processor, memory, graphics card and system of the machine this runs on."""
    rows = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "graphics card": _output(["nvidia-smi", *_CARD], "none"),
        "system": platform.platform(),
    }
    return pd.DataFrame(rows.items(), columns=["part", "value"])


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.machine())


def seeds(config: dict[str, Any]) -> pd.DataFrame:
    """Every seed of a configuration: of data sets, of their splits, and of fits."""
    rows = [("experiments", one["name"], "seeds", one["seeds"]) for one in config["experiments"]]
    used = {name for one in config["experiments"] for name in one["datasets"]}
    for name, definition in config["datasets"].items():
        found = {"seed": definition.get("seed"), "split.seed": definition.get("split", {}).get("seed")}
        rows += [("datasets", name, key, [seed]) for key, seed in found.items() if seed is not None]
    table = pd.DataFrame(rows, columns=["section", "name", "key", "seeds"])
    unused = (table.section == "datasets") & ~table.name.isin(used)
    return table[~unused].assign(seeds=lambda t: [", ".join(map(str, some)) for some in t.seeds])


def doubtful(summary: pd.DataFrame) -> list[str]:
    """The rows of ``summary.csv`` of which not all fits are finished, or inside of their grids."""
    some = summary[(summary["converged"] < 1) | (summary["at_edge"] > 0)]
    if some.empty:
        return [paragraph("All fits are finished, and no penalty selected lies at the edge of its grid.")]
    text = (
        "Shares of neurons and seeds: finished, whose training was not stopped at max_steps by max_steps; at_edge, with "
        "a penalty at the edge of its grid, where a wider one might do better. What is not listed is "
        "finished and within its grid."
    )
    return [paragraph(text), table(some.filter([*KEYS, "converged", "at_edge"]))]


def main(
    config: dict[str, Any],
    workflow: str | Path,
    run_times: str | Path,
    summary: str | Path,
    versions: str | Path,
    page: str | Path,
) -> None:
    """Write the packages to ``versions`` and everything, to be read, to ``page``."""
    packages = software(Path(workflow))
    write_table(packages, versions)
    parts = [
        heading("Fits that were stopped at max_steps, and penalties at the edge of their grid"),
        *doubtful(read_table(summary)),
        heading("Run times"),
        paragraph(
            "Sums over the jobs of a rule, those of earlier configurations of this run included; seconds are "
            "wall-clock time, memory is in MB."
        ),
        table(read_table(run_times)),
        heading("Machine"),
        paragraph("Software and machine are those of the job that wrote this page, the last of the run."),
        table(machine()),
        heading("Seeds"),
        table(seeds(config)),
        heading("Software"),
        table(packages),
        heading("Configuration"),
        code(dump(config)),
    ]
    write_page(f"The run '{config['run']}'", parts, page)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(snakemake.config, snakemake.params.workflow, **arguments(snakemake.input, snakemake.output))
