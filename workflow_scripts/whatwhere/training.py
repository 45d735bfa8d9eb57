"""Gradient training with early stopping (sections C.5 and G.2), resumable bit by bit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whatwhere.errors import UserError
from whatwhere.losses import Objective
from whatwhere.model import Model

_EVALUATION_CHUNK = 1024


class EarlyStopping:
    """Learning-rate stages that end when the validation loss stops improving.

    After ``patience`` evaluations in a row without a new best value a stage ends: the learning rate is
    multiplied by ``factor``, and after ``n_stages`` stages training stops. The first ``burn_in`` evaluations
    never count against patience. With ``restore`` a new stage starts from the best weights (section G.2),
    otherwise from the current ones (section C.5).

    Parameters
    ----------
    config
        ``patience``, ``n_stages``, ``factor``, ``burn_in`` and ``restore`` of a model's ``training``.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.n_evaluations = 0
        self.best = np.inf
        self.waited = 0
        self.stage = 0

    def update(self, value: float) -> bool:
        """Take a validation loss; tell whether it is the best so far (ties: the first wins)."""
        self.n_evaluations += 1
        improved = value < self.best
        if improved:
            self.best = value
        counts = not improved and self.n_evaluations > self.config["burn_in"]
        self.waited = self.waited + 1 if counts else 0
        return improved

    def stage_ends(self) -> bool:
        """Whether patience has run out; advances to the next stage if so."""
        if self.waited < self.config["patience"]:
            return False
        self.waited = 0
        self.stage += 1
        return True

    @property
    def finished(self) -> bool:
        """Whether all stages are over."""
        return self.stage >= self.config["n_stages"]

    def state_dict(self) -> dict[str, float]:
        """Counters, for a checkpoint."""
        return {name: value for name, value in vars(self).items() if name != "config"}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continue from :meth:`state_dict`."""
        vars(self).update(state)


class Batches:
    """Endless batches of indices: stored order in the first epoch, reshuffled before every other one.

    Parameters
    ----------
    n_images
        Number of training images.
    size
        Images per batch; the last batch of an epoch may hold fewer.
    drop_incomplete
        Skip that last batch, unless it is the only one (section G.1).
    generator
        Random stream of the order.
    """

    def __init__(self, n_images: int, size: int, drop_incomplete: bool, generator: torch.Generator) -> None:
        self.generator = generator
        self.size = min(size, n_images)
        self.usable = n_images - n_images % self.size if drop_incomplete else n_images
        self.order = torch.arange(n_images)
        self.position = 0

    def __iter__(self) -> Iterator[Tensor]:
        """Yield indices, (batch,)."""
        while True:
            if self.position >= self.usable:
                self.order = torch.randperm(len(self.order), generator=self.generator)
                self.position = 0
            start, self.position = self.position, self.position + self.size
            yield self.order[start : min(start + self.size, self.usable)]

    def state_dict(self) -> dict[str, Any]:
        """Order, position and random state, for a checkpoint."""
        return {
            "order": self.order,
            "position": self.position,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.order, self.position = state["order"], state["position"]
        self.generator.set_state(state["generator"])


@dataclass(frozen=True)
class Tensors:
    """Data on the device: images (image, channel, y, x), responses (image, neuron)."""

    train_images: Tensor
    train_responses: Tensor
    validation_images: Tensor
    validation_responses: Tensor


@dataclass(frozen=True)
class Fit:
    """Result of one training.

    Attributes
    ----------
    validation_loss
        (neuron,) loss without penalties of the restored best weights.
    best_step, last_step
        When they were reached, and when training stopped.
    history
        (evaluation, 3): step, objective of the last training batch, mean validation loss.
    """

    validation_loss: np.ndarray
    best_step: int
    last_step: int
    history: np.ndarray


def choose_device(name: str) -> torch.device:
    """Device of a config value: ``auto`` takes a GPU if there is one.

    Raises
    ------
    UserError
        If ``cuda`` is asked for but there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda is set but no GPU is visible: set auto or cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def predict(encoder: Model, images: Tensor) -> Tensor:
    """Predicted responses in evaluation mode, (image, channel, y, x) to (image, neuron)."""
    encoder.eval()
    with torch.inference_mode():
        return torch.cat([encoder(chunk) for chunk in images.split(_EVALUATION_CHUNK)])


