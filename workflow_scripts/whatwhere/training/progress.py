"""Progress of a sweep and the time that it may still take, to the log."""

import logging
import time

from torch import Tensor

from whatwhere.training.loop import Fit, Training

logger = logging.getLogger(__name__)

_LOG_SECONDS = 20.0


class Progress:
    """Logs the progress of a sweep and saves nothing; :class:`whatwhere.training.checkpoint.Checkpoint` does.

    Parameters
    ----------
    n_fits
        Number of fits in the sweep.
    """

    def __init__(self, n_fits: int) -> None:
        self.n_fits = n_fits
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

    def __call__(self, training: Training) -> None:
        """Logs after a step, if it is time to."""
        now = time.monotonic()
        if now - self._logged >= _LOG_SECONDS and training.active():
            self._log(training, now)
            self._logged = now

    def done(self, training: Training) -> float:
        """Number of fits that are done, with the done share of those in training."""
        return self.n_completed + len(training.runs) * training.step / training.config.max_steps

    def _log(self, training: Training, now: float) -> None:
        first, n_together = self.n_completed + 1, len(training.runs)
        done = self.done(training)
        left = (now - self._started) * (self.n_fits - done) / (done - self.n_resumed)
        best = min(run.stopping.best for run in training.runs)
        logger.info(
            "fit %s of %d, step %d (%d unfinished): %s; at most %s left",
            first if n_together == 1 else f"{first}-{first + n_together - 1}",
            self.n_fits,
            training.step,
            len(training.active()),
            f"best validation {best:.5g}" if training.last_step is None else "with the validation images",
            clock(left),
        )


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
