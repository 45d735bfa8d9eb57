"""The paper's five questions, answered by the tables of a run.

Every answer is a mean of paired differences with its 95 % confidence interval from Student's t distribution:
over seeds where populations of different size are compared, over neurons and seeds where models are. It says
where it comes from, and a run that lacks the experiment says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t

from whatwhere.scaling import measure_of

QUESTIONS = {
    1: "Does a feature space shared by many neurons help?",
    2: "Does separating what from where help in data efficiency and scale?",
    3: "Do factorized readouts beat fully-connected ones and models without convolution?",
    4: "Are feature weights barcodes of cell types?",
    5: "More neurons or longer recordings?",
}
ABSENT = "not part of this run"
COLUMNS = [
    "question",
    "text",
    "comparison",
    "dataset",
    "selection",
    "n_neurons",
    "n_images",
    "measure",
    "value",
    "low",
    "high",
    "n",
    "unit",
    "paper",
    "source",
]

_FACTORIZED = "cnn_factorized"
_JOINT_READOUTS = ("cnn_fixed_mask", "cnn_fully_connected")
_DATA = ["dataset", "selection"]
_CELL = [*_DATA, "n_neurons", "n_images"]

Row = dict[str, Any]


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of values (n,) and its 95 % confidence interval; NaN bounds below two values."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, np.nan, np.nan
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def crossed_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean of values (neuron, seed) and its 95 % confidence interval; NaN for missing pairs.

    Neurons of one fit share its kernels and fail together, so that the squared error of the mean is that over
    neurons (each the mean of its seeds) plus that over seeds (each the mean of its neurons), with
    Satterthwaite's degrees of freedom. Two or three seeds that carry most of the error make it hold the truth
    in 88 % of the cases rather than 95 %. One seed tells of its own fit only.
    """
    means = [np.nanmean(values, axis=1 - axis) for axis in range(2) if values.shape[axis] > 1]
    mean = float(np.mean(np.nanmean(values, axis=1)))
    if not means:
        return mean, np.nan, np.nan
    errors = np.array([np.var(one, ddof=1) / len(one) for one in means])
    if not errors.sum():
        return mean, mean, mean
    freedom = errors.sum() ** 2 / sum(e**2 / (len(one) - 1) for e, one in zip(errors, means, strict=True))
    half = float(t.ppf(0.975, freedom) * np.sqrt(errors.sum()))
    return mean, mean - half, mean + half


