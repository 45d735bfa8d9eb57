"""Neurons and images of a dataset that one fit uses."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from whatwhere.dataset import SPLITS, TRAIN, VALIDATION
from whatwhere.errors import UserError
from whatwhere.sessions import PooledRecordings
from whatwhere.streams import Purpose, stream


@dataclass(frozen=True)
class Subset:
    """Neurons and images that one fit uses: indices into the dataset.

    Attributes
    ----------
    neurons
        (neuron,) sorted indices.
    train, validation
        (image,) indices, in the order in which a fit of this seed stores its images.
    """

    neurons: np.ndarray
    train: np.ndarray
    validation: np.ndarray


def n_validation(n_images: int, fraction: float, maximum: int) -> int:
    """Size of the validation set among ``n_images`` (sections A.2 and F.1): int(fraction n), capped.

    ``maximum`` 0 means no cap.
    """
    # The small term keeps e.g. 0.2 * 35 = 7.000000000000001 or 6.999999 from flipping a count.
    size = int(fraction * n_images + 1e-9)
    return min(size, maximum) if maximum else size


def choose_subset(dataset: xr.Dataset, n_neurons: int | None, n_images: int | None, seed: int) -> Subset:
    """Draw the neurons and the images of one fit; nested, so that a larger draw holds the smaller ones.

    Parameters
    ----------
    dataset
        A dataset that fulfils the contract.
    n_neurons
        Size of the population; None takes all. With known cell types every type gives the same number, or
        fewer neurons than types are of different ones.
    n_images
        Training plus validation images; None takes all. Of several recordings, those of the first; all others
        are seen in full.
    seed
        Chooses the fold, the neurons and the images, each from its own random stream.

    Raises
    ------
    UserError
        If the dataset has too few neurons or images.
    """
    name = dataset.attrs["name"]
    together = PooledRecordings.of(dataset)
    neuron_rng, image_rng = (np.random.default_rng(child) for child in stream(seed, Purpose.DRAW).spawn(2))
    split = dataset["split"].values[seed % dataset.sizes["fold"]]
    own, further = split, split[:0]
    if together is not None:
        n_first = int((together.images == 0).sum())
        own, further = split[:n_first], split[n_first:]
    pools = [image_rng.permutation(np.flatnonzero(own == code)) for code in (TRAIN, VALIDATION)]
    if n_images is not None:
        validation = n_validation(
            n_images,
            float(dataset.attrs["validation_fraction"]),
            int(dataset.attrs["validation_max"]),
        )
        sizes = (n_images - validation, validation)
        if min(sizes) < 1:
            raise UserError(f"{name}: n_images {n_images} leaves no image to validate on")
        for pooled, size, label in zip(pools, sizes, SPLITS, strict=False):
            if size > len(pooled):
                raise UserError(
                    f"{name}: n_images {n_images} needs {size} {label} images but there are {len(pooled)}"
                )
        pools = [pooled[:size] for pooled, size in zip(pools, sizes, strict=True)]
    others = [len(own) + np.flatnonzero(further == code) for code in (TRAIN, VALIDATION)]
    seen_images = [np.concatenate(both) for both in zip(pools, others, strict=True)]
    return Subset(_choose_neurons(dataset, n_neurons, neuron_rng), *seen_images)


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
        # Some of the types, with the neuron that each gives first.
        members = [members[index] for index in rng.permutation(len(types))[:n_neurons]]
    return np.sort(np.concatenate(members))
