"""State of a sweep as it is saved, from which an interrupted job continues."""

import hashlib
import json
import logging
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from whatwhere.errors import UserError
from whatwhere.files import read_tensors, write_tensors
from whatwhere.logs import clock
from whatwhere.training.loop import Fit, Training
from whatwhere.training.progress import Progress

logger = logging.getLogger(__name__)

_ARRAYS = ("validation_loss", "history")  # attributes of a fit that are stored as tensors


class Checkpoint(Progress):
    """Saves the state of a sweep of ``n_fits`` fits every ``seconds``, and when the job is asked to stop.

    The file ``path`` exists only while the sweep is unfinished. ``fingerprint`` identifies configuration,
    data and code; a file with another fingerprint is ignored.
    """

    def __init__(self, path: Path, fingerprint: str, seconds: float, n_fits: int) -> None:
        super().__init__(n_fits)
        self.path = path
        self.fingerprint = fingerprint
        self.seconds = seconds
        self.completed: list[dict[str, Any]] = []
        self.current: dict[str, Any] | None = None
        # Jobs that worked on the sweep so far, and seconds of the earlier jobs until they last saved.
        self.attempts, self.earlier = 1, 0.0
        self._stop: int | None = None
        self._saved = time.monotonic()
        if path.exists():
            self._read()
        self.n_completed = self.n_resumed = len(self.completed)
        self._taken = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _read(self) -> None:
        try:
            content = read_tensors(self.path)
        except UserError:
            logger.warning("%s: damaged checkpoint, starting over", self.path)
            return
        if content.get("fingerprint") != self.fingerprint:
            logger.info("the checkpoint belongs to another configuration: starting over")
            return
        self.completed, self.current = content["completed"], content["current"]
        self.attempts, self.earlier = content["attempts"] + 1, content["elapsed"]
        logger.info("continuing after %d of %d fits", len(self.completed), self.n_fits)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # Only noted here: the state is complete between two steps, not at any moment.
        self._stop = number

    def resume(self, training: Training) -> None:
        """Puts a training into the saved state, if an earlier job was interrupted."""
        if self.current is not None:
            training.load_state_dict(self.current)
            self.current = None

    def __call__(self, training: Training) -> None:
        """Saves and logs after a step if it is time to.

        UserError after SIGTERM or SIGINT, once everything is saved.
        """
        now = time.monotonic()
        if self._stop is not None:
            self._save(training)
            name = signal.Signals(self._stop).name
            raise UserError(f"stopped by {name}: progress is saved, run again to continue")
        if now - self._saved >= self.seconds:
            self._save(training)
            self._saved = now
        super().__call__(training)

    def _save(self, training: Training) -> None:
        content = {
            "fingerprint": self.fingerprint,
            "completed": self.completed,
            "current": training.state_dict(),
            "attempts": self.attempts,
            "elapsed": self.elapsed(),
        }
        write_tensors(content, self.path)

    def take(self) -> tuple[Fit, dict[str, Tensor]] | None:
        """Returns the next fit that an earlier job completed, or None if it must be trained."""
        if self._taken == self.n_resumed:
            return None
        stored = dict(self.completed[self._taken])
        self._taken += 1
        parameters = stored.pop("parameters")
        arrays = {name: stored.pop(name).numpy() for name in _ARRAYS}
        return Fit(**stored, **arrays), parameters

    def add(self, fit: Fit, parameters: dict[str, Tensor]) -> None:
        """Keeps a completed fit."""
        arrays = {name: torch.from_numpy(getattr(fit, name)) for name in _ARRAYS}
        self.completed.append(vars(fit) | arrays | {"parameters": parameters})
        super().add(fit, parameters)

    def elapsed(self) -> float:
        """Seconds that all attempts took together; a killed attempt counts until its last save."""
        return self.earlier + time.monotonic() - self._started

    def remove(self) -> None:
        """Deletes the file, once the results are written, and logs the time of all attempts."""
        logger.info("trained for %s, attempts: %d", clock(self.elapsed()), self.attempts)
        self.path.unlink(missing_ok=True)


def fingerprint(condition: list[Any], files: list[str | Path]) -> str:
    """Digest of everything that determines the fits of a condition: its definition and the files it reads."""
    digest = hashlib.sha256(json.dumps(condition, sort_keys=True).encode())
    for path in files:
        with open(path, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
