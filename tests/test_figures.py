"""Figures are complete, legible and drawn from tables alone."""

import functools
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from figure_run import FEATURES, GAUSSIANS, LABELS, PAPER, Run, saved, small
from PIL import Image

import fit_scaling
import plot_barcodes
import plot_fig1
import plot_fig2
import plot_fig3
import plot_fig4
import plot_fig5
import plot_recording
import plot_scaling
from whatwhere import plotting
from whatwhere.conditions import largest_condition, last_listed_condition
from whatwhere.config.files import read
from whatwhere.evaluation.clusters import with_agreement
from whatwhere.files import groups_of, read_netcdf, read_reference, read_tensors
from whatwhere.fitted.seed_fit import SeedFit

pytestmark = pytest.mark.slow

REFERENCE = REPOSITORY / "config" / "reference"
FIGURES = ["fig1", "fig1 of three layers", "fig2", "fig3", "fig4", "fig5", "scaling", "barcodes"]
FIGURES += ["barcodes of three layers"]
DATASETS = {"homogeneous": "identical neurons", "two_types": "two types"}


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("run"))
    run.simulate("homogeneous", **GAUSSIANS, scales=[1.0], n_neurons=12)
    varied = GAUSSIANS | {"variation": 0.05, "centered": False}
    run.simulate("two_types", **varied, scales=[0.6, 1.0], n_neurons=16)
    run.simulate("four_features", **FEATURES, n_types=4, n_neurons=16)
    twice = ([80, 240], [0, 1])
    for experiment, model, n in (
        ("_one", "ridge_patch", 1),
        ("", "ridge_patch", 6),
        ("", "ridge_shared_patch", 6),
    ):
        run.fit(f"fig2{experiment}", "homogeneous", model, small(model), [n], *twice)
    one = run.fit("fig3", "homogeneous", "cnn_one_kernel", small("cnn_one_kernel"), [1, 6, 12], *twice)
    run.fit("fig3", "homogeneous", "known_kernel", small("known_kernel"), [12], [80], [0])
    for experiment, n_images in (("fig3", 80), ("fig3_large", 240)):
        run.fit(experiment, "homogeneous", "lasso_patch", small("lasso_patch"), [1], [n_images], [0])
    two_kernels = small("factorized_two_kernels")
    run.fit("fig4", "two_types", "factorized_two_kernels", two_kernels, ["all"], ["all"], [0, 1])
    both = {"seeds": [0], "rules": ("population", "neuron")}
    run.fit("fig5", "four_features", "factorized_relu", small("factorized_relu"), [4, 16], [80, 240], **both)
    for model in ("fixed_mask_relu", "fully_connected_relu"):
        definition = small(model)
        if "readout_l2" in definition["grid"][0]:
            # A grid of two values has no edge.
            definition["grid"][0]["readout_l2"] = [0.158, 0.5, 1.581]
        run.fit("fig5", "four_features", model, definition, [16], [80, 240], **both)
    run.scaling = run.path("tables", "scaling.csv"), run.path("tables", "exchange_rates.csv")
    fit_scaling.main([one["scores"]], *run.scaling)
    return run


def draw(name, run, svg):
    """Draw one figure of the run."""
    two, deep = run.last("fig4", "factorized_two_kernels"), run.last("fig5", "factorized_relu")
    barcodes = two["barcodes"], two["barcode_scores"]
    scores, parameters, locations = (
        [*run.of("fig3", kind), *run.of("fig3_large", kind)] for kind in ("scores", "parameters", "locations")
    )
    shared = [*run.of("fig2_one", "scores"), *run.of("fig2", "scores")]
    of_fig5 = (run.of("fig5", kind) for kind in ("scores", "barcodes", "barcode_scores"))
    deep_barcodes = (deep[kind] for kind in ("barcodes", "barcode_scores", "fields"))
    reference = REFERENCE / f"{name}.csv"
    figures = {
        "fig1": (plot_fig1, [two["parameters"]]),
        "fig1 of three layers": (plot_fig1, [deep["parameters"]]),
        "fig2": (plot_fig2, shared, ["ridge_shared_patch"], LABELS),
        "fig3": (plot_fig3, scores, parameters, locations, reference, LABELS, PAPER, ["known_kernel"]),
        "fig4": (
            *(plot_fig4, [two["parameters"]], [two["scores"]], *([one] for one in barcodes)),
            *(reference, LABELS),
        ),
        "fig5": (plot_fig5, *of_fig5, reference, LABELS, PAPER),
        "scaling": (plot_scaling, *run.scaling, [run.path("data", "homogeneous.nc")], LABELS, DATASETS),
        "barcodes": (plot_barcodes, *barcodes, two["fields"], "factorized", DATASETS["two_types"]),
        "barcodes of three layers": (plot_barcodes, *deep_barcodes, "factorized", "nonlinear neurons"),
    }
    script, *arguments = figures[name]
    return saved(script.main, svg, *arguments)


