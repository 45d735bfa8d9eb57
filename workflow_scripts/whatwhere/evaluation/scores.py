"""Scores of the selected fits on test data, which no other module reads: fits.pt -> scores, predictions."""

import dataclasses
import itertools
import logging
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from whatwhere import metrics, population
from whatwhere.dataset import TEST, is_movie, open_dataset, select_images, select_responses
from whatwhere.differences import MEASURES
from whatwhere.files import write_netcdf, write_table
from whatwhere.fitted.seed_fit import SeedFit, SelectedFit, selected_fits
from whatwhere.metrics import SCORES, STATE_SCORES, pearson
from whatwhere.population import COUNTS, MEANS, MEDIANS, POOLED, RELIABLE_MEANS, Evaluation
from whatwhere.presentations import presentations_of
from whatwhere.sessions import PooledRecordings

logger = logging.getLogger(__name__)

_STATES = 20  # covariates over which predictions are averaged where none are given


def evaluate(fit: SeedFit, data: xr.Dataset) -> Evaluation:
    """Test responses for one seed of a condition and their predictions."""
    pooled = PooledRecordings.of(data)
    test = np.flatnonzero(data["split"].values[fit.seed % data.sizes["fold"]] == TEST)
    return Evaluation(
        seed=fit.seed,
        predictions=fit.predict(select_images(data, test), None if pooled is None else pooled.images[test]),
        responses=select_responses(data, test, fit.neurons),
        images=test,
        units=data["block"].values[test] if is_movie(data) else test,
        neurons=fit.neurons,
        noise_free=bool(data.attrs["noise_free_test"]),
    )


def state_scores(fit: SeedFit, data: xr.Dataset, test: np.ndarray) -> dict[str, np.ndarray]:
    """Correlations with single presentations of test images, (neuron,) each; empty for a model without state.

    ``single_trial_state`` is that of predictions from image and covariates. ``single_trial_stimulus`` is that
    of predictions without covariates: their mean over the covariates of random test presentations.
    ``state_explains`` is the difference.
    """
    state = fit.content["definition"].get("state")
    if state is None:
        return {}
    shown = presentations_of(data, test, fit.neurons, state, fit.seed)
    images, rng = select_images(data, test), np.random.default_rng(0)
    with_state = pearson(fit.predict_trials(images, shown.image, shown.covariates), shown.responses)
    drawn = [shown.covariates[rng.integers(len(shown.image), size=len(test))] for _ in range(_STATES)]
    without = np.mean([fit.predict_trials(images, np.arange(len(test)), one) for one in drawn], axis=0)
    stimulus = pearson(without[shown.image], shown.responses)
    return dict(zip(STATE_SCORES, (stimulus, with_state, with_state - stimulus), strict=True))


def to_table(
    selected: SelectedFit, one: Evaluation, data: xr.Dataset, recordings: np.ndarray | None
) -> pd.DataFrame:
    """Scores of every neuron, and whether its fit converged with its penalties inside their grid.

    For models with state, also :func:`state_scores`. For pooled recordings, also the name of the recording of
    the neuron; ``recordings`` (neuron,) holds the names for all neurons of the dataset.
    """
    names = {} if recordings is None else {"recording": recordings[one.neurons]}
    scored = metrics.scores(one.predictions, one.responses, one.noise_free)
    scored |= state_scores(selected.fit, data, one.images)
    state = {"converged": selected.converged, "at_edge": selected.at_edge}
    return pd.DataFrame(names | selected.fit.sizes | {"neuron": one.neurons} | scored | state)


def of_recording(one: Evaluation, mine: np.ndarray) -> Evaluation:
    """Test data of the neurons of one recording, given as truth values (neuron,)."""
    shown = ~np.isnan(one.responses[:, :, mine]).all((0, 2))
    return dataclasses.replace(
        one,
        predictions=one.predictions[shown][:, mine],
        responses=one.responses[:, shown][:, :, mine],
        images=one.images[shown],
        units=one.units[shown],
        neurons=one.neurons[mine],
    )


Group = tuple[list[pd.DataFrame], list[Evaluation]]
"""Scores of neurons and test data of the fits of a condition."""


def by_recording(tables: list[pd.DataFrame], evaluations: list[Evaluation]) -> dict[str, Group]:
    """Fits by name of the recording of their neurons; the name of a single recording is empty."""
    if "recording" not in tables[0]:
        return {"": (tables, evaluations)}
    groups = {}
    for name in dict.fromkeys(name for table in tables for name in table["recording"]):
        mine = [table["recording"] == name for table in tables]
        seeds = [seed for seed, of_seed in enumerate(mine) if of_seed.any()]
        groups[name] = (
            [tables[seed][mine[seed]] for seed in seeds],
            [of_recording(evaluations[seed], mine[seed].to_numpy()) for seed in seeds],
        )
    return groups


