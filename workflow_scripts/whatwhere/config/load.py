"""From files to the configuration that runs: read, merged with the default one and validated."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whatwhere.config.files import FOLDER, Config, from_command_line, merge, read
from whatwhere.config.schema import Sources
from whatwhere.config.validation import validate

DEFAULTS = (FOLDER / "models.yaml", FOLDER / "config.yaml")
"""The library of settings, datasets and models, and the quick run: every other configuration extends both."""


@dataclass(frozen=True)
class Loaded:
    """A configuration that may run.

    Attributes
    ----------
    config
        Resolved and valid.
    sources
        Name and content of what was merged, in order, for messages.
    """

    config: Config
    sources: Sources


def load(
    paths: Sequence[str | Path], given: Config | None = None, command_line: Config | None = None
) -> Loaded:
    """Loads a configuration.

    Parameters
    ----------
    paths
        Files that extend the default configuration, in order.
    given
        The configuration as Snakemake merged it. A workflow that uses this one as a module passes keys here
        instead of files; keys that no file holds extend the files.
    command_line
        Keys and values of ``--config``.

    Raises
    ------
    UserError
        With one line that names file and key, what is wrong and what is allowed.
    """
    files = {
        str(path): read(path) for path in dict.fromkeys(Path(path).resolve() for path in (*DEFAULTS, *paths))
    }
    typed = from_command_line(command_line or {})
    written: Config = {}
    for content in (*files.values(), _beyond(given or {}, list(files.values())), typed):
        written = merge(written, content)
    sources = [*files.items(), *([("--config", typed)] if typed else [])]
    return Loaded(validate(written, sources), sources)


def _beyond(given: Config, contents: Sequence[Any]) -> Config:
    """Returns the keys and values of a mapping that none of the contents holds at the same place."""
    beyond: Config = {}
    for key, value in given.items():
        said = [content[key] for content in contents if isinstance(content, dict) and key in content]
        if isinstance(value, dict):
            inner = _beyond(value, said)
            if inner or not said:
                beyond[key] = inner
        elif value not in said:
            beyond[key] = value
    return beyond
