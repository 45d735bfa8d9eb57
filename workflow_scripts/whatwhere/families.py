"""Every family of models: how it is built, and how it is fitted if it has a closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from whatwhere.dataset import FitData
from whatwhere.encoder import READOUTS, build_cnn
from whatwhere.linear import LinearEncoder, fit_mean, fit_ridge
from whatwhere.localized import build_localized, fit_localized
from whatwhere.model import ImageShape, Model

Definition = dict[str, Any]
"""A model of the config."""
Setting = dict[str, float]
"""One combination of hyper-parameters of its grid."""


@dataclass(frozen=True)
class Family:
    """A family of models.

    Attributes
    ----------
    build
        Constructs the uninitialised model of one setting: (definition, setting, image shape, number of
        neurons).
    fit
        Closed-form families: state dicts for a list of settings, which share what can be shared. None:
        the family is trained by gradient descent.
    loss
        Closed-form families: the key of :data:`whatwhere.losses.LOSSES` that validates them.
    localizes
        Whether rule ``localize`` fits it, which also keeps what networks can start from.
    """

    build: Callable[[Definition, Setting, ImageShape, int], Model]
    fit: Callable[[Definition, list[Setting], FitData], list[dict[str, Tensor]]] | None = None
    loss: str = "mse"
    localizes: bool = False


def _linear(definition: Definition, setting: Setting, shape: ImageShape, n_neurons: int) -> Model:
    return LinearEncoder(shape, n_neurons, "identity")


def _cnn(definition: Definition, setting: Setting, shape: ImageShape, n_neurons: int) -> Model:
    return build_cnn(definition, int(setting["core"]), shape, n_neurons)


FAMILIES: dict[str, Family] = {
    "mean": Family(_linear, lambda definition, settings, data: [fit_mean(data)]),
    "ridge": Family(
        _linear, lambda definition, settings, data: fit_ridge(data, [s["ridge_l2"] for s in settings])
    ),
    "localization": Family(build_localized, fit_localized, localizes=True),
    **{name: Family(_cnn) for name in READOUTS},
}

LOCALIZING = tuple(name for name, family in FAMILIES.items() if family.localizes)
CLOSED_FORM = tuple(
    name for name, family in FAMILIES.items() if family.fit is not None and not family.localizes
)
TRAINED = tuple(name for name, family in FAMILIES.items() if family.fit is None)
