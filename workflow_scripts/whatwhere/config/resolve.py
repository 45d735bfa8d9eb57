"""From a configuration as it is written to complete settings: variants, defaults and paths filled in.

``like: NAME`` copies dataset, core or model NAME and overrides the keys given beside it: mappings key by key,
everything else replaced. A core of a model may be just a NAME.
"""

import copy
import os
from typing import Any

from whatwhere.config.files import Config, merge
from whatwhere.config.schema import Sources, fail, undefined

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
"""Keys of datasets and models for figures: ``like`` does not copy them, and fits do not depend on them."""
PATHS = ("path", "images", "responses", "splits_from")
"""Keys of datasets that hold files or folders of this machine."""


def resolve(config: Config, sources: Sources) -> Config:
    """Returns complete settings, which hold no ``like`` and resolve to themselves.

    ``config`` fulfils ``config.schema.yaml``; ``sources`` are as for
    :func:`whatwhere.config.validation.validate`. UserError if ``like`` names nothing, or leads back to where
    it started.
    """
    resolved = copy.deepcopy(config)
    for section in ("datasets", "cores", "models"):
        resolved[section] = _variants(resolved.get(section, {}), section, sources)
    cores = resolved.pop("cores")
    for name, model in resolved["models"].items():
        if isinstance(model.get("cores"), list):
            for index, core in enumerate(model["cores"]):
                named = {"like": core} if isinstance(core, str) else core
                path = ("models", name, "cores", index)
                model["cores"][index] = _variant(named, cores, "cores", path, sources)
        training = model.get("training")
        if isinstance(training, dict) and training.get("schedule") == "one_cycle":
            model["training"] = {key: value for key, value in training.items() if key not in STAGES}
    resolved["experiments"] = [
        EXPERIMENT | _with_controls(one, resolved["models"]) for one in resolved.get("experiments", [])
    ]
    resolved["datasets"] = {name: _expand(one) for name, one in resolved["datasets"].items()}
    if resolved.get("mirror") is not None:
        resolved["mirror"] = _expand(resolved["mirror"], "path")
    return resolved


def _with_controls(experiment: Config, models: Config) -> Config:
    """An experiment where a fit with shuffled covariates, added to the models, follows a model with state."""
    names = []
    for name in experiment.get("models", []):
        names.append(name)
        model = models.get(name, {})
        if "state" in model and "shuffled" not in model["state"]:
            shuffled = f"{name}_shuffled"
            label = f"{model.get('label', name)}, shuffled"
            models[shuffled] = model | {"label": label, "state": model["state"] | {"shuffled": True}}
            names.append(shuffled)
    return experiment | ({"models": list(dict.fromkeys(names))} if "models" in experiment else {})


def _variants(entries: Config, section: str, sources: Sources) -> Config:
    """Returns all entries of a section without ``like``, every entry after the one it is like."""
    done: Config = {}

    def finish(name: str, chain: list[str]) -> None:
        base, chain = entries[name].get("like"), [*chain, name]
        if base in chain:
            circle = " -> ".join([*chain[chain.index(base) :], base])
            raise fail((section, name, "like"), f"leads back to itself: {circle}", sources)
        if base in list(entries) and base not in done:
            finish(base, chain)
        done[name] = _variant(entries[name], entries | done, section, (section, name, "like"), sources)

    for name in entries:
        if name not in done:
            finish(name, [])
    return done


def _variant(entry: Any, bases: Config, section: str, path: tuple[str | int, ...], sources: Sources) -> Any:
    """Returns an entry, laid over the base that its ``like`` names."""
    if not isinstance(entry, dict) or "like" not in entry:
        return entry
    if entry["like"] not in list(bases):
        raise fail(path, undefined(entry["like"], section, bases), sources)
    base = {key: value for key, value in bases[entry["like"]].items() if key not in FIGURE_KEYS}
    return merge(copy.deepcopy(base), {key: value for key, value in entry.items() if key != "like"})


def _expand(value: Any, key: str = "") -> Any:
    """A dataset with ``~`` and ``$HOME`` expanded in its paths, and its session as text."""
    if isinstance(value, dict):
        return {inner: _expand(one, inner) for inner, one in value.items()}
    if key == "session" and isinstance(value, int):
        # A session named by its date reads as a number unless somebody thinks of quotes.
        return str(value)
    return os.path.expanduser(os.path.expandvars(value)) if key in PATHS and isinstance(value, str) else value
