"""Folders and zip archives, read alike; archives are read in memory and never unpacked to disk."""

import contextlib
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from whatwhere.errors import UserError

MAX_SIZE = 64 << 30
"""Largest file or array that is read, bytes."""


def check_size(size: int, label: str) -> None:
    """Raise UserError if ``size`` bytes are more than :data:`MAX_SIZE`."""
    if size > MAX_SIZE:
        raise UserError(f"{label}: has {size >> 30} GiB, more than the {MAX_SIZE >> 30} that are read")


def open_zip(path: str | Path) -> zipfile.ZipFile:
    """Opens an archive; UserError if it is no zip file, or unpacks to more than :data:`MAX_SIZE`."""
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # zipfile and its decompressors raise errors of many types
        raise UserError(f"{path}: not a readable zip file: get it again, or give a folder") from error
    check_size(sum(member.file_size for member in archive.infolist()), f"{path}, unpacked")
    return archive


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Content of one member; UserError if it is missing, damaged, encrypted or of unknown compression."""
    try:
        return archive.read(name)
    except KeyError as error:
        raise UserError(f"{archive.filename}: holds no '{name}'") from error
    except Exception as error:  # zipfile and its decompressors raise errors of many types
        fault = f"'{name}' cannot be read ({error}): zip it without a password and by the method deflate"
        raise UserError(f"{archive.filename}: {fault}") from error


def choose(path: Path, inside: str | None, names: list[str]) -> str:
    """Name of the array that is meant: ``inside``, or the only one; UserError if there is no such one."""
    if not names:
        raise UserError(f"{path}: holds no array")
    if inside is None and len(names) == 1:
        return names[0]
    if inside is None or inside.strip("/") not in names:
        raise UserError(f"{path}: write {path.name}:NAME with one of the arrays in it: {', '.join(names)}")
    return inside.strip("/")


@dataclass(frozen=True)
class Tree:
    """A folder or zip archive, the sorted names of its files without hidden files, and how to read them."""

    path: Path
    names: list[str]
    read: Callable[[str], bytes]

    def label(self, name: str) -> str:
        """Returns what messages call one of the files."""
        return f"{self.path}: {name}"


@contextlib.contextmanager
def open_tree(path: str | Path) -> Iterator[Tree]:
    """Opens a folder or a zip archive for reading; UserError if there is neither."""
    path = Path(path)
    if path.is_dir():
        yield Tree(path, files_below(path), lambda name: _read_file(path / name))
        return
    if not path.exists():
        raise UserError(f"{path}: no such folder or zip file")
    with open_zip(path) as archive:
        names = _visible(name for name in archive.namelist() if not name.endswith("/"))
        yield Tree(path, names, lambda name: read_member(archive, name))


def files_below(folder: Path) -> list[str]:
    """Sorted paths of all files in a folder, with forward slashes; links to folders are followed."""
    paths = (Path(place, file) for place, _, files in os.walk(folder, followlinks=True) for file in files)
    return _visible(path.relative_to(folder).as_posix() for path in paths)


def _visible(names: Iterable[str]) -> list[str]:
    # Desktops leave .DS_Store, ._name and __MACOSX/ behind.
    return sorted(n for n in names if not any(p.startswith((".", "__MACOSX")) for p in n.split("/")))


def _read_file(path: Path) -> bytes:
    try:
        check_size(path.stat().st_size, str(path))
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
