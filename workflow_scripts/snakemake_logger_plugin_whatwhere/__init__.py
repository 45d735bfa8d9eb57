"""The screen of ``make``: a progress bar by work, results as soon as they are there, and errors.

``PYTHONPATH=workflow_scripts snakemake --logger whatwhere`` finds this package by its name. Snakemake's own
log file has everything. Jobs write their warnings and errors to the terminal themselves.
"""

import shutil
import sys
import threading
import time
from logging import WARNING, LogRecord
from pathlib import Path

import pandas as pd
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_whatwhere.work import Work
from whatwhere.config import plan
from whatwhere.config.load import load
from whatwhere.cost import condition_costs, duration, sizes
from whatwhere.logs import ERASE

MEASURED = Path(__file__).parents[2] / "benchmarks" / "results" / "quick_run.csv"
"""Measured seconds of all rules, by rule."""
SECONDS_BETWEEN_LINES = 60.0
"""Interval of lines about progress where no terminal shows a bar."""
BAR = 24
"""Width of the bar in characters."""


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


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
            self._emit(getattr(record, "event", None), record)
        except Exception:
            self.handleError(record)

    def _emit(self, event: LogEvent | None, record: LogRecord) -> None:
        fields = record.__dict__
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
            names = "jobid", "rule_name", "rule_msg", "output", "log"
            self.work.begin(*(fields[name] for name in names))
        elif event == LogEvent.JOB_FINISHED:
            self._finished(self.work, fields["job_id"])
        elif event == LogEvent.JOB_ERROR:
            job = self.work.jobs.pop(fields["jobid"])
            self._write(f"Failed: {job.message}. See {', '.join(job.logs)}")
        elif event in (None, LogEvent.ERROR):
            self._message(record)

    def _finished(self, work: Work, number: int) -> None:
        page = work.finish(number).page
        if page:
            self._write(f"{clock(time.monotonic() - self.began):>8}  {page}")

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
        self.stream.flush()

    def _show(self) -> None:
        """Draws the bar, or without a terminal writes a line now and then."""
        work = self.work
        if work is None or not work.jobs:
            return
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

    def _tick(self) -> None:
        while not self.closed.wait(1.0):
            self.acquire()
            try:
                if not self.closed.is_set():
                    self._show()
                    self.stream.flush()
            finally:
                self.release()

    def close(self) -> None:
        """Ends the bar."""
        self.closed.set()
        super().close()
