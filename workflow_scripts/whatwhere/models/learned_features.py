"""A core that another network learned, as a feature bank of features for closed forms."""

from typing import Any

from torch import Tensor

from whatwhere.models.base import ImageShape
from whatwhere.models.cores import ConvCore
from whatwhere.models.feature_bank import GaborFeatureBank, StandardizedFeatures


class LearnedFeatures(StandardizedFeatures):
    """Feature maps of a fitted core, standardised on training images; nothing of it is trained.

    Parameters
    ----------
    image_shape
        (channel, y, x).
    core
        An element of a model's ``cores``.
    feature_bank
        The ``feature_bank`` on which the core stands, or None if it sees the images themselves.
    """

    def __init__(
        self, image_shape: ImageShape, core: dict[str, Any], feature_bank: dict[str, Any] | None
    ) -> None:
        super().__init__()
        self.below = None if feature_bank is None else GaborFeatureBank(image_shape, feature_bank)
        self.stride = 1 if self.below is None else self.below.stride
        self.core = ConvCore(image_shape if self.below is None else self.below.out_shape, core)
        self.requires_grad_(False)
        self.start_at(self.core.out_shape)

    def transfer(self, state: dict[str, Tensor]) -> None:
        """Take the core and what it stands on from the state of a network."""
        renamed = {name.replace("feature_bank.", "below.", 1): value for name, value in state.items()}
        self.load_state_dict(self.state_dict() | renamed)

    def filters(self) -> Tensor:
        """Filters of the first layer, (feature, channel, y, x)."""
        if self.below is not None:
            return self.below.filters()
        return self.core.conv_layers()[0].constrained_kernels()

    def maps_of(self, images: Tensor) -> Tensor:
        """Features of the core, as it predicts, (image, channel, y, x) to (image, *out_shape)."""
        self.core.eval()
        features: Tensor = self.core(images if self.below is None else self.below(images))
        return features
