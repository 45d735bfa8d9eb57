"""The screen of ``make``: a progress bar by work, results as soon as they are there, and errors.

``PYTHONPATH=workflow_scripts snakemake --logger whatwhere`` finds this package by its name. Snakemake's own
log file has everything. Jobs write their warnings and errors to the terminal themselves.
"""

import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from logging import WARNING, LogRecord
from pathlib import Path
from typing import Any

import pandas as pd
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from whatwhere.config import plan
from whatwhere.config.load import load
from whatwhere.cost import condition_costs, duration, sizes
from whatwhere.logs import ERASE, clock

MEASURED = Path(__file__).parents[2] / "benchmarks" / "results" / "quick_run.csv"
"""Measured seconds of all rules, by rule."""
SECONDS_BETWEEN_LINES = 60.0
"""Interval of lines about progress where no terminal shows a bar."""
BAR = 24
"""Width of the bar in characters."""
TYPICAL = 4.0
"""Seconds of a job whose rule was never measured."""
PRIOR = 60.0
"""Seconds of work after which the measured speed of this machine counts as much as that of the table."""
NEARLY = 0.95
"""The most that a job under way counts for, as a share of its expected work."""


def measured_seconds() -> dict[str, float]:
    """Mean seconds of a job of every rule in :data:`MEASURED`."""
    table = pd.read_csv(MEASURED, index_col="rule")
    return dict(table.seconds / table.n_jobs) | {"all": 0.0}


def expected_fits(configfiles: list[str]) -> dict[str, dict[str, float]]:
    """Expected seconds of the fits of a configuration, by rule, then by file."""
    config = load(configfiles).config
    seconds = condition_costs(config, sizes(config)).seconds
    conditions = plan.conditions(config).assign(seconds=seconds).dropna(subset="seconds")
    files = "results/" + config["run"] + "/fits/" + conditions.condition_path + "/fits.pt"
    by_rule = conditions.assign(file=files).groupby("rule")
    return {str(rule): dict(zip(one.file, one.seconds, strict=True)) for rule, one in by_rule}


@dataclass
class Job:
    """A job that began: its message, its result that a browser opens, its logs and expected seconds."""

    message: str
    page: str | None
    logs: list[str]
    expected: float
    began: float


class Work:
    """The work of a run in seconds of one core: done, under way and waiting.

    ``counts`` are numbers of jobs by rule. Expected seconds are those of ``fits``, by rule and file, for
    rules whose jobs differ, and ``measured`` means by rule for all others.
    """

    def __init__(
        self,
        counts: Mapping[str, int],
        cores: int,
        fits: Mapping[str, Mapping[str, float]],
        measured: Mapping[str, float],
    ) -> None:
        self.cores, self.n_jobs = cores, sum(counts.values())
        self.files = {file: seconds for one in fits.values() for file, seconds in one.items()}
        self.typical = {rule: measured.get(rule, TYPICAL) for rule in counts}
        for rule in counts.keys() & fits.keys():
            missing = [seconds for file, seconds in fits[rule].items() if not Path(file).exists()]
            # Other fits may run again, because their code or their data changed: nobody says which.
            those = missing if len(missing) == counts[rule] else list(fits[rule].values())
            self.typical[rule] = sum(those) / len(those)
        self.waiting = Counter(counts)
        self.jobs: dict[int, Job] = {}
        self.done, self.took, self.shown = 0.0, 0.0, 0.0

    def begin(self, number: int, rule: str, message: str, files: list[str], logs: list[str]) -> None:
        """Counts a job that begins, with the files that it makes."""
        known = (self.files[file] for file in files if file in self.files)
        expected = next(known, self.typical.setdefault(rule, TYPICAL))
        self.waiting[rule] -= 1
        # Pages of the report are linked by the first page.
        opened = (file for file in files if file.endswith((".html", ".svg")) and "/pages/" not in file)
        self.jobs[number] = Job(message, next(opened, None), logs, expected, time.monotonic())

    def finish(self, number: int) -> Job:
        """Counts a job as done and returns it."""
        job = self.jobs.pop(number)
        self.done += job.expected
        self.took += time.monotonic() - job.began
        return job

    @property
    def pace(self) -> float:
        """Seconds of this machine for a second of expected work."""
        return (self.took + PRIOR) / (self.done + PRIOR)

    def left(self) -> tuple[list[float], float]:
        """Expected work (s) that is left of every job under way, and of the jobs that did not begin."""
        now = time.monotonic()
        begun = [
            max(job.expected - (now - job.began) / self.pace, (1 - NEARLY) * job.expected)
            for job in self.jobs.values()
        ]
        return begun, sum(self.typical[rule] * max(number, 0) for rule, number in self.waiting.items())

    def share(self) -> float:
        """Share of the work that is done; it never falls."""
        begun, waiting = self.left()
        total = self.done + sum(job.expected for job in self.jobs.values()) + waiting
        self.shown = max(self.shown, 1 - (sum(begun) + waiting) / total if total else 1.0)
        return self.shown

    def seconds_left(self) -> float:
        """Expected seconds until the last job is done: of all cores, or of the longest job."""
        begun, waiting = self.left()
        longest = [self.typical[rule] for rule, number in self.waiting.items() if number > 0]
        return self.pace * max([(sum(begun) + waiting) / self.cores, *begun, *longest])


