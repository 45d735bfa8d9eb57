"""Every family of models: how it is built, and how it is fitted if not by gradient descent."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from whatwhere.fit_data import FitData
from whatwhere.localization.localized import build_localized, fit_localized
from whatwhere.models.base import ImageShape, Model
from whatwhere.models.combined import Combined
from whatwhere.models.encoder import READOUTS, build_cnn
from whatwhere.models.factorized_ridge import FactorizedRidge, fit_factorized
from whatwhere.models.feature_bank import FeatureBank, StandardizedBank
from whatwhere.models.hsm import HSM
from whatwhere.models.learned_bank import LearnedBank
from whatwhere.models.linear import LinearEncoder, Solver, fit_linear, fit_mean, solve_lasso, solve_ridge
from whatwhere.models.lnp import LNP
from whatwhere.models.shared_filter import fit_shared

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
        Constructs the uninitialised model of one setting: (definition, setting, shape of what it sees,
        number of neurons). What it sees are images, or maps of its bank.
    fit
        Families that are fitted in closed form or by inference: state dicts for a list of settings, which
        share what can be shared. None for those that are trained or combined from other fits.
    """

    build: Callable[[Definition, Setting, ImageShape, int], Model]
    fit: Callable[[Definition, list[Setting], FitData], list[dict[str, Tensor]]] | None = None


def _linear(definition: Definition, setting: Setting, shape: ImageShape, n_neurons: int) -> Model:
    return LinearEncoder(shape, n_neurons, "identity")


def _regression(solve: Solver, penalty: str | None) -> Family:
    """A linear family: its solver, and the name of its penalty in a grid (None: no penalty)."""

    def fit(definition: Definition, settings: list[Setting], data: FitData) -> list[dict[str, Tensor]]:
        penalties = [setting[penalty] if penalty else 0.0 for setting in settings]
        return fit_linear(solve, penalties, data, definition["input"])

    return Family(_linear, fit)


def _lnp(definition: Definition, setting: Setting, shape: ImageShape, n_neurons: int) -> Model:
    return LNP(shape, n_neurons, definition)


def _hsm(definition: Definition, setting: Setting, shape: ImageShape, n_neurons: int) -> Model:
    return HSM(shape, n_neurons, definition["n_filters"], definition["hidden_ratio"])


def _cnn(definition: Definition, setting: Setting, shape: ImageShape, n_neurons: int) -> Model:
    return build_cnn(definition, int(setting["core"]), shape, n_neurons)


def _combined(definition: Definition, setting: Setting, shape: ImageShape, n_neurons: int) -> Model:
    def builder(of: Definition, one: Setting) -> Callable[[], Model]:
        return lambda: build(of, one, shape, n_neurons)

    every = [builder(of, one) for of in definition["members"].values() for one in settings(of)]
    return Combined(every, n_neurons)


def _factorized_ridge(definition: Definition, setting: Setting, shape: ImageShape, n_neurons: int) -> Model:
    return FactorizedRidge(shape, n_neurons, int(setting["rank"]))


FAMILIES: dict[str, Family] = {
    "mean": Family(_linear, lambda definition, settings, data: [fit_mean(data)]),
    "ols": _regression(solve_ridge, None),
    "ridge": _regression(solve_ridge, "ridge_l2"),
    "ridge_shared": Family(
        _linear, lambda definition, settings, data: fit_shared(data, [s["ridge_l2"] for s in settings])
    ),
    "lasso": _regression(solve_lasso, "lasso_l1"),
    "factorized_ridge": Family(
        _factorized_ridge, lambda definition, settings, data: fit_factorized(data, settings)
    ),
    "lnp": Family(_lnp),
    "hsm": Family(_hsm),
    "localization": Family(build_localized, fit_localized),
    **{name: Family(_cnn) for name in READOUTS},
    "combined": Family(_combined),
}


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


def build_bank(definition: dict[str, Any], image_shape: ImageShape) -> StandardizedBank | None:
    """What a model stands on: its bank, or a core carried over to a closed form; None: the images."""
    if "core_from" in definition and "cores" not in definition:
        learned = definition["core_from"]["fitted"]
        return LearnedBank(image_shape, learned["core"], learned["bank"])
    return FeatureBank(image_shape, definition["bank"]) if "bank" in definition else None


def build(definition: dict[str, Any], setting: Setting, image_shape: ImageShape, n_neurons: int) -> Model:
    """Construct the uninitialised model of one setting."""
    bank = build_bank(definition, image_shape)
    seen = image_shape if bank is None else bank.out_shape
    model = FAMILIES[definition["family"]].build(definition, setting, seen, n_neurons)
    model.bank = bank
    return model
