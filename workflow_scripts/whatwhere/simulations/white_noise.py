"""White noise that no file stores: images are drawn from their random streams whenever they are read.

The file of a dataset holds the recipe, as attributes of the variable ``images``, and a checksum for every
block of images. Stored, images of ten repetitions take more than half of the room of their dataset.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from whatwhere.errors import UserError

_BLOCK = 4 << 20
"""Bytes of images that are drawn at a time and have one checksum."""
_MARK = "crc32"
_COMMENT = (
    "not stored: stream_images is the number of images of every random stream, one stream after the other; "
    "a stream is numpy.random.default_rng(numpy.random.SeedSequence(seed, spawn_key=its row of spawn_keys))"
    ".standard_normal(dtype=float32); crc32 is the checksum of every block of block_images images of a stream"
)


class WhiteNoise(BackendArray):
    """Gaussian white noise, (image, channel, y, x) float32, of one or several random streams.

    Regions are drawn when they are read, and one block is kept. A stream is drawn from its start, or from the
    last block whose start is known: reading in order draws every image once, and streams without a wanted
    image are not drawn. The first drawing of a block records its checksum, which every later drawing must
    match.

    ``seeds`` are children of one seed, ``counts`` (stream,) the images of every stream, ``shape`` (channel,
    y, x), ``checksums`` (block,) the CRC-32 of every block, None if the images are drawn for the first time,
    and ``n_block`` the images of a block, None for a few megabytes.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self,
        seeds: Sequence[np.random.SeedSequence],
        counts: Sequence[int],
        shape: tuple[int, int, int],
        label: str,
        checksums: Sequence[int] | None = None,
        n_block: int | None = None,
    ):
        self._seeds, self._counts, self._label = seeds, counts, label
        self._n_block = n_block or max(1, _BLOCK // (4 * int(np.prod(shape))))
        ends = np.cumsum(counts)
        starts = [np.arange(end - count, end, self._n_block) for end, count in zip(ends, counts, strict=True)]
        self._first = np.concatenate(starts)
        self._end = np.append(self._first[1:], ends[-1])
        own = np.cumsum([0, *map(len, starts[:-1])])
        self._states = {
            int(block): np.random.default_rng(seed).bit_generator.state
            for block, seed in zip(own, seeds, strict=True)
        }
        self._last: tuple[int, np.ndarray] | None = None
        self._checksums = {} if checksums is None else dict(enumerate(checksums))
        self.shape = (int(ends[-1]), *shape)

    @classmethod
    def is_recipe(cls, attributes: Mapping[str, Any]) -> bool:
        """Whether attributes are those of :meth:`attributes`."""
        return _MARK in attributes

    @classmethod
    def of(cls, attributes: Mapping[str, Any], shape: tuple[int, ...], label: str) -> Self:
        """White noise of a shape (image, channel, y, x) by its attributes; UserError if they disagree."""
        keys, counts, checksums = (
            np.atleast_1d(attributes[name]).tolist() for name in ("spawn_keys", "stream_images", _MARK)
        )
        entropy = np.atleast_1d(attributes["seed"]).tolist()
        depth = len(keys) // len(counts)
        seeds = [
            np.random.SeedSequence(entropy, spawn_key=keys[start : start + depth])
            for start in range(0, len(keys), depth)
        ]
        channels, height, width = shape[1:]
        n_block = int(attributes["block_images"])
        noise = cls(seeds, counts, (channels, height, width), label, checksums, n_block)
        if (noise.shape, len(noise._first)) != (tuple(shape), len(checksums)):
            raise UserError(f"{label}: {shape[0]} images of white noise whose recipe makes {noise.shape[0]}")
        return noise

    def attributes(self) -> dict[str, Any]:
        """Attributes that describe how to draw the images, once all images were drawn."""
        return {
            "units": "sd of the white noise",
            "comment": _COMMENT,
            "seed": np.array(self._seeds[0].entropy, np.int64),
            "spawn_keys": np.array([seed.spawn_key for seed in self._seeds], np.int64).ravel(),
            "stream_images": np.array(self._counts, np.int64),
            "block_images": self._n_block,
            _MARK: np.array([self._checksums[block] for block in range(len(self._first))], np.uint32),
        }

    def lazy(self) -> indexing.LazilyIndexedArray:
        """Data of an xarray variable."""
        return indexing.LazilyIndexedArray(self)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self.draw)

    def draw(self, key: tuple[int | slice, ...]) -> np.ndarray:
        """Images, or the region of a key for the axes (image, channel, y, x)."""
        wanted = np.atleast_1d(np.arange(self.shape[0])[key[0]])
        block_of = np.searchsorted(self._first, wanted, "right") - 1
        images = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        for block in np.unique(block_of):
            inside = block_of == block
            images[inside] = self._block(int(block))[wanted[inside] - self._first[block]]
        return images[(slice(None) if isinstance(key[0], slice) else 0, *key[1:])]

    def _block(self, number: int) -> np.ndarray:
        if self._last is not None and self._last[0] == number:
            return self._last[1]
        known = max(block for block in self._states if block <= number)
        generator = np.random.default_rng(0)
        for block in range(known, number + 1):
            generator.bit_generator.state = self._states[block]
            size = (self._end[block] - self._first[block], *self.shape[1:])
            images = generator.standard_normal(size, np.float32)
            self._states.setdefault(block + 1, generator.bit_generator.state)
            checksum = zlib.crc32(images.data)
            if self._checksums.setdefault(block, checksum) != checksum:
                fault = f"white noise of numpy {np.__version__} differs from what was simulated"
                advice = "delete the file and rerun, or install the version of numpy that wrote it"
                raise UserError(f"{self._label}: {fault}: {advice}")
        self._last = number, images
        return images
