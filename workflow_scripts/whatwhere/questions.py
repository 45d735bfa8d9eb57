"""The paper's five questions and one on other recordings, answered by the tables of a run.

Every answer is a mean of paired differences, or a shift of curves (:mod:`whatwhere.scaling`), with its 95 %
confidence interval: over seeds where populations of different size are compared, over neurons and seeds where
models are compared. A single seed has no interval. docs/statistics.md has the measured coverage.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from whatwhere.conditions import largest_condition, over_seeds
from whatwhere.config.strategies import OWN_RIDGE
from whatwhere.config.traits import families_that
from whatwhere.scaling import measure_of, paired_curves, shift

QUESTIONS = {
    1: "Does a feature space shared by many neurons help?",
    2: "Does separating what from where help in data efficiency and scale?",
    3: "Do factorized readouts beat fully-connected ones and models without convolution?",
    4: "Are feature weights barcodes of cell types?",
    5: "More neurons or longer recordings?",
    6: "Do other recordings help, and how many images do they save?",
}
ABSENT = "not part of this run"
ONE_BY_ONE = "the same neurons one by one"
"""Comparison of neurons with a shared filter with fits of each neuron of its own."""
COLUMNS = [
    *("question", "text", "comparison", "model", "against", "dataset", "selection", "n_neurons", "n_images"),
    *("measure", "value", "low", "high", "n", "unit", "first", "second", "first_all"),
    *("recording_time", "recording_time_low", "recording_time_high", "n_responses"),
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
    (Zou & Donner 2008). It covers in 94 to 99 % of the cases, whichever varies more.
    """
    mean = float(np.mean(np.nanmean(values, axis=1)))
    if values.shape[1] < 2:
        return mean, np.nan, np.nan
    means = [np.nanmean(values, axis=1 - axis) for axis in range(2) if values.shape[axis] > 1]
    half = float(np.sqrt(sum((high - middle) ** 2 for middle, _, high in map(interval, means))))
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
    """Answers to all questions that a run can answer.

    Tables are those of the same names, None where the run lacks them. ``families`` are by model, and
    ``figures`` of the paper (or None) by experiment. The paper's ``reference`` has the columns experiment
    (the figure, with details after an underscore), model, selection (the rule, where the paper compares
    several), n_neurons, n_images and feve.

    Columns are :data:`COLUMNS`. A difference has its two values in ``first`` and ``second``, and the
    paper's in ``paper_first`` and ``paper_second``; ``against`` names what ``model`` is compared with: a
    baseline, or the smaller population. ``first`` and ``second`` are means over the same neurons, those of
    the smaller population; ``first_all`` is the mean over all neurons of the larger population, as the paper
    reports it. ``recording_time``, with its 95 % interval, and ``n_responses`` are those of the larger
    population for equal performance, relative to the smaller population. ``converged`` says whether all
    compared fits converged, and ``at_edge`` is the share of fits with a penalty at the edge of its grid. A
    question without an answer has one row, with ``comparison`` :data:`ABSENT` and without ``value``.
    """
    measures = {name: measure_of(rows) for name, rows in scores.groupby("dataset")}
    measure = scores["dataset"].map(measures)
    scores = scores.assign(
        measure=measure,
        value=scores["feve"].where(measure == "feve", scores["correlation"]),
        family=scores["model"].map(families),
        figure=scores["experiment"].map(figures),
    ).dropna(subset="value")
    reference = reference.assign(figure=reference["experiment"].str.split("_").str[0])
    found = {
        1: [*_shared_features(scores, reference), *_shared_filters(scores)],
        2: [*_against(scores, "joint_readout", reference), *_images_saved(scores)],
        3: _largest(_against(scores, "unseparated", reference)),
        4: [] if barcode_scores is None else _largest(_barcodes(barcode_scores)),
        5: [] if exchange_rates is None else list(_exchange(exchange_rates)),
        6: [] if transfer is None else list(_transfer(transfer)),
    }
    rows = [
        row | {"question": number, "text": QUESTIONS[number]}
        for number, some in found.items()
        for row in some or [{"comparison": ABSENT}]
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _neurons(count: float) -> str:
    return "1 neuron" if count == 1 else f"{count:.0f} neurons"


def _estimate(value: float, low: float, high: float, n: int, unit: str = "seeds") -> Row:
    return {"value": value, "low": low, "high": high, "n": n, "unit": unit}


def _state(fits: pd.DataFrame) -> Row:
    return {"converged": bool((fits["converged"] == 1).all()), "at_edge": float(fits["at_edge"].mean())}


def _origin(scores: pd.DataFrame) -> Row:
    source = f"tables/scores.csv, {', '.join(scores['experiment'].unique())}"
    return {"measure": scores["measure"].iloc[0], **_state(scores), "source": source}


def _published(
    reference: pd.DataFrame, scores: pd.DataFrame, first: tuple[Any, ...], second: tuple[Any, ...]
) -> Row:
    """The paper's values of two (model, n_neurons, n_images) and their difference, if its figure has both.

    They stand beside scores of the selection rule with which the paper selected the first model.
    """
    figure = reference[reference["figure"].isin(scores["figure"])]
    names = ["model", "n_neurons", "n_images"]
    other = (figure[names] != pd.Series(first, names)).any(axis=1)
    table = figure[other | figure["selection"].isna() | figure["selection"].isin(scores["selection"])]
    feve = table.groupby(names)["feve"].mean()
    if first not in feve.index or second not in feve.index:
        return {}
    ours, theirs = feve[first], feve[second]
    return {"paper": ours - theirs, "paper_first": ours, "paper_second": theirs}


def _shared_features(scores: pd.DataFrame, reference: pd.DataFrame) -> Iterator[Row]:
    """A factorized model fitted to many neurons minus the model fitted to few, on the few, seed by seed."""
    network = scores[scores.family.isin(families_that("factorized"))]
    for _, rows in network.groupby([*_DATA, "n_images", "model"], sort=False):
        few, many = rows["n_neurons"].min(), rows["n_neurons"].max()
        small, large = (rows[rows["n_neurons"] == size] for size in (few, many))
        for row in _jointly(small, large, f"{few}", _neurons(few)) if few < many else []:
            sizes = ((row["model"], size, row["n_images"]) for size in (many, few))
            yield row | _published(reference, rows, *sizes) | _origin(rows)


def _shared_filters(scores: pd.DataFrame) -> Iterator[Row]:
    """A filter that neurons share minus a ridge filter for each of the same neurons, seed by seed."""
    for _, rows in scores.groupby(["experiment", *_CONDITION], sort=False):
        shared = rows[rows.family.isin(families_that("shares_filter"))]
        for row in _jointly(rows[rows.family == "ridge"], shared, ONE_BY_ONE, ONE_BY_ONE):
            yield row | _origin(rows)


def _jointly(alone: pd.DataFrame, jointly: pd.DataFrame, minus: str, against: str) -> Iterator[Row]:
    """Scores of a model fitted to neurons jointly minus scores ``alone``, on equal neurons and seeds, if any.

    Populations that are predicted worse than by their mean count as 0, as in the paper's curves.
    """
    second, first = paired_curves(alone, jointly, "value")
    differences = (first - second).to_numpy().ravel()
    if len(differences):
        everyone = over_seeds(jointly[jointly["seed"].isin(first)], ["value"], ["n_images"], 0)
        keys = ["model", *_CONDITION]
        names: Row = dict(zip(keys, jointly[keys].iloc[0], strict=True))
        yield {
            "comparison": f"{names['model']}: {names['n_neurons']} neurons fitted jointly minus {minus}",
            "against": against,
            **names,
            **_estimate(*interval(differences), len(differences)),
            "first": first.to_numpy().mean(),
            "second": second.to_numpy().mean(),
            "first_all": everyone["value"][0],
        }


def _beside(
    scores: pd.DataFrame, trait: str, keys: list[str]
) -> Iterator[tuple[Row, pd.DataFrame, str, str]]:
    """Conditions, by ``keys``, in which the first factorized model and a baseline with a trait were fitted.

    Yields the names of the condition, its scores, and the names of the factorized model and of the baseline.
    """
    for values, rows in scores.groupby(keys, sort=False):
        for ours in rows.loc[rows.family.isin(families_that("factorized")), "model"].unique()[:1]:
            for baseline in rows.loc[rows.family.isin(families_that(trait)), "model"].unique():
                yield dict(zip(keys, values, strict=True)), rows, ours, baseline


def _against(scores: pd.DataFrame, trait: str, reference: pd.DataFrame) -> Iterator[Row]:
    """The first factorized model minus all baselines with a trait at equal sizes, by neuron and seed."""
    for names, rows, ours, baseline in _beside(scores, trait, _CONDITION):
        sizes = (names["n_neurons"], names["n_images"])
        values_of = rows.groupby(["model", "neuron", "seed"], sort=False)["value"].mean()
        pairs = pd.DataFrame({"first": values_of[ours], "second": values_of[baseline]}).dropna()
        if len(pairs):
            first, second = pairs.groupby("neuron").mean().mean()
            differences = (pairs["first"] - pairs["second"]).unstack("seed").to_numpy()
            n_neurons, n_seeds = differences.shape
            unit = f"neurons, {n_seeds} seed{'s' if n_seeds > 1 else ''}"
            yield {
                "comparison": f"{ours} minus {baseline}",
                "model": ours,
                "against": baseline,
                **names,
                **_estimate(*crossed_interval(differences), n_neurons, unit),
                "first": first,
                "second": second,
                **_published(reference, rows, (ours, *sizes), (baseline, *sizes)),
                **_origin(rows[rows.model.isin((ours, baseline))]),
            }


def _images_saved(scores: pd.DataFrame) -> Iterator[Row]:
    """Doublings of images that the first factorized model saves against other joint readouts."""
    for names, rows, ours, baseline in _beside(scores, "joint_readout", [*_DATA, "n_neurons"]):
        theirs, mine = (rows[rows.model == model] for model in (baseline, ours))
        found = shift(*paired_curves(theirs, mine, "value"))
        if found is not None:
            yield {
                "comparison": f"doublings of images that {ours} saves against {baseline}",
                "model": ours,
                "against": baseline,
                **names,
                **_estimate(found.image_doublings, found.low, found.high, found.n_seeds),
                **_origin(rows[rows.model.isin((ours, baseline))]),
                "measure": f"doublings at {rows['measure'].iloc[0]} {found.performance:.2f}",
            }


def _largest(rows: Iterator[Row]) -> list[Any]:
    """Of every comparison on a dataset, the row of the largest condition."""
    comparisons = pd.DataFrame(rows, columns=COLUMNS).groupby([*_DATA, "comparison"], sort=False)
    return [largest_condition(table).iloc[0].to_dict() for _, table in comparisons]


def _barcodes(barcode_scores: pd.DataFrame) -> Iterator[Row]:
    """Agreement of clustered feature weights with the true types of simulated neurons."""
    keys = [*_CONDITION, "model", "experiment"]
    for values, rows in barcode_scores.dropna(subset="ari").groupby(keys, sort=False):
        names: Row = dict(zip(keys, values, strict=True))
        yield {
            "comparison": f"{names['model']}: clusters of feature weights against true types",
            "source": f"tables/barcode_scores.csv, {names.pop('experiment')}",
            **names,
            "measure": "ari",
            **_estimate(*interval(rows["ari"].to_numpy()), len(rows)),
            **_state(rows),
        }


def _exchange(rates: pd.DataFrame) -> Iterator[Row]:
    """Doublings of images that one doubling of neurons is worth, in the middle of both curves.

    With this exchange rate the larger population needs growth ** -rate of the images of the smaller one.
    """
    for rate in rates[rates["stated"].ne(True)].to_dict("records"):
        growth = rate["neurons_to"] / rate["neurons_from"]
        sizes = f"{rate['neurons_from']:.0f} to {rate['neurons_to']:.0f} neurons"
        yield {
            "comparison": f"{rate['model']}: a doubling of neurons in doublings of images, {sizes}",
            "against": _neurons(rate["neurons_from"]),
            "n_neurons": rate["neurons_to"],
            "measure": f"exchange rate at {rate['measure']} {rate['performance']:.2f}",
            **_estimate(rate["rate"], rate["low"], rate["high"], rate["n_seeds"]),
            "recording_time": growth ** -rate["rate"],
            "recording_time_low": growth ** -rate["high"],
            "recording_time_high": growth ** -rate["low"],
            "n_responses": growth ** (1 - rate["rate"]),
            **{key: rate[key] for key in ("model", "dataset", "selection", "at_edge")},
            "converged": rate["converged"] == 1,
            "source": "tables/exchange_rates.csv",
        }


def _transfer(table: pd.DataFrame) -> Iterator[Row]:
    """Gain of every strategy over the target's own ridge with the fewest images, and the images saved there.

    Images saved are those of the smallest size at which the curves overlap.
    """
    others = table[table["strategy"] != OWN_RIDGE].sort_values("n_images", kind="stable")
    comparisons = {
        "gain": ("{} minus {}", "correlation"),
        "image_doublings": (
            "doublings of images that {} saves against {}",
            "doublings at correlation {:.2f}",
        ),
    }
    for (target, strategy, _), rows in others.groupby(["target", "strategy", "model"], sort=False):
        for name, (comparison, measure) in comparisons.items():
            for row in rows.dropna(subset=name).head(1).to_dict("records"):
                compared = {"first": row["correlation"], "second": row["correlation"] - row["gain"]}
                estimate = (row[name], row[f"{name}_low"], row[f"{name}_high"])
                yield {
                    "comparison": comparison.format(strategy, OWN_RIDGE),
                    "model": strategy,
                    "against": OWN_RIDGE,
                    "dataset": target,
                    "measure": measure.format(row["correlation"]),
                    **_estimate(*estimate, row["n_neurons"], f"neurons, {row['n_folds']} folds"),
                    **(compared if name == "gain" else {}),
                    **{key: row[key] for key in ("selection", "n_neurons", "n_images", "at_edge")},
                    "converged": row["converged"] == 1,
                    "source": "tables/transfer.csv",
                }
