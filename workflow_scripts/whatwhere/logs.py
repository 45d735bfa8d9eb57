"""Logging of one job: records to its file, problems in one line to the terminal too."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from whatwhere.errors import UserError


def arguments(*parts: Any) -> dict[str, Any]:
    """Named inputs, outputs and parameters of a job, as arguments of the ``main`` of its script.

    The parameters ``code`` and ``script``, which are for the rule, are left out.
    """
    return {name: value for part in parts for name, value in part.items() if name not in ("code", "script")}


@contextlib.contextmanager
def logged(path: str | Path) -> Iterator[None]:
    """Send log records, warnings and uncaught exceptions of the block to the file ``path``.

    A :class:`UserError` or a lack of memory ends the process with exit code 1 after one line on the
    terminal; any other exception is a bug and keeps its traceback, in the file and on the terminal.
    """
    handler = logging.FileHandler(path, mode="w")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.WARNING)
    terminal.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.handlers[:] = [handler, terminal]
    logging.captureWarnings(True)
    try:
        yield
    except UserError as error:
        logging.error("%s", error)
        sys.exit(1)
    except MemoryError as error:
        logging.error("not enough memory: take fewer images or neurons, or more memory (%s)", error)
        sys.exit(1)
    except Exception:
        logging.exception("this is a bug: please report it with this file")
        sys.exit(1)
    finally:
        logging.shutdown()
