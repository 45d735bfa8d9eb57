"""Logging of one job to a file and to the terminal, and the lines of a command."""

import contextlib
import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from whatwhere.errors import UserError

ERASE = "\r\x1b[K"
"""Erases the line of a terminal, on which a progress bar may stand."""


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


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


def report(lines: Callable[[], list[str]]) -> int:
    """Prints the lines that a function returns; exit code 1 after one line if it refuses."""
    logging.basicConfig(level=logging.WARNING, format="warning: %(message)s", stream=sys.stdout)
    try:
        print("\n".join(lines()))
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def named(function: Callable[..., Any], job: Any) -> dict[str, Any]:
    """Arguments of ``function`` among the outputs, params, inputs and wildcards of a job of Snakemake.

    Of equal names the first of these counts. ``log`` is known, too. An argument that the job does not have
    keeps its default.
    """
    known = {"log": job.log[0]}
    for part in (job.wildcards, job.input, job.params, job.output):
        known |= dict(part.items())
    return {name: known[name] for name in inspect.signature(function).parameters if name in known}


def run_job(main: Callable[..., None], job: Any) -> None:
    """Calls ``main`` of a script with its :func:`named` arguments, and logs to the file of the job."""
    with logged(job.log[0]):
        main(**named(main, job))
