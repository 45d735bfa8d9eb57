import numpy as np
import torch

from whatwhere.standardize import Standardizer
from whatwhere.training.fits import Candidates, to_tensors
from whatwhere.training.loop import Fit


def candidates(seed, n_images):
    fit = Fit(np.zeros(2), 0, 0, np.empty((0, 3)), converged=True)
    standardize = Standardizer(np.zeros((1, 3, 3)), np.ones((1, 3, 3)))
    parameters = [{"mean": torch.zeros(2)}]
    return Candidates(
        seed, np.arange(2), standardize, np.ones(2), parameters, [fit], np.zeros(2), np.zeros(2), n_images
    )


def test_seeds_of_a_cell_have_one_number_of_images():
    """Folds of a recording with copies differ by a few images, and tables know a condition by its number."""
    content = to_tensors({"family": "mean"}, [candidates(0, 981), candidates(1, 979), candidates(2, 980)])
    assert {one["n_images"] for one in content["seeds"].values()} == {979}
