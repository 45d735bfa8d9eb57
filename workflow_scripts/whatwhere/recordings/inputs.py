"""Files of the user that a dataset is made from."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from whatwhere.config.kinds import kind_of
from whatwhere.recordings.archive import files_below
from whatwhere.recordings.array_files import split_location
from whatwhere.recordings.pictures import is_image
from whatwhere.recordings.tables import is_table


def input_files(definition: dict[str, Any]) -> list[str]:
    """Files that a dataset is made from; changing one remakes it.

    Image files of a folder are listed one by one. Another folder, with thousands of files of trials or
    frames, stands for its files, see :func:`stamp`.
    """
    kind = kind_of(definition)
    table = kind.tables and is_table(definition["responses"])
    return [
        file
        for key, place in _places(definition, kind.files)
        # Other keys name columns of a table, unless there is such a file.
        if not table or key in ("images", "responses") or place.is_file()
        for file in ([str(place)] if key.startswith("clips.") else _tracked(place))
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
            for one in value if isinstance(value, list) else [value or {}]:
                yield from ((f"{outer}.{own}", place) for own, place in _places(one, [inner]))
        elif isinstance(value, dict):
            yield from _places(value, keys if key == "test_set" else value)
        elif isinstance(value, str):
            yield key, split_location(value)[0]


def _tracked(path: Path) -> list[str]:
    """Pictures of a folder; other folders and files themselves."""
    pictures = [path / name for name in files_below(path) if is_image(name)] if path.is_dir() else []
    return [str(file) for file in pictures or [path]]
