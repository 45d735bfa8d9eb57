"""Candidate models fitted to one dataset, ranked by validation and joined to an ensemble."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from whatwhere.differences import standard_error
from whatwhere.fitted.model import FittedModel
from whatwhere.metrics import SCORES
from whatwhere.named_fits import NamedFits
from whatwhere.population import above_ceiling, drawn_scores, population_scores, standard_errors

ENSEMBLE = "ensemble"
"""Name of the ensemble in the table."""
_TESTED = ("correlation", "feve_pooled", "cc_norm_pooled")
_ERRORS = ("correlation", "feve_pooled")


@dataclass(frozen=True)
class Comparison:
    """Candidate models, ranked by validation, and the ensemble of the candidates.

    Attributes
    ----------
    table
        One row per candidate, the highest ``validation_correlation`` first, and the ensemble last; the index
        is ``model``. ``validation_correlation``: with the validation responses, mean over neurons.
        ``validation_fve``: fraction of the variance of these responses that the candidate explains, mean over
        neurons; noise is part of the variance. ``weight``: mean weight in the ensemble. On the test images,
        ``correlation``: mean over neurons; ``feve_pooled`` and ``cc_norm_pooled``: fraction of the
        explainable variance explained, and correlation divided by its ceiling, pooled over neurons, NaN
        without repeated images;
        ``correlation_se`` and ``feve_pooled_se``: standard errors over images and neurons.
        ``difference``: ``correlation`` minus that of the first candidate; ``difference_se``: its standard
        error, paired over images and neurons. Models differ by more than chance if the difference is beyond
        two of these standard errors, however much the errors of their scores overlap. An ensemble has no
        validation scores, because its weights are fitted to the validation responses.
    models
        Candidates by name, the best on validation images first.
    ensemble
        For every neuron a weighted sum of the predictions of the candidates.
    left_out
        Candidates that could not be fitted, and the reason.
    """

    table: pd.DataFrame
    models: Mapping[str, FittedModel]
    ensemble: FittedModel
    left_out: Mapping[str, str]

    @property
    def best(self) -> FittedModel:
        """The candidate whose predictions correlate best with the validation responses."""
        return next(iter(self.models.values()))

    def __str__(self) -> str:
        table = self.table.dropna(axis="columns", how="all").round(3)
        lines = [table.to_string(na_rep="")]
        lines += [f"left out: {name}: {reason}" for name, reason in self.left_out.items()]
        remarks = ((name, above_ceiling(dict(row))) for name, row in self.table.iterrows())
        lines += [f"{name}: {remark}" for name, remark in remarks if remark]
        return "\n".join(lines)

    __repr__ = __str__


def compare_fits(fits: NamedFits, names: Iterable[str]) -> Comparison:
    """Fits candidates, ranks them by validation, and scores them and their ensemble on test images.

    Raises
    ------
    UserError
        If no candidate can be fitted.
    """
    fitted, left_out = fits.fit_possible(names)
    mixed, ranking = fits.ensemble(ENSEMBLE, fitted)
    ranking = ranking.rename_axis("model")
    best = ranking.index[0]
    rows: dict[str, dict[str, float]] = {}
    models: dict[str, FittedModel] = {}
    draws: dict[str, np.ndarray] = {}
    for name, found in [*((name, fits.fit(name)) for name in ranking.index), (ENSEMBLE, mixed)]:
        fit = fits.selected(found)
        tested = fits.evaluate(fit)
        models[name] = fits.describe(fit, tested)
        drawn = drawn_scores([tested], seed=0)
        rows[name] = _row(models[name], drawn)
        draws[name] = drawn["correlation"][0]
        rows[name]["difference"] = rows[name]["correlation"] - rows[best]["correlation"]
        rows[name]["difference_se"] = standard_error(draws[name] - draws[best])
    ranked = ranking[["validation_fve", "validation_correlation", "mean_weight"]]
    table = ranked.rename(columns={"mean_weight": "weight"}).reindex([*ranking.index, ENSEMBLE])
    table = table.join(pd.DataFrame.from_dict(rows, orient="index"))
    return Comparison(table, models, models.pop(ENSEMBLE), left_out)


def _row(fitted: FittedModel, drawn: dict[str, np.ndarray]) -> dict[str, float]:
    """Test scores of a model over all neurons, with errors from their draws."""
    scored = population_scores({name: fitted.scores[name].to_numpy() for name in SCORES})
    errors = standard_errors(drawn)
    return {name: scored[name] for name in _TESTED} | {f"{name}_se": errors[name] for name in _ERRORS}
