"""Models for Python: hyper-parameters with their defaults, as objects that :func:`whatwhere.api.fit` takes.

Every object stands for a mapping of the configuration, which passes the same checks. Validation selects from
tuples of penalties and ranks.
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from typing import ClassVar

from whatwhere.config.files import Config


class Definition(ABC):
    """A model that can be written as a mapping of the configuration."""

    @abstractmethod
    def definition(self) -> Config:
        """Returns the model as a mapping under ``models`` of the configuration."""


@dataclass(frozen=True)
class FeatureBank:
    """Fixed features: energies of Gabor filters, and local means.

    Attributes
    ----------
    wavelengths
        Of the filters, px; none leaves local means alone.
    orientations
        Number of orientations of the filters.
    average_pooling
        Side of the squares over which features are averaged, px.
    """

    wavelengths: tuple[float, ...] = (4, 8, 16)
    orientations: int = 6
    average_pooling: int = 4

    def mapping(self) -> Config:
        """Returns the value of the key ``feature_bank``."""
        return asdict(self) | {"wavelengths": list(self.wavelengths)}


@dataclass(frozen=True)
class ClosedForm(Definition):
    """A model on fixed features in closed form, whose penalties and ranks validation selects.

    Attributes
    ----------
    feature_bank
        The features.
    """

    feature_bank: FeatureBank = FeatureBank()

    _like: ClassVar[Config]
    """Model that the object is like, and other keys that are not hyper-parameters."""

    def definition(self) -> Config:
        """Returns the model of the configuration with these values."""
        grid = {field.name: list(getattr(self, field.name)) for field in fields(self)[1:]}
        return self._like | {"feature_bank": self.feature_bank.mapping(), "grid": [grid]}


@dataclass(frozen=True)
class Ridge(ClosedForm):
    """Ridge regression on features; ``ridge_l2`` are penalties on squared weights."""

    ridge_l2: tuple[float, ...] = (1e2, 3e2, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6)

    _like: ClassVar[Config] = {"like": "ridge_bank"}


@dataclass(frozen=True)
class Lasso(ClosedForm):
    """Lasso regression on features; ``lasso_l1`` are penalties on absolute weights."""

    lasso_l1: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)

    _like: ClassVar[Config] = {"like": "ridge_bank", "family": "lasso"}


@dataclass(frozen=True)
class FactorizedRidge(ClosedForm):
    """Masks times feature weights on fixed features.

    Attributes
    ----------
    rank
        Numbers of masks per neuron, each with feature weights.
    mask_l2, feature_l2
        Penalties on masks and on feature weights.
    """

    rank: tuple[int, ...] = (1, 2, 3, 4, 5)
    mask_l2: tuple[float, ...] = (1, 3, 10)
    feature_l2: tuple[float, ...] = (0.3, 1, 3)

    _like: ClassVar[Config] = {"like": "factorized_ridge"}


@dataclass(frozen=True)
class Network(Definition):
    """The paper's model, a mask times feature weights per neuron, on a core that learns on a feature bank.

    Attributes
    ----------
    feature_bank
        Fixed features below the core.
    channels, kernels
        Channels of the layers of the core, and widths of their kernels in px of the feature maps.
    starts
        Number of fits from other initial values, of which validation selects one.
    weight_decay
        Decay of masks and feature weights.
    learning_rate, batch_size, max_steps
        Largest learning rate, images per step, and steps of the training.
    refit
        Whether the model is fitted again with the validation images, with as many steps as were best.
    """

    feature_bank: FeatureBank = FeatureBank()
    channels: tuple[int, ...] = (64, 64)
    kernels: tuple[int, ...] = (3, 3)
    starts: int = 2
    weight_decay: float = 3
    learning_rate: float = 0.002
    batch_size: int = 64
    max_steps: int = 200
    refit: bool = True

    def definition(self) -> Config:
        """Returns ``factorized_bank`` with these values."""
        of_layers = dict.fromkeys(("smooth_layers", "sparse_layers"), [1] * len(self.channels))
        of_layers |= {"channels": list(self.channels), "kernels": list(self.kernels)}
        names = ("weight_decay", "learning_rate", "batch_size", "max_steps")
        return {
            "like": "factorized_bank",
            "feature_bank": self.feature_bank.mapping(),
            "refit": self.refit,
            "cores": [{"like": "on_bank", "padding": ["same"] * len(self.channels), **of_layers}],
            "grid": [{"start": list(range(self.starts))}],
            "training": {name: getattr(self, name) for name in names},
        }