@pytest.fixture(scope="module")
def drawing(run, tmp_path_factory):
    """Draws a figure of the run once: the figure and its files."""
    folder = tmp_path_factory.mktemp("drawn")

    @functools.cache
    def drawing(name):
        svg = folder / f"{name}.svg"
        return draw(name, run, svg), svg, svg.with_suffix(".png")

    return drawing


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_content_in_every_panel_and_nothing_beyond_its_edge(name, drawing):
    figure, svg, png = drawing(name)
    drawn_inches = figure.get_tightbbox()
    assert min(drawn_inches.x0, drawn_inches.y0) > -0.01, "something lies left of or below the canvas"
    assert (drawn_inches.max < figure.get_size_inches() + 0.01).all(), "something lies right of or above it"
    for ax in figure.axes:
        assert not ax.axison or ax.has_data() or ax.get_label() == "<colorbar>"
        box = ax.get_window_extent()
        assert not ax.axison or min(box.width, box.height) > 4, "a panel has no room"

    inches = float(ET.parse(svg).getroot().get("width").removesuffix("pt")) / 72
    assert inches in (pytest.approx(plotting.PAGE), pytest.approx(plotting.COLUMN))
    pixels = np.asarray(Image.open(png).convert("L"))
    assert 0.005 < (pixels < 200).mean() < 0.7
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (edge == 255).all(), "something is cut off at the edge"


def test_figure_3_shows_filters_of_every_size_whichever_experiment_it_is_of(drawing):
    figure, *_ = drawing("fig3")
    rows, sizes = 4, 2  # one, 6 and 12 neurons, and lasso
    assert sum(len(ax.images) for ax in figure.axes) == rows * sizes


def test_figure_3_shows_filters_of_the_sizes_of_the_paper_where_all_were_run():
    assert plot_fig3.shown_sizes(pd.Series([64, 4096, 256, 1024, 2048])) == [256, 1024, 4096]
    assert plot_fig3.shown_sizes(pd.Series([64, 128, 256, 512, 1024])) == [64, 256, 1024]
    assert plot_fig3.shown_sizes(pd.Series([80, 240])) == [80, 240]


@pytest.mark.parametrize(
    ("name", "remark"),
    [
        ("fig2", "Penalty at the edge of its grid"),
        ("fig3", "Stopped at max_steps: CNN"),
        ("fig4", "Stopped at max_steps: factorized"),
        # One cycle takes all its steps.
        ("fig5", "Penalty at the edge of its grid: fully connected"),
        ("scaling", "Stopped at max_steps: CNN"),
        ("barcodes", "Stopped at max_steps: factorized"),
    ],
)
def test_a_figure_names_the_models_that_stopped_at_max_steps_or_at_an_edge(name, remark, drawing):
    _, svg, _ = drawing(name)
    assert remark in " ".join(ET.parse(svg).getroot().itertext())


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("fig2", "FEVE below 0 is drawn at 0: ridge on patch (down to -"),
        ("fig3", "FEVE below 0 is drawn at 0: "),
        ("scaling", "identical neurons: CNN"),
        ("barcodes", "factorized, two types"),
    ],
)
def test_a_figure_says_what_is_clipped_and_names_models_and_datasets_by_labels(name, note, drawing):
    _, svg, _ = drawing(name)
    assert note in " ".join(ET.parse(svg).getroot().itertext())


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_file_when_drawn_again(name, run, drawing, tmp_path):
    _, svg, png = drawing(name)
    again = tmp_path / "again.svg"
    draw(name, run, again)
    assert again.read_bytes() == svg.read_bytes()
    assert again.with_suffix(".png").read_bytes() == png.read_bytes()


