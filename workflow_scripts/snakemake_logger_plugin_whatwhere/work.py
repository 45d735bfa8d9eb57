"""The work of a run in seconds, and the time that it still takes."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TYPICAL = 4.0
"""Seconds of a job whose rule was never measured."""
PRIOR = 60.0
"""Seconds of work after which the measured speed of this machine counts as much as that of the table."""
NEARLY = 0.95
"""The most that a job under way counts for, as a share of its expected work."""


@dataclass
class Job:
    """A job that began: its message, its result that a browser opens, its logs and expected seconds."""

    rule: str
    message: str
    page: str | None
    logs: list[str]
    expected: float
    began: float


class Work:
    """The work of a run in seconds of one core: done, under way and waiting.

    Parameters
    ----------
    counts
        Number of jobs by rule.
    cores
        Number of jobs at once.
    fits
        Expected seconds of fits by rule, then by file, of rules whose jobs differ.
    measured
        Mean seconds of a job by rule, of all other rules.
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
        self.seconds_waiting = {rule: number * self.typical[rule] for rule, number in counts.items()}
        self.jobs: dict[int, Job] = {}
        self.n_done, self.done, self.took, self.shown = 0, 0.0, 0.0, 0.0

    def begin(self, number: int, rule: str, message: str, files: list[str], logs: list[str]) -> None:
        """Counts a job that begins, with the files that it makes."""
        expected = next((self.files[file] for file in files if file in self.files), None)
        if expected is None:
            expected = self.typical.get(rule, TYPICAL)
        self.waiting[rule] -= 1
        rest = self.seconds_waiting.get(rule, 0.0) - expected if self.waiting[rule] > 0 else 0.0
        self.seconds_waiting[rule] = max(rest, 0.0)
        # Pages of the report are linked by the first page.
        opened = [file for file in files if file.endswith((".html", ".svg")) and "/pages/" not in file]
        page = next(iter(opened), None)
        self.jobs[number] = Job(rule, message, page, logs, expected, time.monotonic())

    def finish(self, number: int) -> Job:
        """Counts a job as done and returns it."""
        job = self.jobs.pop(number)
        self.n_done += 1
        self.done += job.expected
        self.took += time.monotonic() - job.began
        return job

    @property
    def pace(self) -> float:
        """Seconds of this machine for a second of expected work."""
        return (self.took + PRIOR) / (self.done + PRIOR)

    def share(self) -> float:
        """Share of the work that is done; it never falls."""
        now, pace = time.monotonic(), self.pace
        begun = sum(min((now - job.began) / pace, NEARLY * job.expected) for job in self.jobs.values())
        expected = sum(job.expected for job in self.jobs.values())
        total = self.done + expected + sum(self.seconds_waiting.values())
        self.shown = max(self.shown, (self.done + begun) / total if total else 1.0)
        return self.shown

    def seconds_left(self) -> float:
        """Expected seconds until the last job is done: of all cores, or of the longest job."""
        now, pace = time.monotonic(), self.pace
        under_way = [
            max(pace * job.expected - (now - job.began), (1 - NEARLY) * pace * job.expected)
            for job in self.jobs.values()
        ]
        waiting = pace * sum(self.seconds_waiting.values())
        longest = [pace * self.typical[rule] for rule, number in self.waiting.items() if number > 0]
        return max([(sum(under_way) + waiting) / self.cores, *under_way, *longest])
