"""Every family of models: how it is built, and how it is fitted if not by gradient descent."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor

from whatwhere.fit_data import FitData
from whatwhere.localization.localized import build_localized, fit_localized
from whatwhere.models import lagged, linear
from whatwhere.models.base import FixedFeatures, ImageShape, Model
from whatwhere.models.encoder import READOUTS, build_cnn
from whatwhere.models.ensemble import Ensemble
from whatwhere.models.factorized_ridge import FactorizedRidge, fit_factorized
from whatwhere.models.feature_bank import TransferredFeatures
from whatwhere.models.hsm import HSM
from whatwhere.models.lnp import LNP
from whatwhere.models.output_curve import OutputCurve
from whatwhere.models.space_time import fixed_features, n_times
from whatwhere.models.spec import ModelSpec, Setting
from whatwhere.models.state import State
from whatwhere.models.window_ridge import WindowRidge, fit_window_ridge


@dataclass(frozen=True)
class Family:
    """A family of models."""

    # Constructs the uninitialized model of one setting: (model, setting, shape of its input, number of
    # neurons). The input are images, or maps of its feature bank.
    build: Callable[[ModelSpec, Setting, ImageShape, int], Model]
    # Families that are fitted in closed form or by inference: state dicts for all settings, which share what
    # can be shared. None for trained families and ensembles.
    fit: Callable[[ModelSpec, FitData], list[dict[str, Tensor]]] | None = None


def _linear(spec: ModelSpec, setting: Setting, shape: ImageShape, n_neurons: int) -> Model:
    return linear.LinearEncoder(shape, n_neurons)


def _regression(solve: linear.Solver, penalty: str | None) -> Family:
    """A linear family: its solver, and the name of its penalty in a grid (None: no penalty)."""

    def fit(spec: ModelSpec, data: FitData) -> list[dict[str, Tensor]]:
        penalties = [setting[penalty] if penalty else 0.0 for setting in spec.settings]
        if not isinstance(data.train_images, np.ndarray):
            if solve is linear.solve_ridge:
                return lagged.fit_ridge(data, spec.settings)
            data = dataclasses.replace(data, train_images=np.asarray(data.train_images))
        return linear.fit_linear(solve, penalties, data, spec.definition["input"])

    return Family(_linear, fit)


def _ensemble(spec: ModelSpec, setting: Setting, shape: ImageShape, n_neurons: int) -> Model:
    specs = [ModelSpec.of(definition) for definition in spec.definition["members"].values()]
    builders = [partial(build, of, one, shape, n_neurons) for of in specs for one in of.settings]
    return Ensemble(builders, n_neurons)


def _fit_factorized(spec: ModelSpec, data: FitData) -> list[dict[str, Tensor]]:
    if isinstance(data.train_images, np.ndarray):
        return fit_factorized(data, spec.settings)
    return lagged.fit_factorized(data, spec.settings)


FAMILIES: dict[str, Family] = {
    "mean": Family(_linear, lambda spec, data: [linear.fit_mean(data)]),
    "ols": _regression(linear.solve_ridge, None),
    "ridge": _regression(linear.solve_ridge, "ridge_l2"),
    "ridge_shared": Family(
        _linear, lambda spec, data: linear.fit_shared(data, [one["ridge_l2"] for one in spec.settings])
    ),
    "lasso": _regression(linear.solve_lasso, "lasso_l1"),
    "factorized_ridge": Family(
        lambda spec, setting, shape, n_neurons: FactorizedRidge(shape, n_neurons, int(setting["rank"])),
        _fit_factorized,
    ),
    "window_ridge": Family(
        lambda spec, setting, shape, n_neurons: WindowRidge(shape, n_neurons, spec.definition["rbf_width"]),
        lambda spec, data: [
            fit_window_ridge(data, *(spec.definition[key] for key in ("window_sd", "ridge_l2", "rbf_width")))
        ],
    ),
    "lnp": Family(lambda spec, setting, shape, n_neurons: LNP(shape, n_neurons)),
    "hsm": Family(lambda spec, setting, shape, n_neurons: HSM(shape, n_neurons)),
    "localization": Family(build_localized, fit_localized),
    **dict.fromkeys(
        READOUTS,
        Family(
            lambda spec, setting, shape, n_neurons: build_cnn(spec, int(setting["core"]), shape, n_neurons)
        ),
    ),
    "ensemble": Family(_ensemble),
}


def build_feature_bank(spec: ModelSpec, image_shape: ImageShape) -> FixedFeatures | None:
    """Fixed features of a model: its feature bank, or the core under a closed form; None without both.

    Models of movies, whose definition is completed with ``lags``, have features of space and time.
    """
    definition = spec.definition
    if "core_from" in definition and "cores" not in definition:
        learned = definition["core_from"]["fitted"]
        return TransferredFeatures(
            image_shape, learned["core"], fixed_features(image_shape, learned), n_times(learned)
        )
    return fixed_features(image_shape, definition)


def build(spec: ModelSpec, setting: Setting, image_shape: ImageShape, n_neurons: int) -> Model:
    """Constructs the uninitialized model of one setting."""
    feature_bank = build_feature_bank(spec, image_shape)
    model = FAMILIES[spec.family].build(
        spec, setting, image_shape if feature_bank is None else feature_bank.out_shape, n_neurons
    )
    model.feature_bank = feature_bank
    if spec.definition.get("output_curve"):
        model.curve = OutputCurve(n_neurons)
    if "state" in spec.definition:
        model.state = State(spec.definition["state"], n_neurons, gains=spec.convention is not None)
    return model
