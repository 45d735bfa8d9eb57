"""Fits of a completed run, read from its folder ``results/<run>``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from whatwhere.config.files import condition_sizes
from whatwhere.dataset import neuron_names, open_dataset, select_images
from whatwhere.errors import UserError
from whatwhere.files import read_table, read_tensors
from whatwhere.fitted.image_space import ImageSpace
from whatwhere.fitted.model import FittedModel, named_scores, together
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.metrics import SCORES, STATE_SCORES
from whatwhere.sessions import PooledRecordings
from whatwhere.subset import choose_subset

KEYS = ("experiment", "dataset", "model", "n_neurons", "n_images", "selection", "seed")
"""Keys by which the fits of a run differ."""


def fits_of(run: str | Path) -> pd.DataFrame:
    """One row of strings per fit of a run, with the columns :data:`KEYS`.

    UserError if the folder holds no fits, or fits of an earlier version.
    """
    tables = []
    for path in sorted(Path(run).glob("selection/*/*/*.csv")):
        table = read_table(path)
        if "condition" not in table:
            raise UserError(f"{path}: written by an earlier version, which cannot be read: run it again")
        table = table[["condition", "selection", "seed"]].drop_duplicates()
        experiment, dataset, model = (*path.parts[-3:-1], path.stem)
        sizes = table["condition"].str.extract("n(?P<n_neurons>.*)-d(?P<n_images>.*)")
        tables.append(table.assign(experiment=experiment, dataset=dataset, model=model).join(sizes))
    if not tables:
        raise UserError(f"{run}: holds no fits: give the folder of a run, such as results/quick")
    return pd.concat(tables, ignore_index=True)[[*KEYS]].astype(str)


def find(run: str | Path, wanted: Mapping[str, str | int | None]) -> pd.DataFrame:
    """The fit with the values of :data:`KEYS` that are not None; the fits of all seeds with ``seed="all"``.

    UserError if no fit, or more than one, has these values; the line lists the values to choose from.
    """
    fits = fits_of(run)
    for key in KEYS:
        value = wanted[key]
        if value is None or (key == "seed" and value == "all"):
            continue
        there = ", ".join(fits[key].unique())
        fits = fits[fits[key] == str(value)]
        if fits.empty:
            raise UserError(f"{run}: there is no {key} '{value}' here: choose from {there}")
    open_keys = [key for key in KEYS if fits[key].nunique() > 1 and wanted[key] is None]
    if open_keys:
        choices = "; ".join(f"{key} from {', '.join(fits[key].unique())}" for key in open_keys)
        raise UserError(f"{run}: {len(fits)} fits have these values: choose {choices}")
    return fits


def load(run: str | Path, wanted: Mapping[str, str | int | None]) -> FittedModel:
    """Loads the fits that :func:`find` finds as one model."""
    fits = find(run, wanted)
    return together([_load_one(Path(run), fits.loc[index].to_dict()) for index in fits.index])


def _load_one(run: Path, key: dict[str, str]) -> FittedModel:
    where = Path(key["experiment"], key["dataset"], key["model"])
    condition = f"n{key['n_neurons']}-d{key['n_images']}"
    selected = read_table(run / "selection" / f"{where}.csv")
    selected = selected[
        (selected.condition == condition)
        & (selected.selection == key["selection"])
        & (selected.seed == int(key["seed"]))
    ]
    scores = run / "scores" / f"{where}.csv"
    if not scores.is_file():
        raise UserError(f"{scores}: no such file: finish the run first")
    with open_dataset(run / "data" / f"{key['dataset']}.nc") as data:
        content = read_tensors(run / "fits" / where / condition / "fits.pt")
        return assemble(data, content, selected, read_table(scores))


def assemble(
    data: xr.Dataset, content: dict[str, Any], selected: pd.DataFrame, scores: pd.DataFrame
) -> FittedModel:
    """Puts a fitted model together from its dataset and the files of a run.

    ``content`` is that of ``fits.pt`` of the condition, ``selected`` the rows of the selection of one
    condition, rule and seed, and ``scores`` the scores of the model in all conditions.
    """
    condition = selected.iloc[0]
    seed = int(condition.seed)
    fit = SeedFit.of(content, seed, selected["setting"].to_numpy())
    subset = choose_subset(data, *condition_sizes(condition.condition), seed)
    mine = scores[
        (scores.n_neurons == len(fit.neurons))
        & (scores.n_images == fit.stored["n_images"])
        & (scores.selection == condition.selection)
        & (scores.seed == seed)
    ]
    # A size that equals "all" has its rows twice.
    columns = [*SCORES, *(name for name in STATE_SCORES if name in mine)]
    mine = mine.drop_duplicates("neuron").set_index("neuron").loc[fit.neurons, columns]
    return describe(data, fit, subset.train, mine.astype(np.float64).to_dict("list"))


def describe(data: xr.Dataset, fit: SeedFit, train: np.ndarray, scores: Mapping[str, Any]) -> FittedModel:
    """Puts a model together from its dataset, training images (image,) and scores (neuron,) by name."""
    images, pooled = select_images(data, train), PooledRecordings.of(data)
    recording, of_neurons = None, None
    if pooled is not None:
        recording, of_neurons = pooled.images[train], pooled.neurons[fit.neurons]
    names = neuron_names(data, fit.neurons)
    return FittedModel(
        dataset=data.attrs["name"],
        neurons=fit.neurons,
        neuron_ids=names,
        scores=named_scores({"seed": np.full(len(names), fit.seed)} | dict(scores), names),
        split=data["split"].values[fit.seed % data.sizes["fold"]],
        image_space=ImageSpace.of(images, fit.standardize(images, recording), data.attrs, of_neurons),
        seed_fits=(fit,),
    )
