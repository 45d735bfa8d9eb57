"""Figures of movies have content in every panel, and time on their axes."""

import numpy as np
import pandas as pd
import pytest
from figure_run import Run, saved
from test_movies_simulated import MOVIE, QUICK, SMALL, WHERE_WHEN, small

import describe_dataset
import plot_most_exciting
import plot_recording
import plot_scaling
import simulate
from whatwhere import plotting
from whatwhere.description import consecutive
from whatwhere.evaluation.neurons import write_neurons
from whatwhere.files import read_netcdf, read_tensors
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.models.space_time import raised_cosines

MODELS = {"network": QUICK, "where_when": WHERE_WHEN}
LABELS = {name: name for name in MODELS}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("run"))
    simulate.main("movie", MOVIE | SMALL, run.path("data", "movie.nc"))
    for name, definition in MODELS.items():
        run.fit("first", "movie", name, definition, ["all"], ["all"], [0])
    return run


def require_content(figure):
    drawn = figure.get_tightbbox()
    assert min(drawn.x0, drawn.y0) > -0.01, "something lies left of or below the canvas"
    assert (drawn.max < figure.get_size_inches() + 0.01).all(), "something lies right of or above it"
    for ax in figure.axes:
        assert not ax.axison or ax.has_data() or ax.get_label() == "<colorbar>"


def xlabels(figure):
    return {ax.get_xlabel() for ax in figure.axes}


def recording(run, names, svg):
    files = [run.last("first", name) for name in names]
    first, network = files[0], run.last("first", "network")
    return saved(
        plot_recording.main,
        svg,
        *(first["dataset"], "my movie", network["averages"], first["fits"], [first["selection"]]),
        *([one["scores"] for one in files], [one["predictions"] for one in files]),
        *(names, first["conditions"], LABELS),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "weights"),
    [
        (["network", "where_when"], "kernels of the first layer"),
        (["where_when", "network"], "feature weights of these neurons"),
    ],
)
def test_a_recording_shows_responses_and_weights_over_time(run, tmp_path, names, weights):
    figure = recording(run, names, tmp_path / "recording.svg")
    require_content(figure)
    assert {"time (s), bins of 33.33 ms", "lag (ms)"} < xlabels(figure)
    assert figure.get_suptitle() == "my movie, bins of 33.33 ms: correlations depend on this length"
    (courses,) = (ax for ax in figure.axes if ax.get_title() == weights)
    assert courses.lines[0].get_xdata() == pytest.approx(np.arange(6) / 0.03)
    assert courses.get_xlim() == pytest.approx((5 / 0.03, 0))


@pytest.mark.slow
def test_courses_are_those_of_the_first_layer_on_the_lags(run):
    files = run.last("first", "network")
    model = SeedFit.of(read_tensors(files["fits"][0]), 0, 0).model
    courses, _ = plot_recording.time_courses(model, 6, [0])
    kernels = model.core.conv_layers()[0].kernels.detach().numpy()
    kernel = kernels[np.linalg.norm(kernels.reshape(4, -1), axis=1).argmax()]
    y, x = np.unravel_index(np.abs(kernel).max(0).argmax(), kernel.shape[1:])
    expected = kernel[:, y, x] @ raised_cosines(6, 6)
    np.testing.assert_allclose(courses[0], expected / np.abs(expected).max(), atol=1e-5)


@pytest.mark.slow
def test_the_page_of_a_movie_shows_repeats_and_their_mean(run, tmp_path):
    paths = [tmp_path / f"page.{suffix}" for suffix in ("csv", "svg", "png", "html")]
    describe_dataset.main(run.last("first", "network")["dataset"], "my movie", *paths)
    page = paths[-1].read_text()
    assert page.count("time (s), bins of 33.33 ms") == 3
    assert "6 frames, 200 ms" in page
    assert all(f">{word}<" in page for word in ("repeat", "mean"))


def test_bins_that_are_drawn_are_the_longest_run():
    data = small()
    clip = np.flatnonzero(np.diff(data["last_frame"].values) != 1)[0]
    bins = np.arange(clip - 30, clip + 11)
    np.testing.assert_array_equal(consecutive(data, bins), bins[:31])
    every = np.arange(data.sizes["image"])
    assert len(consecutive(data, every)) == 300


@pytest.mark.slow
def test_most_exciting_clips_are_film_strips_oldest_frame_first(run, tmp_path):
    files = run.last("first", "network")
    paths = (files[kind] for kind in ("selection", "scores", "predictions"))
    barcodes, output = files["barcodes"], tmp_path / "neurons.nc"
    averages = files["averages"][0]
    write_neurons(files["dataset"], files["fits"][0], *paths, averages, barcodes, output)
    figure = saved(plot_most_exciting.main, tmp_path / "clips.svg", output, "network", "my movie")
    rows = [ax for ax in figure.axes if ax.get_ylabel()]
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == ["167 ms", "133 ms", "100 ms", "67 ms", "33 ms", "0 ms"]
    assert sum(len(ax.images) for ax in figure.axes) == 6 * len(rows)
    with read_netcdf(output) as known:
        shown = dict(plot_most_exciting.film(known["image"].values[0], known.attrs))
        newest = known["image"].values[0, 0]
    assert np.corrcoef(shown["0 ms"].ravel(), newest.ravel())[0, 1] == pytest.approx(1)


@pytest.mark.slow
def test_the_data_size_of_a_movie_is_in_minutes(run, tmp_path):
    rows = [(n, size, seed) for n in (1, 8) for size in (900, 1800, 3600) for seed in (0, 1)]
    scores = pd.DataFrame(rows, columns=["n_neurons", "n_images", "seed"])
    scores["correlation"] = scores.n_images**0.2 / 10 + scores.n_neurons / 100
    scores = scores.assign(dataset="movie", model="network", selection="population", measure="correlation")
    scores = scores.assign(feve=np.nan, converged=1, at_edge=0)
    rates = pd.DataFrame(columns=["dataset", "model", "selection", "stated"])
    paths = [tmp_path / "scaling.csv", tmp_path / "rates.csv"]
    for table, path in zip((scores, rates), paths, strict=True):
        table.to_csv(path, index=False)
    data = [run.last("first", "network")["dataset"]]
    figure = saved(plot_scaling.main, tmp_path / "scaling.svg", *paths, data, LABELS, {"movie": "my movie"})
    require_content(figure)
    assert "minutes (training + validation)" in xlabels(figure)
    assert figure.axes[0].get_xlim() == pytest.approx((0.5 / 1.3, 2 * 1.3))
    assert figure.get_size_inches()[0] == plotting.PAGE
