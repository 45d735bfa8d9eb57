"""Published files: downloaded once, checked by checksum at every use."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pooch
import requests
from filelock import FileLock

from whatwhere.errors import UserError
from whatwhere.files import atomic

logger = logging.getLogger(__name__)

_TIMEOUT = 60
_BLOCK = 1 << 20
_GIT_BLOB_DIGITS = 40
_DAMAGED = "wrong checksum: damaged, truncated or another version"


@dataclass(frozen=True)
class PublishedFile:
    """One file of a published dataset.

    Attributes
    ----------
    path
        Below the root of the publisher's layout, with forward slashes.
    checksum
        SHA-256 (64 hexadecimal digits) or git blob id (40); None accepts any content and keeps nothing.
    """

    path: str
    checksum: str | None


def has_checksum(content: bytes, checksum: str) -> bool:
    """Whether ``content`` has this SHA-256 (64 hexadecimal digits) or git blob id (40)."""
    return _digest(io.BytesIO(content), len(content), checksum) == checksum


def _digest(stream: BinaryIO, size: int, checksum: str) -> str:
    if len(checksum) == _GIT_BLOB_DIGITS:
        # Git names a file by the SHA-1 of this header and its content; it is no protection against forgery.
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    else:
        digest = hashlib.sha256()
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _is_published(path: Path, file: PublishedFile) -> bool:
    if file.checksum is None:
        return True
    try:
        with open(path, "rb") as stream:
            return _digest(stream, path.stat().st_size, file.checksum) == file.checksum
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def is_url(mirror: str) -> bool:
    """Whether a mirror is an address on the web rather than a folder or file."""
    return "://" in mirror


def fetch(file: PublishedFile, address: str, mirror: str | None, downloads: Path) -> Path:
    """Local path of a published file with the right content.

    Parameters
    ----------
    file
        Which file.
    address
        URL of the root of the publisher's layout.
    mirror
        A folder or URL with the same layout to take it from instead, or None. Files of a folder are
        used where they are.
    downloads
        Folder that keeps downloaded files; a damaged one is downloaded again.

    Raises
    ------
    UserError
        If it cannot be had, or its content is not what was published.
    """
    if mirror is not None and not is_url(mirror):
        path = Path(mirror, file.path)
        if not path.is_file():
            raise UserError(f"{path}: no such file: 'mirror' must hold the publisher's layout")
        if not _is_published(path, file):
            raise UserError(f"{path}: {_DAMAGED}: get it again")
        return path
    path = downloads / file.path
    with one_at_a_time(path):
        if file.checksum is None or not (path.is_file() and _is_published(path, file)):
            url = f"{(mirror or address).rstrip('/')}/{file.path}"
            download(url, path, lambda received: None if _is_published(received, file) else _DAMAGED)
    return path


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Let only one process look for a file and download it: jobs of several sessions may share it.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock")).acquire()
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    # The proxy that acquire() returns releases the lock at the end of the block.
    with lock:
        yield


def download(url: str, path: Path, find_fault: Callable[[Path], str | None]) -> None:
    """Download one file; it appears whole and verified or not at all.

    Parameters
    ----------
    url
        Its address, http or https.
    path
        Where to keep it.
    find_fault
        Returns what is wrong with the received file, or None.

    Raises
    ------
    UserError
        If it cannot be downloaded, is not what was expected or cannot be written.
    """
    logger.info("downloading %s", url)
    advice = f"download it elsewhere and put it at {path}, or set 'mirror'"
    with atomic(path) as temporary:
        try:
            pooch.HTTPDownloader(timeout=_TIMEOUT)(url, str(temporary), None)
        # Inside atomic(), which would take these for errors of the disk: both are OSError.
        except requests.RequestException as error:
            if error.response is not None:
                error.response.close()
            raise UserError(f"{url}: cannot be downloaded ({_reason(error)}); {advice}") from error
        fault = find_fault(temporary)
        if fault is not None:
            raise UserError(f"{url}: {fault}; {advice}")


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    reasons = {
        requests.TooManyRedirects: "it redirects without end",
        requests.Timeout: f"no answer within {_TIMEOUT} s",
        requests.exceptions.ChunkedEncodingError: "the transfer broke off",
        requests.ConnectionError: "no connection",
        requests.exceptions.InvalidSchema: "not an http or https address",
        requests.exceptions.InvalidURL: "not a valid address",
    }
    return next((text for kind, text in reasons.items() if isinstance(error, kind)), type(error).__name__)
