"""Models of ``config/models.yaml`` for Python, with models of other sources laid over them."""

import copy
from collections.abc import Sequence

from whatwhere.config.files import FOLDER, Config, merge, read
from whatwhere.config.model_checks import check_model
from whatwhere.config.resolve import resolve
from whatwhere.config.schema import Sources, check_schema
from whatwhere.errors import UserError

MODELS = FOLDER / "models.yaml"
RECORDING = FOLDER / "recording.yaml"
"""Candidates for a recording."""


def library(added: Sources = ()) -> Config:
    """Resolved models by name.

    Parameters
    ----------
    added
        Name and content of configurations with ``cores`` and ``models`` that extend ``config/models.yaml``,
        in order. Their models are checked.

    Raises
    ------
    UserError
        As :func:`whatwhere.config.validation.validate`.
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
