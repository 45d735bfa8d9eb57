"""The paper's five questions and one on other recordings, answered by the tables of a run.

Every answer is a mean of paired differences, or a shift of curves (:mod:`whatwhere.scaling`), with its 95 %
confidence interval: over seeds where populations of different size are compared, over neurons and seeds where
models are. A single seed has none. docs/statistics.md says how often they hold the truth. An answer says
where it comes from, and a run that lacks the experiment says so.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from whatwhere.config.strategies import OWN_RIDGE
from whatwhere.config.traits import families_that
from whatwhere.scaling import largest, measure_of, paired_curves, shift

QUESTIONS = {
    1: "Does a feature space shared by many neurons help?",
    2: "Does separating what from where help in data efficiency and scale?",
    3: "Do factorized readouts beat fully-connected ones and models without convolution?",
    4: "Are feature weights barcodes of cell types?",
    5: "More neurons or longer recordings?",
    6: "Do other recordings help, and how many images do they save?",
}
ABSENT = "not part of this run"
COLUMNS = [
    *("question", "text", "comparison", "model", "against", "dataset", "selection", "n_neurons", "n_images"),
    *("measure", "value", "low", "high", "n", "unit", "first", "second"),
    *("paper", "paper_first", "paper_second", "converged", "at_edge", "source"),
]

_DATA = ["dataset", "selection"]
_CONDITION = [*_DATA, "n_neurons", "n_images"]

Row = dict[str, Any]


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of values (n,) and its 95 % confidence interval; NaN bounds below two values."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, np.nan, np.nan
    half = float(stdtrit(len(values) - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def crossed_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of values (neuron, seed) and its 95 % confidence interval; NaN for missing pairs.

    Neurons of one fit share its kernels and fail together. The squared half width is the sum of that of the
    means of neurons (over seeds) and that of the means of seeds (over neurons), each with its own Student's t
    (Zou & Donner 2008), which holds the truth in 94 to 99 % of the cases, whichever varies more. One seed
    tells of its own fit only, and has no interval.
    """
    mean = float(np.mean(np.nanmean(values, axis=1)))
    if values.shape[1] < 2:
        return mean, np.nan, np.nan
    means = [np.nanmean(values, axis=1 - axis) for axis in range(2) if values.shape[axis] > 1]
    half = float(np.sqrt(sum((interval(one)[2] - interval(one)[0]) ** 2 for one in means)))
    return mean, mean - half, mean + half


