"""Natural stimuli of simulations: crops of photographs, or generated images.

Test crops never show a pixel that training or validation crops show: a photograph is cut into disjoint
regions before it is cropped, and each of many image files belongs to a single split.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from whatwhere.dataset import SPLITS, TEST, TRAIN, VALIDATION, duplicate_groups, open_dataset
from whatwhere.errors import UserError
from whatwhere.recordings.archive import open_tree
from whatwhere.recordings.pictures import decode_image, in_numeric_order, is_image
from whatwhere.recordings.preprocess import preprocess
from whatwhere.recordings.splits import assign
from whatwhere.simulations.dead_leaves import dead_leaves
from whatwhere.simulations.design import Design
from whatwhere.standardize import Standardizer, standardizer

logger = logging.getLogger(__name__)

N_CALIBRATION = 256
"""Images of their own random stream that set thresholds and scales of simulated neurons."""

_BLOCK = 4096


@dataclass(frozen=True)
class Generated:
    """Dead leaves, see :mod:`whatwhere.simulations.dead_leaves`; ``source`` names their source."""

    source: str = "generated dead leaves"

    def fill(self, images: np.ndarray, split: int, seed: np.random.SeedSequence) -> int:
        """Draws images into an array; more images leave the first images as they are.

        Parameters
        ----------
        images
            (image, channel, y, x) float32 to be filled.
        split
            Code of :mod:`whatwhere.dataset`, for the use of the images.
        seed
            Random stream of the images.

        Returns
        -------
        Independent pixels: number of different pixels of the source that the images show.
        """
        n_images, channels, height, width = images.shape
        start = 0
        for block in dead_leaves(n_images, channels, (height, width), seed):
            images[start : start + len(block)] = block
            start += len(block)
        return n_images * height * width


@dataclass(frozen=True)
class Crops:
    """Random crops of pictures of a source, each crop at most once.

    Attributes
    ----------
    pictures
        Pictures (channel, y, x) that share no pixel.
    split
        (picture,) split that may use the picture.
    """

    source: str
    pictures: list[np.ndarray]
    split: np.ndarray

    def fill(self, images: np.ndarray, split: int, seed: np.random.SeedSequence) -> int:
        """Draws crops, see :meth:`Generated.fill`; UserError if there are too few different crops."""
        height, width = images.shape[-2:]
        pictures = [self.pictures[index] for index in np.flatnonzero(self.split == split)]
        sides = np.array([picture.shape[1:] for picture in pictures]).reshape(-1, 2)
        corners = np.maximum(sides - (height, width) + 1, 0)
        first = np.concatenate([[0], np.cumsum(corners.prod(1))])
        if first[-1] < len(images):
            raise UserError(
                f"{self.source}: {first[-1]} different {SPLITS[split]} crops of {height} x {width} px, "
                f"expected {len(images)}: use fewer or smaller images, more pictures, or source generated"
            )
        shown = [np.zeros(picture.shape[1:], bool) for picture in pictures]
        for image, number in zip(images, _distinct(first[-1], len(images), seed), strict=True):
            picture = int(np.searchsorted(first, number, side="right")) - 1
            y, x = divmod(int(number - first[picture]), int(corners[picture, 1]))
            image[:] = pictures[picture][:, y : y + height, x : x + width]
            shown[picture][y : y + height, x : x + width] = True
        return int(sum(mask.sum() for mask in shown))


def _distinct(total: int, n: int, seed: np.random.SeedSequence) -> list[int]:
    """Returns the first ``n`` different numbers below ``total`` of a random stream."""
    rng = np.random.default_rng(seed)
    numbers: dict[int, None] = {}
    while len(numbers) < n:
        numbers |= dict.fromkeys(rng.integers(0, total, _BLOCK).tolist())
    return list(numbers)[:n]


def open_stimuli(
    definition: dict[str, Any], color: str, recording: str | Path | None, key: str
) -> Generated | Crops:
    """Opens the source of a dataset's stimuli.

    Parameters
    ----------
    definition
        The ``stimuli`` of the dataset: ``source`` and its keys (config/README.md).
    color
        grey or rgb.
    recording
        File of the recorded dataset that source ``recording`` names, else None.
    key
        Key of the dataset, for messages.

    Raises
    ------
    UserError
        If files are unreadable, or grey for color rgb.
    """
    source = definition["source"]
    if source == "generated":
        return Generated()
    as_stored = {"color": color, "crop": None, "size": None}
    if source == "photographs":
        return _photographs(definition, as_stored, key)
    if source == "images":
        return _image_files(definition, as_stored, key)
    with open_dataset(str(recording)) as dataset:
        pictures = preprocess(dataset["images"].values, as_stored, key)
        # Copies of an image share a split in the recording, hence here, too.
        return Crops(f"images of {definition['dataset']}", list(pictures), dataset["split"].values[0])


def _photographs(definition: dict[str, Any], as_stored: dict[str, Any], key: str) -> Crops:
    """The two photographs that scikit-learn ships, each cut from left to right."""
    # The import takes a second.
    from sklearn.datasets import load_sample_images

    pictures, split = [], []
    for photograph in load_sample_images().images:
        picture = preprocess(np.moveaxis(photograph, -1, 0)[None], as_stored, key)[0]
        width = picture.shape[-1]
        test, validation = (round(width * definition[name]) for name in ("test", "validation"))
        pictures += np.split(picture, [width - test - validation, width - test], axis=-1)
        split += [TRAIN, VALIDATION, TEST]
    return Crops("photographs of scikit-learn", pictures, np.array(split))


def _image_files(definition: dict[str, Any], as_stored: dict[str, Any], key: str) -> Crops:
    with open_tree(definition["path"]) as tree:
        names = in_numeric_order([name for name in tree.names if is_image(name)])
        if not names:
            message = "holds no PNG, JPEG or TIFF file: set stimuli.path to a folder of images"
            raise UserError(f"{tree.path}: {message}")
        decoded = [decode_image(tree.read(name), tree.label(name)) for name in names]
    if len({picture.dtype for picture in decoded}) > 1:
        raise UserError(f"{tree.path}: holds images of different depth: save all images with the same depth")
    split = assign(duplicate_groups(decoded), None, {**definition, "folds": 1}, f"{key}.stimuli")[0]
    pictures = [preprocess(picture[None], as_stored, key)[0] for picture in decoded]
    return Crops(str(definition["path"]), pictures, split)


@dataclass(frozen=True)
class Shown:
    """Images that are shown to a simulated population.

    Attributes
    ----------
    images
        (image, channel, y, x) float32, as stored by the source: of every repetition training, then
        validation, then test images.
    standardize
        Standardization to mean 0 and variance 1.
    calibration
        (image, channel, y, x) standardized images of their own random stream.
    source
        Name of the source.
    independent_pixels
        Independent pixels of the first repetition by attribute of the dataset.
    """

    images: np.ndarray
    standardize: Standardizer
    calibration: np.ndarray
    source: str
    independent_pixels: dict[str, int]


def show(
    design: Design,
    definition: dict[str, Any],
    color: str,
    size: tuple[int, int],
    recording: str | Path | None,
    seeds: list[np.random.SeedSequence],
) -> Shown:
    """Draws all images of a dataset.

    Parameters
    ----------
    design
        Number of images.
    definition, color, recording
        As in :func:`open_stimuli`.
    size
        (y, x), px.
    seeds
        Random streams of the images for calibration, training, validation and test.
    """
    stimuli = open_stimuli(definition, color, recording, f"datasets.{design.name}")
    shape = (3 if color == "rgb" else 1, *size)
    calibration = np.empty((N_CALIBRATION, *shape), np.float32)
    stimuli.fill(calibration, TRAIN, seeds[0])
    standardize = standardizer(calibration, "global")
    images = np.empty((design.repetitions * sum(design.counts.values()), *shape), np.float32)
    spawned = [seed.spawn(design.repetitions) for seed in seeds[1:]]
    independent: dict[str, int] = {}
    start = 0
    for of_repetition in zip(*spawned, strict=True):
        for (code, count), seed in zip(design.counts.items(), of_repetition, strict=True):
            pixels = stimuli.fill(images[start : start + count], code, seed)
            start += count
            independent.setdefault(f"independent_pixels_{SPLITS[code]}", pixels)
            text = "%s: %d %s images show %d independent pixels (%.2f of all their pixels)"
            share = pixels / (count * size[0] * size[1])
            logger.info(text, stimuli.source, count, SPLITS[code], pixels, share)
    return Shown(images, standardize, standardize(calibration), stimuli.source, independent)
