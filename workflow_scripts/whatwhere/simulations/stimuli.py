"""Natural stimuli of simulations: crops of photographs, or generated images.

Test crops never show a pixel that training or validation crops show: a photograph is cut into disjoint
regions before it is cropped, and of many images every one belongs to a single split.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from whatwhere.dataset import SPLITS, TEST, TRAIN, VALIDATION, duplicate_groups, open_dataset
from whatwhere.errors import UserError
from whatwhere.recordings.archive import open_tree
from whatwhere.recordings.pictures import decode_image, in_numeric_order, is_image
from whatwhere.recordings.preprocess import preprocess
from whatwhere.recordings.splits import assign
from whatwhere.simulations.dead_leaves import dead_leaves
from whatwhere.simulations.repetitions import repeated_split

logger = logging.getLogger(__name__)

_BLOCK = 4096


class Stimuli(Protocol):
    """A source of images."""

    @property
    def source(self) -> str:
        """Where the images come from."""

    def fill(self, images: np.ndarray, split: int, seed: np.random.SeedSequence) -> int:
        """Draw images into an array; more images leave the first ones as they are.

        Parameters
        ----------
        images
            (image, channel, y, x) float32 to be filled.
        split
            What the images are for, a code of :mod:`whatwhere.dataset`.
        seed
            Random stream of the images.

        Returns
        -------
        Independent pixels: how many different pixels of the source the images show.
        """


@dataclass(frozen=True)
class Generated:
    """Dead leaves, see :mod:`whatwhere.simulations.dead_leaves`; every image is new."""

    source: str = "generated dead leaves"

    def fill(self, images: np.ndarray, split: int, seed: np.random.SeedSequence) -> int:
        """Draw images, see :class:`Stimuli`."""
        n_images, channels, height, width = images.shape
        start = 0
        for block in dead_leaves(n_images, channels, (height, width), seed):
            images[start : start + len(block)] = block
            start += len(block)
        return n_images * height * width


@dataclass(frozen=True)
class Crops:
    """Random crops, each of them at most once.

    Attributes
    ----------
    source
        Where the pictures come from.
    pictures
        (channel, y, x) each; they share no pixel.
    split
        (picture,) what each may be used for.
    """

    source: str
    pictures: list[np.ndarray]
    split: np.ndarray

    def fill(self, images: np.ndarray, split: int, seed: np.random.SeedSequence) -> int:
        """Draw crops, see :class:`Stimuli`; UserError if there are not as many different ones."""
        height, width = images.shape[-2:]
        pictures = [self.pictures[index] for index in np.flatnonzero(self.split == split)]
        sides = np.array([picture.shape[1:] for picture in pictures]).reshape(-1, 2)
        corners = np.maximum(sides - (height, width) + 1, 0)
        first = np.concatenate([[0], np.cumsum(corners.prod(1))])
        if first[-1] < len(images):
            raise UserError(
                f"{self.source}: {first[-1]} different {SPLITS[split]} crops of {height} x {width} px are "
                f"fewer than the {len(images)} wanted: use fewer or smaller images, more pictures, or source "
                "generated"
            )
        shown = [np.zeros(picture.shape[1:], bool) for picture in pictures]
        for image, number in zip(images, _distinct(first[-1], len(images), seed), strict=True):
            picture = int(np.searchsorted(first, number, side="right")) - 1
            y, x = divmod(int(number - first[picture]), int(corners[picture, 1]))
            image[:] = pictures[picture][:, y : y + height, x : x + width]
            shown[picture][y : y + height, x : x + width] = True
        return int(sum(mask.sum() for mask in shown))


def _distinct(total: int, n: int, seed: np.random.SeedSequence) -> list[int]:
    """The first ``n`` different numbers below ``total`` of a random stream."""
    rng = np.random.default_rng(seed)
    numbers: dict[int, None] = {}
    while len(numbers) < n:
        numbers |= dict.fromkeys(rng.integers(0, total, _BLOCK).tolist())
    return list(numbers)[:n]


def open_stimuli(definition: dict[str, Any], color: str, recording: str | Path | None, key: str) -> Stimuli:
    """Open the source of a dataset's stimuli.

    Parameters
    ----------
    definition
        The ``stimuli`` of the dataset: ``source`` and what it needs (config/README.md).
    color
        grey or rgb.
    recording
        File of the recorded dataset that source ``recording`` names, else None.
    key
        Config key of the dataset, for messages.

    Raises
    ------
    UserError
        If files are unreadable, or grey where colour is wanted.
    """
    source = definition["source"]
    if source == "generated":
        return Generated()
    if source == "photographs":
        return _photographs(definition, color, key)
    if source == "images":
        return _image_files(definition, color, key)
    if recording is None:
        raise ValueError("source recording needs a file")
    with open_dataset(recording) as dataset:
        pictures = preprocess(dataset["images"].values, _as_stored(color), key)
        # Copies of an image share a split there, so that they do here.
        return Crops(f"images of {definition['dataset']}", list(pictures), dataset["split"].values[0])


def _as_stored(color: str) -> dict[str, Any]:
    return {"color": color, "crop": None, "size": None}


def _photographs(definition: dict[str, Any], color: str, key: str) -> Crops:
    """The two photographs that scikit-learn ships, each cut from left to right."""
    # Imported where it is needed: a second for every job that only simulates.
    from sklearn.datasets import load_sample_images

    pictures, split = [], []
    for photograph in load_sample_images().images:
        picture = preprocess(np.moveaxis(photograph, -1, 0)[None], _as_stored(color), key)[0]
        width = picture.shape[-1]
        test, validation = (round(width * definition[name]) for name in ("test", "validation"))
        pictures += np.split(picture, [width - test - validation, width - test], axis=-1)
        split += [TRAIN, VALIDATION, TEST]
    return Crops("photographs of scikit-learn", pictures, np.array(split))


def _image_files(definition: dict[str, Any], color: str, key: str) -> Crops:
    with open_tree(definition["path"]) as tree:
        names = in_numeric_order([name for name in tree.names if is_image(name)])
        if not names:
            raise UserError(f"{tree.path}: holds no PNG, JPEG or TIFF file")
        decoded = [decode_image(tree.read(name), tree.label(name)) for name in names]
    if len({picture.dtype for picture in decoded}) > 1:
        raise UserError(f"{tree.path}: holds images of different depth: save all with the same")
    split = assign(duplicate_groups(decoded), None, {**definition, "folds": 1}, f"{key}.stimuli")[0]
    pictures = [preprocess(picture[None], _as_stored(color), key)[0] for picture in decoded]
    return Crops(str(definition["path"]), pictures, split)


def draw_images(
    stimuli: Stimuli,
    shape: tuple[int, int, int],
    counts: dict[int, int],
    seeds: dict[int, np.random.SeedSequence],
    repetitions: int,
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Draw the images of a dataset: of every repetition training, then validation, then test.

    Parameters
    ----------
    stimuli
        Where from.
    shape
        (channel, y, x).
    counts, seeds
        Number of images of one repetition, and random stream, by split.
    repetitions
        How often.

    Returns
    -------
    images
        (image, channel, y, x) float32.
    split
        (fold, image) int8, a fold per repetition.
    independent
        Independent pixels of the first repetition by name of the split, as attributes of the dataset.
    """
    split = repeated_split(counts, repetitions)
    images = np.empty((split.shape[1], *shape), np.float32)
    spawned = {code: seed.spawn(repetitions) for code, seed in seeds.items()}
    independent: dict[str, int] = {}
    start = 0
    for repetition in range(repetitions):
        for code, count in counts.items():
            pixels = stimuli.fill(images[start : start + count], code, spawned[code][repetition])
            start += count
            independent.setdefault(f"independent_pixels_{SPLITS[code]}", pixels)
            logger.info(
                "%s: %d %s images show %d independent pixels (%.2f of all their pixels)",
                stimuli.source,
                count,
                SPLITS[code],
                pixels,
                pixels / (count * shape[1] * shape[2]),
            )
    return images, split, independent
