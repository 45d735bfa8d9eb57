"""Files of the user that a dataset is made from."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from whatwhere.config.kinds import kind_of
from whatwhere.recordings import sensorium
from whatwhere.recordings.archive import files_below
from whatwhere.recordings.array_files import split_location
from whatwhere.recordings.fetch import is_url
from whatwhere.recordings.pictures import is_image
from whatwhere.recordings.tables import is_table


def input_files(definition: dict[str, Any]) -> list[str]:
    """Files that a dataset is made from; changing one remakes it.

    Image files of a folder are listed one by one. Of a Sensorium folder, the list of trials and the two
    folders of trials stand for thousands of files, see :func:`stamp`. A missing folder is listed itself, so
    that Snakemake names it.
    """
    kind = kind_of(definition)
    table = kind.tables and is_table(definition["responses"])
    return [
        file
        for key, place in _places(definition, kind.files)
        # Other keys name columns of a table, unless there is such a file.
        if not table or key in ("images", "responses") or place.is_file()
        for file in _tracked(place)
    ]


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


def _places(definition: dict[str, Any], keys: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Yields keys, with dots inside of mappings, and the files or folders on this machine that they name."""
    for key in keys:
        outer, _, inner = key.partition(".")
        value = definition.get(outer)
        if inner:
            yield from _places(value or {}, [inner])
        elif isinstance(value, dict):
            yield from _places(value, keys if key == "test_set" else value)
        elif isinstance(value, str) and not is_url(value):
            yield key, split_location(value)[0]


def _tracked(path: Path) -> list[str]:
    """Files of a folder that are tracked: files of a session, or pictures. Of a file, the file itself."""
    files = [file for name in sensorium.TRACKED for file in sorted(path.rglob(name))]
    if not files and path.is_dir():
        files = [path / name for name in files_below(path) if is_image(name)]
    return [str(file) for file in files or [path]]
