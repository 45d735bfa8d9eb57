"""Files of the user that a recorded dataset is made from."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from whatwhere.recordings import sensorium
from whatwhere.recordings.archive import files_below
from whatwhere.recordings.array_files import split_location
from whatwhere.recordings.pictures import is_image
from whatwhere.recordings.tables import is_table

_ARRAYS = ("images", "responses", "image_of_presentation", "splits_from", "groups_from")


def input_files(definition: dict[str, Any]) -> list[str]:
    """Files that a dataset is made from; changing one remakes it.

    Image files of a folder are listed one by one. Of a Sensorium folder, the list of trials and the two
    folders of trials stand for thousands of files, see :func:`stamp`. A missing folder is listed itself, so
    that Snakemake names it.
    """
    kind = definition["kind"]
    if kind == "arrays":
        return _array_files(definition) + _array_files(definition.get("test_set", {}))
    if kind == "images":
        others = {key: definition[key] for key in _ARRAYS[1:] if key in definition}
        if is_table(definition["responses"]):
            # Columns of the table, unless there is such a file.
            others = {k: v for k, v in others.items() if k == "responses" or split_location(v)[0].is_file()}
        return [*_pictures(Path(definition["images"])), *_array_files(others)]
    if kind == "nwb":
        return [definition["path"]]
    if kind in sensorium.CITATIONS:
        path = Path(definition["path"])
        tracked = [part for name in sensorium.TRACKED for part in sorted(path.rglob(name))]
        return [str(part) for part in tracked or [path]]
    return []


def stamp(definition: dict[str, Any]) -> str:
    """Digest of the names, sizes and times of all files that a dataset is made from.

    A folder changes its own time only when files come or go. Files of thousands of trials are too many to be
    inputs of a rule one by one; their stamp is a param.
    """
    digest = hashlib.sha256()
    whole = [definition["path"]] if "path" in definition else input_files(definition)
    for path in map(Path, whole):
        files = [path / name for name in files_below(path)] if path.is_dir() else [path]
        for file in files:
            if file.is_file():
                state = file.stat()
                digest.update(f"{file}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:12]


def _array_files(definition: dict[str, Any]) -> list[str]:
    locations = [definition[key] for key in _ARRAYS if key in definition]
    covariates = definition.get("covariates", {})
    locations += covariates.values() if isinstance(covariates, dict) else []
    return [str(split_location(location)[0]) for location in locations]


def _pictures(path: Path) -> list[str]:
    if not path.is_dir():
        return [str(path)]
    found = [str(path / name) for name in files_below(path) if is_image(name)]
    return found or [str(path)]
