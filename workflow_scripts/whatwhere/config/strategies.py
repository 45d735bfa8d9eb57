"""Ways to predict the neurons of one recording, its target: from its own images, or with others' help."""

import pandas as pd

from whatwhere.config.files import Config
from whatwhere.config.kinds import kind_of
from whatwhere.config.traits import traits_of

OWN_RIDGE = "own images, ridge"
"""What other strategies are held against: the target's own ridge on a feature bank."""
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
"""In the order of tables and figures."""


def strategy_of(config: Config, dataset: str, model: str) -> str:
    """Which of :data:`STRATEGIES` a model of a dataset is."""
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
    """The recording whose neurons are predicted: of a pool the first, whose images ``n_images`` counts."""
    target: str = config["datasets"][dataset].get("recordings", [dataset])[0]
    return target


def with_strategies(config: Config, fits: pd.DataFrame) -> pd.DataFrame:
    """Rows of :func:`whatwhere.config.plan.fits` with the columns ``target`` and ``strategy``."""
    pairs = list(zip(fits["dataset"], fits["model"], strict=True))
    return fits.assign(
        target=[target_of(config, dataset) for dataset, _ in pairs],
        strategy=[strategy_of(config, dataset, model) for dataset, model in pairs],
    )
