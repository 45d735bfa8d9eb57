import numpy as np
import pandas as pd
import pytest
import table1_stand_in as stand_in
import yaml
from conftest import REPOSITORY, resolved
from recording_files import served, write_zip

import collect_table1
import compute_sta
import fit_baseline
import plot_table1
import score
import select_fits
import train
from load_recording import main as load_recording
from whatwhere.config.files import merge
from whatwhere.dataset import open_dataset
from whatwhere.training.families import FAMILIES

TINY = {1: (60, 10, 3, 6), 2: (50, 10, 2, 3), 3: (60, 12, 3, 4)}
REFERENCE = REPOSITORY / "config" / "reference" / "table1.csv"
TABLE1 = resolved("table1.yaml")
MODELS = TABLE1["experiments"][0]["models"]


def thinned(name):
    """What makes a model of the table tiny: two filters per layer, one setting, forty steps."""
    definition = TABLE1["models"][name]
    update = {"grid": [{key: values[:1] for key, values in definition["grid"][0].items()}]}
    if "cores" in definition:
        update["cores"] = [core | {"channels": [2] * len(core["channels"])} for core in definition["cores"]]
    if "training" in definition:
        update["training"] = {"max_steps": 40, "evaluate_every": 20, "batch_size": 16}
    return update


def row(**changes):
    scores = {"correlation": 0.4, "correlation_sem": 0.1, "feve": 0.2}
    return {"n_neurons": 2, "n_seeds": 1, "finished": 1.0, "at_edge": 0.0} | scores | changes


def test_regions_are_averaged_by_their_number_of_neurons():
    regions = pd.DataFrame([row(), row(n_neurons=6, correlation=0.8, correlation_sem=0.0, feve=0.6)])
    average = collect_table1.average_row(regions.assign(finished=[1, 0]))
    assert average["n_neurons"] == 8
    assert (average["finished"], average["at_edge"]) == (0.5, 0)
    assert average["correlation"] == pytest.approx((2 * 0.4 + 6 * 0.8) / 8)
    assert average["correlation_sem"] == pytest.approx(2 * 0.1 / 8)
    assert average["feve"] == pytest.approx((2 * 0.2 + 6 * 0.6) / 8)
    assert np.isnan(average["validation_loss"])


def test_the_paper_averages_its_regions_in_the_same_way():
    paper = pd.read_csv(REFERENCE)
    neurons = {"1": 103, "2": 55, "3": 102}
    for _, part in paper.groupby("model"):
        values = part.set_index("region").correlation
        regions = pd.DataFrame(
            [row(n_neurons=n, correlation=values[region]) for region, n in neurons.items()]
        )
        assert collect_table1.average_row(regions)["correlation"] == pytest.approx(
            values["average"], abs=0.01
        )


def test_a_row_sums_losses_over_neurons_and_averages_them_over_seeds():
    keys = {"selection": "population", "n_neurons": 3, "n_images": 80}
    scores = pd.DataFrame(
        [
            keys
            | {"seed": seed, "neuron": neuron, "correlation": r, "feve": feve}
            | {"finished": seed == 0, "at_edge": neuron == 0}
            for seed, neuron, r, feve in [
                (0, 0, 0.2, 0.5),
                (0, 1, 0.4, 0.1),
                (0, 2, 0.6, -90.0),
                (1, 0, 0.4, 0.5),
                (1, 1, 0.6, 0.3),
                (1, 2, 0.8, -80.0),
            ]
        ]
    )
    cell = {"cell": "nall-dall", "selection": "population"}
    losses = [(0, 1.0), (0, 2.0), (0, 3.0), (1, 2.0), (1, 3.0), (1, 5.0)]
    selection = pd.DataFrame([cell | {"seed": s, "validation_loss": value} for s, value in losses])
    result = collect_table1.region_row(scores, selection, "poisson")
    assert result["n_neurons"] == 3
    assert result["n_seeds"] == 2
    assert result["correlation"] == pytest.approx(0.5)
    assert result["correlation_sem"] == pytest.approx(np.std([0.3, 0.5, 0.7], ddof=1) / np.sqrt(3))
    assert result["feve"] == pytest.approx(0.2)
    assert result["validation_loss"] == pytest.approx(8.0)
    assert np.isnan(collect_table1.region_row(scores, selection, "mse")["validation_loss"])
    assert (result["finished"], result["at_edge"]) == (0.5, pytest.approx(1 / 3))


