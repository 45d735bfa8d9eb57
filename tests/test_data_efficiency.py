import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from figure_run import saved

from collect_data_efficiency import main as collect
from plot_data_efficiency import main as plot


@pytest.fixture
def tables(tmp_path):
    """Scores, locations and barcode scores of two models, as their rules write them."""
    rng = np.random.default_rng(0)
    keys = {"experiment": "fig3_trained", "dataset": "homogeneous", "selection": "population"}
    paths = {"scores": [], "locations": [], "barcode_scores": []}
    for model, feve in (("cnn_one_kernel", 0.4), ("cnn_one_kernel_localized", 0.8)):
        names = ["n_images", "seed", "neuron"]
        index = pd.MultiIndex.from_product([[256, 1024], [0, 1], range(100)], names=names)
        rows = index.to_frame(index=False).assign(**keys, model=model, n_neurons=100)
        scores = rows.assign(feve=feve + 0.1 * (rows.n_images > 256) + 0.02 * rng.normal(size=len(rows)))
        scores = scores.assign(converged=rows.seed == 0, at_edge=rows.neuron < 25)
        both = [rows.assign(source=source, error=error) for source, error in (("sta", 9.0), ("mask", 2.0))]
        agreement = rows.drop_duplicates(["n_images", "seed"]).drop(columns="neuron")
        agreement = agreement.assign(n_clusters=3, ari=0.5, ari_known_number=1.0)
        for name, table in zip(paths, (scores, pd.concat(both), agreement), strict=True):
            paths[name].append(tmp_path / f"{model}_{name}.csv")
            table.to_csv(paths[name][-1], index=False)
    return paths


LABELS = {"cnn_one_kernel": "CNN", "cnn_one_kernel_localized": "CNN, inferred start"}
DATASETS = {name: name for name in ("one", "homogeneous", "two_types")}
PAPER = {"paper": {"cnn_one_kernel": "cnn_one_kernel"}}
REFERENCE = [REPOSITORY / "config" / "reference" / f"fig{number}.csv" for number in (3, 4, 5)]


def test_the_table_has_a_row_per_condition_with_means_over_seeds(tables, tmp_path):
    collect(**tables, table=tmp_path / "table.csv")
    table = pd.read_csv(tmp_path / "table.csv")
    assert len(table) == 4
    assert (table.n_seeds == 2).all()
    assert (table.location_error == 2).all()
    assert (table.ari == 1).all()
    assert (table.ari_any_number == 0.5).all()
    assert (table[["converged", "at_edge"]] == [0.5, 0.25]).all(axis=None)


def test_populations_without_types_have_no_rand_index(tables, tmp_path):
    collect(**tables | {"barcode_scores": []}, table=tmp_path / "table.csv")
    assert "ari" not in pd.read_csv(tmp_path / "table.csv")


@pytest.mark.slow
def test_the_figure_names_every_curve_and_every_quantity(tables, tmp_path):
    collect(**tables, table=tmp_path / "table.csv")
    svg = tmp_path / "figure.svg"
    saved(plot, svg, tmp_path / "table.csv", REFERENCE, LABELS, DATASETS, *PAPER.values())
    text = svg.read_text()
    for word in ("CNN, inferred start, N = 100", "CNN, N = 100", "FEVE", "adjusted Rand index", "paper"):
        assert word in text
    assert svg.with_suffix(".png").stat().st_size > 10_000
