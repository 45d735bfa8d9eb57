"""Files of fitted models: plain tensors, numbers and strings, with a kind and a version."""

import sys
from pathlib import Path
from typing import Any

from whatwhere.errors import UserError
from whatwhere.files import read_tensors, write_tensors

KIND = "whatwhere fitted model"
VERSION = 3
"""Raised whenever the content of the file changes."""


def write(content: dict[str, Any], path: str | Path) -> None:
    """Writes the content of a fitted model; equal content gives equal bytes."""
    write_tensors(_interned({"kind": KIND, "version": VERSION} | content), path)


def _interned(content: Any) -> Any:
    """The content with equal strings as one object, which the file then holds once."""
    if isinstance(content, str):
        return sys.intern(str(content))
    if isinstance(content, dict):
        return {_interned(key): _interned(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_interned(value) for value in content]
    return content


def read(path: str | Path) -> dict[str, Any]:
    """Reads the content of a fitted model; never executes code from the file.

    Raises
    ------
    UserError
        If the file is missing or damaged, holds something else, or has another version.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    content = read_tensors(path)
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise UserError(f"{path}: holds no fitted model: give a file of 'save', or the folder of a run")
    found = content["version"]
    if found != VERSION:
        advice = "update whatwhere" if found > VERSION else "fit and save the model again with this version"
        raise UserError(f"{path}: has version {found} of the format, expected version {VERSION}: {advice}")
    return content
