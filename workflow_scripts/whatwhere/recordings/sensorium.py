"""The file tree of Lurz et al. 2020 and the Sensorium 2022 challenge (``lurz2020``, ``sensorium``)."""

from __future__ import annotations

import logging
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from whatwhere.dataset import SPLITS
from whatwhere.errors import UserError
from whatwhere.recordings.archive import Tree, open_tree
from whatwhere.recordings.array_files import numeric, parse_npy
from whatwhere.recordings.recording import Recording, stack_repeats

logger = logging.getLogger(__name__)

_TIERS = "meta/trials/tiers.npy"
_IDS = ("colorframeprojector_image", "frame_image")
"""What comes before ``_id.npy`` and ``_class.npy`` in meta/trials/, by precedence."""

CITATIONS = {
    "sensorium": "",
    "lurz2020": (
        "Lurz et al. 2021, Generalization in data-driven models of primary visual cortex, ICLR, "
        "doi:10.1101/2020.10.05.326256"
    ),
}
"""What to cite by kind; empty for what may be anybody's."""

TRACKED = (_TIERS, "data/images", "data/responses")
"""Parts of a folder whose change means that a session changed."""


def load(definition: dict[str, Any]) -> Recording:
    """Load one session; presentations of one image become its repeats.

    Parameters
    ----------
    definition
        ``path``: folder or zip with ``data/images/N.npy`` (channel, y, x), ``data/responses/N.npy``
        (neuron,) for trials N, ``meta/trials/tiers.npy`` (train, validation or test; trials of other
        tiers, whose responses are withheld, are left out) and ``meta/trials/frame_image_id.npy`` or
        ``colorframeprojector_image_id.npy`` (trial,), all perhaps in one folder more.

    Raises
    ------
    UserError
        If a file is missing or damaged, or the files contradict each other.
    """
    with open_tree(definition["path"]) as tree:
        root = _root(tree)
        tiers = _trial_values(tree, root + _TIERS).astype(str)
        identities = _identities(tree, root)
        if not len(tiers) == len(identities):
            raise UserError(f"{tree.path}: {len(tiers)} tiers but {len(identities)} image ids")
        kept = _usable(tiers, tree.label(root + _TIERS))
        images, responses = (
            _trial_files(tree, f"{root}data/{part}/", kept, len(tiers)) for part in ("images", "responses")
        )
        tiers, identities = tiers[kept], [identities[trial] for trial in kept]
        image_of_trial, firsts = _group(identities)
        torn = np.flatnonzero(tiers != tiers[firsts][image_of_trial])
        if len(torn):
            trial, first = torn[0], firsts[image_of_trial[torn[0]]]
            raise UserError(
                f"{tree.path}: trials {kept[first]} and {kept[trial]} show one image but are in tiers "
                f"{tiers[first]} and {tiers[trial]}: give them the same"
            )
        stimuli = _read_images(tree, images, image_of_trial, firsts)
        trials = _read_responses(tree, responses)
        neurons = _neurons(tree, root, trials.shape[1])
    return Recording(
        images=stimuli,
        responses=stack_repeats(image_of_trial, trials),
        split=tiers[firsts],
        neurons=neurons,
        source=f"files {definition['path']}",
        citation=CITATIONS[definition["kind"]],
        repeat_averages=False,
    )


def _root(tree: Tree) -> str:
    roots = [name.removesuffix(_TIERS) for name in tree.names if f"/{name}".endswith(f"/{_TIERS}")]
    if len(roots) != 1:
        found = "holds no" if not roots else f"holds {len(roots)} times"
        raise UserError(f"{tree.path}: {found} {_TIERS}: give one session in the Sensorium layout")
    return roots[0]


def _read_npy(tree: Tree, name: str) -> np.ndarray:
    return parse_npy(tree.read(name), tree.label(name))


def _trial_values(tree: Tree, name: str) -> np.ndarray:
    values = _read_npy(tree, name)
    if values.ndim != 1 or values.dtype.kind not in "biuUS":
        raise UserError(
            f"{tree.label(name)}: has shape {values.shape} and type {values.dtype}, expected one name or "
            "whole number per trial"
        )
    return np.char.decode(values, "latin-1") if values.dtype.kind == "S" else values


