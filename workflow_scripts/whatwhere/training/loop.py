"""Gradient training with early stopping (sections C.5 and G.2), resumable bit by bit.

One step of all fits that train together, which share a batch and nothing else::

    for every recording, of which there is one unless several were pooled:
        batch = its next images in this epoch's order
        for every fit: add the gradient of reduce(loss(encoder(batch), responses)) over its neurons
    for every fit: add the gradient of the sum of strength * penalty
    for every fit: one step of its optimizer
    every ``evaluate_every`` steps, for every fit:
        loss = mean validation loss in evaluation mode, without penalties
        if lowest so far: keep a copy of the weights
        if ``patience`` evaluations in a row were not: lower the learning rate, or end after ``n_stages``

At the end, or after ``max_steps``, every fit gets back its weights with the lowest validation loss. Fits to
training and validation images together have no such loss: they end at a given step, with the weights of then.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whatwhere.models.base import Model
from whatwhere.models.spec import Schedule
from whatwhere.training.blocks import Block
from whatwhere.training.losses import Objective
from whatwhere.training.replay import Replay
from whatwhere.training.run import Run
from whatwhere.training.schedule import Batches
from whatwhere.training.stack import Stack

logger = logging.getLogger(__name__)

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Fit:
    """Result of one training.

    Attributes
    ----------
    validation_loss
        (neuron,) loss without penalties of the restored best weights; infinite if the fit diverged.
    best_step, last_step
        When they were reached, and when training stopped.
    history
        (evaluation, 3): step, objective of the last training batch, mean validation loss.
    converged
        Whether training ended by itself; False if ``max_steps`` ended it while it might have improved.
    """

    validation_loss: np.ndarray
    best_step: int
    last_step: int
    history: np.ndarray
    converged: bool


class Training:
    """Fits that train together on the same batches; everything that changes is in :meth:`state_dict`.

    Every fit has its own optimizer, early stopping and best weights, and leaves the batched program when it
    has ended, so that it ends as it would have alone, up to the rounding of batched products.

    Parameters
    ----------
    encoders
        Initialized models of one architecture; trained in place.
    blocks
        Training and validation data of every recording on the models' device.
    objectives
        What is minimized, one per model, differing only in strengths; validation uses the loss alone.
    config
        Schedule of the model.
    generators
        Random stream of the batch order of every recording, on the CPU.
    last_step
        Where all fits end, whatever their validation loss.
    """

    def __init__(
        self,
        encoders: list[Model],
        blocks: list[Block],
        objectives: list[Objective],
        config: Schedule,
        generators: list[torch.Generator],
        last_step: int | None = None,
    ) -> None:
        self.blocks = blocks
        self.config = config
        self.last_step = last_step
        self.precision = PRECISIONS[config.precision]
        self.batches = [
            Batches(
                len(block.data.train_images),
                config.batch_size,
                config.drop_incomplete_batch,
                generator,
                block.data.train_images.device,
            )
            for block, generator in zip(blocks, generators, strict=True)
        ]
        self.runs = [Run(*pair, config) for pair in zip(encoders, objectives, strict=True)]
        self.step = 0

    def active(self) -> list[Run]:
        """Fits whose training has not ended."""
        if self.step >= (self.config.max_steps if self.last_step is None else self.last_step):
            return []
        return [run for run in self.runs if not run.stopping.finished]

    def include_start(self) -> None:
        """Lets the initial weights compete for the lowest validation loss: training can only improve them.

        They do not count as an evaluation of the early-stopping schedule.
        """
        losses = self._losses(_stack(self.runs))
        for run, loss in zip(self.runs, losses.mean(1).tolist(), strict=True):
            run.stopping.best = loss

    def run(self, after_step: "Callable[[Training], None]") -> list[Fit]:
        """Trains to the end and restores the weights with the lowest validation loss.

        Parameters
        ----------
        after_step
            Called after every step, for progress and checkpoints.
        """
        batches = zip(*self.batches, strict=True)
        # Gaussian masks are full of numbers near 1e-40, with which a processor computes 30 times slower.
        torch.set_flush_denormal(True)
        try:
            while runs := self.active():
                program = self._program(runs)
                while len(self.active()) == len(runs):
                    self._take_step(program, runs, next(batches))
                    after_step(self)
        finally:
            torch.set_flush_denormal(False)
        return [self._finish(run) for run in self.runs]

    def _program(self, runs: list[Run]) -> tuple[Replay, Replay]:
        """One step, batches of every recording to objectives (fit,), and mean validation losses (fit,)."""
        stack = _stack(runs)

        def advance(*batch: Tensor) -> Tensor:
            batches = (
                (block.data.train_images[images], block.data.train_responses[images], block.terms)
                for block, images in zip(self.blocks, batch, strict=True)
            )
            values = stack.differentiate(batches, self.precision)
            for run in runs:
                run.optimizer.step()
            return values

        device = self.blocks[0].data.train_images.device
        return Replay(advance, device), Replay(lambda: self._losses(stack).mean(1), device)

    def _losses(self, stack: Stack) -> Tensor:
        """Validation losses, (fit, neuron)."""
        return torch.cat(
            [
                stack.losses(block.data.validation_images, block.data.validation_responses, block.terms)
                for block in self.blocks
            ],
            1,
        )

    def _take_step(self, program: tuple[Replay, Replay], runs: list[Run], batch: tuple[Tensor, ...]) -> None:
        self.step += 1
        for run in runs:
            run.begin_step(self.step)
        advance, evaluate = program
        values = advance(*batch)
        if self._evaluates():
            losses = evaluate()
            for run, value, loss in zip(runs, values.tolist(), losses.tolist(), strict=True):
                run.update(value, loss)

    def _evaluates(self) -> bool:
        """Whether the step just taken is one after which weights may be kept."""
        if self.last_step is None:
            return self.step % self.config.evaluate_every == 0
        return self.step == self.last_step

    def _finish(self, run: Run) -> Fit:
        run.encoder.load_state_dict(run.best["encoder"])
        (losses,) = self._losses(_stack([run]))
        loss = torch.full_like(losses, torch.inf) if run.diverged else losses
        converged = run.stopping.completed(self.step) or self.last_step is not None
        if not converged:
            logger.warning(
                "%s: stopped at max_steps %d with the best validation loss at step %d; raise max_steps",
                run.objective.strengths,
                self.config.max_steps,
                run.best_step,
            )
        history = np.array(run.history)
        return Fit(loss.cpu().numpy(), run.best_step, run.last_step, history, converged)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue bit by bit, for a checkpoint."""
        return {
            "step": self.step,
            "batches": [batches.state_dict() for batches in self.batches],
            "torch_rng": torch.get_rng_state(),
            "runs": [run.state_dict() for run in self.runs],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from :meth:`state_dict`."""
        self.step = state["step"]
        for batches, saved in zip(self.batches, state["batches"], strict=True):
            batches.load_state_dict(saved)
        torch.set_rng_state(state["torch_rng"])
        for run, saved in zip(self.runs, state["runs"], strict=True):
            run.load_state_dict(saved)


def _stack(runs: list[Run]) -> Stack:
    return Stack([run.encoder for run in runs], [run.objective for run in runs])
