"""The data contract accepts datasets that fulfil it and refuses others in one line."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from whatwhere.dataset import TEST, TRAIN, VALIDATION, check
from whatwhere.errors import UserError
from whatwhere.subset import choose_subset

VARIABLES = ("images", "responses", "split")
ATTRIBUTES = {
    "name": "any",
    "kind": "recorded",
    "source": "random numbers",
    "normalize": "none",
    "noise_free_test": 0,
    "repeat_averages": 0,
    "validation_fraction": 0.25,
    "validation_max": 0,
}


@st.composite
def datasets(make):
    """Random datasets of up to 24 images that fulfil the contract."""
    rng = np.random.default_rng(make(st.integers(0, 2**32 - 1)))
    n_images, n_neurons, n_repeats = (make(st.integers(*ends)) for ends in ((6, 24), (1, 4), (1, 3)))
    shape = tuple(make(st.integers(1, 4)) for _ in range(3))
    images = rng.normal(size=(n_images, *shape)).astype(np.float32)
    responses = rng.normal(size=(n_repeats, n_images, n_neurons)).astype(np.float32)
    missing = rng.random(responses.shape) < make(st.sampled_from([0, 0.4]))
    missing[rng.integers(n_repeats), :, :] = False
    responses[missing] = np.nan
    codes = np.repeat([TRAIN, VALIDATION, TEST], 2)
    row = np.concatenate([codes, rng.integers(0, 3, n_images - len(codes))])
    split = np.stack([rng.permutation(row) for _ in range(make(st.integers(1, 3)))])
    return xr.Dataset(
        {
            "images": (("image", "channel", "y", "x"), images),
            "responses": (("repeat", "image", "neuron"), responses),
            "split": (("fold", "image"), split.astype(np.int8)),
        },
        attrs=ATTRIBUTES,
    )


@given(datasets())
@settings(deadline=None, max_examples=25)
def test_what_fulfils_the_contract_passes(dataset):
    check(dataset, "mine.nc")


DAMAGES = {
    "dropped": lambda dataset, name: dataset.drop_vars(name),
    "transposed": lambda dataset, name: dataset.assign({name: dataset[name].T}),
    "double": lambda dataset, name: dataset.assign({name: dataset[name].astype("float64")}),
    "empty": lambda dataset, name: dataset.isel({dataset[name].dims[-1]: slice(0)}),
    "short": lambda dataset, name: dataset.assign({name: dataset[name].isel({dataset[name].dims[0]: 0})}),
}


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("damage", DAMAGES)
@given(dataset=datasets())
@settings(deadline=None, max_examples=4)
def test_every_damage_to_the_structure_is_refused_in_one_line(damage, name, dataset):
    with pytest.raises(UserError, match=r"^mine\.nc: [^\n]+$"):
        check(DAMAGES[damage](dataset, name), "mine.nc")


@pytest.mark.parametrize("name", VARIABLES)
@given(dataset=datasets(), place=st.integers(0, 10**6))
@settings(deadline=None, max_examples=25)
def test_one_impossible_value_anywhere_is_refused(name, dataset, place):
    values = dataset[name].values.copy()
    values.flat[place % values.size] = {"images": np.nan, "responses": np.inf, "split": 3}[name]
    with pytest.raises(UserError, match=r"^mine.nc: "):
        check(dataset.assign({name: (dataset[name].dims, values)}), "mine.nc")


@given(datasets(), st.integers(0, 1000))
@settings(deadline=None, max_examples=25)
def test_a_subset_never_takes_test_images_and_larger_subsets_hold_the_smaller(dataset, seed):
    split = dataset["split"].values[seed % dataset.sizes["fold"]]
    everything = choose_subset(dataset, None, None, seed)
    assert set(split[everything.train]) == {TRAIN}
    assert set(split[everything.validation]) == {VALIDATION}
    previous = None
    for n_images in range(4, dataset.sizes["image"]):
        try:
            subset = choose_subset(dataset, None, n_images, seed)
        except UserError:
            break
        assert len(subset.train) + len(subset.validation) == n_images
        if previous is not None:
            assert set(previous.train) <= set(subset.train)
            assert set(previous.validation) <= set(subset.validation)
        previous = subset
    for n_neurons in range(1, dataset.sizes["neuron"]):
        fewer, more = (choose_subset(dataset, n, None, seed).neurons for n in (n_neurons, n_neurons + 1))
        assert set(fewer) <= set(more)
