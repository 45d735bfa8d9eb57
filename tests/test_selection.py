import numpy as np
import pytest
import xarray as xr

from whatwhere.files import read_table
from whatwhere.fitted.selection import MEAN_RESPONSE, at_edge, select, write_selection

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


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="'mean' is no rule"):
        select(validation(), "mean")


@pytest.mark.parametrize("rule", ["population", "median", "neuron"])
def test_a_diverged_fit_never_wins(rule):
    loss = LOSS.copy()
    loss[:, 0] = np.nan
    loss[0, 2, 0] = -np.inf
    assert (select(validation(loss), rule) != 0).all()


def rated(strengths, **others):
    """Settings with given strengths of a penalty, of which the last is the best."""
    loss = np.arange(len(strengths), 0, -1.0)[None, :, None]
    return xr.Dataset(
        {
            "validation_loss": (("seed", "setting", "neuron"), loss),
            "validation_loss_of_mean": (("seed", "neuron"), [[99.0]]),
            "converged": (("seed", "setting"), np.ones(loss.shape[:2], int)),
            "neuron_index": (("seed", "neuron"), [[0]]),
        },
        coords={"seed": [0], "mask_l1": ("setting", strengths)}
        | {name: ("setting", values) for name, values in others.items()},
    )


@pytest.mark.parametrize(
    ("strengths", "others", "expected"),
    [
        ([0.1, 1, 10], {}, [True, False, True]),
        # No penalty can be weaker than 0, and a grid of one or two values has no inside.
        ([0, 1, 10], {}, [False, False, True]),
        ([1, 1, 1], {}, [False, False, False]),
        ([1, 1, 10], {}, [False, False, False]),
        # What is counted has no strength.
        ([1, 1, 1], {"rank": [1, 2, 3], "start": [0, 1, 2]}, [False, False, False]),
        ([0.1, 1, 10], {"feature_l1": [1, 2, 3]}, [True, False, True]),
        ([0, 1, 10], {"feature_l1": [3, 1, 2]}, [True, True, True]),
    ],
)
def test_a_penalty_is_at_the_edge_if_no_stronger_or_no_weaker_one_was_tried(strengths, others, expected):
    selected = np.array([[0, 1, 2, MEAN_RESPONSE]])
    np.testing.assert_array_equal(at_edge(rated(strengths, **others), selected), [[*expected, False]])


@pytest.mark.parametrize(
    ("strengths", "converged", "at_edge"),
    [([3, 1, 2], True, False), ([1, 2, 3], True, True), ([3, 1, 2], False, False)],
)
def test_the_table_names_what_was_selected_but_stopped_or_at_an_edge(strengths, converged, at_edge, tmp_path):
    content = rated(strengths)
    content["converged"][:] = converged
    content.to_netcdf(tmp_path / "validation.nc")
    output = tmp_path / "selection.csv"
    write_selection([str(tmp_path / "validation.nc")], ["n1-d9"], ["population"], output)
    row = read_table(output).iloc[0]
    assert (row.converged, row.at_edge) == (converged, at_edge)
