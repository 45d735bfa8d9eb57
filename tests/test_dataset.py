from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from whatwhere import dataset
from whatwhere.dataset import TEST, check, duplicate_groups, select_images, select_responses
from whatwhere.errors import UserError
from whatwhere.fit_data import load_fit_data
from whatwhere.standardize import standardizer
from whatwhere.subset import choose_subset, n_validation

BROKEN = {
    "NaN pixel": (lambda d: d["images"].values.__setitem__((3, 0, 1, 1), np.nan), "image 3"),
    "infinite response": (lambda d: d["responses"].values.__setitem__((0, 4, 1), np.inf), "image 4"),
    "never presented": (lambda d: d["responses"].values.__setitem__((slice(None), 5), np.nan), "image 5"),
    "unknown split": (lambda d: d["split"].values.__setitem__((0, 0), 7), "'split' must be"),
    "no test images": (lambda d: d["split"].values.__setitem__(d["split"].values == TEST, 0), "test images"),
    "unknown normalization": (lambda d: d.attrs.__setitem__("normalize", "zca"), "normalize"),
    "missing attribute": (lambda d: d.attrs.pop("kind"), "'kind' is missing"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_dataset_is_refused_in_one_line(tiny_dataset, case):
    change, expected = BROKEN[case]
    check(tiny_dataset, "data.nc")
    change(tiny_dataset)
    with pytest.raises(UserError, match=rf"^data\.nc: [^\n]*{expected}[^\n]*$"):
        check(tiny_dataset, "data.nc")


def test_types_are_drawn_in_equal_numbers_at_equal_ranks(tiny_dataset):
    typed = tiny_dataset.isel(neuron=[0, 1, 2, 3]).assign(
        cell_type=("neuron", np.array([0, 0, 1, 1], np.int16))
    )
    neurons = choose_subset(typed, 2, None, 1).neurons
    assert neurons[1] == neurons[0] + 2


@pytest.mark.parametrize(
    ("n_neurons", "n_images", "expected"),
    [(9, None, "n_neurons 9"), (None, 500, "n_images 500"), (None, 3, "no image to validate")],
)
def test_too_large_subsets_are_refused(tiny_dataset, n_neurons, n_images, expected):
    with pytest.raises(UserError, match=expected):
        choose_subset(tiny_dataset, n_neurons, n_images, 0)


def test_validation_sizes_follow_the_paper():
    assert [n_validation(n, 0.2, 10_000) for n in (64, 8192, 2**18)] == [12, 1638, 10_000]
    assert [n_validation(n, 1 / 8, 1024) for n in (512, 4096, 65536)] == [64, 512, 1024]


def test_images_and_responses_come_in_the_order_asked_for(tiny_dataset, monkeypatch):
    monkeypatch.setattr(dataset, "_PIECE", 1)  # image by image
    images, neurons = np.array([40, 2, 59, 2]), np.array([2, 0])
    np.testing.assert_array_equal(select_images(tiny_dataset, images), tiny_dataset["images"].values[images])
    expected = tiny_dataset["responses"].values[:, images][:, :, neurons]
    np.testing.assert_array_equal(select_responses(tiny_dataset, images, neurons), expected)


def test_statistics_and_averages_come_from_training_images_and_existing_repeats(tiny_dataset):
    data = load_fit_data(tiny_dataset, None, None, 0)
    np.testing.assert_allclose(data.train_images.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(data.train_images.std(0), 1, atol=1e-5)
    assert np.abs(data.validation_images.mean(0)).max() > 0.1
    expected = np.nanmean(tiny_dataset["responses"].values[:, data.subset.train[0]], axis=0)
    np.testing.assert_allclose(data.train_responses[0], expected, rtol=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_groups_are_equal_exactly_for_equal_images(contents):
    images = np.array(contents, np.float32)[:, None, None, None]
    groups = duplicate_groups(images)
    same = groups[:, None] == groups[None]
    np.testing.assert_array_equal(same, images.ravel()[:, None] == images.ravel()[None])


def test_negative_zeros_are_zeros():
    assert duplicate_groups(np.array([[0.0, 1.0], [-0.0, 1.0], [0.0, 2.0]])).tolist() == [0, 0, 1]


def test_a_pixel_that_hardly_varies_is_not_amplified_without_end(rng):
    """Behind an aperture pixels varied by rounding, and one odd image had a |z| of 4050."""
    constant = np.full((5, 1, 2, 2), 7, np.float32)
    np.testing.assert_array_equal(standardizer(constant, "per_pixel")(constant), 0)
    images = rng.normal(size=(100, 1, 8, 8)).astype(np.float32)
    images[:, :, 0] = 1e-5 * images[:, :, 0]
    odd = images[:1].copy()
    odd[:, :, 0] = 1
    standardize = standardizer(images, "per_pixel")
    assert np.abs(standardize(odd)).max() < 20
    np.testing.assert_allclose(standardize(images)[:, :, 1:].std(0), 1, rtol=1e-5)


def test_subsets_are_nested_below_one_neuron_per_type(tiny_dataset):
    types = np.arange(5, dtype=np.int16)
    data = xr.concat([tiny_dataset] * 3, "neuron", data_vars="minimal")
    data = data.assign(cell_type=("neuron", np.tile(types, 3)))
    for seed in range(5):
        neurons = [set(choose_subset(data, n, None, seed).neurons.tolist()) for n in (1, 2, 4, 5, 10)]
        assert all(few < many for few, many in pairwise(neurons))
        assert len({types[neuron % 5] for neuron in neurons[2]}) == 4
