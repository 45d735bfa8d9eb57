import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from whatwhere.dataset import fit_data
from whatwhere.linear import fit_ridge


@pytest.mark.parametrize("n_images", [30, 50])
@pytest.mark.parametrize("penalty", [0.5, 1e3])
def test_ridge_agrees_with_scikit_learn(tiny_dataset, n_images, penalty):
    data = fit_data(tiny_dataset, None, n_images, 0)
    images = data.train_images.reshape(len(data.train_images), -1).astype(float)
    reference = Ridge(alpha=penalty).fit(images, data.train_responses)
    (fit,) = fit_ridge(data, [penalty])
    np.testing.assert_allclose(fit["filters"].flatten(1), reference.coef_, atol=1e-5)
    np.testing.assert_allclose(fit["bias"], reference.intercept_, atol=1e-4)


def test_all_penalties_come_from_one_decomposition(tiny_dataset):
    data = fit_data(tiny_dataset, None, None, 0)
    together = fit_ridge(data, [1.0, 10.0])
    for penalty, fit in zip([1.0, 10.0], together, strict=True):
        assert torch.equal(fit["filters"], fit_ridge(data, [penalty])[0]["filters"])
    assert together[0]["filters"].norm() > together[1]["filters"].norm()
