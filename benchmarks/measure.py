"""Times of this project beside a reference, and the table of results."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from whatwhere.memory import keep_freed_memory
from whatwhere.training.loop import PRECISIONS

NAN = float("nan")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass
class Row:
    """A row of the table.

    Attributes
    ----------
    case, what
        Letter of the target, and name of the task.
    ours, reference
        Seconds: medians, both for the whole task.
    measured
        Part of the reference that was timed and scaled up.
    ratio, lowest, highest
        ours / reference: median, and range over repetitions.
    target
        Largest ratio (or value) that is good; NaN: only reported.
    note
        Further facts about the number.
    """

    case: str
    what: str
    ours: float
    reference: float
    measured: str
    ratio: float
    lowest: float
    highest: float
    target: float
    note: str = ""

    @classmethod
    def of_value(
        cls, case: str, what: str, values: list[float], target: float, note: str = "", ours: float = NAN
    ) -> Row:
        """A row of values without reference: their median and range."""
        summary = (statistics.median(values), min(values), max(values))
        return cls(case, what, ours, NAN, "all", *summary, target, note)

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return not self.ratio > self.target

    def line(self) -> str:
        """The row for a terminal."""
        target = "reported" if pd.isna(self.target) else f"target {self.target:g}"
        verdict = "" if pd.isna(self.target) else ("met" if self.met else "MISSED")
        return (
            f"({self.case}) {self.what}: {self.ratio:.3g} [{self.lowest:.3g}, {self.highest:.3g}] {target} "
            f"{verdict} | ours {self.ours:.3g} s, "
            f"reference {self.reference:.3g} s ({self.measured}) {self.note}"
        )


def seconds(task: Callable[[], Any]) -> float:
    """Time of a task: of the process on a CPU, because other programs disturb it less; elapsed on a GPU."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
        start = time.perf_counter()
        task()
        torch.cuda.synchronize()
        return time.perf_counter() - start
    start = time.process_time()
    task()
    return time.process_time() - start


def compare(
    ours: Callable[[], Any], reference: Callable[[], Any], repeats: int, scale: float = 1.0
) -> dict[str, float]:
    """Times two tasks after a warm-up of each: first the reference, with the default memory allocator.

    Parameters
    ----------
    ours, reference
        The tasks. Ours runs with :func:`whatwhere.memory.keep_freed_memory` as in rule ``train``.
    repeats
        Number of repetitions.
    scale
        Number of runs of the reference that do the work of one run of ours.

    Returns
    -------
    Medians, their ratio, and the extreme ratios of any two repetitions.
    """
    reference()
    theirs = [scale * seconds(reference) for _ in range(repeats)]
    keep_freed_memory()
    ours()
    mine = [seconds(ours) for _ in range(repeats)]
    return {
        "ours": statistics.median(mine),
        "reference": statistics.median(theirs),
        "ratio": statistics.median(mine) / statistics.median(theirs),
        "lowest": min(mine) / max(theirs),
        "highest": max(mine) / min(theirs),
    }


def rate(operations: float, elapsed: float, precision: str) -> str:
    """Operations per second beside those of a large product of matrices, as the note of a row."""
    side = 2048
    left = torch.randn(side, side, device=DEVICE).to(PRECISIONS[precision])
    peak = 2 * side**3 / min(seconds(lambda: left @ left) for _ in range(4))
    reached = operations / elapsed
    return (
        f"{reached / 1e9:.0f} Gflop/s in {precision}, where a product of matrices reaches {peak / 1e9:.0f}: "
        f"{reached / peak:.0%}"
    )


def hardware() -> dict[str, str]:
    """Hardware and software of the measurement, and the date."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = f"{names[0]}, {len(names)} cores" if names else cpu
    return {
        "cpu": cpu,
        "gpu": torch.cuda.get_device_name() if DEVICE.type == "cuda" else "none",
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def table(rows: list[Row]) -> pd.DataFrame:
    """Rows with the hardware in every row."""
    return pd.DataFrame([{**asdict(row), "met": row.met, **hardware()} for row in rows])