def answers(
    scores: pd.DataFrame,
    barcode_scores: pd.DataFrame | None,
    exchange_rates: pd.DataFrame | None,
    transfer: pd.DataFrame | None,
    families: dict[str, str],
    figures: dict[str, str | None],
    reference: pd.DataFrame,
) -> pd.DataFrame:
    """All answers of a run.

    Parameters
    ----------
    scores
        ``tables/scores.csv``.
    barcode_scores, exchange_rates, transfer
        Tables of the same name, or None where the run lacks them.
    families
        Family of every model.
    figures
        The paper's figure that an experiment reproduces, or None.
    reference
        Values of the paper: columns experiment (the figure, with details after an underscore), model,
        selection (the rule, where the paper compares several), n_neurons, n_images, feve.

    Returns
    -------
    Columns as in :data:`COLUMNS`. A difference has its two values in ``first`` and ``second``, the paper's
    in ``paper_first`` and ``paper_second``; ``against`` names what ``model`` is compared with: another model,
    or the smaller population. ``value`` is NaN and ``comparison`` :data:`ABSENT` where a question cannot be
    answered.
    """
    scores = _measured(scores).assign(
        family=scores["model"].map(families), figure=scores["experiment"].map(figures)
    )
    reference = reference.assign(figure=reference["experiment"].str.split("_").str[0])
    found = {
        1: list(_shared_features(scores, reference)),
        2: [*_against(scores, "joint_readout", reference), *_images_saved(scores)],
        3: list(_largest(_against(scores, "unseparated", reference))),
        4: [] if barcode_scores is None else list(_largest(_barcodes(barcode_scores))),
        5: [] if exchange_rates is None else list(_exchange(exchange_rates)),
        6: [] if transfer is None else list(_transfer(transfer)),
    }
    rows = [
        row | {"question": number, "text": QUESTIONS[number]}
        for number, some in found.items()
        for row in some or [{"comparison": ABSENT}]
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _measured(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores with ``value`` and ``measure``, which is that of the dataset."""
    measure = scores["dataset"].map({name: measure_of(part) for name, part in scores.groupby("dataset")})
    value = scores["feve"].where(measure == "feve", scores["correlation"])
    return scores.assign(measure=measure, value=value).dropna(subset="value")


def _neurons(count: float) -> str:
    return "1 neuron" if count == 1 else f"{count:.0f} neurons"


def _over_seeds(values: np.ndarray) -> Row:
    mean, low, high = interval(values)
    return {"value": mean, "low": low, "high": high, "n": len(values), "unit": "seeds"}


def _over_neurons(values: pd.DataFrame) -> Row:
    """Estimate from differences, neurons times seeds."""
    mean, low, high = crossed_interval(values.to_numpy())
    n_seeds = values.shape[1]
    unit = "neurons, 1 seed" if n_seeds == 1 else f"neurons, {n_seeds} seeds"
    return {"value": mean, "low": low, "high": high, "n": len(values), "unit": unit}


def _origin(scores: pd.DataFrame) -> Row:
    experiments = ", ".join(scores["experiment"].unique())
    return {
        "measure": scores["measure"].iloc[0],
        **_state(scores),
        "source": f"tables/scores.csv, {experiments}",
    }


def _state(fits: pd.DataFrame) -> Row:
    """Whether all fits compared are finished, and of which share a penalty is at the edge of its grid."""
    return {"converged": bool((fits["converged"] == 1).all()), "at_edge": float(fits["at_edge"].mean())}


def _published(
    reference: pd.DataFrame, scores: pd.DataFrame, first: tuple[Any, ...], second: tuple[Any, ...]
) -> Row:
    """The paper's values of two (model, n_neurons, n_images), if the figure of these scores has both.

    Their difference stands beside the selection rule of its first model.
    """
    same = reference[reference["figure"].isin(scores["figure"])]
    names = ["model", "n_neurons", "n_images"]
    other = (same[names] != pd.Series(first, names)).any(axis=1)
    same = same[other | same["selection"].isna() | same["selection"].isin(scores["selection"])]
    table = same.groupby(names)["feve"].mean()
    if first not in table.index or second not in table.index:
        return {}
    return {
        "paper": table[first] - table[second],
        "paper_first": table[first],
        "paper_second": table[second],
    }


def _shared_features(scores: pd.DataFrame, reference: pd.DataFrame) -> Iterator[Row]:
    """The same factorized model fitted to many and to few neurons, on the few and over the same seeds.

    Populations that are predicted worse than by their mean count as 0, as in the paper's curves.
    """
    network = scores[scores.family.isin(families_that("factorized"))]
    keys = [*_DATA, "n_images", "model"]
    for values, part in network.groupby(keys, sort=False):
        names: Row = dict(zip(keys, values, strict=True))
        model, n_images = names.pop("model"), names["n_images"]
        few, many = part["n_neurons"].min(), part["n_neurons"].max()
        small, large = (part[part["n_neurons"] == size] for size in (few, many))
        alone, jointly = paired_curves(small, large, "value")
        difference = (jointly - alone).to_numpy().ravel()
        if few < many and len(difference):
            yield {
                "comparison": f"{model}: {many} neurons fitted jointly minus {few}",
                "model": model,
                "against": _neurons(few),
                **names,
                "n_neurons": many,
                **_over_seeds(difference),
                "first": jointly.to_numpy().mean(),
                "second": alone.to_numpy().mean(),
                **_published(reference, part, (model, many, n_images), (model, few, n_images)),
                **_origin(part),
            }


def _beside(
    scores: pd.DataFrame, trait: str, keys: list[str]
) -> Iterator[tuple[Row, pd.DataFrame, str, str]]:
    """Conditions, by ``keys``, in which the first factorized model and a model with a trait were fitted.

    Yields the names of the condition, its scores, and the names of the factorized and of the other model.
    """
    for values, part in scores.groupby(keys, sort=False):
        for ours in part.loc[part.family.isin(families_that("factorized")), "model"].unique()[:1]:
            for other in part.loc[part.family.isin(families_that(trait)), "model"].unique():
                yield dict(zip(keys, values, strict=True)), part, ours, other


def _against(scores: pd.DataFrame, trait: str, reference: pd.DataFrame) -> Iterator[Row]:
    """The first factorized model minus all models with a trait at equal sizes, by neuron and seed."""
    for names, part, ours, other in _beside(scores, trait, _CONDITION):
        sizes = (names["n_neurons"], names["n_images"])
        values_of = part.groupby(["model", "neuron", "seed"], sort=False)["value"].mean()
        pairs = pd.DataFrame({"first": values_of[ours], "second": values_of[other]}).dropna()
        if len(pairs):
            first, second = pairs.groupby("neuron").mean().mean()
            yield {
                "comparison": f"{ours} minus {other}",
                "model": ours,
                "against": other,
                **names,
                **_over_neurons((pairs["first"] - pairs["second"]).unstack("seed")),
                "first": first,
                "second": second,
                **_published(reference, part, (ours, *sizes), (other, *sizes)),
                **_origin(part[part.model.isin((ours, other))]),
            }


def _images_saved(scores: pd.DataFrame) -> Iterator[Row]:
    """Doublings of images that the first factorized model saves against other joint readouts."""
    for names, part, ours, other in _beside(scores, "joint_readout", [*_DATA, "n_neurons"]):
        theirs, mine = (part[part.model == model] for model in (other, ours))
        found = shift(*paired_curves(theirs, mine, "value"))
        if found is not None:
            yield {
                "comparison": f"doublings of images that {ours} saves against {other}",
                "model": ours,
                "against": other,
                **names,
                **_of_shift(found.image_doublings, found.low, found.high, found.n_seeds),
                **_origin(part[part.model.isin((ours, other))]),
                "measure": f"doublings at {part['measure'].iloc[0]} {found.performance:.2f}",
            }


def _of_shift(value: float, low: float, high: float, n_seeds: int) -> Row:
    return {"value": value, "low": low, "high": high, "n": n_seeds, "unit": "seeds"}


def _largest(rows: Iterator[Row]) -> Iterator[Row]:
    """Of every comparison on a dataset, the one at the largest sizes."""
    table = pd.DataFrame(rows, columns=COLUMNS)
    for _, same in table.groupby([*_DATA, "comparison"], sort=False):
        yield {str(key): value for key, value in largest(same).iloc[0].items()}


def _barcodes(barcode_scores: pd.DataFrame) -> Iterator[Row]:
    """Agreement of clustered feature weights with the true types of simulated cells."""
    keys = [*_CONDITION, "model", "experiment"]
    for values, part in barcode_scores.dropna(subset="ari").groupby(keys, sort=False):
        names: Row = dict(zip(keys, values, strict=True))
        yield {
            "comparison": f"{names['model']}: clusters of feature weights against true types",
            "source": f"tables/barcode_scores.csv, {names.pop('experiment')}",
            **names,
            "measure": "ari",
            **_over_seeds(part["ari"].to_numpy()),
            **_state(part),
        }


def _exchange(rates: pd.DataFrame) -> Iterator[Row]:
    """How many doublings of images one doubling of neurons is worth, in the middle of both curves."""
    for rate in rates[rates["stated"].ne(True)].to_dict("records"):
        sizes = f"{rate['neurons_from']:.0f} to {rate['neurons_to']:.0f} neurons"
        yield {
            "comparison": f"{rate['model']}: a doubling of neurons in doublings of images, {sizes}",
            "model": rate["model"],
            "against": _neurons(rate["neurons_from"]),
            "dataset": rate["dataset"],
            "selection": rate["selection"],
            "n_neurons": rate["neurons_to"],
            "measure": f"exchange rate at {rate['measure']} {rate['performance']:.2f}",
            **_of_shift(rate["rate"], rate["low"], rate["high"], rate["n_seeds"]),
            "converged": rate["converged"] == 1,
            "at_edge": rate["at_edge"],
            "source": "tables/exchange_rates.csv",
        }


def _transfer(table: pd.DataFrame) -> Iterator[Row]:
    """Every strategy against the target's own ridge: with the fewest images, and what it saves of them there.

    Images saved are those of the smallest size at which the curves overlap.
    """
    others = table[table["strategy"] != OWN_RIDGE].sort_values("n_images", kind="stable")
    for (target, strategy, _), rows in others.groupby(["target", "strategy", "model"], sort=False):
        comparisons = {
            "gain": (f"{strategy} minus {OWN_RIDGE}", "correlation"),
            "image_doublings": (
                f"doublings of images that {strategy} saves against {OWN_RIDGE}",
                "doublings at correlation {:.2f}",
            ),
        }
        for name, (comparison, measure) in comparisons.items():
            for row in rows.dropna(subset=name).head(1).to_dict("records"):
                compared = {"first": row["correlation"], "second": row["correlation"] - row["gain"]}
                yield {
                    "comparison": comparison,
                    "model": strategy,
                    "against": OWN_RIDGE,
                    "dataset": target,
                    "measure": measure.format(row["correlation"]),
                    "value": row[name],
                    "low": row[f"{name}_low"],
                    "high": row[f"{name}_high"],
                    "n": row["n_neurons"],
                    "unit": f"neurons, {row['n_folds']} folds",
                    **(compared if name == "gain" else {}),
                    **{key: row[key] for key in ("selection", "n_neurons", "n_images", "at_edge")},
                    "converged": row["converged"] == 1,
                    "source": "tables/transfer.csv",
                }
