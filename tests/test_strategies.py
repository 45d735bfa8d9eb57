"""Training strategies that a configuration of transfer asks for, and configurations that are refused."""

import copy

import pandas as pd
import pytest
import yaml
from conftest import resolved
from figure_run import saved

import collect_transfer
import plot_transfer
from whatwhere.config import plan
from whatwhere.config.load import load
from whatwhere.config.strategies import OWN_RIDGE, STRATEGIES
from whatwhere.errors import UserError
from whatwhere.questions import answers

TRANSFER = resolved("transfer.yaml")


def drawn(config):
    fits = plan.fits(config)
    return fits[fits.figure == "transfer"]


def test_every_target_is_predicted_by_every_strategy():
    fits = drawn(TRANSFER)
    asked = set(STRATEGIES) - {"own images, other closed form"}
    assert fits.groupby("target").strategy.agg(set).to_dict() == {
        f"v4_{session}": asked for session in ("201025", "210325", "210621")
    }
    assert not fits.duplicated(["target", "strategy"]).any()


def refused(config, tmp_path, change):
    config = copy.deepcopy(config)
    change(config)
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(UserError) as error:
        load([file])
    return str(error.value)


def test_a_target_without_its_own_ridge_is_refused(tmp_path):
    def no_ridge(config):
        (experiment,) = (one for one in config["experiments"] if one["name"] == "transferred_210325")
        experiment["models"].remove("ridge_bank")

    message = refused(TRANSFER, tmp_path, no_ridge)
    assert "transfer needs a ridge on a feature bank of 'v4_210325' alone, at several n_images" in message


@pytest.fixture
def table(tmp_path, rng):
    """The table of a target, alone and pooled with a recording whose neurons are predicted much better."""
    from test_transfer import scores

    paths = []
    for model, image_doublings, sizes in (("mine", 0, (50, 100, 200, 400)), ("together", 1, (50, 200))):
        found = scores(image_doublings, rng, sizes=sizes, n_neurons=10, seeds=2, noise=0.005)
        found = found.assign(model=model, selection="population", converged=True, at_edge=model == "mine")
        if model == "together":
            other = found.assign(recording="other", neuron=found.neuron + 10, correlation=0.9)
            found = pd.concat([found.assign(recording="target"), other])
        paths.append(str(tmp_path / f"{model}.csv"))
        found.to_csv(paths[-1], index=False)
    output = tmp_path / "transfer.csv"
    # Listed last first: tables are in the order of the strategies.
    collect_transfer.main(paths[::-1], ["target"] * 2, ["pooled", OWN_RIDGE], output)
    return output


def test_the_table_has_a_row_per_strategy_and_size_of_the_targets_own_neurons(table):
    rows = pd.read_csv(table)
    assert rows.strategy.tolist() == [OWN_RIDGE] * 4 + ["pooled"] * 2
    assert (rows.n_neurons == 10).all()
    pooled = rows[rows.strategy == "pooled"].set_index("n_images")
    assert pooled.image_doublings.tolist() == pytest.approx([1, 1], abs=0.15)
    assert pooled.correlation.tolist() == pytest.approx([0.25, 0.35], abs=0.01)
    assert (rows.converged == 1).all()
    assert ((rows.at_edge == 1) == (rows.strategy == OWN_RIDGE)).all()


@pytest.mark.slow
def test_the_figure_is_drawn_from_the_table(table, tmp_path):
    labels = {model: model for model in pd.read_csv(table).model}
    saved(plot_transfer.main, tmp_path / "transfer.svg", table, labels, {"target": "mine"})
    content = (tmp_path / "transfer.svg").read_text()
    for text in ("pooled", OWN_RIDGE, "doublings of images saved", "mine", "10 neurons", "edge of its grid"):
        assert text in content


def test_the_sixth_question_is_answered_by_the_table(table):
    scores = pd.DataFrame(
        {
            "experiment": "one",
            "dataset": "target",
            "model": "mine",
            "selection": "population",
            "n_neurons": 10,
            "n_images": [50, 100],
            "seed": 0,
            "neuron": 0,
            "feve": 0.5,
            "correlation": 0.5,
            "cc_max": 0.9,
            "converged": True,
        }
    )
    reference = pd.DataFrame(columns=["experiment", "model", "selection", "n_neurons", "n_images", "feve"])
    names = ({"mine": "ridge"}, [], {"one": "transfer"})
    pairs = ["dataset", "selection", "n_neurons", "n_images", "measure", "model", "against", "difference"]
    found = answers(scores, pd.DataFrame(columns=pairs), None, None, pd.read_csv(table), *names, reference)
    gain, saved = found[found.question == 6].to_dict("records")
    assert gain["comparison"] == "pooled against own images, ridge"
    assert gain["value"] == pytest.approx(0.05, abs=0.01)
    assert (gain["dataset"], gain["n_images"], gain["unit"]) == ("target", 50, "neurons, 2 folds")
    assert saved["measure"] == "doublings at correlation 0.25"
    assert saved["low"] < saved["value"] < saved["high"]
