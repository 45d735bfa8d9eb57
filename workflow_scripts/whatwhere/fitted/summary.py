"""Four facts about a fitted model, for its representations as text and as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from whatwhere.dataset import TEST
from whatwhere.metrics import SCORES
from whatwhere.population import population_scores

if TYPE_CHECKING:
    from whatwhere.fitted.model import FittedModel


def facts(fitted: FittedModel) -> dict[str, str]:
    """Facts by their heading: the fit, its images, the selected setting, and the scores."""
    n_seeds, first = len(fitted.seed_fits), fitted.seed_fits[0]
    definition = first.content["definition"]
    whole = f"{definition['family']} for {len(fitted.neurons)} neurons of '{fitted.dataset}'"
    shape = " x ".join(map(str, fitted.image_space.shape))
    one_core = len(definition.get("cores", [])) < 2
    parts = [f"{name} {value:g}" for name, value in fitted.setting.items() if name != "core" or not one_core]
    masks, weights = first.model.masks(), first.model.feature_weights()
    if masks is not None:
        parts.append(f"masks of {masks.shape[1]} x {masks.shape[2]}")
    if weights is not None:
        parts.append(f"{weights.shape[1]} features")
    scores = population_scores({name: fitted.scores[name].to_numpy() for name in SCORES})
    feve = scores["feve_pooled"]
    explained = "no FEVE without explainable variance" if np.isnan(feve) else f"pooled FEVE {feve:.2f}"
    return {
        "FittedModel": whole if n_seeds == 1 else f"{whole}, mean of {n_seeds} seeds",
        "images": f"{first.stored['n_images']} of {shape} (channel, y, x) to fit, "
        f"{(fitted.split == TEST).sum()} to test",
        "selected": ", ".join(parts) or "nothing to select",
        "test": f"mean correlation {scores['correlation']:.2f}, {explained}",
    }
