"""Published files: downloaded once, checked by checksum at every use."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from whatwhere.errors import UserError
from whatwhere.files import atomic

logger = logging.getLogger(__name__)

_TIMEOUT = 60


def checksums_of(kind: str) -> dict[Any, dict[str, str]]:
    """Checksums of the files of every session or region of a published recording, by name."""
    with open(Path(__file__).with_name("checksums.yaml"), encoding="utf-8") as stream:
        return yaml.safe_load(stream)[kind]


def has_checksum(content: bytes, checksum: str | None) -> bool:
    """Whether ``content`` has a SHA-256 (64 digits) or git blob id (40 digits); None accepts any content."""
    if checksum is None:
        return True
    if len(checksum) == 40:
        # Git names a file by the SHA-1 of this header and the content, no protection against forgery.
        header = b"blob %d\0" % len(content)
        return hashlib.sha1(header + content, usedforsecurity=False).hexdigest() == checksum
    return hashlib.sha256(content).hexdigest() == checksum


def download(url: str, path: Path, find_fault: Callable[[Path], str | None]) -> Path:
    """Downloads ``url`` to ``path``, whole and verified or not at all, and returns ``path``.

    Only one process at a time checks and downloads a file, because jobs of several sessions may share it.
    ``find_fault`` returns a phrase on a fault of a file, or None. An earlier download without a fault is
    used. UserError if the file cannot be downloaded or written, or has a fault.
    """
    # Most recordings are files of the user.
    import pooch
    import requests
    from filelock import FileLock

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f".{path.name}.lock")).acquire()
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
    advice = f"download it elsewhere and put it at {path}, or set 'mirror'"
    # The proxy that acquire() returns releases the lock at the end of the block.
    with lock:
        if path.is_file() and find_fault(path) is None:
            return path
        logger.info("downloading %s", url)
        with atomic(path) as temporary:
            try:
                pooch.HTTPDownloader(timeout=_TIMEOUT)(url, str(temporary), None)
            # Inside atomic(), which would take these for errors of the disk: both are OSError.
            except requests.RequestException as error:
                reason = type(error).__name__
                if error.response is not None:
                    error.response.close()
                    if isinstance(error, requests.HTTPError):
                        reason = f"HTTP status {error.response.status_code}"
                raise UserError(f"{url}: cannot be downloaded ({reason}); {advice}") from error
            if (fault := find_fault(temporary)) is not None:
                raise UserError(f"{url}: {fault}; {advice}")
    return path
