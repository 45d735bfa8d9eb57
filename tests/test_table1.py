import numpy as np
import pandas as pd
import pytest
import table1_stand_in as stand_in
import yaml
from conftest import REPOSITORY, resolved
from figure_run import Run, saved
from recording_files import write_zip

import collect_table1
import plot_table1
from load_recording import main as load_recording
from whatwhere.config.files import merge
from whatwhere.models.spec import ModelSpec

TINY = {1: (60, 10, 3, 6), 2: (50, 10, 2, 3), 3: (60, 12, 3, 4)}
REFERENCE = REPOSITORY / "config" / "reference" / "table1.csv"
TABLE1 = resolved("table1.yaml")
MODELS = TABLE1["experiments"][0]["models"]


def thinned(name):
    """Changes that make a model of the table tiny: two filters per layer, one setting, forty steps."""
    definition = TABLE1["models"][name]
    update = {"grid": [{key: values[:1] for key, values in definition["grid"][0].items()}]}
    if "cores" in definition:
        update["cores"] = [core | {"channels": [2] * len(core["channels"])} for core in definition["cores"]]
    if "training" in definition:
        update["training"] = {"max_steps": 40, "evaluate_every": 20, "batch_size": 16}
    return update


def row(**changes):
    scores = {"correlation": 0.4, "correlation_sem": 0.1, "feve": 0.2}
    return {"n_neurons": 2, "n_seeds": 1, "converged": 1.0, "at_edge": 0.0} | scores | changes


def test_regions_are_averaged_by_their_number_of_neurons():
    regions = pd.DataFrame([row(), row(n_neurons=6, correlation=0.8, correlation_sem=0.0, feve=0.6)])
    average = collect_table1.average_row(regions.assign(converged=[1, 0]))
    assert average["n_neurons"] == 8
    assert (average["converged"], average["at_edge"]) == (0.5, 0)
    assert average["correlation"] == pytest.approx((2 * 0.4 + 6 * 0.8) / 8)
    assert average["correlation_sem"] == pytest.approx(2 * 0.1 / 8)
    assert average["feve"] == pytest.approx((2 * 0.2 + 6 * 0.6) / 8)
    assert np.isnan(average["validation_loss"])


def test_the_paper_averages_its_regions_in_the_same_way():
    paper = pd.read_csv(REFERENCE)
    neurons = {"1": 103, "2": 55, "3": 102}
    for _, rows in paper.groupby("model"):
        values = rows.set_index("region").correlation
        regions = pd.DataFrame([row(n_neurons=n, correlation=values[name]) for name, n in neurons.items()])
        average = collect_table1.average_row(regions)["correlation"]
        assert average == pytest.approx(values["average"], abs=0.01)


def test_a_row_sums_losses_over_neurons_and_averages_them_over_seeds():
    keys = {"selection": "population", "n_neurons": 3, "n_images": 80}
    rows = [(0, 0, 0.2, 0.5), (0, 1, 0.4, 0.1), (0, 2, 0.6, -90.0)]
    rows += [(1, 0, 0.4, 0.5), (1, 1, 0.6, 0.3), (1, 2, 0.8, -80.0)]
    scores = pd.DataFrame(rows, columns=["seed", "neuron", "correlation", "feve"]).assign(**keys)
    scores = scores.assign(converged=scores.seed == 0, at_edge=scores.neuron == 0)
    condition = {"condition": "nall-dall", "selection": "population"}
    losses = [(0, 1.0), (0, 2.0), (0, 3.0), (1, 2.0), (1, 3.0), (1, 5.0)]
    selection = pd.DataFrame([condition | {"seed": s, "validation_loss": value} for s, value in losses])
    result = collect_table1.region_row(scores, selection, "poisson")
    assert result["n_neurons"] == 3
    assert result["n_seeds"] == 2
    assert result["correlation"] == pytest.approx(0.5)
    assert result["correlation_sem"] == pytest.approx(np.std([0.3, 0.5, 0.7], ddof=1) / np.sqrt(3))
    assert result["feve"] == pytest.approx(0.2)
    assert result["validation_loss"] == pytest.approx(8.0)
    assert np.isnan(collect_table1.region_row(scores, selection, "mse")["validation_loss"])
    assert (result["converged"], result["at_edge"]) == (0.5, pytest.approx(1 / 3))