def _identities(tree: Tree, root: str) -> list[tuple[str, ...]]:
    """What identifies the image of every trial: its id, with its class where there are classes."""
    for stem in _IDS:
        names = [f"{root}meta/trials/{stem}_{part}.npy" for part in ("id", "class")]
        if names[0] in tree.names:
            columns = [_trial_values(tree, name).astype(str).tolist() for name in names if name in tree.names]
            if len({len(column) for column in columns}) > 1:
                raise UserError(f"{tree.label(names[1])}: has another length than {names[0]}")
            return list(zip(*columns, strict=True))
    expected = " or ".join(f"{stem}_id.npy" for stem in _IDS)
    raise UserError(f"{tree.path}: holds no {root}meta/trials/{expected}: repeats cannot be found")


def _trial_files(tree: Tree, folder: str, trials: np.ndarray, n_trials: int) -> list[str]:
    """Files of some of the trials."""
    found = {}
    for name in tree.names:
        path = PurePosixPath(name)
        if name.startswith(folder) and path.suffix == ".npy":
            if not (path.stem.isascii() and path.stem.isdigit()):
                raise UserError(f"{tree.label(name)}: expected the number of a trial as name")
            found[int(path.stem)] = name
    missing = next((trial for trial in trials if trial not in found), None)
    if missing is not None or max(found) >= n_trials:
        fault = f"trial {max(found)} is too many" if missing is None else f"trial {missing} is missing"
        raise UserError(f"{tree.label(folder)}: {fault}: {_TIERS} lists {n_trials} trials, from 0")
    return [found[trial] for trial in trials]


def _usable(tiers: np.ndarray, label: str) -> np.ndarray:
    """Indices of the trials of known tiers; challenges withhold the responses of others."""
    known = np.isin(tiers, SPLITS)
    if not known.any():
        raise UserError(f"{label}: holds no tier {', '.join(SPLITS)}")
    names, counts = np.unique(tiers[~known], return_counts=True)
    for name, count in zip(names, counts, strict=True):
        logger.warning("%s: %d trials of the tier %s are left out", label, count, name)
    return np.flatnonzero(known)


def _group(identities: list[tuple[str, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """Index of the image of every trial, and the first trial of every image, by first appearance."""
    seen: dict[tuple[str, ...], int] = {}
    image_of_trial = np.array([seen.setdefault(identity, len(seen)) for identity in identities], int)
    return image_of_trial, np.unique(image_of_trial, return_index=True)[1]


def _read_images(tree: Tree, files: list[str], image_of_trial: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    stimuli: list[np.ndarray] = []
    for trial, file in enumerate(files):
        shape = stimuli[0].shape if stimuli else None
        image = _read_data(tree, file, ("channel", "y", "x"), shape)
        index = image_of_trial[trial]
        if index == len(stimuli):
            stimuli.append(image)
        elif not np.array_equal(stimuli[index], image, equal_nan=True):
            raise UserError(
                f"{tree.label(file)}: differs from trial {firsts[index]}, which has the same image id: "
                "repair the ids"
            )
    return np.stack(stimuli)


def _read_responses(tree: Tree, files: list[str]) -> np.ndarray:
    trials: list[np.ndarray] = []
    for file in files:
        trials.append(_read_data(tree, file, ("neuron",), trials[0].shape if trials else None))
    return np.stack(trials)


def _read_data(tree: Tree, file: str, axes: tuple[str, ...], shape: tuple[int, ...] | None) -> np.ndarray:
    """One trial; ``shape`` is that of the trials before, None for the first."""
    array = numeric(_read_npy(tree, file), tree.label(file))
    if array.ndim != len(axes) or 0 in array.shape:
        raise UserError(f"{tree.label(file)}: has shape {array.shape}, expected ({', '.join(axes)})")
    if shape is not None and array.shape != shape:
        raise UserError(f"{tree.label(file)}: has shape {array.shape} but trials before it have {shape}")
    return array


def _neurons(tree: Tree, root: str, n_neurons: int) -> np.ndarray | None:
    name = f"{root}meta/neurons/unit_ids.npy"
    if name not in tree.names:
        return None
    units = _read_npy(tree, name)
    if units.shape != (n_neurons,):
        raise UserError(f"{tree.label(name)}: has shape {units.shape} but there are {n_neurons} neurons")
    return units.astype(str)
