"""Arrays of every type that Python users hold."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from scipy import sparse

from whatwhere.errors import UserError
from whatwhere.recordings.in_memory import as_array

VALUES = np.arange(12.0).reshape(4, 3)
MISSING = np.where(VALUES == 5, np.nan, VALUES)
MASKED = np.ma.masked_equal(np.where(VALUES == 5, -9999, VALUES), -9999)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (MASKED, MISSING),
        (np.ma.masked_equal(VALUES.astype(int), 5), MISSING),
        ([MASKED, MASKED], np.stack([MISSING, MISSING])),
        (torch.tensor(VALUES, requires_grad=True), VALUES),
        (torch.tensor(VALUES, dtype=torch.bfloat16), VALUES),
        (torch.tensor(VALUES, dtype=torch.float16), VALUES),
        (torch.tensor(VALUES).to_sparse(), VALUES),
        ([torch.tensor(row, requires_grad=True) for row in VALUES], VALUES),
        (pd.DataFrame(VALUES), VALUES),
        (pd.DataFrame(MISSING).astype("Int64"), MISSING),
        (pd.DataFrame(MISSING).astype("Float32"), MISSING),
        (pd.DataFrame(MISSING).convert_dtypes(), MISSING),
        (pd.Series([1, None, 3], dtype="Int64"), np.array([1, np.nan, 3])),
        (sparse.csr_array(VALUES), VALUES),
        (xr.DataArray(MASKED.filled(0), dims=("image", "neuron")), MASKED.filled(0)),
        (VALUES.tolist(), VALUES),
        (memoryview(VALUES), VALUES),
    ],
)
def test_values_masks_and_missing_values_are_kept(given, expected):
    found = as_array(given, "x").values
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, expected)
    assert found.dtype.kind in "if"


def test_an_array_without_masked_values_keeps_its_type():
    assert as_array(np.ma.masked_array([1, 2, 3], mask=False), "x").values.dtype.kind == "i"


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series(["train", "test"], dtype="category"),
        pd.Series(["train", "test"], dtype="string"),
        pd.Index(["train", "test"]),
    ],
)
def test_labels_of_pandas_are_names(labels):
    from whatwhere.recordings.labels import as_labels

    assert as_labels(as_array(labels, "split").values, "split").tolist() == ["train", "test"]


def test_names_of_axes_are_kept():
    assert as_array(xr.DataArray(VALUES, dims=("unit", "stimulus")), "x").axes == ("unit", "stimulus")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (xr.Dataset(), "x: is a Dataset of xarray"),
        ([[1.0], [1.0, 2.0]], "x: list is no array: give rows of one length"),
        ([torch.ones(2), torch.ones(3)], "x: list is no array: give rows of one length"),
    ],
)
def test_what_is_no_array_is_refused(given, expected):
    with pytest.raises(UserError, match=expected):
        as_array(given, "x")
