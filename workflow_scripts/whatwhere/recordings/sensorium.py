"""The file tree of Lurz et al. 2020 and of the Sensorium challenges (``lurz2020``, ``sensorium``)."""

import logging
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from whatwhere.dataset import SPLITS
from whatwhere.errors import UserError
from whatwhere.recordings.archive import Tree, open_tree
from whatwhere.recordings.array_files import numeric, parse_npy
from whatwhere.recordings.covariates import names_of_columns
from whatwhere.recordings.labels import LEFT_OUT, as_labels, labels_of_rows, tiers_of
from whatwhere.recordings.movie_contract import Clip
from whatwhere.recordings.movies import Movie, timing_of
from whatwhere.recordings.presentations import BLANK, Presentations, by_image
from whatwhere.recordings.recording import Recording

logger = logging.getLogger(__name__)

_TIERS = "meta/trials/tiers.npy"
_IDS = ("colorframeprojector_image", "frame_image", "image")
"""Prefixes of ``_id.npy`` and ``_class.npy`` in meta/trials/, by precedence."""

CITATIONS = {
    "sensorium": "",
    "lurz2020": (
        "Lurz et al. 2021, Generalization in data-driven models of primary visual cortex, ICLR, "
        "doi:10.1101/2020.10.05.326256"
    ),
}
"""Papers to cite by kind; empty for a kind of any owner."""


def load(definition: dict[str, Any], name: str) -> Recording | Movie:
    """Loads one session; presentations of one image become its repeats.

    ``path`` is a folder or zip with ``data/images/N.npy`` (channel, y, x), ``data/responses/N.npy`` (neuron,)
    for trials N, ``meta/trials/tiers.npy`` (train, validation or test, or as ``tiers`` says; trials of other
    tiers, whose responses may be withheld, are left out) and ``meta/trials/frame_image_id.npy``,
    ``colorframeprojector_image_id.npy`` or ``image_id.npy`` (trial,), perhaps below another folder.
    ``covariates`` are folders of ``data`` with one file per trial, such as behavior and pupil_center, whose
    columns are then numbered from 0. With the key ``movie``, trials show videos, see :func:`_load_videos`.
    """
    if "movie" in definition:
        return _load_videos(definition, name)
    folders = definition.get("covariates", [])
    with open_tree(definition["path"]) as tree:
        root = _root(tree)
        split = _splits(tree, root, definition.get("tiers", {}), f"{name}.tiers")
        ids, kept = _images_of_trials(tree, root, len(split)), np.flatnonzero(split != LEFT_OUT)
        # Images are numbered by first appearance.
        index, images_ids = pd.factorize(ids[kept])
        shown = np.full(len(split), BLANK)
        shown[kept] = index
        of_image = labels_of_rows(split, shown, tree.label(root + _TIERS))
        start = f"{root}data/"
        files = {
            folder: _trial_files(tree, f"{start}{folder}/", kept, len(split))
            for folder in ("images", "responses", *folders)
        }
        images = _read_images(tree, files["images"], index)
        trials, *values = (
            np.stack([*_read(tree, files[one], ("value",), 1)]) for one in ("responses", *folders)
        )
        neurons = _neurons(tree, root, trials.shape[1])
        there = {file.removeprefix(start).split("/")[0] for file in tree.names if file.startswith(start)}
    presentations = by_image(index, trials)
    unused = ", ".join(f"data/{folder}" for folder in sorted(there - set(files)))
    names = [
        one
        for folder, columns in zip(folders, values, strict=True)
        for one in names_of_columns(folder, columns.shape[1])
    ]
    return Recording(
        images=images,
        responses=presentations,
        split=of_image,
        neurons=neurons,
        source=f"files {definition['path']}",
        citation=CITATIONS[definition["kind"]],
        covariates=(names, Presentations(np.concatenate(values, 1), presentations.rows)) if values else None,
        reading=[
            f"{trials.shape[1]} neurons, {len(kept)} trials of {len(images_ids)} images",
            *([f"not read: {unused}"] if unused else []),
        ],
    )


