"""Minutes of the quick run and of the tests in a clean clone, and minutes of the quick run by rule.

    PYTHONPATH=workflow_scripts python benchmarks/whole_runs.py FOLDER [TARGET ...]

The last commit is cloned to ``FOLDER``. All targets of ``make`` are timed unless targets are named; the rows
of these targets are then replaced. Nothing else should run meanwhile.
"""

import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from measure import hardware

import describe_run
from whatwhere.files import read_table, write_table

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TABLE = RESULTS / "whole_runs.csv"
GOALS = {"run": 8.0, "test": 12.0, "test-fast": 0.75}
"""Targets of ``make`` and their goals in minutes. ``run`` and ``test`` include installation."""


def main(folder: str, *targets: str) -> None:
    """Clones the project, times targets and stores their minutes."""
    clone = Path(folder)
    if not clone.exists():
        subprocess.run(["git", "clone", "--quiet", str(ROOT), folder], check=True)
    describe = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(describe, cwd=clone, check=True, capture_output=True, text=True).stdout.strip()
    for target in targets or GOALS:
        began = time.perf_counter()
        subprocess.run(["make", target], cwd=clone, check=True)
        minutes = (time.perf_counter() - began) / 60
        row = {"target": target, "minutes": minutes, "goal": GOALS[target], "commit": commit, **hardware()}
        rows = pd.DataFrame([row])
        if TABLE.exists():
            earlier = read_table(TABLE)
            rows = pd.concat([earlier[earlier.target != target], rows], ignore_index=True)
        write_table(rows, TABLE)
        print(rows.to_string(), flush=True)
        if target == "run":
            times = describe_run.times(clone / "results" / "quick" / "benchmarks")
            write_table(times, RESULTS / "quick_run.csv")


if __name__ == "__main__":
    main(*sys.argv[1:])
