"""Objects that stand for models of the configuration."""

import pytest
from conftest import resolved

from whatwhere.config.load import library, recording_candidates
from whatwhere.config.resolve import FIGURE_KEYS
from whatwhere.definitions import FactorizedRidge, Lasso, Network, Ridge


def as_model(made):
    return library([("model", {"models": {"model": made.definition()}})])["model"]


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (Ridge(), "ridge_bank"),
        (FactorizedRidge(), "factorized_ridge"),
        (Network(), "factorized_bank"),
    ],
)
def test_defaults_are_those_of_the_configuration(made, name):
    shown = resolved()["models"][name]
    assert as_model(made) == {key: value for key, value in shown.items() if key not in FIGURE_KEYS}


@pytest.mark.parametrize(
    ("made", "place", "value"),
    [
        (Lasso(lasso_l1=(0.5,)), ("grid", 0, "lasso_l1"), [0.5]),
        (FactorizedRidge(rank=(2,)), ("grid", 0, "rank"), [2]),
        (Network(channels=(8,), kernels=(5,)), ("cores", 0, "padding"), ["same"]),
        (Network(starts=1, refit=False), ("refit",), False),
        (Network(max_steps=70), ("training", "max_steps"), 70),
    ],
)
def test_keywords_are_keys_of_the_configuration(made, place, value):
    found = as_model(made)
    for key in place:
        found = found[key]
    assert found == value


def test_the_library_is_that_of_a_run():
    names, source = recording_candidates()
    found, models = library([source]), resolved("recording.yaml")["models"]
    assert {name: found[name] for name in names} == {name: models[name] for name in names}