def _load_videos(definition: dict[str, Any], name: str) -> Movie:
    """Loads a session of videos: every trial is a clip, and trials of one video are repeats.

    ``data/videos/N.npy`` (y, x, time) and ``data/responses/N.npy`` (neuron, time) of a trial have one length
    in time and end where all responses are NaN. A video that tests in one trial tests in all; the others
    train and validate as ``split`` says. Responses and covariates (covariate, time) are averaged within bins.
    """
    timing = timing_of(definition["movie"], f"{name}.movie")
    repeats: dict[bytes, tuple[np.ndarray, list[np.ndarray], list[np.ndarray], list[bool]]] = {}
    behavior, names = definition.get("covariates", []), []
    with open_tree(definition["path"]) as tree:
        root = _root(tree)
        split = _splits(tree, root, definition.get("tiers", {}), f"{name}.tiers")
        kept = np.flatnonzero(split != LEFT_OUT)
        folders = {folder: f"{root}data/{folder}/" for folder in ("videos", "responses", *behavior)}
        files = {folder: _trial_files(tree, place, kept, len(split)) for folder, place in folders.items()}
        videos = _read(tree, files["videos"], ("y", "x", "time"), 2)
        trials = _read(tree, files["responses"], ("neuron", "time"), 1)
        states = [_read(tree, files[folder], ("covariate", "time"), 1) for folder in behavior]
        for trial, file, video, responses, *state in zip(
            kept, files["videos"], videos, trials, *states, strict=True
        ):
            n_frames = _length(video, responses, tree.label(file))
            frames = np.ascontiguousarray(np.moveaxis(video[..., :n_frames], -1, 0)[:, None])
            whole = n_frames - n_frames % timing.frames_per_bin
            short = next((one for one in state if one.shape[1] != responses.shape[1]), None)
            if short is not None:
                raise UserError(
                    f"{tree.label(file)}: has responses in {responses.shape[1]} frames but a covariate in "
                    f"{short.shape[1]}: repair one"
                )
            pairs = zip(behavior, map(len, state), strict=True)
            names = [name for pair in pairs for name in names_of_columns(*pair)]
            _, same, values, tests = repeats.setdefault(frames.tobytes(), (frames, [], [], []))
            same.append(_in_bins(responses, whole, timing.frames_per_bin))
            if state:
                values.append(_in_bins(np.concatenate(state), whole, timing.frames_per_bin))
            tests.append(split[trial] == "test")
        neurons = _neurons(tree, root, len(responses))
    return Movie(
        clips=[
            Clip(frames, np.stack(same), any(tests) or None, np.stack(values) if values else None)
            for frames, same, values, tests in repeats.values()
        ],
        covariates=names,
        timing=timing,
        source=f"files {definition['path']}",
        neurons=None if neurons is None else neurons.tolist(),
        reading=[f"{len(responses)} neurons, {len(kept)} trials of {len(repeats)} videos"],
    )


def _in_bins(values: np.ndarray, n_frames: int, per_bin: int) -> np.ndarray:
    """Means over the frames of every bin, (row, time) to (bin, row)."""
    return values.T[:n_frames].reshape(-1, per_bin, len(values)).mean(1, dtype=np.float32)


def _length(video: np.ndarray, responses: np.ndarray, label: str) -> int:
    """Frames of a trial before the end, from where on all responses are NaN; UserError for another video."""
    known = ~np.isnan(video).all((0, 1)), ~np.isnan(responses).all(0)
    shown, answered = (int(np.flatnonzero(np.append(True, there))[-1]) for there in known)
    if video.shape[2] != responses.shape[1] or shown not in (answered, video.shape[2]):
        others = f"the responses are to {responses.shape[1]} and end after {answered}"
        raise UserError(
            f"{label}: has {video.shape[2]} frames that end after {shown}, but {others}: repair one"
        )
    return answered


def _root(tree: Tree) -> str:
    roots = [name.removesuffix(_TIERS) for name in tree.names if f"/{name}".endswith(f"/{_TIERS}")]
    if len(roots) != 1:
        found = f"{len(roots) or 'no'} {_TIERS}"
        raise UserError(f"{tree.path}: holds {found}: give one session in the Sensorium layout")
    return roots[0]


def _per_trial(tree: Tree, name: str, n_trials: int | None) -> np.ndarray:
    """Names or whole numbers as text, (trial,)."""
    label = tree.label(name)
    values = parse_npy(tree.read(name), label)
    if values.ndim != 1 or n_trials not in (None, len(values)) or values.dtype.kind not in "biuUS":
        expected = f"expected one name or whole number for each of the {n_trials or ''} trials"
        raise UserError(f"{label}: has shape {values.shape} and type {values.dtype}, {expected}")
    return as_labels(values, label)


