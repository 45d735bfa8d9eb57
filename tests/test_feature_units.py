import numpy as np
import pytest
import torch
from simulated import simulated

from whatwhere.dataset import check
from whatwhere.simulations.dead_leaves import dead_leaves
from whatwhere.simulations.feature_units import unit_responses
from whatwhere.simulations.v1_bank import SQUARED_CV, V1Bank, spatial_filters
from whatwhere.standardize import Standardizer

IDENTITY = Standardizer(np.zeros((3, 1, 1), np.float32), np.ones((3, 1, 1), np.float32))


@pytest.fixture(scope="module")
def leaves():
    """Standardized images (image, channel, y, x)."""
    images = np.concatenate(list(dead_leaves(64, 3, (28, 28), np.random.SeedSequence(1))))
    return (images - images.mean()) / images.std()


@pytest.fixture(scope="module")
def bank(leaves):
    return V1Bank(5, leaves, np.random.SeedSequence(2))


@pytest.mark.slow
def test_a_unit_sees_its_receptive_field_and_nothing_else(bank, leaves):
    location = np.array([[2, 5], [15, 0]])
    cell_type = np.array([1, 4])
    before = unit_responses(bank, leaves, IDENTITY, cell_type, location)
    inside, outside = leaves.copy(), leaves.copy()
    rng = np.random.default_rng(0)
    outside[:, :, 15:, :] = rng.standard_normal(outside[:, :, 15:, :].shape)
    outside[:, :, :2, :] = 0
    outside[:, :, :, :5] = 0
    outside[:, :, :, 18:] = 0
    np.testing.assert_allclose(
        unit_responses(bank, outside, IDENTITY, cell_type, location)[:, 0], before[:, 0], atol=1e-5
    )
    inside[:, :, 2:15, 5:18] *= -1
    after = unit_responses(bank, inside, IDENTITY, cell_type, location)[:, 0]
    assert not np.allclose(after, before[:, 0], atol=0.1)


def test_v1_filters_are_normalized_and_all_but_the_blob_ignore_uniform_light():
    filters = spatial_filters()
    assert filters.shape == (9, 5, 5)
    np.testing.assert_allclose(np.linalg.norm(filters, axis=(1, 2)), 1)
    np.testing.assert_allclose(filters[:8].sum((1, 2)), 0, atol=1e-12)
    assert filters[8].min() > 0


def test_v1_maps_are_sparse_as_the_units_of_the_paper_and_correlate_as_stated(bank, leaves):
    with torch.no_grad():
        maps = bank(torch.from_numpy(leaves))
    assert maps.shape == (64, 5, 16, 16)
    assert (maps >= 0).all()
    flat = maps.transpose(0, 1).flatten(1)
    ratio = flat.var(1) / flat.mean(1) ** 2
    torch.testing.assert_close(ratio, torch.full((5,), SQUARED_CV), rtol=1e-3, atol=0)
    torch.testing.assert_close(torch.corrcoef(flat), bank.correlations, atol=1e-3, rtol=0)


def test_v1_types_are_distinct_and_nested(bank, leaves):
    few = V1Bank(2, leaves, np.random.SeedSequence(2))
    torch.testing.assert_close(bank.correlations[:2, :2], few.correlations, atol=1e-4, rtol=0)
    assert (bank.correlations - torch.eye(5)).abs().max() < 0.3


@pytest.mark.slow
def test_v1_maps_are_not_linear_in_the_image(leaves):
    images = np.concatenate(list(dead_leaves(3200, 3, (13, 13), np.random.SeedSequence(7))))
    images = (images - images.mean()) / images.std()
    bank = V1Bank(6, leaves, np.random.SeedSequence(2))
    with torch.no_grad():
        maps = bank(torch.from_numpy(images)).flatten(1).numpy()
    pixels = np.concatenate([images.reshape(len(images), -1), np.ones((len(images), 1))], 1)
    train, test = slice(0, 2600), slice(2600, None)
    gram = pixels[train].T @ pixels[train] + 30 * np.eye(pixels.shape[1])
    predicted = pixels[test] @ np.linalg.solve(gram, pixels[train].T @ maps[train])
    feve = 1 - ((predicted - maps[test]) ** 2).mean(0) / maps[test].var(0)
    assert feve.max() < 0.45
    assert feve.mean() > 0.05


@pytest.mark.slow
def test_rates_have_mean_one_tenth_and_only_test_responses_carry_no_noise():
    data = simulated("features", n_images=800)
    rates, responses = data["rates"].values, data["responses"].values[0]
    np.testing.assert_allclose(rates[:800].mean(0), 0.1, rtol=1e-4)
    np.testing.assert_array_equal(responses[800:], rates[800:])
    noise = responses[:800] - rates[:800]
    silent = rates[:800] == 0
    assert (noise[silent] == 0).all()
    np.testing.assert_allclose((noise[~silent] ** 2 / rates[:800][~silent]).mean(), 1, rtol=0.1)


@pytest.mark.slow
def test_locations_of_a_type_differ_and_are_nested():
    data = simulated("features", n_neurons=2 * 64)
    location = data["location"].values
    assert location.min() == 6
    assert location.max() == 13
    assert len(np.unique(location[:64], axis=0)) == 64
    fewer = simulated("features")
    np.testing.assert_array_equal(fewer["location"][6:], location[64:70])


def test_grey_images_have_feature_maps_too():
    data = simulated("features", color="grey", n_images=40)
    assert data["images"].shape == (70, 1, 20, 20)
    check(data, "features")
