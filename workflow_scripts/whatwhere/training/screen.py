"""Progress of fits on the screen: one line that is updated, or plain lines where no terminal shows them."""

import sys
import time
from collections.abc import Mapping

from torch import Tensor

from whatwhere.training.loop import Fit, Training
from whatwhere.training.progress import Progress, clock

_TERMINAL_SECONDS, _PLAIN_SECONDS = 0.3, 10.0
"""Time between two lines of progress."""
_ENOUGH = 0.02
"""Share of the work after which the time left is stated."""


class Screen:
    """Writes the share of the work that is done, and the time left by work, to the standard error.

    Parameters
    ----------
    work
        Expected work of every model by its name, in the order of fitting and in any unit.
    verbose
        Whether anything is written.
    """

    def __init__(self, work: Mapping[str, float], verbose: bool) -> None:
        self.work = work
        self.verbose = verbose
        self._terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        self._written = 0.0
        self._model = ""

    def begin(self, model: str) -> None:
        """States that the fits of a model begin."""
        self._model = model
        self._write(0.0)

    def advance(self, share: float) -> None:
        """States the share of the work on the present model that is done, if it is time to."""
        interval = _TERMINAL_SECONDS if self._terminal else _PLAIN_SECONDS
        if time.monotonic() - self._written >= interval:
            self._write(share)

    def end(self, message: str) -> None:
        """Writes a line that stays, such as a result."""
        self._print(message, last=True)

    def _write(self, share: float) -> None:
        self._written = time.monotonic()
        names = list(self.work)
        number = names.index(self._model)
        before = sum(self.work[name] for name in names[:number])
        done = (before + share * self.work[self._model]) / sum(self.work.values())
        left = ""
        if done >= _ENOUGH:
            left = f", about {clock((self._written - self._started) * (1 - done) / done)} left"
        self._print(f"{100 * done:3.0f} %{left}: {self._model} ({number + 1} of {len(names)})", last=False)

    def _print(self, text: str, *, last: bool) -> None:
        if not self.verbose:
            return
        if self._terminal:
            # Back to the start of the line, whose rest is cleared.
            text, last_character = f"\r{text}\033[K", "\n" if last else ""
        else:
            last_character = "\n"
        print(text, end=last_character, file=sys.stderr, flush=True)


class ScreenProgress(Progress):
    """Progress of the fits of one model, to the log and to the screen."""

    def __init__(self, n_fits: int, screen: Screen) -> None:
        super().__init__(n_fits)
        self.screen = screen

    def add(self, fit: Fit, parameters: dict[str, Tensor]) -> None:
        """Counts a completed fit."""
        super().add(fit, parameters)
        self.screen.advance(self.n_completed / self.n_fits)

    def __call__(self, training: Training) -> None:
        """Logs and writes after a step, if it is time to."""
        super().__call__(training)
        self.screen.advance(self.done(training) / self.n_fits)