def _images_of_trials(tree: Tree, root: str, n_trials: int) -> np.ndarray:
    """Text for the image of every trial: equal for equal ids and, if there are classes, equal classes."""
    for stem in _IDS:
        names = [f"{root}meta/trials/{stem}_{suffix}.npy" for suffix in ("id", "class")]
        if names[0] in tree.names:
            columns = [_per_trial(tree, name, n_trials) for name in names if name in tree.names]
            return np.array(["\0".join(row) for row in zip(*columns, strict=True)])
    if any(file.startswith(f"{root}data/videos/") for file in tree.names):
        raise UserError(f"{tree.path}: is a session of videos: set movie, with rate, lags, block and skip")
    expected = " or ".join(f"{stem}_id.npy" for stem in _IDS)
    raise UserError(f"{tree.path}: holds no {root}meta/trials/{expected}: repeats cannot be found")


def _splits(tree: Tree, root: str, mapping: dict[str, list[Any]], key: str) -> np.ndarray:
    """Split of every trial, :data:`LEFT_OUT` for tiers without a split, whose responses may be withheld."""
    tiers, label = _per_trial(tree, root + _TIERS, None), tree.label(root + _TIERS)
    split = tiers_of(tiers, mapping, key) if mapping else np.where(np.isin(tiers, SPLITS), tiers, LEFT_OUT)
    names, counts = np.unique(tiers[split == LEFT_OUT], return_counts=True)
    if counts.sum() == len(tiers):
        tiers_there = f"{', '.join(SPLITS)} but {', '.join(names)}"
        raise UserError(f"{label}: holds no tier {tiers_there}: set tiers to their splits")
    for tier, count in zip(names, counts, strict=True):
        text = "%s: %d trials of the tier %s are left out, which 'tiers' could add"
        logger.warning(text, label, count, tier)
    return split


def _trial_files(tree: Tree, folder: str, trials: np.ndarray, n_trials: int) -> list[str]:
    """Files of some of the trials."""
    files, there = [f"{folder}{trial}.npy" for trial in trials], set(tree.names)
    missing = next((trial for trial, file in zip(trials, files, strict=True) if file not in there), None)
    if missing is not None or f"{folder}{n_trials}.npy" in there:
        fault = f"trial {n_trials} is too many" if missing is None else f"trial {missing} is missing"
        raise UserError(f"{tree.label(folder)}: {fault}: {_TIERS} lists {n_trials} trials, from 0")
    return files


def _read_images(tree: Tree, files: list[str], image_of_file: np.ndarray) -> np.ndarray:
    """Images (image, channel, y, x); UserError if trials of one image differ."""
    stimuli: list[np.ndarray] = []
    images = _read(tree, files, ("channel", "y", "x"), 3)
    for file, number, image in zip(files, image_of_file, images, strict=True):
        if number == len(stimuli):
            stimuli.append(image)
        elif not np.array_equal(stimuli[number], image, equal_nan=True):
            other = PurePosixPath(files[int(np.argmax(image_of_file == number))]).stem
            fault = f"differs from trial {other}, which has the same image id"
            raise UserError(f"{tree.label(file)}: {fault}: repair the ids")
    return np.stack(stimuli)


def _read(tree: Tree, files: list[str], axes: tuple[str, ...], n_alike: int) -> Iterator[np.ndarray]:
    """Yields the numbers of every trial, all of one length along the first ``n_alike`` axes."""
    shape = None
    for file in files:
        label = tree.label(file)
        array = numeric(parse_npy(tree.read(file), label), label)
        if array.ndim != len(axes) or 0 in array.shape or shape not in (None, array.shape[:n_alike]):
            before = "" if shape is None else f" and {shape} as the trials before"
            raise UserError(f"{label}: has shape {array.shape}, expected ({', '.join(axes)}){before}")
        shape = array.shape[:n_alike]
        yield array


def _neurons(tree: Tree, root: str, n_neurons: int) -> np.ndarray | None:
    name = f"{root}meta/neurons/unit_ids.npy"
    if name not in tree.names:
        return None
    units = parse_npy(tree.read(name), tree.label(name))
    if units.shape != (n_neurons,):
        raise UserError(f"{tree.label(name)}: has shape {units.shape} but there are {n_neurons} neurons")
    return units.astype(str)
