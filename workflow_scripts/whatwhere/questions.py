"""The paper's five questions and one on other recordings, answered by the tables of a run.

An answer is a difference, or a shift of curves (:mod:`whatwhere.scaling`), with its 95 % confidence interval.
Differences of models are those of :mod:`whatwhere.differences`; populations of different size are compared
over seeds, and a single seed has no interval. docs/statistics.md has the measured coverage.
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
    *("measure", "value", "low", "high", "p_adjusted", "n", "unit", "first", "second", "first_all"),
    *("recording_time", "recording_time_low", "recording_time_high", "n_responses"),
    *("paper", "paper_first", "paper_second", "converged", "at_edge", "source"),
]

_SIZES = ["n_neurons", "n_images"]
_CONDITION = ["dataset", "selection", *_SIZES]

Row = dict[str, Any]


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of values (n,) and its 95 % confidence interval; NaN bounds below two values."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, np.nan, np.nan
    half = float(stdtrit(len(values) - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def answers(
    scores: pd.DataFrame,
    differences: pd.DataFrame,
    barcode_scores: pd.DataFrame | None,
    exchange_rates: pd.DataFrame | None,
    transfer: pd.DataFrame | None,
    families: dict[str, str],
    know_fields: list[str],
    figures: dict[str, str | None],
    reference: pd.DataFrame,
) -> pd.DataFrame:
    """Answers to all questions that a run can answer.

    Tables are those of the same names, None where the run lacks them. ``families`` are by model,
    ``know_fields`` are models that are told the receptive fields, which are no baselines, and ``figures`` of
    the paper (or None) by experiment. The paper's ``reference`` has the columns experiment (the figure, with
    details after an underscore), model, selection (the rule, where the paper compares several), n_neurons,
    n_images and feve.

    Columns are :data:`COLUMNS`. A difference has its two values in ``first`` and ``second``, and the
    paper's in ``paper_first`` and ``paper_second``; ``against`` names what ``model`` is compared with: a
    baseline, or the smaller population. ``first`` and ``second`` are means over the same neurons, those of
    the smaller population; ``first_all`` is the mean over all neurons of the larger population, as the paper
    reports it. ``recording_time``, with its 95 % interval, and ``n_responses`` are those of the larger
    population for equal performance, relative to the smaller population. ``p_adjusted`` is that of a pair of
    models in ``differences``. ``converged`` says whether all compared fits converged, and ``at_edge`` is the
    share of fits with a penalty at the edge of its grid. Of several selection rules, the paper's is
    compared, or else the first. A recording of a pool is a dataset of its own. A question without an answer
    has one row, with ``comparison`` :data:`ABSENT` and without ``value``.
    """
    scores, pairs = _by_recording(scores), _by_recording(differences)
    measure = scores["dataset"].map({name: measure_of(rows) for name, rows in scores.groupby("dataset")})
    scores = scores.assign(
        measure=measure,
        value=scores["feve"].where(measure == "feve", scores["correlation"]),
        family=scores["model"].map(families),
        figure=scores["experiment"].map(figures),
    ).dropna(subset="value")
    reference = reference.assign(figure=reference["experiment"].str.split("_").str[0])
    scores = _of_one_rule(
        scores, reference[reference["model"].map(families).isin(families_that("factorized"))]
    )
    fair = scores[~scores["model"].isin(know_fields)]
    found = {
        1: [*_shared_features(scores, reference), *_shared_filters(scores)],
        2: [*_against(fair, pairs, "joint_readout", reference), *_images_saved(fair)],
        3: _largest(_against(fair, pairs, "unseparated", reference)),
        4: [] if barcode_scores is None else _largest(_barcodes(barcode_scores)),
        5: [] if exchange_rates is None else _exchange(exchange_rates),
        6: [] if transfer is None else list(_transfer(transfer)),
    }
    rows = [row | {"question": number} for number, some in found.items() for row in some or [{}]]
    table = pd.DataFrame(rows, columns=COLUMNS).assign(text=lambda one: one["question"].map(QUESTIONS))
    compared = table["model"].astype(str) + " against " + table["against"].astype(str)
    return table.assign(comparison=compared.where(table["model"].notna(), ABSENT))


def _by_recording(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose datasets are the recordings, for datasets that pool several."""
    if "recording" not in table:
        return table
    return table.assign(dataset=table["dataset"].where(table["recording"].isna(), table["recording"]))


