"""Arrays that Python users hold, as numpy arrays without loss of masks, missing values or names of axes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from whatwhere.errors import UserError
from whatwhere.recordings.array_files import NamedArray, labels_of, numeric
from whatwhere.recordings.arrays import Layout, pair
from whatwhere.recordings.layouts import BIN_AXES, IMAGE_AXES, SYNONYMS, arrange, stated_axes
from whatwhere.recordings.matching import names_of, order_by_name
from whatwhere.recordings.recording import clip_rounding, to_float32
from whatwhere.windows import Images

_FEW = 10
"""Rows from which whole numbers that occur once each are no responses."""


def as_array(values: Any, name: str) -> NamedArray:
    """Values of any type, and the names of their axes and of what lies along them where the type has them.

    ``values`` is a numpy array, masked or not; a torch tensor of any device and precision; an xarray, pandas
    or scipy.sparse object; an array read from a file; nested lists, or anything that numpy understands. What
    is masked or missing becomes NaN. UserError if it is no array.
    """
    if isinstance(values, NamedArray):
        return values
    if isinstance(values, xr.DataArray):
        return NamedArray(_plain(values.data, name), tuple(map(str, values.dims)), labels_of(values))
    if isinstance(values, (xr.Dataset, xr.DataTree)):
        raise UserError(f"{name}: is a {type(values).__name__} of xarray: give one of its variables")
    if isinstance(values, pd.DataFrame):
        _refuse_index(values, name)
        return NamedArray(_plain(values, name), None, (_names(values.index), _names(values.columns)))
    if isinstance(values, pd.Series):
        return NamedArray(_plain(values, name), None, (_names(values.index),))
    return NamedArray(_plain(values, name), None)


def as_numbers(values: Any, name: str) -> NamedArray:
    """Numbers of any type; parameters and errors as for :func:`as_array`."""
    array = as_array(values, name)
    return array._replace(values=numeric(array.values, name))


def unique_names(neurons: np.ndarray | None, name: str) -> np.ndarray | None:
    """Names of neurons (neuron,), whole numbers as they are and others as text; None if there are none.

    UserError if two neurons have one name; a message calls the responses ``name``.
    """
    if neurons is None:
        return None
    names = neurons if neurons.dtype.kind in "iu" else np.array(names_of(neurons))
    unique, counts = np.unique(names, return_counts=True)
    if (counts > 1).any():
        raise UserError(f"{name}: two neurons are named '{unique[counts.argmax()]}': give each its own name")
    return names


def measured_responses(
    responses: Any, layout: Layout, images: Images, names: np.ndarray | None, neurons: Sequence[Any]
) -> np.ndarray:
    """Responses of known neurons to images that a model was shown, (repeat, image, neuron) float32.

    ``responses`` are (image, neuron), or with repeats, in the order of ``layout``; NaN, masked and missing
    ones were not presented. ``images`` are (image, channel, y, x) with ``names`` or None; or windows of a
    movie, and the times of bins. Responses that name their neurons are matched to the names ``neurons``
    (neuron,). UserError if responses are of other images or neurons, are infinite, or a neuron has none.
    """
    if isinstance(images, np.ndarray):
        shown = NamedArray(images, IMAGE_AXES[4], (names, None, None, None))
        keys = ("images_layout", "responses_layout")
        found = pair(shown, as_numbers(responses, "responses"), (None, layout), keys, ("images", "responses"))
        measured = clip_rounding(to_float32(found.responses[found.order].swapaxes(0, 1)), "responses")
        given = found.neurons
    else:
        measured, given = bin_responses(responses, layout, "responses")
        # Bins without a whole window come first; names are times.
        n_before = 0 if names is None else round(float(names[0] / (names[1] - names[0])))
        if measured.shape[1] != n_before + len(images):
            n_bins = n_before + len(images)
            raise UserError(f"responses: have {measured.shape[1]} time bins, the movie {n_bins}: give all")
        measured = clip_rounding(measured[:, n_before:], "responses")
    if given is not None:
        order = order_by_name(list(neurons), given, "responses", "the model", "neurons")
        measured = measured[:, :, order]
    if measured.shape[2] != len(neurons):
        raise UserError(f"responses: has {measured.shape[2]} neurons, the model {len(neurons)}: give all")
    silent = np.flatnonzero(np.isnan(measured).all((0, 1)))
    if len(silent):
        raise UserError(f"responses: neuron {neurons[silent[0]]} has no response: leave it out of the fit")
    if np.isinf(measured).any():
        raise UserError("responses: holds infinite values: write NaN where a response is missing")
    return measured


def bin_responses(responses: Any, layout: Layout, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Responses to a movie, (repeat, bin, neuron) float32, and the names of the neurons (neuron,) or None.

    ``responses`` are (bin, neuron), or (repeat, bin, neuron), where neither names of axes nor ``layout``, in
    the words ``repeat``, ``time`` and ``neuron``, say otherwise; a message calls them ``name``.
    """
    array = as_numbers(responses, name)
    stated = stated_axes(array, layout, BIN_AXES, "responses_layout", name)
    wanted = BIN_AXES[array.values.ndim]
    axes = wanted if stated is None else stated
    values = arrange(array.values, axes, wanted)
    return to_float32(values if values.ndim == 3 else values[None]), array.names_along("neuron", axes)


