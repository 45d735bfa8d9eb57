"""Training strategies for the neurons of a target recording: its own images, or other recordings' help."""

from whatwhere.config.files import Config
from whatwhere.config.kinds import kind_of
from whatwhere.config.traits import traits_of

OWN_RIDGE = "own images, ridge"
"""Baseline of all strategies: ridge regression on a feature bank, fitted to the target alone."""
STRATEGIES = [
    OWN_RIDGE,
    "own images, other closed form",
    "own images, network",
    "pooled",
    "transferred core, closed form",
    "transferred core, frozen",
    "transferred core, fine-tuned",
    "ensemble",
]
"""Training strategies in the order of tables and figures."""


def strategy_of(config: Config, dataset: str, model: str) -> str:
    """Returns the one of :data:`STRATEGIES` that a model of a dataset follows."""
    definition = config["models"][model]
    source = definition.get("core_from")
    rule = traits_of(definition).rule
    if rule == "fit_ensemble":
        return "ensemble"
    if kind_of(config["datasets"][dataset]).pooled:
        return "pooled"
    if source is None and rule == "fit_baseline":
        own_ridge = definition["family"] == "ridge" and "feature_bank" in definition
        return OWN_RIDGE if own_ridge else "own images, other closed form"
    if source is None:
        return "own images, network"
    if rule == "fit_baseline":
        return "transferred core, closed form"
    return "transferred core, frozen" if source["mode"] == "frozen" else "transferred core, fine-tuned"


def target_of(config: Config, dataset: str) -> str:
    """Returns the recording whose neurons are predicted: the first of pooled recordings, or the dataset."""
    target: str = config["datasets"][dataset].get("recordings", [dataset])[0]
    return target
