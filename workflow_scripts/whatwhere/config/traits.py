"""Abilities of every family of models, for rules, validation, questions and the library."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Traits:
    """Abilities of a family."""

    # Rule that fits it: `train` by gradient descent, `fit_baseline` in closed form or by inference,
    # `fit_ensemble` from fits of other models.
    rule: str
    masks: bool = False  # whether every neuron has a mask that it learns
    feature_weights: bool = False  # whether every neuron has feature weights that it learns, its barcode
    localizes: bool = False  # whether it infers locations, from which networks can start
    # Whether it needs the true receptive fields, which only simulations of one kind have.
    known_field: bool = False
    # Whether it is the paper's model, a mask times feature weights on a learned core.
    factorized: bool = False
    # Whether it has the core of the paper's model under another readout: the baseline of question 2.
    joint_readout: bool = False
    # Whether it has a weight for every feature and place, or no places: the baseline of question 3.
    unseparated: bool = False
    shares_filter: bool = False  # whether all neurons have one filter


TRAITS: dict[str, Traits] = {
    "mean": Traits("fit_baseline"),
    "ols": Traits("fit_baseline", unseparated=True),
    "ridge": Traits("fit_baseline", unseparated=True),
    "ridge_shared": Traits("fit_baseline", known_field=True, shares_filter=True),
    "lasso": Traits("fit_baseline", unseparated=True),
    "factorized_ridge": Traits("fit_baseline", masks=True, feature_weights=True, factorized=True),
    "window_ridge": Traits("fit_baseline", masks=True, feature_weights=True),
    "lnp": Traits("train", unseparated=True),
    "hsm": Traits("train", unseparated=True),
    "localization": Traits("fit_baseline", masks=True, feature_weights=True, localizes=True),
    "cnn_factorized": Traits("train", masks=True, feature_weights=True, factorized=True),
    "cnn_fixed_mask": Traits("train", joint_readout=True),
    "cnn_fully_connected": Traits("train", joint_readout=True, unseparated=True),
    "cnn_known_kernel": Traits("train", masks=True, known_field=True),
    "ensemble": Traits("fit_ensemble"),
    "cnn_gaussian": Traits("train", masks=True, feature_weights=True),
    "cnn_gaussian_mask": Traits("train", masks=True, feature_weights=True, factorized=True),
}
"""Family to traits; the schema, this table and ``whatwhere.training.families`` name the same families."""


def traits_of(model: dict[str, Any]) -> Traits:
    """Traits of a model of the config."""
    return TRAITS[model["family"]]


def n_features(model: dict[str, Any]) -> int:
    """The fewest features that a model of the config gives a neuron to weigh; 0 where it has none."""
    if not traits_of(model).feature_weights:
        return 0
    cores = [core["channels"][-1] for core in model.get("cores", [])]
    kernels = [count for block in model["grid"] for count in block.get("n_kernels", [])]
    feature_bank = model.get("feature_bank")
    if feature_bank and not cores:
        kernels.append(len(feature_bank["wavelengths"]) * feature_bank["orientations"] + 1)
    # A core that is transferred to a closed form is unknown here; it has several features.
    return min(cores + kernels, default=2)


def families_that(trait: str) -> list[str]:
    """Families that have a trait."""
    return [family for family, traits in TRAITS.items() if getattr(traits, trait)]
