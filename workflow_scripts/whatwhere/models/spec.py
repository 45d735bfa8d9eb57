"""Models of the configuration with their convention, schedule and grid of settings."""

from __future__ import annotations

import itertools
import logging
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from whatwhere import missing
from whatwhere.errors import UserError, some_of

logger = logging.getLogger(__name__)

_SMALL, _LARGE = 1e-3, 1e3  # standard deviations of responses, between which models are meant to be fitted

Setting = dict[str, float]
"""One combination of hyper-parameters of a grid."""


@dataclass(frozen=True)
class Convention:
    """Choices of a network that belong together.

    Attributes
    ----------
    loss
        A key of :data:`whatwhere.training.losses.LOSSES`.
    nonlinearity
        Output nonlinearity, a key of :data:`whatwhere.models.cores.ACTIVATIONS`.
    reduction
        Reduction over neurons of the loss and of penalties with one value per neuron: ``mean`` or ``sum``.
    bias
        Whether neurons have an output bias, started at the mean response.
    drop_incomplete_batch
        Whether the last, smaller batch of an epoch is skipped.
    restore
        Whether a learning-rate stage starts from the best weights so far or from the current ones.
    """

    loss: str
    nonlinearity: str
    reduction: str
    bias: bool
    drop_incomplete_batch: bool
    restore: bool


CONVENTIONS = {
    # Simulated neurons with mean response 0: sections C to F of the specification.
    "paper_simulation": Convention("mse", "identity", "mean", False, False, False),
    # Spike counts and rates: sections G.2 and G.3.
    "paper_recording": Convention("poisson", "softplus", "sum", True, True, True),
    # Recordings whose responses may be negative, such as dF/F, or are in units of their sd.
    "signed_recording": Convention("mse", "identity", "sum", True, True, True),
}
"""Values of the key ``convention``."""


@dataclass(frozen=True)
class Schedule:
    """A model's ``training``, described in ``config/README.md``, with two choices of its convention.

    ``max_steps`` is 0 if ``max_epochs`` is set; see :meth:`with_steps`. The defaults describe one cycle, a
    single stage without end.
    """

    batch_size: int
    learning_rate: float
    evaluate_every: int
    fits_at_once: int = 1
    precision: str = "float32"
    schedule: str = "stages"
    max_steps: int = 0
    max_epochs: int = 0
    weight_decay: float | None = None
    patience: float = math.inf
    burn_in: int = 0
    n_stages: int = 1
    factor: float = 1.0
    drop_incomplete_batch: bool = False
    restore: bool = False

    def with_steps(self, n_images: int) -> Schedule:
        """Schedule with ``max_steps``, from ``max_epochs`` passes over the training images if set.

        An epoch has the steps of :class:`whatwhere.training.schedule.Batches`. There is an evaluation.
        """
        if not self.max_epochs:
            return self
        size = min(self.batch_size, n_images)
        steps = n_images // size if self.drop_incomplete_batch else -(-n_images // size)
        total = steps * self.max_epochs
        return replace(self, max_steps=total, evaluate_every=min(self.evaluate_every, total))


@dataclass(frozen=True)
class ModelSpec:
    """A model of the configuration."""

    definition: dict[str, Any]
    """The model in the resolved configuration; stored with its fits."""
    settings: list[Setting]
    """Every combination of hyper-parameters, in a fixed order."""
    loss: str
    """Loss by which validation compares settings."""
    convention: Convention | None
    """Of models that are trained by gradient descent, else None; so is ``schedule``."""
    schedule: Schedule | None

    @classmethod
    def of(cls, definition: dict[str, Any]) -> ModelSpec:
        """Model of a definition; errors as for :func:`refuse_earlier`."""
        refuse_earlier(definition, f"a {definition['family']}")
        if "training" not in definition:
            # Inference and ensembles are always compared by their squared error.
            return cls(definition, settings(definition), definition.get("loss", "mse"), None, None)
        # LNP and HSM predict rates, for which there is one convention.
        convention = CONVENTIONS[definition.get("convention", "paper_recording")]
        training = definition["training"]
        schedule = Schedule(
            **training,
            drop_incomplete_batch=convention.drop_incomplete_batch,
            restore=convention.restore and training.get("schedule") != "one_cycle",
        )
        return cls(definition, settings(definition), convention.loss, convention, schedule)

    @property
    def family(self) -> str:
        """Family of the model, a key of :data:`whatwhere.training.families.FAMILIES`."""
        return str(self.definition["family"])

    @property
    def refit(self) -> bool:
        """Whether every setting is fitted again, to training and validation images together."""
        return bool(self.definition.get("refit"))

    @property
    def trained(self) -> tuple[Convention, Schedule]:
        """Convention and schedule; a ValueError for a model that is not trained by gradient descent."""
        if self.convention is None or self.schedule is None:
            raise ValueError(f"{self.family} is not trained by gradient descent")
        return self.convention, self.schedule

    def check_responses(self, responses: np.ndarray, neurons: np.ndarray) -> None:
        """Refuses negative responses (image, neuron) of named neurons for a Poisson loss.

        The loss falls without end where negative responses are predicted as 0. A warning says where the units
        of responses are far from those for which learning rates and penalties are meant.

        Raises
        ------
        UserError
            With the neurons that have negative responses, and the key to set.
        """
        scaled = self.definition.get("responses", {}).get("scale") == "sd"
        sd = float(np.median(missing.sd(responses)))
        if "training" in self.definition and not scaled and sd > 0 and not _SMALL < sd < _LARGE:
            logger.warning(
                "%s: responses have an sd of %.1g in the median over neurons, for which no learning rate or "
                "penalty here is meant: set responses.scale of the model to sd, or give other units",
                *(self.family, sd),
            )
        negative = neurons[(responses < 0).any(0)]
        if self.loss != "poisson" or not len(negative):
            return
        if "convention" in self.definition:
            advice = "set the model's convention to signed_recording"
        elif "training" in self.definition:
            advice = f"a {self.family} predicts rates only: leave it out, or take ridge or a cnn"
        else:
            advice = "set the model's loss to mse"
        raise UserError(
            f"a poisson loss cannot fit negative responses, and {len(negative)} neurons have some "
            f"({some_of(negative)}): {advice}"
        )


def refuse_earlier(definition: dict[str, Any], name: str) -> None:
    """Refuses the definition of a fit by an earlier version; the UserError calls the fit ``name``."""
    core = definition.get("core_from", {}).get("fitted", {})
    if definition.get("family") == "combined" or {"reduction", "bank"} & {*definition, *core}:
        raise UserError(f"{name}: fitted by an earlier version, which cannot be read: fit the model again")


def settings(definition: dict[str, Any]) -> list[Setting]:
    """Every combination of hyper-parameters of a model, in a fixed order.

    ``grid`` is a list of blocks; a block lists the values of every penalty and stands for their product.
    Networks with several ``cores`` repeat the grid for each, under the key ``core``.
    """
    combinations = [
        dict(zip(block, values, strict=True))
        for block in definition["grid"]
        for values in itertools.product(*block.values())
    ]
    cores = range(len(definition["cores"])) if "cores" in definition else [0]
    return [{"core": core, **combination} for core in cores for combination in combinations]
