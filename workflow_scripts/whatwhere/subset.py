"""Neurons and images of a dataset that one fit uses."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from whatwhere.dataset import SPLITS, TRAIN, VALIDATION, is_movie
from whatwhere.errors import UserError
from whatwhere.sessions import PooledRecordings
from whatwhere.streams import Purpose, stream


@dataclass(frozen=True)
class Subset:
    """Neurons and images that one fit uses: indices into the dataset.

    ``neurons`` are sorted; ``train`` and ``validation`` (image,) are in the order in which a fit of this seed
    stores its images.
    """

    neurons: np.ndarray
    train: np.ndarray
    validation: np.ndarray


def n_validation(n_images: int, fraction: float, maximum: int) -> int:
    """Size of the validation set, int(fraction * n_images), at most ``maximum`` unless 0 (A.2 and F.1)."""
    # The small term keeps e.g. 0.2 * 35 = 7.000000000000001 or 6.999999 from flipping a count.
    size = int(fraction * n_images + 1e-9)
    return min(size, maximum) if maximum else size


def choose_subset(dataset: xr.Dataset, n_neurons: int | None, n_images: int | None, seed: int) -> Subset:
    """Draws the neurons and images of one fit; a larger subset contains the smaller subsets of its seed.

    ``n_neurons`` and ``n_images``, training plus validation images, are sizes; None takes all. With known
    cell types every type gives the same number of neurons; fewer neurons than types are of different types.
    With pooled recordings, images are of the first session; all other sessions give all images. ``seed``
    determines the fold, and the neurons and images, each from its own random stream.
    """
    name = dataset.attrs["name"]
    pooled = PooledRecordings.of(dataset)
    neuron_rng, image_rng = (np.random.default_rng(child) for child in stream(seed, Purpose.SUBSET).spawn(2))
    split = dataset["split"].values[seed % dataset.sizes["fold"]]
    n_first = len(split) if pooled is None else int((pooled.images == 0).sum())
    own, further = split[:n_first], split[n_first:]
    images = [image_rng.permutation(np.flatnonzero(own == code)) for code in (TRAIN, VALIDATION)]
    if is_movie(dataset) and n_images is not None:
        images = [_shorter(of_split, dataset["block"].values, image_rng) for of_split in images]
    if n_images is not None:
        fraction, maximum = (dataset.attrs[name] for name in ("validation_fraction", "validation_max"))
        validation = n_validation(n_images, float(fraction), int(maximum))
        sizes = (n_images - validation, validation)
        if min(sizes) < 1:
            raise UserError(f"{name}: n_images {n_images} leaves no image to validate on")
        for there, size, label in zip(images, sizes, SPLITS, strict=False):
            if size > len(there):
                needed = f"n_images {n_images} needs {size} {label} images"
                raise UserError(f"{name}: {needed} but there are {len(there)}")
        images = [there[:size] for there, size in zip(images, sizes, strict=True)]
        if is_movie(dataset):
            # Batches of neighboring bins would be alike.
            images = [image_rng.permutation(some) for some in images]
    others = [n_first + np.flatnonzero(further == code) for code in (TRAIN, VALIDATION)]
    images = [np.concatenate(both) for both in zip(images, others, strict=True)]
    return Subset(_choose_neurons(dataset, n_neurons, neuron_rng), *images)


def _shorter(bins: np.ndarray, blocks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bins (bin,) of a movie, block after block in random order; the first are a shorter recording."""
    order = rng.permutation(blocks.max() + 1)
    return np.sort(bins)[np.argsort(order[blocks[np.sort(bins)]], kind="stable")]


def _choose_neurons(dataset: xr.Dataset, n_neurons: int | None, rng: np.random.Generator) -> np.ndarray:
    name, available = dataset.attrs["name"], dataset.sizes["neuron"]
    if n_neurons is None or n_neurons == available:
        return np.arange(available)
    if n_neurons > available:
        raise UserError(f"{name}: n_neurons {n_neurons} is more than the {available} there are")
    if "cell_type" not in dataset:
        return np.sort(rng.permutation(available)[:n_neurons])
    types, counts = np.unique(dataset["cell_type"].values, return_counts=True)
    each, rest = divmod(n_neurons, len(types))
    if rest and n_neurons > len(types):
        raise UserError(f"{name}: n_neurons {n_neurons} is no multiple of its {len(types)} cell types")
    # The same ranks in every type (section F.1): types are compared at the same positions.
    ranks = rng.permutation(counts.min())[: max(each, 1)]
    members = [np.flatnonzero(dataset["cell_type"].values == t)[ranks] for t in types]
    if not each:
        # A subset of the types, with the first neuron of each.
        members = [members[index] for index in rng.permutation(len(types))[:n_neurons]]
    return np.sort(np.concatenate(members))
