"""Logging of one job: all records to a file, warnings and errors also to the terminal."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whatwhere.errors import UserError

ERASE = "\r\x1b[K"
"""Erases the line of a terminal, on which a progress bar may stand."""


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def arguments(*parts: Any) -> dict[str, Any]:
    """Named inputs, outputs and parameters of a job, as arguments of the ``main`` of its script.

    ``code`` and ``script``, which only the rule needs, are left out.
    """
    return {name: value for part in parts for name, value in part.items() if name not in ("code", "script")}


@contextlib.contextmanager
def logged(path: str | Path) -> Iterator[None]:
    """Sends log records, warnings and uncaught exceptions of the block to the file ``path``.

    Exceptions end the process with exit code 1. A :class:`UserError` or a lack of memory gives one line on
    the terminal; any other exception is a bug and keeps its traceback, in the file and on the terminal.
    """
    handler = logging.FileHandler(path, mode="w")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.WARNING)
    erase = ERASE if sys.stderr.isatty() else ""
    terminal.setFormatter(logging.Formatter(f"{erase}%(levelname)s: %(message)s"))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.handlers[:] = [handler, terminal]
    logging.captureWarnings(True)
    try:
        yield
        return
    except UserError as error:
        logging.error("%s", error)
    except MemoryError as error:
        logging.error("not enough memory: take fewer images or neurons, or more memory (%s)", error)
    except Exception:
        logging.exception("this is a bug: please report it with this file")
    finally:
        logging.shutdown()
    sys.exit(1)
