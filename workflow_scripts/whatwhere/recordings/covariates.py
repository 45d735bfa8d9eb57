"""Covariates of a recording, such as running speed and the position of the eye, and their missing values."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from whatwhere.errors import UserError
from whatwhere.presentations import MISSING


def names_of_columns(name: str, n_columns: int) -> list[str]:
    """Names of the columns of a source of covariates: its own, with numbers from 0 if there are several."""
    return [name] if n_columns == 1 else [f"{name} {column}" for column in range(n_columns)]


def held(values: np.ndarray, names: Sequence[str], missing: Mapping[str, str], key: str) -> np.ndarray:
    """Covariates in which the last value before replaces a missing one, where ``hold_last`` says so.

    Parameters
    ----------
    values
        (..., time, covariate), NaN where missing. Values before the first stay missing.
    names
        (covariate,) names.
    missing
        ``leave_out`` or ``hold_last`` by name, key ``missing`` of a dataset.
    key
        Name of ``missing`` in messages.

    Raises
    ------
    UserError
        If ``missing`` names no covariate, or says something else.
    """
    found = np.array(values, np.float32)
    for name, said in missing.items():
        if name not in names or said not in MISSING:
            raise UserError(
                f"{key}: '{name}: {said}' is not understood: set one of {', '.join(names)} to leave_out or "
                "hold_last"
            )
        if said == "hold_last":
            column = found[..., names.index(name)]
            last = np.where(np.isnan(column), 0, np.arange(column.shape[-1]))
            found[..., names.index(name)] = np.take_along_axis(column, np.maximum.accumulate(last, -1), -1)
    return found


def coordinates(names: Sequence[str], missing: Mapping[str, str]) -> dict[str, Any]:
    """Coordinates of a dataset that name covariates and say what to do where they are missing."""
    said = [missing.get(name, "") for name in names]
    return {"covariate_name": ("covariate", list(names)), "covariate_missing": ("covariate", said)}