def summarize(
    tables: list[pd.DataFrame], evaluations: list[Evaluation], drawn: dict[str, np.ndarray]
) -> dict[str, Any]:
    """One row of the summary: the mean over the seeds of a condition, given their scores, and draws of these.

    The row also has the sd over seeds (``_seed_sd``), and the standard error over test images and neurons
    (``_se``) of means and pooled scores. Counts are those of the first seed; ``converged`` and ``at_edge``
    are shares of neurons and seeds. Means over reliable neurons are NaN if a seed has too few repeats.
    """
    columns = ({name: one[name].to_numpy() for name in SCORES} for one in tables)
    seeds = pd.DataFrame([population.population_scores(of_seed) for of_seed in columns])
    measures = [*MEANS, *POOLED, *MEDIANS]
    row: dict[str, Any] = {
        "n_seeds": len(seeds),
        **{name: np.mean([one[name].mean() for one in tables]) for name in ("converged", "at_edge")},
        **{name: np.mean([one[name].mean() for one in tables]) for name in STATE_SCORES if name in tables[0]},
        **dict(zip(COUNTS, seeds[COUNTS].iloc[0], strict=True)),
        **dict(zip(measures, seeds[measures].mean(), strict=True)),
        **{f"{name}_se": value for name, value in population.standard_errors(drawn).items()},
        **{f"{name}_seed_sd": value for name, value in zip(measures, seeds[measures].std(), strict=True)},
    }
    if not all(map(population.enough_repeats, evaluations)):
        row |= {name: np.nan for name in row if name.startswith(tuple(RELIABLE_MEANS))}
    return row


def write_scores(
    dataset: str | Path,
    fits: list[str],
    selection: str | Path,
    conditions: list[str],
    names: dict[str, str],
    scores: str | Path,
    summary: str | Path,
    predictions: str | Path,
    draws: str | Path,
) -> None:
    """Writes one row per neuron and seed of all conditions to ``scores``, one per condition to ``summary``.

    ``draws`` holds the bootstrap of every fit, for :mod:`whatwhere.differences`. Predictions of the first
    seed and selection rule of the last condition go to ``predictions`` for figures.
    """
    groups, rows = [], []
    kept: list[Evaluation] = []
    kept_draws: list[xr.Dataset] = []
    with open_dataset(dataset) as data:
        recordings = data["recording"].values.astype(str) if "recording" in data.coords else None
        every = selected_fits(selection, conditions, fits)
        for (condition, rule), seeds in itertools.groupby(every, lambda one: (one.condition, one.rule)):
            tables, evaluations = [], []
            for selected in seeds:
                evaluations.append(evaluate(selected.fit, data))
                tables.append(
                    to_table(selected, evaluations[-1], data, recordings).assign(**names, selection=rule)
                )
                if not kept and condition == conditions[-1]:
                    kept.append(evaluations[-1])
            sizes = tables[0][["n_neurons", "n_images"]].iloc[0].to_dict()
            for recording, (scored, tested) in by_recording(tables, evaluations).items():
                drawn = population.drawn_scores(tested, seed=0)
                row = summarize(scored, tested, drawn)
                if remark := population.above_ceiling(row):
                    logger.warning("%s, %s %s: %s", rule, condition, recording, remark)
                of = names | {"selection": rule, "recording": recording} | sizes
                rows.append({key: value for key, value in of.items() if value != ""} | row)
                kept_draws.append(draws_of_fits(of, scored, tested, drawn))
            groups += tables
    table = pd.concat(groups, ignore_index=True)
    first = [*names, "selection"]
    write_table(table[[*first, *(name for name in table if name not in first)]], scores)
    write_table(pd.DataFrame(rows), summary)
    stored = xr.Dataset(
        {"predictions": (("image", "neuron"), kept[0].predictions.astype(np.float32))},
        coords={"image": kept[0].images, "neuron": kept[0].neurons},
        attrs={"seed": kept[0].seed},
    )
    write_netcdf(stored, predictions)
    write_netcdf(xr.concat(kept_draws, "fit"), draws)


def draws_of_fits(
    names: dict[str, Any],
    tables: list[pd.DataFrame],
    evaluations: list[Evaluation],
    drawn: dict[str, np.ndarray],
) -> xr.Dataset:
    """Draws of the fits of a condition, and ``test_data``, equal for models with equal test data."""
    tested = zlib.crc32(b"".join(part.tobytes() for one in evaluations for part in (one.units, one.neurons)))
    of_fits = [
        population.population_scores({name: one[name].to_numpy() for name in SCORES}) for one in tables
    ]
    return xr.Dataset(
        {
            **{name: ("fit", [value] * len(tables)) for name, value in names.items()},
            "seed": ("fit", [one.seed for one in evaluations]),
            "test_data": ("fit", [tested] * len(tables)),
            "value": (("measure", "fit"), [[one[name] for one in of_fits] for name in MEASURES]),
            "drawn": (("measure", "fit", "way", "draw"), [drawn[name] for name in MEASURES]),
        },
        coords={"measure": list(MEASURES)},
    )
