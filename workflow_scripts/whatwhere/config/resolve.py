"""From a configuration as it is written to the one that runs: variants, defaults and paths filled in.

``like: NAME`` copies dataset, core or model NAME and overrides the keys given beside it: mappings key by key,
everything else replaced. A core of a model may be just a NAME.
"""

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
"""Defaults of an experiment."""
STAGES = ("patience", "burn_in", "n_stages", "factor")
"""Keys of a training in stages of the learning rate; a training in one cycle that is like it has none."""
FIGURE_KEYS = ("label", "paper")
"""Keys of models for figures: ``like`` does not copy them, and fits do not depend on them."""
PATHS = ("path", "images", "responses", "splits_from", "weights")
"""Keys of datasets that hold files or folders of this machine."""


def resolve(config: Config, sources: Sources) -> Config:
    """Returns the configuration that runs; it holds no ``like`` and resolves to itself.

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
        if isinstance(resolved.get(section), dict):
            resolved[section] = _variants(resolved[section], section, sources)
    cores = resolved.pop("cores", {})
    for name, model in _mappings(resolved.get("models")):
        if isinstance(model.get("cores"), list):
            for index, core in enumerate(model["cores"]):
                path = ("models", name, "cores", index)
                named = {"like": core} if isinstance(core, str) else core
                model["cores"][index] = _variant(named, cores, "cores", path, sources)
        training = model.get("training")
        if isinstance(training, dict) and training.get("schedule") == "one_cycle":
            model["training"] = {key: value for key, value in training.items() if key not in STAGES}
    if isinstance(resolved.get("experiments"), list):
        resolved["experiments"] = [
            EXPERIMENT | one if isinstance(one, dict) else one for one in resolved["experiments"]
        ]
    if isinstance(resolved.get("datasets"), dict):
        resolved["datasets"] = {name: _expand(one) for name, one in resolved["datasets"].items()}
    if isinstance(resolved.get("mirror"), str):
        resolved["mirror"] = _expanded(resolved["mirror"])
    return resolved


def _mappings(entries: Any) -> list[tuple[str, Config]]:
    """Entries of a section that are mappings; a schema refuses all others."""
    return (
        [item for item in entries.items() if isinstance(item[1], dict)] if isinstance(entries, dict) else []
    )


def _variants(entries: Config, section: str, sources: Sources) -> Config:
    """Returns all entries of a section without ``like``, every entry after the one it is like."""
    done: Config = {}

    def finish(name: str, chain: tuple[str, ...]) -> None:
        if name in chain:
            circle = " -> ".join([*chain[chain.index(name) :], name])
            raise fail((section, chain[-1], "like"), f"leads back to itself: {circle}", sources)
        entry = entries[name]
        base = entry.get("like") if isinstance(entry, dict) else None
        if isinstance(base, str) and base in entries and base not in done:
            finish(base, (*chain, name))
        done[name] = _variant(entry, entries | done, section, (section, name, "like"), sources)

    for name in entries:
        if name not in done:
            finish(name, ())
    return done


def _variant(entry: Any, bases: Any, section: str, path: tuple[str | int, ...], sources: Sources) -> Any:
    """Returns an entry, laid over the base that its ``like`` names."""
    if not isinstance(entry, dict) or "like" not in entry:
        return entry
    name, bases = entry["like"], bases if isinstance(bases, dict) else {}
    if not isinstance(name, str) or name not in bases:
        defined = ", ".join(sorted(map(str, bases))) or "none"
        raise fail(path, f"'{name}' is not defined under '{section}'; defined are {defined}", sources)
    own = {key: value for key, value in entry.items() if key != "like"}
    if not isinstance(bases[name], dict):
        return own
    base = {key: copy.deepcopy(value) for key, value in bases[name].items() if key not in FIGURE_KEYS}
    return merge(base, own)


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
