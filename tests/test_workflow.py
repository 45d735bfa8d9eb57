"""The workflow end to end, through the command that users type."""

import re
import shutil

import pandas as pd
import pytest
import yaml
from conftest import REPOSITORY
from repository_copy import CONFIG, snakemake

from whatwhere.files import read_netcdf
from whatwhere.metrics import SCORES

pytestmark = pytest.mark.slow


def planned(repository):
    """Rules that Snakemake would run now."""
    run = snakemake(repository, "all", "build_report", *CONFIG, "--dry-run")
    assert run.returncode == 0, run.stderr
    counts = dict(re.findall(r"^(\w+) +(\d+)$", run.stdout + run.stderr, re.MULTILINE))
    return set(counts) - {"total"}


def table(repository, name):
    return pd.read_csv(repository / "results" / "test" / "tables" / f"{name}.csv")


def test_scores_are_tidy_and_in_the_expected_order(finished_run):
    scores = table(finished_run, "scores")
    keys = ["experiment", "dataset", "model", "selection", "n_neurons", "n_images", "seed", "neuron"]
    assert list(scores) == [*keys, *SCORES, "converged", "at_edge"]
    assert not scores.duplicated(keys).any()
    assert len(scores) == 3 * 2 * 2 * 2 * 20  # models, selections, sizes, seeds, neurons
    feve = scores[scores.n_images == 4096].groupby("model").feve.mean()
    assert feve["mean"] < 0.01
    assert feve["mean"] < feve["ridge"] < feve["factorized_small"]
    # Of what a perfect model explains; the kernels and places must have been found.
    assert feve["factorized_small"] > 0.75
    # The test responses are noiseless rates without repeats.
    assert scores[["correlation_single_trial", "cc_max", "cc_norm"]].isna().all(axis=None)
    constant = scores[scores.model == "mean"]
    assert (constant.correlation == 0).all()


def test_the_summary_holds_the_means_of_the_scores(finished_run):
    scores, summary = table(finished_run, "scores"), table(finished_run, "summary")
    keys = ["model", "selection", "n_images"]
    expected = scores.groupby(keys).feve.mean().rename("feve_reliable")
    # Rates without noise are reliable.
    pd.testing.assert_series_equal(summary.set_index(keys).feve_reliable.sort_index(), expected, rtol=1e-6)
    assert (summary.n_reliable == summary.n_neurons).all()


def test_feature_weights_identify_the_two_types(finished_run):
    found = table(finished_run, "barcode_scores")
    # Types are reported where the evidence is there, and nowhere else.
    assert ((found.n_clusters > 1) == (found.p_value <= 0.05)).all()
    identified = found[found.n_images == 4096]
    assert len(identified) == 2 * 2  # selections, seeds
    assert (identified[["ari", "stability_seeds"]] == 1).all(axis=None)


def test_everything_lies_in_the_folder_of_the_run(finished_run):
    results = finished_run / "results"
    assert sorted(path.name for path in results.iterdir()) == ["README.md", "test"]
    assert not list(results.rglob(".partial-*"))
    assert not list(results.rglob("checkpoint.pt"))
    figure = results / "test" / "figures" / "fig4.svg"
    assert figure.stat().st_size > 10_000
    assert figure.with_suffix(".png").stat().st_size > 10_000
    with read_netcdf(results / "test" / "data" / "two_types_small.nc") as data:
        assert data.sizes["neuron"] == 20


def test_nothing_runs_again_in_another_place_but_the_rules_that_use_an_edited_file(finished_run, tmp_path):
    moved = shutil.copytree(finished_run, tmp_path / "moved", symlinks=True)
    assert planned(moved) == set()
    library = moved / "workflow_scripts" / "whatwhere"
    for module, expected in {
        "barcodes": {"evaluate_barcodes", "collect_scores", "plot_fig4"},
        "simulations/difference_of_gaussians": {"simulate", "compute_sta", "train", "fit_baseline"},
    }.items():
        path = library / f"{module}.py"
        before = path.read_text()
        path.write_text(before + "\n")
        rules = planned(moved)
        path.write_text(before)
        assert expected <= rules, module
        if module == "barcodes":
            assert not rules & {"simulate", "compute_sta", "train", "fit_baseline"}


def test_a_real_recording_goes_to_its_figure(tmp_path, cowley_folder):
    path = tmp_path / "v4.yaml"
    experiment = {
        "name": "recording",
        "datasets": ["v4_210325"],
        "models": ["ridge_rate"],
        "n_neurons": ["all"],
        "n_images": ["all"],
        "seeds": [0],
        "selection": ["population"],
        "figure": None,
    }
    path.write_text(yaml.safe_dump({"run": "v4_test", "experiments": [experiment]}))
    targets = [f"results/v4_test/{name}" for name in ("tables/scores.csv", "figures/recording/v4_210325.png")]
    run = snakemake(
        REPOSITORY,
        *("--directory", str(tmp_path), "--cores", "2"),
        *("--configfile", "config/v4.yaml", str(path), "--config", f"mirror={cowley_folder}"),
        *("--", *targets),
    )
    assert run.returncode == 0, run.stdout + run.stderr
    scores = pd.read_csv(tmp_path / targets[0])
    assert len(scores) == 50
    # Ridge on pixels reaches about .29 on this session; shuffled pairs would give 0.
    assert scores.correlation.mean() > 0.2
    assert scores[["correlation_single_trial", "cc_max", "cc_norm"]].notna().all(axis=None)
    assert (tmp_path / targets[1]).is_file()