def test_every_model_of_the_paper_is_in_the_table():
    assert set(pd.read_csv(REFERENCE).model) <= set(MODELS)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A tiny supplement."""
    folder = tmp_path_factory.mktemp("site")
    write_zip(folder / stand_in.ZIP, stand_in.supplement(TINY, side=17))
    return folder / stand_in.ZIP


@pytest.mark.slow
def test_every_model_is_fitted_scored_and_drawn(site, tmp_path):
    run, name = Run(tmp_path), "antolik_region1"
    definition = TABLE1["datasets"][name] | {"checksums": False}
    load_recording(name, definition, tmp_path, site, run.path("data", f"{name}.nc"))
    for model in MODELS:
        run.fit("table1", name, model, merge(TABLE1["models"][model], thinned(model)), ["all"], ["all"], [0])
    table = tmp_path / "table1.csv"
    losses = {name: ModelSpec.of(TABLE1["models"][name]).loss for name in MODELS}
    fits = run.of("table1", "scores"), run.of("table1", "selection")
    collect_table1.main(*fits, REFERENCE, {name: name for name in MODELS}, {name: "1"}, losses, table)
    content = pd.read_csv(table)
    assert content.model.tolist() == [model for model in MODELS for _ in range(2)]
    assert content.region.tolist() == ["1", "average"] * len(MODELS)
    assert (content.n_neurons == 6).all()
    regions = content[content.region == "1"].set_index("model")
    assert np.isfinite(regions[["correlation", "feve", "validation_loss"]]).all(axis=None)
    assert regions.correlation["mean_rate"] == 0
    assert regions.paper["cnn_3_layers"] == 0.55
    labels = {name: TABLE1["models"][name]["label"] for name in MODELS}
    saved(plot_table1.main, tmp_path / "table1.svg", table, labels, {}, [])
    drawing = (tmp_path / "table1.svg").read_text()
    for text in ("factorized, 3 layers", "region 1", "(6 neurons)", "paper", "correlation"):
        assert text in drawing
    assert "average" not in drawing


def table_of(regions):
    """Table 1 with one model: the paper's values by region, NaN where it has none."""
    return pd.DataFrame([row(model="lnp", region=name, paper=paper) for name, paper in regions.items()])


@pytest.mark.parametrize(
    ("regions", "titles", "paper"),
    [
        # A region that the paper lacks stands beside its average, one of the paper beside its own value.
        ({"v1_like": np.nan, "average": 0.36}, ["v1_like"], [0.36]),
        ({"2": 0.3, "average": 0.36}, ["region 2"], [0.3]),
        ({"1": 0.37, "2": 0.3, "average": 0.36}, ["region 1", "region 2", "average"], [0.37]),
    ],
)
def test_panels_are_regions_and_their_average(regions, titles, paper):
    panels = plot_table1.panels(table_of(regions))
    assert [title for title, _ in panels] == titles
    assert panels[0][1].paper.tolist() == paper


@pytest.mark.slow
@pytest.mark.parametrize("simulated", [["v1_like"], []])
def test_simulated_neurons_beside_recorded_ones_are_said_to_be_so(simulated, tmp_path):
    columns = {"n_neurons": 9, "correlation": 0.8, "correlation_sem": 0.1, "converged": 1, "at_edge": 0}
    table_of({"v1_like": np.nan, "average": 0.36}).assign(**columns).to_csv(tmp_path / "table1.csv")
    names = {"lnp": "LNP"}, {"v1_like": "simulated V1"}, simulated
    saved(plot_table1.main, tmp_path / "a.svg", tmp_path / "table1.csv", *names)
    drawing = (tmp_path / "a.svg").read_text()
    assert "simulated V1" in drawing
    assert ("compare the order of the models" in drawing) == bool(simulated)
    assert ("this run, simulated" in drawing) == bool(simulated)


@pytest.mark.slow
def test_the_workflow_makes_table_1_from_a_downloaded_supplement(site, tmp_path):
    regions = ["antolik_region1", "antolik_region2"]
    experiment = TABLE1["experiments"][0] | {"models": ["ridge_rate"], "datasets": regions}
    update = {"experiments": [experiment], "models": {"ridge_rate": thinned("ridge_rate")}}
    tiny = tmp_path / "tiny.yaml"
    tiny.write_text(yaml.safe_dump(update))
    targets = ["results/table1/tables/table1.csv", "results/table1/figures/table1.svg"]
    configs = [stand_in.override(tmp_path, str(site)), tiny]
    ended = stand_in.run(tmp_path, configs, "--cores", "2", "--", *targets)
    assert ended.returncode == 0, ended.stderr
    content = pd.read_csv(tmp_path / targets[0])
    assert content.region.tolist() == ["1", "2", "average"]
    assert content.n_neurons.tolist() == [6, 3, 9]
    assert content.correlation.notna().all()
    assert (tmp_path / targets[1]).stat().st_size > 10_000
