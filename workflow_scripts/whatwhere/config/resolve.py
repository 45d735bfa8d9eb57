"""From a configuration as it is written to the one that runs: variants, defaults and paths filled in.

``like: NAME`` in a dataset, a core or a model stands for that one of the same section, with the keys beside
it laid over it: mappings key by key, everything else replaced. A core of a model may be just a NAME.
"""

from __future__ import annotations

import copy
import os
from typing import Any

from whatwhere.config.files import Config, merge
from whatwhere.config.schema import Sources, fail

SECTIONS = ("datasets", "cores", "models")
"""Sections whose entries may be like another one."""
EXPERIMENT: Config = {
    "n_neurons": ["all"],
    "n_images": ["all"],
    "seeds": [0],
    "selection": ["population"],
    "figure": None,
}
"""What an experiment is unless it says otherwise."""
STAGES = ("patience", "burn_in", "n_stages", "factor", "restore")
"""Keys of a training in learning-rate stages."""
FIGURE_KEYS = ("label", "paper")
"""Keys of models for figures: ``like`` does not copy them, and fits do not depend on them."""
PATHS = ("path", "images", "responses", "splits_from", "weights")
"""Keys of datasets that hold files or folders of this machine."""


def resolve(config: Config, sources: Sources) -> Config:
    """The configuration that runs; it holds no ``like`` and resolves to itself.

    Parameters
    ----------
    config
        Merged from ``sources``.
    sources
        Name and content of what was merged, in order, to name the culprit in messages.

    Raises
    ------
    UserError
        If ``like`` names nothing, or leads back to where it started.
    """
    resolved = copy.deepcopy(config)
    for section in SECTIONS:
        entries = resolved.get(section)
        if isinstance(entries, dict):
            resolved[section] = _variants(entries, section, sources)
    _fill_cores(resolved, sources)
    models = resolved.get("models")
    for model in models.values() if isinstance(models, dict) else ():
        if isinstance(model, dict) and isinstance(model.get("training"), dict):
            model["training"] = _one_schedule(model["training"])
    if isinstance(resolved.get("experiments"), list):
        resolved["experiments"] = [
            EXPERIMENT | one if isinstance(one, dict) else one for one in resolved["experiments"]
        ]
    if isinstance(resolved.get("datasets"), dict):
        resolved["datasets"] = {name: _expand(one) for name, one in resolved["datasets"].items()}
    if isinstance(resolved.get("mirror"), str):
        resolved["mirror"] = _expanded(resolved["mirror"])
    return resolved


def _variants(entries: Config, section: str, sources: Sources) -> Config:
    """All entries of a section without ``like``, those that others are like before them."""
    done: Config = {}

    def finish(name: str, chain: tuple[str, ...]) -> Any:
        if name in done:
            return done[name]
        if name in chain:
            circle = " -> ".join([*chain[chain.index(name) :], name])
            raise fail((section, chain[-1], "like"), f"leads back to itself: {circle}", sources)
        entry = entries[name]
        if isinstance(entry, dict) and "like" in entry:
            own = {key: value for key, value in entry.items() if key != "like"}
            _known(entry["like"], entries, (section, name, "like"), sources)
            entry = _laid_over(finish(entry["like"], (*chain, name)), own)
        done[name] = entry
        return entry

    for name in entries:
        finish(name, ())
    return done


def _known(name: Any, entries: Config, path: tuple[str | int, ...], sources: Sources) -> None:
    if not isinstance(name, str) or name not in entries:
        defined = ", ".join(sorted(map(str, entries))) or "none"
        raise fail(path, f"'{name}' is not defined under '{path[0]}'; defined are {defined}", sources)


def _laid_over(base: Any, own: Config) -> Any:
    if not isinstance(base, dict):
        return own
    return merge({key: copy.deepcopy(value) for key, value in base.items() if key not in FIGURE_KEYS}, own)


def _fill_cores(config: Config, sources: Sources) -> None:
    """Put named cores into the models that name them."""
    named = config.pop("cores", {})
    models = config.get("models")
    for name, model in models.items() if isinstance(models, dict) else ():
        if not isinstance(model, dict) or not isinstance(model.get("cores"), list):
            continue
        for index, core in enumerate(model["cores"]):
            reference = {"like": core} if isinstance(core, str) else core
            if not isinstance(reference, dict) or "like" not in reference:
                continue
            wanted = reference["like"]
            if not isinstance(named, dict) or wanted not in named:
                known = ", ".join(sorted(named)) if isinstance(named, dict) and named else "none"
                message = f"'{wanted}' is not defined under 'cores'; defined are {known}"
                raise fail(("models", name, "cores", index), message, sources)
            own = {key: value for key, value in reference.items() if key != "like"}
            model["cores"][index] = _laid_over(named[wanted], own)


def _one_schedule(training: Config) -> Config:
    """A training without what belongs to a schedule that it is like but does not follow.

    One cycle needs no keys of stages.
    """
    dropped = STAGES if training.get("schedule") == "one_cycle" else ()
    return {key: value for key, value in training.items() if key not in dropped}


def _expand(value: Any, key: str = "") -> Any:
    """A dataset with ``~`` and ``$HOME`` expanded in its paths, and its session as text."""
    if isinstance(value, dict):
        return {inner: _expand(one, inner) for inner, one in value.items()}
    if key == "session" and isinstance(value, int):
        # A session named by its date reads as a number unless somebody thinks of quotes.
        return str(value)
    return _expanded(value) if key in PATHS and isinstance(value, str) else value


def _expanded(path: str) -> str:
    return os.path.expanduser(os.path.expandvars(path))