def test_every_model_of_the_paper_is_in_the_table():
    assert set(pd.read_csv(REFERENCE).model) <= set(MODELS)


def test_the_stand_in_has_the_published_shapes():
    folder = REPOSITORY.parent / "shared" / "data" / "antolik2016" / "Data"
    if not folder.is_dir():
        pytest.skip(f"needs the published files in {folder}")
    for region, (n_images, n_test, n_repeats, n_neurons) in stand_in.PUBLISHED.items():
        published = folder / f"region{region}"
        assert np.load(published / "training_set.npy", "r").shape == (n_images, n_neurons)
        assert np.load(published / "validation_inputs.npy", "r").shape == (n_test, stand_in.SIDE**2)
        assert np.load(published / "raw_validation_set.npy", "r").shape == (n_repeats, n_test, n_neurons)


@pytest.mark.slow
def test_a_supplement_of_the_published_size_is_downloaded_and_divided(tmp_path):
    (tmp_path / "site").mkdir()
    write_zip(tmp_path / "site" / stand_in.ZIP, stand_in.supplement(stand_in.PUBLISHED))
    with served(tmp_path / "site") as (url, _):
        for region, (n_images, n_test, n_repeats, n_neurons) in stand_in.PUBLISHED.items():
            name = f"antolik_region{region}"
            definition = TABLE1["datasets"][name] | {"checksums": False}
            path = tmp_path / f"{name}.nc"
            load_recording(name, definition, tmp_path, f"{url}/{stand_in.ZIP}", str(path))
            with open_dataset(path) as data:
                assert data["images"].shape == (n_images + n_test, 1, 31, 31)
                assert data["responses"].shape == (n_repeats, n_images + n_test, n_neurons)
                assert data.attrs["normalize"] == "per_pixel"
                sizes = [np.bincount(fold).tolist() for fold in data["split"].values]
            # Copies of a crop share a split, so that the shares are met to an image or two.
            np.testing.assert_allclose(sizes, [[0.8 * n_images, 0.2 * n_images, n_test]] * 5, atol=3)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A served folder with a tiny supplement."""
    folder = tmp_path_factory.mktemp("site")
    write_zip(folder / stand_in.ZIP, stand_in.supplement(TINY, side=17))
    with served(folder) as (url, _):
        yield f"{url}/{stand_in.ZIP}"


def fit(model, folder, dataset, averages):
    """Fit, select and score one model; return the files of scores and selection."""
    definition = merge(TABLE1["models"][model], thinned(model))
    fits, validation, selection, scores = (
        folder / model / name for name in ("fits.pt", "validation.nc", "selection.csv", "scores.csv")
    )
    common = {"n_neurons": "all", "n_images": "all", "definition": definition, "seeds": [0]}
    common |= {"dataset": dataset, "core": [], "fits": fits, "validation": validation}
    if FAMILIES[definition["family"]].fit is not None:
        fit_baseline.main(**common)
    else:
        train.main(
            **common,
            sta_file=averages,
            localizer=[],
            device="cpu",
            threads=1,
            checkpoint_seconds=1e9,
            code="same",
        )
    cells = ["nall-dall"]
    select_fits.main([str(validation)], cells, ["population"], selection)
    names = {"experiment": "table1", "dataset": "antolik_region1", "model": model}
    predictions = folder / model / "predictions.nc"
    summary = folder / model / "summary.csv"
    score.main(dataset, [str(fits)], selection, cells, names, 1, scores, summary, predictions)
    return str(scores), str(selection)


@pytest.mark.slow
def test_every_model_is_fitted_scored_and_drawn(site, tmp_path):
    dataset, averages = tmp_path / "data.nc", tmp_path / "sta.nc"
    definition = TABLE1["datasets"]["antolik_region1"] | {"checksums": False}
    load_recording("antolik_region1", definition, tmp_path, site, str(dataset))
    compute_sta.main(dataset, "all", "all", [0], 17, 0.1, averages)
    files = [fit(model, tmp_path, dataset, averages) for model in MODELS]
    table = tmp_path / "table1.csv"
    losses = {name: TABLE1["models"][name]["loss"] for name in MODELS}
    scores, selection = (list(paths) for paths in zip(*files, strict=True))
    collect_table1.main(scores, selection, REFERENCE, {"antolik_region1": "1"}, losses, table)
    content = pd.read_csv(table)
    assert content.model.tolist() == [model for model in MODELS for _ in range(2)]
    assert content.region.tolist() == ["1", "average"] * len(MODELS)
    assert (content.n_neurons == 6).all()
    regions = content[content.region == "1"].set_index("model")
    assert np.isfinite(regions[["correlation", "feve", "validation_loss"]]).all(axis=None)
    assert regions.correlation["mean_rate"] == 0
    assert regions.paper["cnn_3_layers"] == 0.55
    plot_table1.main(table, tmp_path / "table1.svg", tmp_path / "table1.png")
    drawing = (tmp_path / "table1.svg").read_text()
    for text in ("cnn 3 layers", "region 1", "(6 neurons)", "paper", "correlation"):
        assert text in drawing
    assert "average" not in drawing


def table_of(regions):
    """Table 1 with one model: the paper's values by region, NaN where it has none."""
    rows = [row(model="lnp", region=region, paper=paper) for region, paper in regions.items()]
    return pd.DataFrame(rows)


