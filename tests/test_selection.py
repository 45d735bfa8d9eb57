import numpy as np
import pytest
import xarray as xr

from whatwhere.selection import MEAN_RESPONSE, select

LOSS = np.array(
    [
        [[3.0, 1.0], [2.0, 4.0], [1.0, 2.0]],
        [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]],
        [[5.0, 5.0], [1.0, 1.0], [2.0, 0.5]],
    ]
)
OF_MEAN = np.array([[9.0, 9.0], [9.0, 0.5], [9.0, 9.0]])


def validation(loss=LOSS):
    return xr.Dataset(
        {
            "validation_loss": (("seed", "setting", "neuron"), loss),
            "validation_loss_of_mean": (("seed", "neuron"), OF_MEAN),
        }
    )


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("population", [[2, 2], [0, 0], [1, 1]]),
        ("median", [[1, 1], [1, 1], [1, 1]]),
        ("neuron", [[2, 0], [0, MEAN_RESPONSE], [1, 2]]),
    ],
)
def test_rules_choose_by_validation_loss(rule, expected):
    np.testing.assert_array_equal(select(validation(), rule), expected)


@pytest.mark.parametrize("rule", ["population", "median", "neuron"])
def test_a_diverged_fit_never_wins(rule):
    loss = LOSS.copy()
    loss[:, 0] = np.nan
    loss[0, 2, 0] = -np.inf
    assert (select(validation(loss), rule) != 0).all()