class LogHandler(LogHandlerBase):
    """Shows a run on the terminal, or as lines in a file; Snakemake makes it of ``--logger whatwhere``."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.stream = sys.stdout if self.common_settings.stdout else sys.stderr
        self.live = self.stream.isatty()
        self.began = self.told = time.monotonic()
        self.configfiles: list[str] = []
        self.cores = 1
        self.work: Work | None = None
        self.closed = threading.Event()
        threading.Thread(target=self._tick, daemon=True).start()

    def emit(self, record: LogRecord) -> None:
        """Shows what a user wants to know of a record."""
        try:
            self._emit(record.__dict__.get("event"), record.__dict__, record)
        except Exception:
            self.handleError(record)

    def _emit(self, event: LogEvent | None, fields: dict[str, Any], record: LogRecord) -> None:
        if event == LogEvent.WORKFLOW_STARTED:
            self.configfiles = [str(path) for path in fields["configfiles"]]
            self._write("Planning the jobs ...")
        elif event == LogEvent.RESOURCES_INFO and "cores" in fields:
            self.cores = fields["cores"]
        elif event == LogEvent.RUN_INFO:
            counts = {rule: number for rule, number in fields["stats"].items() if rule != "total"}
            self.work = Work(counts, self.cores, expected_fits(self.configfiles), measured_seconds())
            left = duration(self.work.seconds_left())
            self._write(f"{self.work.n_jobs} jobs, about {left} with {self.cores} at once")
        elif self.work is None:
            self._message(record)
        elif event == LogEvent.JOB_INFO:
            names = ("jobid", "rule_name", "rule_msg", "output", "log")
            self.work.begin(*(fields[name] for name in names))
        elif event == LogEvent.JOB_FINISHED:
            page = self.work.finish(fields["job_id"]).page
            if page:
                self._write(f"{clock(time.monotonic() - self.began):>8}  {page}")
        elif event == LogEvent.JOB_ERROR:
            job = self.work.jobs.pop(fields["jobid"])
            self._write(f"Failed: {job.message}. See {', '.join(job.logs)}")
        elif event in (None, LogEvent.ERROR):
            self._message(record)

    def _message(self, record: LogRecord) -> None:
        """Shows warnings and errors, the name of the log, and that there is nothing to do."""
        text = str(record.msg)
        told = text.startswith(("Nothing to be done", "Complete log"))
        # The job told what was wrong with it.
        of_job = getattr(record, "exception", "") in ("RuleException", "CalledProcessError")
        # The page of the run is there from the beginning.
        begun = "output files of rule build_index were not present" in text.replace("\n", " ")
        if told or (record.levelno >= WARNING and not of_job and not begun):
            self._write(text)

    def _write(self, text: str) -> None:
        """Writes a line above the bar."""
        self.stream.write(f"{ERASE if self.live else ''}{text}\n")
        self._show()

    def _show(self) -> None:
        """Draws the bar, or without a terminal writes a line now and then."""
        work = self.work
        if work is not None and work.jobs:
            share = work.share()
            text = f"{share:4.0%}, about {duration(work.seconds_left())} left"
            if self.live:
                longest = max(work.jobs.values(), key=lambda job: job.expected)
                full = round(BAR * share)
                line = f"{'█' * full}{'░' * (BAR - full)} {text} · {longest.message}"
                self.stream.write(ERASE + line[: shutil.get_terminal_size().columns - 1])
            elif time.monotonic() - self.told >= SECONDS_BETWEEN_LINES:
                self.told = time.monotonic()
                self.stream.write(f"{clock(self.told - self.began):>8}  {text}\n")
        self.stream.flush()

    def _tick(self) -> None:
        while not self.closed.wait(1.0):
            self.acquire()
            try:
                if not self.closed.is_set():
                    self._show()
            finally:
                self.release()

    def close(self) -> None:
        """Ends the bar."""
        self.closed.set()
        super().close()
