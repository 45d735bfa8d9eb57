import copy
from dataclasses import replace

import pandas as pd
import pytest
from conftest import CONFIGURATIONS, REPOSITORY, resolved

from whatwhere import cost
from whatwhere.config import plan
from whatwhere.config.load import load
from whatwhere.cost import Size, duration, seconds_of_closed_form, seconds_of_fits, seconds_of_step
from whatwhere.models.spec import ModelSpec

RESULTS = REPOSITORY / "benchmarks" / "results"
QUICK = resolved()
NETWORKS = {"two_kernels": "factorized_two_kernels", "three_layers": "factorized_three_layers"}


def test_steps_take_what_was_measured():
    measured = pd.read_csv(RESULTS / "scaling.csv")
    for row in measured.itertuples():
        model = QUICK["models"][NETWORKS[row.network]]
        held = row.n_images // 5
        size = Size(row.n_neurons, row.n_images - held, held, (1, row.height, row.width), 0.2, 0, 0.0)
        estimate = seconds_of_step(model, size, ModelSpec.of(model).trained[1])
        assert 1 / 2 < estimate / row.step_s < 2, row


@pytest.mark.parametrize(
    ("what", "n_images", "model", "grid"),
    [
        ("ridge, 1000 neurons x 13 penalties", 3277, "ridge", {"ridge_l2": list(range(1, 14))}),
        (
            "factorized ridge of rank 3",
            5000,
            "factorized_ridge",
            {"rank": [3], "mask_l2": [3], "feature_l2": [1]},
        ),
    ],
)
def test_closed_forms_take_what_was_measured(what, n_images, model, grid):
    measured = pd.read_csv(RESULTS / "bench_cpu.csv")
    (row,) = measured[measured.what.str.startswith(what)].itertuples()
    spec = ModelSpec.of(QUICK["models"][model] | {"grid": [grid]})
    estimate = seconds_of_closed_form(spec, Size(1000, n_images, 0, (1, 48, 48), 0.2, 0, 0.0), None)
    assert 1 / 2 < estimate / row.ours < 2


def test_a_whole_fit_takes_what_was_measured():
    measured = pd.read_csv(RESULTS / "bench_cpu.csv")
    (row,) = measured[measured.what == "fit of Figure 4, float32"].itertuples()
    config = resolved("fig4.yaml")
    size = replace(Size.simulated(config["datasets"]["two_types"]), n_neurons=1000)
    estimate = seconds_of_fits(config["models"]["factorized_two_kernels"], size, 1, None)
    assert 1 / 2 < estimate / row.ours < 2


def test_the_cost_of_a_run_has_a_row_for_every_fit_and_counts_every_dataset_once():
    of = cost.sizes(QUICK)
    table = cost.cost(QUICK, of)
    assert table[["experiment", "dataset", "model"]].equals(
        plan.fits(QUICK)[["experiment", "dataset", "model"]]
    )
    conditions = cost.condition_costs(QUICK, of)
    assert table.fits.sum() == conditions.fits.sum()
    files = sum(size.megabytes for size in of.values())
    assert table.megabytes.sum() == pytest.approx(conditions.megabytes.sum() + files)
    assert (table.minutes > 0).all()


def test_more_seeds_settings_and_images_take_longer():
    of = {"two_types": Size.simulated(QUICK["datasets"]["two_types"])}
    base = {"datasets": ["two_types"], "models": ["factorized_two_kernels"]}

    def minutes(**changes):
        config = copy.deepcopy(QUICK)
        config["experiments"] = [config["experiments"][0] | base | changes]
        return cost.cost(config, of).minutes.item()

    assert minutes(seeds=[0, 1]) > 1.5 * minutes(seeds=[0])
    assert minutes(models=["fully_connected_relu"]) > minutes(models=["fixed_mask_relu"])
    assert minutes(n_neurons=[50]) < minutes(n_neurons=[100]) < minutes(n_neurons=[50, 100])


def test_a_recording_has_no_estimate_before_it_is_loaded(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = load(CONFIGURATIONS["v4.yaml"]).config
    table = cost.cost(config, cost.sizes(config))
    assert table.minutes.isna().all()
    assert "unknown until they are loaded: v4_" in cost.summary(table)


@pytest.mark.parametrize(
    ("seconds", "text"), [(2, "5 s"), (42, "40 s"), (58, "1 min"), (600, "10 min"), (7200, "2.0 h")]
)
def test_durations_are_rounded(seconds, text):
    assert duration(seconds) == text


def test_the_plan_is_printed(capsys, tmp_path):
    assert cost.main([str(REPOSITORY / "config" / "test.yaml")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("run test: models: 3, datasets: 1, fits (sizes, settings, seeds): 48; about ")
    assert " minutes\n" in out
    assert "figures/fig4.svg" in out
    assert cost.main([str(tmp_path / "none.yaml")]) == 1
    assert capsys.readouterr().err.startswith("Error: ")
