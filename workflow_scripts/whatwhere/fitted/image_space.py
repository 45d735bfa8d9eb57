"""Image space of a fitted model: the images that it takes, and their pixels in the images of the user."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.arrays import Layout
from whatwhere.recordings.in_memory import as_numbers
from whatwhere.recordings.layouts import FRAME_AXES, IMAGE_AXES, arrange, stated_axes
from whatwhere.recordings.movie_contract import Timing
from whatwhere.recordings.preprocess import PREPARATION, SQUEEZE, preprocess
from whatwhere.recordings.recording import to_float32
from whatwhere.windows import Images, Windows

logger = logging.getLogger(__name__)

_ANOTHER_UNIT = 0.02
"""Images whose pixels span less than this share of the range of the training images are in other units."""
_BEYOND = 0.25
"""Share of the range of the training images by which other images of the same units may leave the range."""


@dataclass(frozen=True, eq=False)
class ImageSpace:
    """The images of a model."""

    shape: tuple[int, int, int]  # (channel, y, x) of the images that the model takes
    # Preprocessing: `color`, `crop` and `size` of the configuration, `original` (height and width before,
    # None if images differed) and `degrees_per_pixel` of the original (None if unknown). None: images are
    # taken as they are.
    preparation: dict[str, Any] | None
    # (channel, y, x) smallest and largest value of every pixel in the training images.
    low: np.ndarray
    high: np.ndarray
    mean: float  # mean of the training images over all pixels
    norm: float  # median L2 norm of the standardized training images
    # Time of a movie, None for still images. Its channels are lags times channels of a frame.
    timing: Timing | None = None
    # Preprocessing for the session of every neuron, where pooled sessions differ in it.
    of_neurons: list[dict[str, Any]] | None = None

    @classmethod
    def of(
        cls,
        images: Images,
        standardized: Images,
        attributes: dict[str, Any],
        recording: np.ndarray | None = None,
    ) -> "ImageSpace":
        """Describes training images (image, channel, y, x), raw and standardized, of a dataset.

        ``attributes`` are the attributes of the dataset, ``recording`` (neuron,) the numbers of the pooled
        recordings of neurons, if there are several.
        """
        stored = json.loads(attributes.get(PREPARATION, "null"))
        of_neurons = None
        if isinstance(stored, list):
            of_neurons, stored = [stored[number] for number in np.asarray(recording)], stored[0]
        timing, (_, channel, height, width) = None, images.shape
        if isinstance(images, Windows) and isinstance(standardized, Windows):
            timing, pixels = Timing.of(attributes), images.compact().frames.numpy()
            low, high = (np.tile(one, (images.lags, 1, 1)) for one in (pixels.min(0), pixels.max(0)))
            squares = (standardized.frames**2).flatten(1).sum(1)
            norms = squares[standardized.frames_used()].sum(1).sqrt().numpy()
        else:
            pixels, values = np.asarray(images), np.asarray(standardized)
            low, high = pixels.min(0), pixels.max(0)
            norms = np.linalg.norm(values.reshape(len(values), -1), axis=1)
        return cls(
            shape=(channel, height, width),
            preparation=stored,
            low=low,
            high=high,
            mean=float(pixels.mean(dtype=np.float64)),
            norm=float(np.median(norms)),
            timing=timing,
            of_neurons=of_neurons,
        )

    def prepare(self, images: Any, layout: Layout, *, preprocessed: bool) -> tuple[Images, np.ndarray | None]:
        """Brings images into the form in which the model was fitted.

        ``images`` are (image, y, x), or with channels before or after y and x, of any type that
        :func:`whatwhere.recordings.in_memory.as_array` takes; or a list of such images of any size.
        ``layout`` is the order of the axes; None takes names of axes, or the order above. With
        ``preprocessed``, color, crop and size are already those of the model.

        Returns images (image, channel, y, x) float32, and their names (image,), None if they have none. For a
        movie, windows of its bins, and the times at which bins begin, s. UserError if the images cannot be
        the model's.
        """
        shaped: np.ndarray | list[np.ndarray]
        names = None
        if isinstance(images, (list, tuple)) and len({np.shape(image) for image in images}) > 1:
            shaped = [self._channels_first(as_numbers(one, "images").values[None])[0] for one in images]
        else:
            array = as_numbers(images, "images")
            if not array.values.size:
                raise UserError(f"images: is empty, shape {array.values.shape}: give one image or more")
            axes, wanted = None, IMAGE_AXES if self.timing is None else FRAME_AXES
            if layout is not None or array.axes is not None:
                axes = stated_axes(array, layout, wanted, "images_layout", "images")
            if axes is None:
                shaped = self._channels_first(array.values)
                names = array.names_along("image", ["image"])
            else:
                shaped = arrange(array.values, axes, wanted[len(axes)])
                shaped = shaped[:, None] if len(axes) == 3 else shaped
                names = array.names_along("image", axes)
        if self.preparation is not None and not preprocessed:
            self._refuse_other_sizes(shaped)
            shaped = preprocess(shaped, self.preparation, "predict")
        elif isinstance(shaped, list):
            raise UserError("images: differ in size, and this model takes them as they are: give one array")
        expected = (self.shape[0] // (self.timing.lags if self.timing else 1), *self.shape[1:])
        if shaped.shape[1:] != expected:
            raise UserError(
                f"images: have shape {shaped.shape[1:]} (channel, y, x), expected {expected}"
                + ("" if preprocessed or self.preparation is None else " after color, crop and size")
            )
        shaped = to_float32(shaped)
        finite = np.isfinite(shaped).all((1, 2, 3))
        if not finite.all():
            raise UserError(f"images: image {np.flatnonzero(~finite)[0]} holds NaN or infinite pixels")
        low, high = self.low.min(), self.high.max()
        margin = _BEYOND * (high - low)
        beyond = shaped.min() < low - margin or shaped.max() > high + margin
        if beyond or 0 < np.ptp(shaped) < _ANOTHER_UNIT * (high - low):
            logger.warning(
                "images: pixels span %g to %g, those of the fit %g to %g: are the units the same?",
                shaped.min(),
                shaped.max(),
                low,
                high,
            )
        if self.timing is not None:
            bins, last = self.timing.windows(len(shaped), "images")
            return Windows.of(shaped, last, self.timing.lags), bins * self.timing.seconds_per_bin
        return shaped, names

    def _channels_first(self, images: np.ndarray) -> np.ndarray:
        channels = {1, 3, self.shape[0] // (self.timing.lags if self.timing else 1)}
        if images.ndim == 3 and (images.shape[-1] not in channels or self.timing is not None):
            return images[:, None]
        if images.ndim == 4 and images.shape[1] in channels:
            return images
        if images.ndim == 4 and images.shape[3] in channels:
            return np.moveaxis(images, -1, 1)
        raise UserError(
            f"images: have shape {images.shape}, expected (image, y, x), or with {sorted(channels)} "
            "channels (image, channel, y, x) or (image, y, x, channel); give a single image as image[None]"
        )

    def _refuse_other_sizes(self, images: np.ndarray | list[np.ndarray]) -> None:
        """Refuses images on which crop and size of the fit would mean something else."""
        assert self.preparation is not None
        original, crop = self.preparation["original"], self.preparation["crop"]
        advice = "bring them into the form that the model takes, with preprocessed=True"
        if self.of_neurons is not None:
            raise UserError(f"images: the sessions of this model differ in crop or size: {advice}")
        for size in {one.shape[-2:] for one in images} if original else ():
            squeezed = abs(np.log(size[0] * original[1] / (size[1] * original[0]))) > SQUEEZE
            if size != tuple(original) and (crop is not None or squeezed):
                found = f"{size[0]} x {size[1]} px, those of the fit {original[0]} x {original[1]} px (y, x)"
                raise UserError(f"images: have {found}: resize them, or {advice}")

    def locate(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Positions (neuron, 2) as (y, x) in pixels of the model, in the original images of their session.

        Returns pixels, and degrees from the middle of the image, None where these are not known. UserError if
        the original images of a session had different sizes.
        """
        preparations: Sequence[dict[str, Any] | None]
        preparations = [self.preparation] * len(positions) if self.of_neurons is None else self.of_neurons
        pairs = zip(positions, preparations, strict=True)
        pixels = np.array([self._to_original(*pair) for pair in pairs]).reshape(-1, 2)
        known = [one for one in preparations if one and one["degrees_per_pixel"] and one["original"]]
        if len(known) < len(preparations) or not known:
            return pixels, None
        middle = (np.array([one["original"] for one in known]) - 1) / 2
        return pixels, (pixels - middle) * np.array([[one["degrees_per_pixel"]] for one in known])

    def _to_original(self, position: np.ndarray, preparation: dict[str, Any] | None) -> np.ndarray:
        if preparation is None:
            return position.astype(float)
        crop, original = preparation["crop"], preparation["original"]
        if crop is None and original is None:
            raise UserError(
                "locations: the original images differ in size and have no pixels in common; "
                "'positions' are in pixels of the images as the model sees them"
            )
        corner, extent = ([0, 0], original) if crop is None else (crop[:2], crop[2:])
        # The middle of a pixel is at 0.5 of its width, whatever the width.
        return np.array(corner) + (position + 0.5) * np.array(extent) / np.array(self.shape[1:]) - 0.5
