"""The file tree of Lurz et al. 2020 and the Sensorium 2022 challenge (``lurz2020``, ``sensorium``)."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from whatwhere.dataset import SPLITS
from whatwhere.errors import UserError
from whatwhere.recordings.archive import Tree, open_tree
from whatwhere.recordings.array_files import numeric, parse_npy
from whatwhere.recordings.labels import LEFT_OUT, tiers_of
from whatwhere.recordings.presentations import by_image
from whatwhere.recordings.recording import Recording

logger = logging.getLogger(__name__)

_TIERS = "meta/trials/tiers.npy"
_IDS = ("colorframeprojector_image", "frame_image", "image")
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


def load(definition: dict[str, Any], name: str) -> Recording:
    """Load one session; presentations of one image become its repeats.

    Parameters
    ----------
    definition
        ``path``: folder or zip with ``data/images/N.npy`` (channel, y, x), ``data/responses/N.npy``
        (neuron,) for trials N, ``meta/trials/tiers.npy`` (train, validation or test, or as ``tiers`` says;
        trials of other tiers, whose responses may be withheld, are left out) and
        ``meta/trials/frame_image_id.npy``, ``colorframeprojector_image_id.npy`` or ``image_id.npy`` (trial,),
        all perhaps in one folder more. ``covariates``: folders of ``data`` with one file per trial, such as
        behavior and pupil_center.
    name
        The dataset's key, for messages.

    Raises
    ------
    UserError
        If a file is missing or damaged, or the files contradict each other.
    """
    with open_tree(definition["path"]) as tree:
        root = _root(tree)
        tiers = _trial_values(tree, root + _TIERS).astype(str)
        identities = _identities(tree, root)
        n_trials = len(tiers)
        if n_trials != len(identities):
            raise UserError(f"{tree.path}: {len(tiers)} tiers but {len(identities)} image ids")
        split = _splits(tiers, definition.get("tiers"), name)
        kept = _usable(split, tiers, tree.label(root + _TIERS))
        images, responses = (
            _trial_files(tree, f"{root}data/{part}/", kept, len(tiers)) for part in ("images", "responses")
        )
        split, tiers, identities = split[kept], tiers[kept], [identities[trial] for trial in kept]
        image_of_trial, firsts = _group(identities)
        torn = np.flatnonzero(split != split[firsts][image_of_trial])
        if len(torn):
            trial, first = torn[0], firsts[image_of_trial[torn[0]]]
            raise UserError(
                f"{tree.path}: trials {kept[first]} and {kept[trial]} show one image but are in tiers "
                f"{tiers[first]} and {tiers[trial]}: give them the same"
            )
        stimuli = _read_images(tree, images, image_of_trial, firsts)
        trials = _read_vectors(tree, responses, "neuron")
        neurons = _neurons(tree, root, trials.shape[1])
        presentations = by_image(image_of_trial, trials)
        covariates = _covariates(tree, root, definition.get("covariates", []), kept, n_trials)
    return Recording(
        images=stimuli,
        responses=presentations,
        split=split[firsts],
        neurons=neurons,
        source=f"files {definition['path']}",
        citation=CITATIONS[definition["kind"]],
        repeat_averages=False,
        covariates=covariates and (covariates[0], replace(presentations, values=covariates[1])),
        reading=[
            f"{trials.shape[1]} neurons, {len(kept)} trials of {len(firsts)} images",
            *_unused(tree, root, definition.get("covariates", [])),
        ],
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
    if any(file.startswith(f"{root}data/videos/") for file in tree.names):
        raise UserError(f"{tree.path}: is a session of videos, of which models take none: give one of images")
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


def _splits(tiers: np.ndarray, mapping: dict[str, list[Any]] | None, name: str) -> np.ndarray:
    """Split of every trial, :data:`LEFT_OUT` for tiers that are none."""
    if mapping is not None:
        split = tiers_of(tiers, mapping, f"{name}.tiers")
        assert split is not None
        return split
    return np.where(np.isin(tiers, SPLITS), tiers, LEFT_OUT)


def _usable(split: np.ndarray, tiers: np.ndarray, label: str) -> np.ndarray:
    """Indices of the trials of known tiers; challenges withhold the responses of others."""
    known = split != LEFT_OUT
    if not known.any():
        found = ", ".join(np.unique(tiers))
        raise UserError(f"{label}: holds no tier {', '.join(SPLITS)} but {found}: say what they are by tiers")
    names, counts = np.unique(tiers[~known], return_counts=True)
    for tier, count in zip(names, counts, strict=True):
        logger.warning(
            "%s: %d trials of the tier %s are left out, which 'tiers' could add", label, count, tier
        )
    return np.flatnonzero(known)


def _covariates(
    tree: Tree, root: str, folders: list[str], kept: np.ndarray, n_trials: int
) -> tuple[list[str], np.ndarray] | None:
    """Names, and (trial, covariate) values, of folders with a few numbers per trial."""
    names: list[str] = []
    columns = []
    for folder in folders:
        if not any(file.startswith(f"{root}data/{folder}/") for file in tree.names):
            raise UserError(f"{tree.path}: holds no {root}data/{folder}, which covariates lists")
        values = _read_vectors(tree, _trial_files(tree, f"{root}data/{folder}/", kept, n_trials), "value")
        columns.append(values)
        names += [folder] if values.shape[1] == 1 else [f"{folder} {i}" for i in range(values.shape[1])]
    return (names, np.concatenate(columns, 1)) if columns else None


def _unused(tree: Tree, root: str, folders: list[str]) -> list[str]:
    """A phrase on folders of ``data`` that are not read."""
    start = f"{root}data/"
    there = {file.removeprefix(start).split("/")[0] for file in tree.names if file.startswith(start)}
    left = sorted(there - {"images", "responses", *folders})
    return [f"not read: {', '.join(f'data/{folder}' for folder in left)}"] if left else []


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


def _read_vectors(tree: Tree, files: list[str], axis: str) -> np.ndarray:
    trials: list[np.ndarray] = []
    for file in files:
        trials.append(_read_data(tree, file, (axis,), trials[0].shape if trials else None))
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