def evaluate(encoder: Model, objective: Objective, images: Tensor, responses: Tensor) -> Tensor:
    """Loss of every neuron without penalties, (neuron,)."""
    return objective.loss(predict(encoder, images), responses)


class Training:
    """One training run; everything that changes during it is in :meth:`state_dict`.

    Parameters
    ----------
    encoder
        Initialised model; trained in place.
    data
        Training and validation data on the encoder's device.
    objective
        What is minimised; validation uses its loss alone.
    config
        A model's ``training``.
    generator
        Random stream of the batch order, on the CPU.
    """

    def __init__(
        self,
        encoder: Model,
        data: Tensors,
        objective: Objective,
        config: dict[str, Any],
        generator: torch.Generator,
    ) -> None:
        self.encoder = encoder
        self.data = data
        self.objective = objective
        self.config = config
        self.batches = Batches(
            len(data.train_images), config["batch_size"], config["drop_incomplete_batch"], generator
        )
        trainable = [p for p in encoder.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(trainable, lr=config["learning_rate"])
        self.stopping = EarlyStopping(config)
        self.step = 0
        self.best_step = 0
        self.best: dict[str, Any] = self._snapshot()
        self.history: list[tuple[int, float, float]] = []

    def _snapshot(self) -> dict[str, Any]:
        snapshot = {"encoder": copy.deepcopy(self.encoder.state_dict())}
        if self.config["restore"]:
            snapshot["optimizer"] = copy.deepcopy(self.optimizer.state_dict())
        return snapshot

    def _restore(self, learning_rate: float) -> None:
        self.encoder.load_state_dict(self.best["encoder"])
        if self.config["restore"]:
            self.optimizer.load_state_dict(copy.deepcopy(self.best["optimizer"]))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate

    def include_start(self) -> None:
        """Let the initial weights compete for the lowest validation loss: training can only improve them.

        They do not count as an evaluation of the early-stopping schedule.
        """
        self.stopping.best = float(
            evaluate(
                self.encoder,
                self.objective,
                self.data.validation_images,
                self.data.validation_responses,
            ).mean()
        )

    def run(self, after_step: Callable[[Training], None]) -> Fit:
        """Train to the end and restore the weights with the lowest validation loss.

        Parameters
        ----------
        after_step
            Called after every step, for progress and checkpoints.

        Raises
        ------
        FloatingPointError
            If the objective is no longer finite.
        """
        batches = iter(self.batches)
        while self.step < self.config["max_steps"] and not self.stopping.finished:
            batch = next(batches)
            self.encoder.train()
            self.optimizer.zero_grad(set_to_none=True)
            value = self.objective(
                self.encoder, self.data.train_images[batch], self.data.train_responses[batch]
            )
            value.backward()
            self.optimizer.step()
            self.step += 1
            if self.step % self.config["evaluate_every"] == 0:
                self._evaluate(value.item())
            after_step(self)
        self.encoder.load_state_dict(self.best["encoder"])
        loss = evaluate(
            self.encoder,
            self.objective,
            self.data.validation_images,
            self.data.validation_responses,
        )
        return Fit(loss.cpu().numpy(), self.best_step, self.step, np.array(self.history))

    def _evaluate(self, training_value: float) -> None:
        validation = float(
            evaluate(
                self.encoder,
                self.objective,
                self.data.validation_images,
                self.data.validation_responses,
            ).mean()
        )
        self.history.append((self.step, training_value, validation))
        if not np.isfinite(training_value):
            raise FloatingPointError(f"the objective is {training_value} at step {self.step}")
        if self.stopping.update(validation):
            self.best, self.best_step = self._snapshot(), self.step
        if self.stopping.stage_ends() and not self.stopping.finished:
            rate = self.optimizer.param_groups[0]["lr"] * self.config["factor"]
            if self.config["restore"]:
                self._restore(rate)
            for group in self.optimizer.param_groups:
                group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit by bit, for a checkpoint."""
        return {
            "encoder": self.encoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "stopping": self.stopping.state_dict(),
            "batches": self.batches.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "step": self.step,
            "best_step": self.best_step,
            "best": self.best,
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.encoder.load_state_dict(state["encoder"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.stopping.load_state_dict(state["stopping"])
        self.batches.load_state_dict(state["batches"])
        torch.set_rng_state(state["torch_rng"])
        self.step, self.best_step = state["step"], state["best_step"]
        self.best, self.history = state["best"], [tuple(row) for row in state["history"]]
