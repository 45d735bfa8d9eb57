"""Zip archives, read in memory and never unpacked to disk."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from whatwhere.errors import UserError

MAX_MEMBER = 2 << 30
MAX_TOTAL = 64 << 30
_MAX_RATIO = 1000


def open_zip(path: str | Path) -> zipfile.ZipFile:
    """Open an archive after checking its table of contents.

    Raises
    ------
    UserError
        If it is not a zip file, a name leaves the archive, or it would unpack to absurd sizes.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path}: not a readable zip file, perhaps truncated: get it again") from error
    total = 0
    for member in archive.infolist():
        total += member.file_size
        absurd = member.file_size > max(member.compress_size, 1) * _MAX_RATIO
        if member.file_size > MAX_MEMBER or total > MAX_TOTAL or (absurd and member.file_size > 1e6):
            archive.close()
            raise UserError(f"{path}: '{member.filename}' unpacks to an absurd size: refused")
        parts = Path(member.filename.replace("\\", "/")).parts
        if ".." in parts or member.filename.startswith(("/", "\\")):
            archive.close()
            raise UserError(f"{path}: the name '{member.filename}' leaves the archive: refused")
        if member.flag_bits & 0x1:
            archive.close()
            raise UserError(f"{path}: is encrypted: provide it without a password")
    return archive


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
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise UserError(f"{archive.filename}: '{name}' is damaged: get the file again") from error


def decode_image(content: bytes, name: str) -> np.ndarray:
    """Decode PNG, JPEG or TIFF to uint8 or uint16, (channel, y, x) with 1 or 3 channels.

    Raises
    ------
    UserError
        If the content is no such image.
    """
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "TIFF")) as image:
            plain = image.mode in ("L", "RGB", "I;16")
            pixels = np.asarray(image if plain else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{name}: not a readable PNG, JPEG or TIFF image") from error
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
