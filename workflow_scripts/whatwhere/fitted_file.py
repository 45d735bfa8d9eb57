"""A fitted model as one file of plain tensors, numbers and strings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from whatwhere.errors import UserError
from whatwhere.files import read_tensors, write_tensors
from whatwhere.fitted import FittedModel
from whatwhere.member import Member
from whatwhere.viewing import Viewing

KIND = "whatwhere fitted model"
VERSION = 1
"""Raised whenever a file can no longer be read by earlier code."""


def write(model: FittedModel, path: str | Path) -> None:
    """Write a fitted model; equal models give equal bytes."""
    content = {
        "kind": KIND,
        "version": VERSION,
        "dataset": model.dataset,
        "neurons": _tensor(model.neurons),
        "neuron_ids": model.neuron_ids,
        "scores": {str(name): _tensor(column) for name, column in model.scores.items()},
        "split": _tensor(model.split),
        "viewing": dataclasses.asdict(model.viewing)
        | {"low": _tensor(model.viewing.low), "high": _tensor(model.viewing.high)},
        "members": [
            {"seed": one.seed, "content": one.content, "choice": _tensor(one.choice)} for one in model.members
        ],
    }
    write_tensors(content, path)


def read(path: str | Path) -> FittedModel:
    """Read what :func:`write` wrote; never executes code from the file.

    Raises
    ------
    UserError
        If the file is missing or damaged, holds something else, or was written by a later version.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    content = read_tensors(path)
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise UserError(f"{path}: holds no fitted model: give what 'save' wrote, or the folder of a run")
    if content["version"] > VERSION:
        raise UserError(
            f"{path}: was written in version {content['version']} of the format, this software reads up to "
            f"{VERSION}: update whatwhere"
        )
    viewing: dict[str, Any] = content["viewing"]
    viewing |= {limit: viewing[limit].numpy() for limit in ("low", "high")}
    return FittedModel(
        dataset=content["dataset"],
        neurons=content["neurons"].numpy(),
        neuron_ids=content["neuron_ids"],
        scores=pd.DataFrame({name: column.numpy() for name, column in content["scores"].items()}),
        split=content["split"].numpy(),
        viewing=Viewing(**viewing),
        members=tuple(
            Member(one["seed"], one["content"], one["choice"].numpy()) for one in content["members"]
        ),
    )


def _tensor(values: np.ndarray | pd.Series) -> torch.Tensor:
    # A copy, because a column of a table may be read-only.
    return torch.from_numpy(np.array(values))
