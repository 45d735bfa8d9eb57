"""From files to the configuration that runs, and to the models of ``config/models.yaml`` for Python."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from whatwhere.config.files import FOLDER, Config, from_command_line, merge, read
from whatwhere.config.model_checks import check_model
from whatwhere.config.resolve import resolve
from whatwhere.config.schema import Sources, check_schema
from whatwhere.config.validation import validate
from whatwhere.errors import UserError

MODELS = FOLDER / "models.yaml"
RECORDING = FOLDER / "recording.yaml"  # candidates for a recording
DEFAULTS = (MODELS, FOLDER / "config.yaml")
"""The library of settings, datasets and models, and the quick run: every other configuration extends both."""


class Loaded(NamedTuple):
    """A resolved, valid configuration, and name and content of what was merged, in order, for messages."""

    config: Config
    sources: Sources


def load(
    paths: Sequence[str | Path], given: Config | None = None, command_line: Config | None = None
) -> Loaded:
    """Loads a configuration; errors as for :func:`whatwhere.config.validation.validate`.

    The files ``paths`` extend the default configuration, in order. ``given`` is the configuration as
    Snakemake merged it: a workflow that uses this one as a module passes keys here instead of files, and keys
    that no file holds extend the files. ``command_line`` are keys and values of ``--config``.
    """
    places = dict.fromkeys(Path(path).resolve() for path in (*DEFAULTS, *paths))
    files = {str(path): read(path) for path in places}
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


def library(added: Sources = ()) -> Config:
    """Resolved models by name; errors as for :func:`whatwhere.config.validation.validate`.

    ``added`` are name and content of configurations with ``cores`` and ``models`` that extend
    ``config/models.yaml``, in order. Their models are checked.
    """
    sources = [(str(MODELS), read(MODELS)), *added]
    written: Config = {}
    for _, content in sources:
        written = merge(written, {key: content[key] for key in ("cores", "models") if key in content})
    for name, definition in (pair for _, content in added for pair in content["models"].items()):
        if not isinstance(definition, dict):
            raise UserError(f"{name}: a model is a mapping of keys, not {definition!r}")
    models: Config = resolve(written, sources)["models"]
    check(models, list(dict.fromkeys(name for _, content in added for name in content["models"])), sources)
    return models


def check(models: Config, names: Sequence[str], sources: Sources) -> None:
    """Checks some of the resolved models that ``sources`` hold; errors as for :func:`library`."""
    for name in names:
        check_schema(models[name], "models", ("models", name), sources)
        check_model({"models": models, "experiments": []}, name, sources)


def definition(name: str) -> Config:
    """Copies a model of ``config/models.yaml``, to change and to pass to :func:`whatwhere.api.fit`.

    Raises
    ------
    UserError
        If there is no such model.
    """
    models = library()
    require(name, models)
    return copy.deepcopy(models[name])


def require(name: str, models: Config) -> None:
    """Refuses the name of a model that is not defined."""
    if name not in models:
        raise UserError(f"model: '{name}' is not defined; defined are {', '.join(sorted(models))}")


def recording_candidates() -> tuple[list[str], tuple[str, Config]]:
    """Names of the ensemble's members in ``config/recording.yaml``, and its name and content as a source."""
    content = read(RECORDING)
    return content["models"]["ensemble"]["members"], (str(RECORDING), content)
