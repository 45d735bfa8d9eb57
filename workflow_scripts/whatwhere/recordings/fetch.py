"""Published files: downloaded once, checked by checksum at every use."""

from __future__ import annotations

import hashlib
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from whatwhere.errors import UserError
from whatwhere.files import atomic

logger = logging.getLogger(__name__)

_TIMEOUT = 60
_BLOCK = 1 << 20


@dataclass(frozen=True)
class PublishedFile:
    """One file of a published dataset.

    Attributes
    ----------
    path
        Below the root of the publisher's layout, with forward slashes.
    sha256
        Its checksum.
    """

    path: str
    sha256: str


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fetch(file: PublishedFile, address: str, mirror: str | None, downloads: Path) -> Path:
    """Local path of a published file with the right content.

    Parameters
    ----------
    file
        Which file.
    address
        URL of the root of the publisher's layout.
    mirror
        A folder or URL with the same layout to take it from instead, or None.
    downloads
        Folder that keeps downloaded files.

    Raises
    ------
    UserError
        If it cannot be had, or its content is not what was published.
    """
    if mirror is not None and "://" not in mirror:
        path = Path(mirror, file.path)
        if not path.is_file():
            raise UserError(f"{path}: no such file: 'mirror' must hold the publisher's layout")
        if sha256(path) != file.sha256:
            raise UserError(f"{path}: wrong checksum: the file is damaged or another version")
        return path
    path = downloads / file.path
    if path.is_file() and sha256(path) == file.sha256:
        return path
    url = f"{(mirror or address).rstrip('/')}/{file.path}"
    _download(url, file, path)
    return path


def _download(url: str, file: PublishedFile, path: Path) -> None:
    logger.info("downloading %s", url)
    advice = f"download it elsewhere and put it at {path}, or set 'mirror'"
    try:
        with atomic(path) as temporary:
            # pooch wants a file of its own name; its own messages would only repeat ours.
            pooch.get_logger().setLevel("ERROR")
            downloader = pooch.HTTPDownloader(timeout=_TIMEOUT)
            received = pooch.retrieve(
                url,
                known_hash=f"sha256:{file.sha256}",
                fname=f"{temporary.name}.download",
                path=temporary.parent,
                downloader=downloader,
            )
            shutil.move(received, temporary)
    except ValueError as error:
        raise UserError(f"{url}: wrong checksum: truncated or another version; {advice}") from error
    except requests.RequestException as error:
        reason = type(error).__name__
        if isinstance(error, requests.HTTPError) and error.response is not None:
            reason = f"HTTP status {error.response.status_code}"
        raise UserError(f"{url}: cannot be downloaded ({reason}); {advice}") from error
    finally:
        for left in path.parent.glob(".partial-*.download"):
            left.unlink(missing_ok=True)
