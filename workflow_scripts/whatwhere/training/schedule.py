"""Learning rates, when training stops and which images every step sees (sections C.5 and G.2)."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whatwhere.models.spec import Schedule

_RISING = 0.3  # share of the steps in which the learning rate of one cycle rises
_FIRST = 1 / 25  # first learning rate of one cycle, relative to its peak


class EarlyStopping:
    """Learning-rate stages that end when the validation loss stops improving.

    After ``patience`` evaluations in a row without a new best value a stage ends: the learning rate is
    multiplied by ``factor``, and after ``n_stages`` stages training stops. The first ``burn_in`` evaluations
    never count against patience. With ``restore`` a new stage starts from the best weights (section G.2),
    otherwise from the current ones (section C.5).
    """

    def __init__(self, config: Schedule) -> None:
        self.config = config
        self.n_evaluations = 0
        self.best = np.inf
        self.waited = 0
        self.stage = 0

    def update(self, value: float) -> bool:
        """Takes a validation loss; returns whether it is the best so far (ties: the first wins)."""
        self.n_evaluations += 1
        improved = value < self.best
        if improved:
            self.best = value
        counts = not improved and self.n_evaluations > self.config.burn_in
        self.waited = self.waited + 1 if counts else 0
        return improved

    def stage_ends(self) -> bool:
        """Returns whether patience has run out; advances to the next stage if so."""
        if self.waited < self.config.patience:
            return False
        self.waited = 0
        self.stage += 1
        return True

    def give_up(self) -> None:
        """Ends all stages."""
        self.stage = self.config.n_stages

    @property
    def finished(self) -> bool:
        """Whether all stages are over."""
        return self.stage >= self.config.n_stages

    def completed(self, step: int) -> bool:
        """Whether training that ended at a step went through its whole schedule."""
        return self.finished

    def state_dict(self) -> dict[str, float]:
        """Counters, for a checkpoint."""
        return {name: value for name, value in vars(self).items() if name != "config"}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continues from :meth:`state_dict`."""
        vars(self).update(state)


class OneCycle(EarlyStopping):
    """A learning rate that rises once and falls to zero (Smith & Topin 2019): every fit takes all its steps.

    It rises as a cosine from 1/25 of its peak over the first 30 % of the steps, and falls as one over the
    rest. The weights with the lowest validation loss are kept.
    """

    def completed(self, step: int) -> bool:
        """Whether all steps were taken."""
        return self.finished or step >= self.config.max_steps

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        peak, rising = self.config.learning_rate, _RISING * self.config.max_steps
        if step < rising:
            return float(peak * (_FIRST + (1 - _FIRST) * (1 - math.cos(math.pi * step / rising)) / 2))
        share = (step - rising) / (self.config.max_steps - rising)
        return float(peak * (1 + math.cos(math.pi * share)) / 2)


class Batches:
    """Endless batches of indices: stored order in the first epoch, reshuffled before every other one.

    A batch has ``size`` of the ``n_images`` training images; the last batch of an epoch may hold fewer, and
    ``drop_incomplete`` skips it, unless it is the only one (section G.1). ``generator`` is the random stream
    of the order, on the CPU. Indices are moved to ``device`` once per epoch, so that no step waits for them.
    """

    def __init__(
        self,
        n_images: int,
        size: int,
        drop_incomplete: bool,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        self.generator = generator
        self.device = device
        self.size = min(size, n_images)
        self.usable = n_images - n_images % self.size if drop_incomplete else n_images
        self.order = torch.arange(n_images, device=device)
        self.position = 0

    def __iter__(self) -> Iterator[Tensor]:
        """Yields indices, (batch,)."""
        while True:
            if self.position >= self.usable:
                self.order = torch.randperm(len(self.order), generator=self.generator).to(self.device)
                self.position = 0
            start, self.position = self.position, self.position + self.size
            yield self.order[start : min(start + self.size, self.usable)]

    def state_dict(self) -> dict[str, Any]:
        """Order, position and random state, for a checkpoint."""
        return {"order": self.order, "position": self.position, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from :meth:`state_dict`."""
        self.order, self.position = state["order"].to(self.device), state["position"]
        self.generator.set_state(state["generator"])