def _of_one_rule(scores: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Scores by one selection rule per condition, so that no comparison counts twice."""

    def kept(rows: pd.DataFrame) -> pd.DataFrame:
        rules = rows["selection"].drop_duplicates()
        theirs = published.loc[published["figure"].isin(rows["figure"]), "selection"]
        return rows[rows["selection"] == [*rules[rules.isin(theirs)], *rules][0]]

    return pd.concat([kept(rows) for _, rows in scores.groupby(["dataset", *_SIZES], sort=False)])


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
    names = ["model", *_SIZES]
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
    for _, rows in network.groupby(["dataset", "selection", "n_images", "model"], sort=False):
        few, many = rows["n_neurons"].min(), rows["n_neurons"].max()
        small, large = (rows[rows["n_neurons"] == size] for size in (few, many))
        for row in _jointly(small, large, _neurons(few)) if few < many else []:
            sizes = ((row["model"], size, row["n_images"]) for size in (many, few))
            yield row | _published(reference, rows, *sizes) | _origin(rows)


def _shared_filters(scores: pd.DataFrame) -> Iterator[Row]:
    """A filter that neurons share minus a ridge filter for each of the same neurons, seed by seed."""
    for _, rows in scores.groupby(["experiment", *_CONDITION], sort=False):
        shared = rows[rows.family.isin(families_that("shares_filter"))]
        for row in _jointly(rows[rows.family == "ridge"], shared, ONE_BY_ONE):
            yield row | _origin(rows)


def _jointly(alone: pd.DataFrame, jointly: pd.DataFrame, against: str) -> Iterator[Row]:
    """Scores of a model fitted to neurons jointly minus scores ``alone``, on equal neurons and seeds, if any.

    Populations that are predicted worse than by their mean count as 0, as in the paper's curves.
    """
    second, first = paired_curves(alone, jointly, "value")
    differences = (first - second).to_numpy().ravel()
    if len(differences):
        everyone = over_seeds(jointly[jointly["seed"].isin(first)], ["value"], ["n_images"], 0)
        keys = ["model", *_CONDITION]
        names: Row = dict(zip(keys, jointly.iloc[0][keys], strict=True))
        yield {
            "against": against,
            **names,
            **_estimate(*interval(differences), len(differences)),
            "first": first.to_numpy().mean(),
            "second": second.to_numpy().mean(),
            "first_all": everyone["value"][0],
        }


def _beside(scores: pd.DataFrame, trait: str, keys: list[str]) -> Iterator[tuple[Row, list[pd.DataFrame]]]:
    """The first factorized model and every baseline with a trait: their names, and the scores of both."""
    for values, rows in scores.groupby(keys, sort=False):
        for ours in rows.loc[rows.family.isin(families_that("factorized")), "model"].unique()[:1]:
            for baseline in rows.loc[rows.family.isin(families_that(trait)), "model"].unique():
                names = dict(zip(keys, values, strict=True)) | {"model": ours, "against": baseline}
                yield names, [rows[rows["model"] == model] for model in (ours, baseline)]


def _against(scores: pd.DataFrame, pairs: pd.DataFrame, trait: str, reference: pd.DataFrame) -> Iterator[Row]:
    """The first factorized model minus all baselines with a trait, where ``pairs`` compares them."""
    swapped = {"model": "against", "against": "model", "score": "score_against", "score_against": "score"}
    both = pd.concat([pairs, pairs.rename(columns=swapped).assign(difference=-pairs["difference"])])
    known = both.set_index([*_CONDITION, "model", "against", "measure"]).to_dict("index")
    for names, both_scores in _beside(scores, trait, _CONDITION):
        rows = pd.concat(both_scores)
        origin = _origin(rows)
        measure = "feve_pooled" if origin["measure"] == "feve" else origin["measure"]
        pair = known.get((*names.values(), measure))
        if pair is not None:
            sizes = [names[key] for key in _SIZES]
            value, half = pair["difference"], 1.96 * np.hypot(pair["se"], np.nan_to_num(pair["se_fits"]))
            yield {
                **names,
                **_estimate(value, value - half, value + half, pair["n_fits"], "fits of each model"),
                "p_adjusted": pair["p_adjusted"],
                "first": pair["score"],
                "second": pair["score_against"],
                **_published(reference, rows, *((names[key], *sizes) for key in ("model", "against"))),
                **origin,
                "measure": measure,
                "source": "tables/differences.csv",
            }


def _images_saved(scores: pd.DataFrame) -> Iterator[Row]:
    """Doublings of images that the first factorized model saves against other joint readouts."""
    for names, (mine, theirs) in _beside(scores, "joint_readout", _CONDITION[:-1]):
        found = shift(*paired_curves(theirs, mine, "value"))
        if found is not None:
            yield {
                **names,
                **_estimate(found.image_doublings, found.low, found.high, found.n_seeds),
                **_origin(pd.concat([mine, theirs])),
                "measure": f"doublings at {mine['measure'].iloc[0]} {found.performance:.2f}",
            }


def _largest(rows: Iterator[Row]) -> list[Any]:
    """Of every comparison on a dataset, the row of the largest condition."""
    comparisons = pd.DataFrame(rows, columns=COLUMNS).groupby(["dataset", "model", "against"], sort=False)
    return [largest_condition(table).iloc[0].to_dict() for _, table in comparisons]


def _barcodes(barcode_scores: pd.DataFrame) -> Iterator[Row]:
    """Agreement of clustered feature weights with the true types of simulated neurons."""
    keys = [*_CONDITION, "model", "experiment"]
    for values, rows in barcode_scores.dropna(subset="ari").groupby(keys, sort=False):
        names: Row = dict(zip(keys, values, strict=True))
        yield {
            "against": "true types",
            "source": f"tables/barcode_scores.csv, {names.pop('experiment')}",
            **names,
            "measure": "ari",
            **_estimate(*interval(rows["ari"].to_numpy()), len(rows)),
            **_state(rows),
        }


def _exchange(rates: pd.DataFrame) -> list[Any]:
    """Doublings of images that one doubling of neurons is worth, in the middle of both curves.

    With this exchange rate the larger population needs growth ** -rate of the images of the smaller one.
    """
    sizes = ["neurons_from", "neurons_to"]
    rates = rates[rates["stated"].ne(True)].drop_duplicates(["dataset", "model", *sizes])
    growth = rates["neurons_to"] / rates["neurons_from"]
    return rates.assign(
        against=rates["neurons_from"].map(_neurons),
        n_neurons=rates["neurons_to"],
        measure="exchange rate at " + rates["measure"] + rates["performance"].map(" {:.2f}".format),
        value=rates["rate"],
        n=rates["n_seeds"],
        unit="seeds",
        recording_time_low=growth ** -rates["high"],
        recording_time_high=growth ** -rates["low"],
        converged=rates["converged"] == 1,
        source="tables/exchange_rates.csv",
    ).to_dict("records")


def _transfer(table: pd.DataFrame) -> Iterator[Row]:
    """Gain of every strategy over the target's own ridge with the fewest images, and the images saved there.

    Images saved are those of the smallest size at which the curves overlap.
    """
    others = table[table["strategy"] != OWN_RIDGE].sort_values("n_images", kind="stable")
    for name, measure in (("gain", "correlation"), ("image_doublings", "doublings at correlation {:.2f}")):
        fewest = others.dropna(subset=name).groupby(["target", "strategy", "model"], sort=False).head(1)
        for row in fewest.to_dict("records"):
            compared = {"first": row["correlation"], "second": row["correlation"] - row["gain"]}
            yield {
                **{key: row[key] for key in ("selection", "n_neurons", "n_images", "at_edge")},
                "model": row["strategy"],
                "against": OWN_RIDGE,
                "dataset": row["target"],
                "measure": measure.format(row["correlation"]),
                **_estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], row["n_neurons"]),
                "unit": f"neurons, {row['n_folds']} folds",
                **(compared if name == "gain" else {}),
                "converged": row["converged"] == 1,
                "source": "tables/transfer.csv",
            }