def test_a_region_that_the_paper_lacks_stands_beside_its_average():
    ((title, rows),) = plot_table1.panels(table_of({"v1_like": np.nan, "average": 0.36}))
    assert (title, rows.paper.tolist()) == ("v1 like", [0.36])


def test_a_single_region_of_the_paper_has_its_own_value_and_no_average():
    ((title, rows),) = plot_table1.panels(table_of({"2": 0.3, "average": 0.36}))
    assert (title, rows.paper.tolist()) == ("region 2", [0.3])


def test_several_regions_are_drawn_with_their_average():
    titles = [title for title, _ in plot_table1.panels(table_of({"1": 0.37, "2": 0.3, "average": 0.36}))]
    assert titles == ["region 1", "region 2", "average"]


@pytest.mark.slow
def test_the_workflow_makes_table_1_from_a_downloaded_supplement(site, tmp_path):
    regions = ["antolik_region1", "antolik_region2"]
    experiment = TABLE1["experiments"][0] | {"models": ["cnn_3_layers"], "datasets": regions}
    update = {"experiments": [experiment], "models": {"cnn_3_layers": thinned("cnn_3_layers")}}
    tiny = tmp_path / "tiny.yaml"
    tiny.write_text(yaml.safe_dump(update))
    targets = ["results/table1/tables/table1.csv", "results/table1/figures/table1.svg"]
    configs = [stand_in.override(tmp_path, site), tiny]
    ended = stand_in.run(tmp_path, configs, "--cores", "2", "--", *targets)
    assert ended.returncode == 0, ended.stderr
    content = pd.read_csv(tmp_path / targets[0])
    assert content.region.tolist() == ["1", "2", "average"]
    assert content.n_neurons.tolist() == [6, 3, 9]
    assert content.correlation.notna().all()
    assert (tmp_path / targets[1]).stat().st_size > 10_000