def test_curves_differ_in_two_of_color_marker_and_line():
    styles = [plotting.style(index) for index in range(9)]
    for i, first in enumerate(styles):
        for second in styles[:i]:
            assert sum(first[key] != second[key] for key in ("color", "marker", "linestyle")) >= 2


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("fig*.csv")), ids=lambda path: path.name)
def test_reference_values_have_a_source_and_no_repeated_point(path):
    table = pd.read_csv(path)
    keys = ["experiment", "model", "selection", "n_neurons", "n_images"]
    assert list(table) == [*keys, "feve", "feve_sd", "source"]
    assert table.source.str.contains("2017").all()
    assert not table.duplicated(["experiment", "model", "n_neurons", "n_images"]).any()
    assert table.feve.between(-0.01, 1).all()
    assert (table.feve_sd.dropna() > 0).all()


def test_every_model_of_the_paper_is_that_of_a_model_of_the_library():
    published = pd.concat([pd.read_csv(path) for path in REFERENCE.glob("*.csv")]).model
    schema = read(REPOSITORY / "config" / "schemas" / "models.schema.yaml")
    assert set(published) == set(PAPER.values()) == set(schema["properties"]["paper"]["enum"])


def test_published_values_stand_beside_the_models_that_say_so():
    table = read_reference([REFERENCE / "fig5.csv"], {"mine": "factorized_relu", "other": "factorized_relu"})
    assert table.groupby("model").size().to_dict() == {"mine": 26, "other": 26}


def test_types_stand_beside_the_papers_values_of_the_same_sizes():
    rows = [
        ("two", "factorized", 0, 512, 4096, 0.7),
        ("one", "squared", 0, 256, 4096, 0.9),
        ("one", "factorized", 0, 256, 4096, 0.4),
        ("one", "factorized", 1, 256, 4096, 0.8),
        ("untyped", "factorized", 0, 9, 4096, 0.1),
    ]
    scores = pd.DataFrame(rows, columns=["dataset", "model", "neuron", "n_neurons", "n_images", "feve"])
    published = read_reference([REFERENCE / "fig5.csv"], {"factorized": "factorized_relu"})
    table = plot_fig5.over_neurons(scores, {"two": 8, "one": 4}, published)
    assert list(zip(table.n_types, table.model, strict=True)) == [
        (4, "squared"),
        (4, "factorized"),
        (8, "factorized"),
    ]
    np.testing.assert_allclose(table["mean"], [0.9, 0.6, 0.7])
    np.testing.assert_allclose(table.sd, [0, 0.2, 0], atol=1e-12)
    np.testing.assert_array_equal(table.paper, [np.nan, 0.85, np.nan])


def test_tables_of_a_figure_hold_every_fit_once(run):
    files = run.last("fig5", "factorized_relu")
    codes, rated = (pd.read_csv(files[kind]) for kind in ("barcodes", "barcode_scores"))
    keys = ["experiment", "dataset", "model", "selection", "n_neurons", "n_images", "seed"]
    assert not rated.duplicated(keys).any()
    assert not codes.duplicated([*keys, "neuron"]).any()
    assert len(rated) == 2 * 2 * 2  # population sizes, data sizes, selection rules
    assert set(rated.n_types) == {4}
    assert codes.cell_type.between(0, 3).all()
    weights = codes.filter(like="weight_").to_numpy()
    norms = np.linalg.norm(weights, axis=1)
    assert np.all(np.isclose(norms, 1) | (norms == 0))


def test_only_fits_of_several_seeds_have_a_stability_over_seeds(run):
    two_seeds = pd.read_csv(run.last("fig4", "factorized_two_kernels")["barcode_scores"])
    one_seed = pd.read_csv(run.last("fig5", "factorized_relu")["barcode_scores"])
    # Where a fit has a single cluster there is nothing to agree upon.
    comparable = (two_seeds.n_clusters > 1).all()
    assert two_seeds.stability_seeds.between(-1, 1).eq(comparable).all()
    assert one_seed.stability_seeds.isna().all()


def test_seeds_agree_within_their_condition_and_selection():
    scores = pd.DataFrame({"condition": ["a", "a", "b"], "selection": "population"})
    found = ([0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1])
    tables = [pd.DataFrame({"neuron": np.arange(4), "cluster": clusters}) for clusters in found]
    agreement = with_agreement(scores, tables).stability_seeds
    np.testing.assert_array_equal(agreement, [1, 1, np.nan])


def test_locations_are_those_of_masks_and_averages_of_every_fit(run):
    table = pd.read_csv(run.last("fig3", "cnn_one_kernel")["locations"])
    assert len(table) == 3 * 2 * 2 * (1 + 6 + 12)  # sources, data sizes, seeds, neurons
    alone = table[(table.source == "mask") & (table.n_neurons == 1)]
    assert alone.error.isna().all()
    assert table.drop(alone.index).error.between(0, 26 * 2**0.5).all()
    assert pd.read_csv(run.last("fig3", "lasso_patch")["locations"]).empty


