"""Progress of fits and the time that they may still take, to the log and to the screen."""

import logging
import sys
import time
from collections.abc import Mapping

from torch import Tensor

from whatwhere.logs import ERASE, clock
from whatwhere.training.loop import Fit, Training

logger = logging.getLogger(__name__)

_LOG_SECONDS = 20.0  # time between two lines of a log
_TERMINAL_SECONDS, _PLAIN_SECONDS = 0.3, 10.0  # time between two lines on a screen
_ENOUGH = 0.02  # share of the work after which the time left is stated


class Screen:
    """Writes the share of the work that is done, and the time left by work, to the standard error.

    A terminal shows one line that is updated; elsewhere every line stays. ``work`` is the expected work of
    every model by its name, in the order of fitting and in any unit; ``verbose``, whether anything is
    written.
    """

    def __init__(self, work: Mapping[str, float], verbose: bool) -> None:
        self.work, self.verbose = work, verbose
        self._live = sys.stderr.isatty()
        self._began, self._written = time.monotonic(), 0.0
        self._model = ""

    def begin(self, model: str) -> None:
        """States that the fits of a model begin."""
        self._model = model
        self._write(0.0)

    def advance(self, share: float) -> None:
        """States the share of the work on the present model that is done, if it is time to."""
        if time.monotonic() - self._written >= (_TERMINAL_SECONDS if self._live else _PLAIN_SECONDS):
            self._write(share)

    def end(self, message: str) -> None:
        """Writes a line that stays, such as a result."""
        self._print(message, "\n")

    def _write(self, share: float) -> None:
        self._written = time.monotonic()
        names = list(self.work)
        number = names.index(self._model)
        before = sum(self.work[name] for name in names[:number])
        done = (before + share * self.work[self._model]) / sum(self.work.values())
        left = ""
        if done >= _ENOUGH:
            left = f", about {clock((self._written - self._began) * (1 - done) / done)} left"
        text = f"{100 * done:3.0f} %{left}: {self._model} ({number + 1} of {len(names)})"
        self._print(text, "" if self._live else "\n")

    def _print(self, text: str, end: str) -> None:
        if self.verbose:
            print(f"{ERASE if self._live else ''}{text}", end=end, file=sys.stderr, flush=True)


class Progress:
    """Shows progress of a sweep of ``n_fits`` fits in the log and, unless it is None, on ``screen``.

    It saves nothing; :class:`whatwhere.training.checkpoint.Checkpoint` does.
    """

    def __init__(self, n_fits: int, screen: Screen | None = None) -> None:
        self.n_fits, self.screen = n_fits, screen
        self.n_completed = self.n_resumed = 0
        self._started = self._logged = time.monotonic()

    def take(self) -> tuple[Fit, dict[str, Tensor]] | None:
        """Returns the next fit that an earlier job completed, or None if it must be trained."""
        return None

    def resume(self, training: Training) -> None:
        """Puts a training into its saved state, if an earlier job was interrupted."""

    def add(self, fit: Fit, parameters: dict[str, Tensor]) -> None:
        """Counts a completed fit."""
        self.n_completed += 1
        if self.screen is not None:
            self.screen.advance(self.n_completed / self.n_fits)

    def __call__(self, training: Training) -> None:
        """Logs and shows a step, if it is time to."""
        done = self.n_completed + len(training.runs) * training.step / training.config.max_steps
        now = time.monotonic()
        if now - self._logged >= _LOG_SECONDS and training.active():
            self._log(training, (now - self._started) * (self.n_fits - done) / (done - self.n_resumed))
            self._logged = now
        if self.screen is not None:
            self.screen.advance(done / self.n_fits)

    def _log(self, training: Training, seconds_left: float) -> None:
        first, n_together = self.n_completed + 1, len(training.runs)
        best = min(run.stopping.best for run in training.runs)
        logger.info(
            "fit %s of %d, step %d (%d unfinished): %s; at most %s left",
            first if n_together == 1 else f"{first}-{first + n_together - 1}",
            self.n_fits,
            training.step,
            len(training.active()),
            f"best validation {best:.5g}" if training.last_step is None else "with the validation images",
            clock(seconds_left),
        )
