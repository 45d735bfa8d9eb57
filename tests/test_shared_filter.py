import numpy as np
import pytest
import torch
from simulated import simulated

from whatwhere.errors import UserError
from whatwhere.fit_data import load_fit_data
from whatwhere.models.linear import fit_linear, fit_shared, solve_ridge


@pytest.fixture
def population():
    return simulated("dog", n_neurons=8, image_size=24, n_images=250, n_test=10, seed=4)


def test_one_neuron_has_nothing_to_share(population):
    data = load_fit_data(population, 1, None, 0)
    for shared, alone in zip(
        fit_shared(data, [1.0, 100.0]),
        fit_linear(solve_ridge, [1.0, 100.0], data, "known_patch"),
        strict=True,
    ):
        torch.testing.assert_close(shared["filters"], alone["filters"])
        torch.testing.assert_close(shared["bias"], alone["bias"])


def test_all_neurons_have_the_same_filter_at_their_place(population):
    data = load_fit_data(population, None, None, 0)
    filters = fit_shared(data, [10.0])[0]["filters"].numpy()[:, 0]
    patches = [f[r : r + 9, c : c + 9] for f, (r, c) in zip(filters, data.patch_corner, strict=True)]
    np.testing.assert_array_equal(patches, np.broadcast_to(patches[0], (8, 9, 9)))
    assert np.count_nonzero(filters) == 8 * 81


def test_eight_neurons_learn_the_filter_better_than_each_alone(population):
    data = load_fit_data(population, None, None, 0)
    truth = population["receptive_field"].values[0]

    def error(filters):
        patches = [f[r : r + 9, c : c + 9] for f, (r, c) in zip(filters, data.patch_corner, strict=True)]
        return np.mean((np.array(patches) - truth) ** 2)

    shared = error(fit_shared(data, [1.0])[0]["filters"].numpy()[:, 0])
    alone = error(fit_linear(solve_ridge, [1.0], data, "known_patch")[0]["filters"].numpy()[:, 0])
    # Noise variance falls with the number of neurons.
    assert shared < alone / 4


def test_unknown_locations_are_refused(tiny_dataset):
    with pytest.raises(UserError, match="known receptive fields"):
        fit_shared(load_fit_data(tiny_dataset, None, None, 0), [1.0])
