"""Folders and zip archives, read alike; archives are read in memory and never unpacked to disk."""

from __future__ import annotations

import contextlib
import io
import lzma
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from whatwhere.errors import UserError

MAX_MEMBER = 2 << 30
"""Largest file that is read if it is compressed, bytes."""
MAX_TOTAL = 64 << 30
"""Largest sum of the sizes in a compressed archive, bytes."""
MAX_RATIO = 1000
"""Largest compression of anything above a megabyte; only constant data come near it."""
_SMALL = 1 << 20
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_OTHER_METHODS = {9: "deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES"}


def is_absurd(size: int, stored: int) -> bool:
    """Whether content of ``size`` bytes in a file of ``stored`` bytes can only be an attack or an error."""
    return size > _SMALL and size > MAX_RATIO * max(stored, 1)


MAX_SIZE = 64 << 30
"""Largest file or array that is read, bytes."""


def check_size(size: int, label: str) -> None:
    """Raise UserError if ``size`` bytes are more than :data:`MAX_SIZE`."""
    if size > MAX_SIZE:
        raise UserError(f"{label}: has {size >> 30} GiB, more than the {MAX_SIZE >> 30} that are read")


def open_zip(path: str | Path) -> zipfile.ZipFile:
    """Open an archive after checking its table of contents.

    Raises
    ------
    UserError
        If it is not a zip file, is encrypted, a name leaves the archive or stands there twice, or it
        would unpack to absurd sizes.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except _UNREADABLE as error:
        other = _other_archive(path)
        if other is not None:
            raise UserError(f"{path}: is {other}: unpack it, and give the folder") from error
        raise UserError(f"{path}: not a readable zip file, perhaps truncated: get it again") from error
    try:
        _check_members(archive, path)
    except UserError:
        archive.close()
        raise
    return archive


def _other_archive(path: str | Path) -> str | None:
    """What other kind of archive a file is, by its first bytes."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(262)
    except OSError:
        return None
    kinds = {b"\x1f\x8b": "a gzip file", b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7-Zip archive"}
    kinds |= {b"BZh": "a bzip2 file", b"\xfd7zXZ": "an XZ file"}
    if start[257:262] == b"ustar":
        return "a tar archive"
    return next((kind for magic, kind in kinds.items() if start.startswith(magic)), None)


def _readable_name(member: zipfile.ZipInfo) -> str:
    """Name of a member; some programs write UTF-8 without saying so, and backslashes for slashes."""
    name = member.filename
    if not member.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return name.replace("\\", "/")


def _check_members(archive: zipfile.ZipFile, path: str | Path) -> None:
    assert archive.fp is not None  # open
    total, seen, stored = 0, set(), archive.fp.seek(0, io.SEEK_END)
    for member in archive.infolist():
        name = member.filename
        total += member.file_size
        # What takes nearly as much room in the archive is no trap.
        too_large = (member.file_size > MAX_MEMBER or total > MAX_TOTAL) and total > 4 * stored
        if too_large or is_absurd(member.file_size, member.compress_size):
            raise UserError(f"{path}: {name!r} unpacks to an absurd size: refused")
        if ".." in re.split(r"[/\\]", name) or re.match(r"[/\\]|[A-Za-z]:", name):
            raise UserError(f"{path}: the name {name!r} leaves the archive: refused")
        if member.flag_bits & 0x1:
            raise UserError(f"{path}: {name!r} is encrypted: provide it without a password")
        if member.compress_type not in _METHODS:
            method = _OTHER_METHODS.get(member.compress_type, f"number {member.compress_type}")
            raise UserError(
                f"{path}: {name!r} is compressed by method {method}, which cannot be read: zip it again with "
                "the usual method, deflate"
            )
        if _readable_name(member) in seen:
            raise UserError(f"{path}: {name!r} stands in it twice: remove one of them")
        seen.add(_readable_name(member))


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Content of one member.

    Raises
    ------
    UserError
        If it is missing or damaged.
    """
    try:
        return archive.read(name)
    except KeyError as error:
        raise UserError(f"{archive.filename}: holds no '{name}'") from error
    except _UNREADABLE as error:
        raise UserError(f"{archive.filename}: '{name}' is damaged: get the file again") from error


def choose(path: Path, inside: str | None, names: list[str]) -> str:
    """Which of the arrays of a file is meant: the one that is named, or the only one.

    Raises
    ------
    UserError
        If there is no array, or no such one.
    """
    if not names:
        raise UserError(f"{path}: holds no array")
    if inside is None and len(names) == 1:
        return names[0]
    if inside is None or inside.strip("/") not in names:
        raise UserError(f"{path}: write {path.name}:NAME with one of the arrays in it: {', '.join(names)}")
    return inside.strip("/")


@dataclass(frozen=True)
class Tree:
    """The files of a folder or of a zip archive.

    Attributes
    ----------
    path
        The folder or archive.
    names
        Sorted paths of its files, with forward slashes; hidden ones are left out.
    read
        Returns the content of a file; UserError if it is damaged.
    """

    path: Path
    names: list[str]
    read: Callable[[str], bytes]

    def label(self, name: str) -> str:
        """How to call one of the files in messages."""
        return f"{self.path}: {name}"


@contextlib.contextmanager
def open_tree(path: str | Path) -> Iterator[Tree]:
    """Open a folder or a zip archive for reading.

    Raises
    ------
    UserError
        If there is neither, or the archive is refused by :func:`open_zip`.
    """
    path = Path(path)
    if path.is_dir():
        yield Tree(path, _visible(files_below(path)), lambda name: _read_file(path / name))
        return
    if not path.exists():
        raise UserError(f"{path}: no such folder or zip file")
    with open_zip(path) as archive:
        members = {_readable_name(member): member.filename for member in archive.infolist()}
        names = (name for name in members if not name.endswith("/"))
        yield Tree(path, _visible(names), lambda name: read_member(archive, members[name]))


def files_below(folder: Path) -> list[str]:
    """Sorted paths of all files in a folder, with forward slashes; links to folders are followed.

    Raises
    ------
    UserError
        If a link leads nowhere or in a circle, or a folder cannot be read.
    """
    found: list[str] = []
    pending = [(folder, "", frozenset[Path]())]
    while pending:
        place, prefix, above = pending.pop()
        real = place.resolve()
        if real in above:
            raise UserError(f"{place}: is a link to a folder that it lies in: remove it")
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue  # locks of editors are links that lead nowhere
                    if entry.is_dir():
                        pending.append((place / entry.name, f"{prefix}{entry.name}/", above | {real}))
                    elif entry.is_file():
                        found.append(f"{prefix}{entry.name}")
                    elif entry.is_symlink():
                        raise UserError(
                            f"{place / entry.name}: is a link to {os.readlink(entry.path)}, which is not "
                            "there: mend or remove it"
                        )
        except OSError as error:
            raise UserError(f"{place}: cannot be read: {error.strerror}") from error
    return sorted(found)


def _visible(names: Iterable[str]) -> list[str]:
    # Desktops leave .DS_Store, ._name and __MACOSX/ behind.
    return sorted(n for n in names if not any(p.startswith((".", "__MACOSX")) for p in n.split("/")))


def _read_file(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_MEMBER:
            raise UserError(f"{path}: is larger than {MAX_MEMBER >> 30} GiB: refused")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
