"""One fit in training: model, optimizer, early stopping and best weights."""

import copy
import logging
from typing import Any

import numpy as np

from whatwhere.models.base import Model
from whatwhere.models.spec import Schedule
from whatwhere.training.losses import Objective
from whatwhere.training.optimizer import new_optimizer
from whatwhere.training.schedule import EarlyStopping, OneCycle

logger = logging.getLogger(__name__)


_RESULTS = ("best_step", "last_step", "diverged", "best", "history")
"""Attributes that a checkpoint stores as they are."""


class Run:
    """One fit in training: model, optimizer, early stopping and best weights."""

    def __init__(self, encoder: Model, objective: Objective, config: Schedule) -> None:
        self.encoder = encoder
        self.objective = objective
        self.config = config
        self.optimizer = new_optimizer(encoder, config)
        self.stopping = OneCycle(config) if config.schedule == "one_cycle" else EarlyStopping(config)
        self.best_step = self.last_step = 0
        self.diverged = False
        self.best: dict[str, Any] = self._snapshot()
        self.history: list[tuple[int, float, float]] = []

    def _snapshot(self) -> dict[str, Any]:
        # Parameters may be views of a stack, which deepcopy would copy whole.
        encoder = {name: value.clone() for name, value in self.encoder.state_dict().items()}
        snapshot: dict[str, Any] = {"encoder": encoder}
        if self.config.restore:
            snapshot["optimizer"] = copy.deepcopy(self.optimizer.moments)
        return snapshot

    def begin_step(self, step: int) -> None:
        """Counts a step, from 1, and sets its learning rate if the schedule has one for every step."""
        if isinstance(self.stopping, OneCycle):
            self.optimizer.set_rate(self.stopping.rate(step - 1))
        self.last_step = step

    def update(self, training_value: float, validation: float) -> None:
        """Takes the objective of the last batch and the mean validation loss.

        An objective that is not finite ends this fit, and no other.
        """
        self.history.append((self.last_step, training_value, validation))
        if not np.isfinite(training_value):
            logger.warning(
                "%s: the objective is %s at step %d; this fit is left out: lower learning rate or penalty",
                self.objective.strengths,
                training_value,
                self.last_step,
            )
            self.diverged = True
            self.stopping.give_up()
            return
        if self.stopping.update(validation):
            self.best, self.best_step = self._snapshot(), self.last_step
        if self.stopping.stage_ends() and not self.stopping.finished:
            if self.config.restore:
                self.encoder.load_state_dict(self.best["encoder"])
                self.optimizer.put_back(self.best["optimizer"])
            self.optimizer.set_rate(self.config.learning_rate * self.config.factor**self.stopping.stage)

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes, for a checkpoint."""
        return {
            "encoder": self.encoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "stopping": self.stopping.state_dict(),
            **{name: getattr(self, name) for name in _RESULTS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from :meth:`state_dict`."""
        self.encoder.load_state_dict(state["encoder"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.stopping.load_state_dict(state["stopping"])
        vars(self).update({name: state[name] for name in _RESULTS})