def _names(index: pd.Index) -> np.ndarray | None:
    """Labels of pandas that somebody gave, None for those that count rows."""
    return None if index.equals(pd.RangeIndex(len(index))) else index.to_numpy()


def _refuse_index(table: pd.DataFrame, name: str) -> None:
    """Refuse a column that numbers images, by name or by counting rows in any order, or marks them."""
    rows = np.arange(len(table))
    flags = [pd.api.types.is_bool_dtype(dtype) for dtype in table.dtypes]
    for position, column in enumerate(table.columns):
        values = table.iloc[:, position]
        named = str(column).lower() in (*SYNONYMS["image"], *SYNONYMS["presentation"], *SYNONYMS["repeat"])
        counts = pd.api.types.is_numeric_dtype(values.dtype) and len(rows) >= _FEW and not values.isna().any()
        counts = counts and any(np.array_equal(np.sort(values), first + rows) for first in (0, 1))
        if named or counts or (flags[position] and not all(flags)):
            advice = "make it the index of both tables if it names images, or drop it after selecting rows"
            raise UserError(f"{name}: the column {column!r} numbers images or marks them: {advice}")


def _plain(values: Any, name: str) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        return _from_tensor(values, name)
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.filled(values.astype(np.float64), np.nan) if np.ma.is_masked(values) else values.data
    if isinstance(values, pd.DataFrame):
        columns = [_plain(values.iloc[:, place], name) for place in range(values.shape[1])]
        return np.stack(columns, 1) if columns else np.empty((0, 0))
    if isinstance(getattr(values, "dtype", None), pd.api.extensions.ExtensionDtype):
        is_number = pd.api.types.is_numeric_dtype(values.dtype)
        return values.to_numpy(np.float64, na_value=np.nan) if is_number else np.asarray(values)
    if hasattr(values, "toarray"):  # scipy.sparse
        return values.toarray()
    try:
        # numpy would drop the masks of masked arrays in a list.
        if isinstance(values, (list, tuple)) and any(np.ndim(value) for value in values):
            return np.stack([_plain(value, name) for value in values])
        return np.asarray(values)
    except UserError:
        raise
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{name}: {type(values).__name__} is no array: give rows of one length") from error


def _from_tensor(values: torch.Tensor, name: str) -> np.ndarray:
    try:
        if isinstance(values, torch.masked.MaskedTensor):
            values = values.to_tensor(torch.nan)
        dense = values.detach().to_dense()
        # numpy has no bfloat16.
        small = dense.is_floating_point() and dense.dtype not in (torch.float32, torch.float64)
        return (dense.float() if small else dense).numpy(force=True)
    except (RuntimeError, TypeError) as error:
        # Without memory, quantized, or of rows of several lengths.
        raise UserError(f"{name}: {type(values).__name__} of {values.dtype} is no plain tensor") from error