def answers(
    scores: pd.DataFrame,
    barcode_scores: pd.DataFrame | None,
    exchange_rates: pd.DataFrame | None,
    families: dict[str, str],
    figures: dict[str, str | None],
    reference: pd.DataFrame,
) -> pd.DataFrame:
    """All answers of a run.

    Parameters
    ----------
    scores
        ``tables/scores.csv``.
    barcode_scores, exchange_rates
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
    Columns as in :data:`COLUMNS`; ``value`` is NaN and ``comparison`` :data:`ABSENT` where a question
    cannot be answered.
    """
    scores = _measured(scores).assign(
        family=scores["model"].map(families), figure=scores["experiment"].map(figures)
    )
    reference = reference.assign(figure=reference["experiment"].str.split("_").str[0])
    found = {
        1: list(_shared_features(scores, reference)),
        2: [*_against(scores, _JOINT_READOUTS, reference), *_images_saved(scores)],
        3: list(_largest(_against(scores, tuple(set(families.values()) - {_FACTORIZED}), reference))),
        4: [] if barcode_scores is None else list(_largest(_barcodes(barcode_scores))),
        5: [] if exchange_rates is None else list(_exchange(exchange_rates)),
    }
    rows = [
        {"question": number, "text": QUESTIONS[number], **row}
        for number, some in found.items()
        for row in some or [{"comparison": ABSENT}]
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _measured(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores with ``value`` and ``measure``, which is that of the dataset."""
    measure = scores["dataset"].map({name: measure_of(part) for name, part in scores.groupby("dataset")})
    value = scores["feve"].where(measure == "feve", scores["correlation"])
    return scores.assign(measure=measure, value=value).dropna(subset="value")


def _over_seeds(values: np.ndarray) -> Row:
    mean, low, high = interval(values)
    return {"value": mean, "low": low, "high": high, "n": len(values), "unit": "seeds"}


def _over_neurons(values: pd.DataFrame) -> Row:
    """Estimate from differences, neurons times seeds."""
    mean, low, high = crossed_interval(values.to_numpy())
    n_seeds = values.shape[1]
    unit = "neurons of one fit" if n_seeds == 1 else f"neurons, {n_seeds} seeds"
    return {"value": mean, "low": low, "high": high, "n": len(values), "unit": unit}


def _origin(scores: pd.DataFrame) -> Row:
    experiments = ", ".join(scores["experiment"].unique())
    return {"measure": scores["measure"].iloc[0], "source": f"tables/scores.csv, {experiments}"}


def _published(
    reference: pd.DataFrame, scores: pd.DataFrame, first: tuple[Any, ...], second: tuple[Any, ...]
) -> Row:
    """The paper's difference of two (model, n_neurons, n_images) in the figure of these scores, or NaN.

    It stands beside the selection rule of its first model.
    """
    same = reference[reference["figure"].isin(scores["figure"])]
    names = ["model", "n_neurons", "n_images"]
    other = (same[names] != pd.Series(first, names)).any(axis=1)
    same = same[other | same["selection"].isna() | same["selection"].isin(scores["selection"])]
    table = same.groupby(names)["feve"].mean()
    return {"paper": table.get(first, np.nan) - table.get(second, np.nan)}


def _shared_features(scores: pd.DataFrame, reference: pd.DataFrame) -> Iterator[Row]:
    """The same factorized model fitted to many and to few neurons, over the same seeds.

    Populations that are predicted worse than by their mean count as 0, as in the paper's curves.
    """
    network = scores[scores.family == _FACTORIZED]
    keys = [*_DATA, "n_images", "model"]
    for values, part in network.groupby(keys, sort=False):
        names: Row = dict(zip(keys, values, strict=True))
        model, n_images = names.pop("model"), names["n_images"]
        means = part.groupby(["seed", "n_neurons"])["value"].mean().clip(lower=0).unstack().sort_index(axis=1)
        few, many = means.columns[[0, -1]]
        difference = (means[many] - means[few]).dropna().to_numpy()
        if few < many and len(difference):
            yield {
                "comparison": f"{model}: {many} neurons fitted jointly minus {few}",
                **names,
                "n_neurons": many,
                **_over_seeds(difference),
                **_published(reference, part, (model, many, n_images), (model, few, n_images)),
                **_origin(part),
            }


def _against(scores: pd.DataFrame, families: tuple[str, ...], reference: pd.DataFrame) -> Iterator[Row]:
    """The first factorized model minus all models of some families at equal sizes, by neuron and seed."""
    for values, part in scores.groupby(_CELL, sort=False):
        names: Row = dict(zip(_CELL, values, strict=True))
        sizes = (names["n_neurons"], names["n_images"])
        values_of = part.groupby(["model", "neuron", "seed"], sort=False)["value"].mean()
        for ours in part.loc[part.family == _FACTORIZED, "model"].unique()[:1]:
            for other in part.loc[part.family.isin(families), "model"].unique():
                difference = (values_of[ours] - values_of[other]).dropna().unstack("seed")
                if len(difference):
                    yield {
                        "comparison": f"{ours} minus {other}",
                        **names,
                        **_over_neurons(difference),
                        **_published(reference, part, (ours, *sizes), (other, *sizes)),
                        **_origin(part[part.model.isin((ours, other))]),
                    }


def images_saved(images: np.ndarray, ours: np.ndarray, other: np.ndarray) -> float:
    """Doublings of images that one model saves until it is as good as another with all images.

    Negative if the other model saves them. Scores are made to rise with the images and interpolated over
    their logarithm, and no saving is larger than the range of sizes.

    Parameters
    ----------
    images
        (size,) rising.
    ours, other
        (size,) scores.
    """
    sizes = np.log2(images)
    rising = [np.maximum.accumulate(scores) for scores in (ours, other)]
    sign, better, level = (1, rising[0], rising[1][-1])
    if rising[0][-1] < rising[1][-1]:
        sign, better, level = (-1, rising[1], rising[0][-1])
    return float(sign * (sizes[-1] - np.interp(level, better, sizes)))


def _images_saved(scores: pd.DataFrame) -> Iterator[Row]:
    """:func:`images_saved` by the first factorized model against other joint readouts, over seeds."""
    keys = [*_DATA, "n_neurons"]
    for values, part in scores.groupby(keys, sort=False):
        names: Row = dict(zip(keys, values, strict=True))
        means = part.groupby(["model", "seed", "n_images"])["value"].mean()
        for ours in part.loc[part.family == _FACTORIZED, "model"].unique()[:1]:
            for other in part.loc[part.family.isin(_JOINT_READOUTS), "model"].unique():
                # Sizes that both models were fitted to with all seeds.
                curves = pd.concat([means[ours], means[other]], axis=1, join="inner").unstack("seed").dropna()
                if len(curves) > 1:
                    seeds = [curves.xs(seed, axis=1, level="seed") for seed in curves.columns.unique("seed")]
                    saved = [images_saved(curves.index.to_numpy(), *seed.to_numpy().T) for seed in seeds]
                    yield {
                        "comparison": f"doublings of images that {ours} saves against {other}",
                        **names,
                        "n_images": curves.index.max(),
                        **_over_seeds(np.array(saved)),
                        **_origin(part[part.model.isin((ours, other))]),
                        "measure": f"doublings of images for equal {part['measure'].iloc[0]}",
                    }


def _largest(rows: Iterator[Row]) -> Iterator[Row]:
    """Of every comparison on a dataset, the one at the largest sizes."""
    largest: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = (row["dataset"], row["selection"], row["comparison"])
        before = largest.get(key)
        if before is None or (row["n_neurons"], row["n_images"]) > (before["n_neurons"], before["n_images"]):
            largest[key] = row
    yield from largest.values()


def _barcodes(barcode_scores: pd.DataFrame) -> Iterator[Row]:
    """Agreement of clustered feature weights with the true types of simulated cells."""
    keys = [*_CELL, "model", "experiment"]
    for values, part in barcode_scores.dropna(subset="ari").groupby(keys, sort=False):
        names: Row = dict(zip(keys, values, strict=True))
        yield {
            "comparison": f"{names.pop('model')}: clusters of feature weights against true types",
            "source": f"tables/barcode_scores.csv, {names.pop('experiment')}",
            **names,
            "measure": "ari",
            **_over_seeds(part["ari"].to_numpy()),
        }


def _exchange(rates: pd.DataFrame) -> Iterator[Row]:
    """How many doublings of images one doubling of neurons is worth."""
    for rate in rates.to_dict("records"):
        sizes = f"{rate['neurons_from']:.0f} to {rate['neurons_to']:.0f} neurons"
        yield {
            "comparison": f"{rate['model']}: a doubling of neurons in doublings of images, {sizes}",
            "dataset": rate["dataset"],
            "selection": rate["selection"],
            "measure": f"exchange rate of {rate['measure']}",
            "value": rate["rate"],
            "low": rate["low"],
            "high": rate["high"],
            "n": rate["n_cells"],
            "unit": "cells",
            "source": "tables/exchange_rates.csv",
        }