def test_parameters_of_a_condition_predict_what_the_fit_predicts(run):
    files = run.last("fig4", "factorized_two_kernels")
    with read_netcdf(files["parameters"], groups_of(files["parameters"])[0]) as stored:
        pooled = np.einsum("cyx,nyx->nc", stored["features"], stored["masks"])
        drive = (pooled * stored["feature_weights"].values).sum(1)
        image, neurons = stored["image"].values, stored["neuron"].values
    fitted = SeedFit.of(read_tensors(files["fits"][0]), 0, 0)
    np.testing.assert_array_equal(neurons, fitted.neurons)
    np.testing.assert_allclose(drive, fitted.predict(image[None])[0], rtol=1e-4, atol=1e-6)


def test_scaling_holds_the_mean_over_neurons_of_every_seed(run):
    files = run.last("fig3", "cnn_one_kernel")
    table, scores = pd.read_csv(run.scaling[0]), pd.read_csv(files["scores"])
    assert len(table) == 3 * 2 * 2
    row = table[(table.n_neurons == 6) & (table.n_images == 240) & (table.seed == 1)].iloc[0]
    mine = scores[(scores.n_neurons == 6) & (scores.n_images == 240) & (scores.seed == 1)]
    assert row.feve == pytest.approx(mine.feve.mean())
    assert row.correlation == pytest.approx(mine.correlation.mean())
    assert (row.converged, row.at_edge) == (mine.converged.mean(), mine.at_edge.mean())


def test_the_last_listed_condition_is_that_of_the_first_rule_and_the_last_sizes():
    table = pd.DataFrame(
        [(rule, n, 80, seed) for n in (4, 16) for seed in (0, 1) for rule in ("population", "neuron")],
        columns=["selection", "n_neurons", "n_images", "seed"],
    )
    condition = last_listed_condition(table).drop_duplicates()
    assert condition.to_numpy().tolist() == [["population", 16, 80, 0], ["population", 16, 80, 1]]
    assert plotting.example(table).seed.tolist() == [0]


def test_the_largest_condition_goes_by_one_size_before_the_other():
    table = pd.DataFrame([(12, 64), (1000, 32), (1000, 16)], columns=["n_neurons", "n_images"])
    assert largest_condition(table).index.tolist() == [1]
    assert largest_condition(table, ("n_images", "n_neurons")).index.tolist() == [0]


def test_silent_neurons_are_no_examples_unless_all_are_silent():
    scores = pd.DataFrame({"neuron": range(5), "correlation": [0.3, np.nan, 0.1, np.nan, 0.2]})
    assert plot_recording.examples(scores) == {"good": 0, "median": 4, "bad": 2}
    assert set(plot_recording.examples(scores.assign(correlation=np.nan)).values()) <= set(range(5))


def test_figure_1_shows_a_feature_that_no_neuron_reads_to_nobody():
    masks = np.random.default_rng(0).random((3, 5, 5))
    assert len(plot_fig1.example_neurons(masks, np.array([[1.0, 0], [2, 0], [3, 0]]))) == 1
    assert len(plot_fig1.example_neurons(masks, np.array([[1.0, 0], [0, 2], [3, 0]]))) == 2


def test_contributions_that_figure_1_does_not_show_are_the_rest_of_the_sum():
    parts = np.array([1.0, -2.0, 4.0, 8.0])
    values, names = plot_fig1.contributions(parts, np.array([0, 2]), ["1", "3"])
    assert names == ["1", "3", "rest", "sum"]
    assert values.tolist() == [1, 4, 6, 11]
    values, names = plot_fig1.contributions(parts[:2], np.array([0, 1]), ["1", "2"])
    assert (values.tolist(), names) == ([1, -2, -1], ["1", "2", "sum"])


@pytest.mark.parametrize(
    ("values", "shown", "power"),
    [
        ([0.3, -50.0], [0.3, -50.0], ""),
        ([0.0, 0.0], [0.0, 0.0], ""),
        ([2e-5, -6e-5], [2.0, -6.0], " ($10^{-5}$)"),
        ([300.0, 1500.0], [0.3, 1.5], " ($10^{3}$)"),
    ],
)
def test_numbers_on_the_axes_of_figure_1_are_short(values, shown, power):
    found, label = plot_fig1.scaled(np.array(values))
    np.testing.assert_allclose(found, shown)
    assert label == power
