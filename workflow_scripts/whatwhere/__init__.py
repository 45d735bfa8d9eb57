"""Convolutional models of large neural populations that separate 'what' and 'where'."""

import importlib
from typing import Any

__version__ = "1.0.0"

_HOMES = {"FittedModel": "fitted.model", "UserError": "errors", "fit": "api", "load": "api"}
"""Modules of the names below; they are imported at the first use, because torch takes seconds."""

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'whatwhere' has no attribute {name!r}")
    return getattr(importlib.import_module(f"whatwhere.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
