"""Simulated movies: cells and their types, intervals over blocks, pooled sessions, transferred cores."""

import functools

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import factorized, small_core
from test_training import Stopping, assert_same, new_checkpoint
from tiny_run import RUN, configuration, experiment, snakemake, write_config

from whatwhere.config.load import load
from whatwhere.dataset import TEST, TRAIN, UNUSED, VALIDATION, check, select_images
from whatwhere.errors import UserError
from whatwhere.evaluation.clusters import cluster_fit
from whatwhere.evaluation.parameters import described
from whatwhere.evaluation.scores import evaluate, of_recording
from whatwhere.files import read_netcdf
from whatwhere.fit_data import Condition, load_fit_data
from whatwhere.fitted.image_space import ImageSpace
from whatwhere.fitted.seed_fit import SeedFit
from whatwhere.metrics import scores
from whatwhere.models.spec import ModelSpec
from whatwhere.population import Evaluation, drawn_scores, population_scores, standard_errors
from whatwhere.recordings.pooled import pool
from whatwhere.simulations.design import Design
from whatwhere.simulations.movie_cells import DIRECTIONS, draw_cells, drifting_leaves, simulate
from whatwhere.sta import averages_of_fit, separate, space_time_average
from whatwhere.training.closed_forms import fit_baseline, fit_seed
from whatwhere.training.fits import to_tensors, to_validation
from whatwhere.training.progress import Progress
from whatwhere.training.sweep import train_seed
from whatwhere.training.transferred import TransferredCore

MOVIE = {
    "kind": "simulated_movie",
    "types": ["on_sustained", "off_sustained", "on_transient", "off_transient"],
    "n_neurons": 40,
    "image_size": 16,
    "center_sd": 1.5,
    "surround": 0.5,
    "variation": 0.1,
    "stimulus": "binary",
    "rate": 30,
    "lags": 12,
    "block": 90,
    "output": "softplus",
    "spikes_per_second": 15,
    "n_images": 5400,
    "n_test": 300,
    "n_repeats": 8,
    "validation_fraction": 0.2,
    "seed": 1,
}
SMALL = {"image_size": 8, "n_neurons": 8, "center_sd": 1.0, "lags": 6, "block": 30, "n_images": 600}
SMALL |= {"n_test": 60, "n_repeats": 2}
CORE = small_core(
    channels=[4], kernels=[5], padding=["same"], activation="elu", batch_norm={"decay": 0.9, "shift": True}
)
CYCLE = {
    "batch_size": 256,
    "learning_rate": 0.01,
    "max_steps": 300,
    "evaluate_every": 50,
    "schedule": "one_cycle",
    "weight_decay": 0.01,
    "fits_at_once": 1,
    "precision": "float32",
}
START = {"position": "sta", "height": 1.0, "noise_sd": 0.01, "truncated": True}
NETWORK = factorized(
    temporal_basis={"raised_cosines": 6},
    cores=[CORE | {"kernel_sd": 0.1, "smooth_layers": [1], "sparse_layers": [0]}],
    grid=[{"smoothness": [0.001], "mask_l1": [0.001]}],
    training=CYCLE,
)
NETWORK["readout"] = {
    "positive_mask": True,
    "positive_features": False,
    "mask_start": START,
    "feature_start": {"mean": 0.0, "sd": 0.05, "truncated": True},
}
QUICK = NETWORK | {"training": CYCLE | {"max_steps": 12, "evaluate_every": 4, "batch_size": 64}}
WHERE_WHEN = {
    "family": "factorized_ridge",
    "loss": "mse",
    "refit": True,
    "grid": [{"window": [7], "rank": [1], "mask_l2": [1.0], "feature_l2": [1.0], "temporal_l2": [0.3, 1.0]}],
}


@functools.cache
def simulated(**changes):
    """A simulated movie with changes to its keys. Tests share it: copy before a change."""
    definition = MOVIE | changes
    design, keys = Design.of("movie", definition | {"types": list(definition["types"])})
    dataset = simulate(design, **keys)
    check(dataset, "movie")
    return dataset.assign_attrs(citation="nobody")


def small(**changes):
    return simulated(**SMALL | changes)


def train(definition, dataset, progress=None, transferred=None):
    data = load_fit_data(dataset, None, None, 0)
    complete = Condition(dataset, None, None, [0]).completed(definition)
    averages = averages_of_fit(dataset, data, smoothing=5)
    progress = Progress(1) if progress is None else progress
    device = torch.device("cpu")
    spec = ModelSpec.of(complete)
    return train_seed(spec, 0, data, averages, None, None, device, progress, transferred)


def fitted(definition, dataset, found):
    return SeedFit.of(to_tensors(Condition(dataset, None, None, [0]).completed(definition), [found]), 0, 0)


def correlation(fit, dataset):
    one = evaluate(fit, dataset)
    return scores(one.predictions, one.responses, one.noise_free)["correlation"].mean()


def test_neurons_have_their_rate_place_and_course():
    data = simulated()
    assert data["rates"].mean() * data.attrs["seconds_per_bin"] ** -1 == pytest.approx(15, rel=0.05)
    assert data.attrs["seconds_per_bin"] == pytest.approx(1 / 30)
    test = np.flatnonzero(data["split"].values[0] == TEST)
    counts = data["responses"].values[:, test].mean(0)
    assert np.corrcoef(counts.ravel(), data["rates"].values[test].ravel())[0, 1] > 0.85
    images = np.flatnonzero(data["split"].values[0] == TRAIN)
    responses = data["responses"].values[0, images]
    average = space_time_average(select_images(data, images), responses - responses.mean(0))
    maps, courses = separate(average)
    peaks = np.stack(np.unravel_index(np.abs(maps).reshape(40, -1).argmax(1), (16, 16)), 1)
    assert np.abs(peaks - data["location"].values).max() < 1.6
    # Binary frames are 0 and 1, of sd 0.5: the sign of the average at its peak is that of the type.
    peak = np.take_along_axis(maps.reshape(40, -1), np.abs(maps).reshape(40, -1).argmax(1)[:, None], 1)[:, 0]
    on = np.isin(data["cell_type"].values, [0, 2])
    np.testing.assert_array_equal(peak > 0, on)
    # 0.1 s are 3 frames, 0.06 s are 1.8; the second lobe of transient cells is negative.
    sustained = np.isin(data["cell_type"].values, [0, 1])
    assert courses[sustained].argmax(1).mean() > 2
    assert courses[~sustained].argmax(1).mean() < 2
    assert (courses[sustained].min(1) > -0.3).all()
    assert (courses[~sustained].min(1) < -0.2).all()


def test_no_window_crosses_a_clip_and_more_bins_leave_the_cells_as_they_are():
    data = small()
    last, test = data["last_frame"].values, data["split"].values[0] == TEST
    assert last[~test].min() == 5
    assert last[~test].max() == 599
    assert last[test].min() == 605
    assert len(last) == 660 - 2 * 5
    longer = small(n_images=900)
    np.testing.assert_array_equal(longer["location"], data["location"])
    np.testing.assert_array_equal(longer["frames"][:600], data["frames"][:600])


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_motion_cells_prefer_their_direction(direction):
    seconds = (np.arange(12) + 0.5) / 30
    cells = draw_cells([f"motion_{direction}"], 3, 16, 1.5, 0.5, 0.0, seconds, np.random.SeedSequence(1))
    grid = np.stack(np.meshgrid(np.arange(16), np.arange(16), indexing="ij"), -1)
    time = np.arange(90) / 30
    found = {}
    for name, step in DIRECTIONS.items():
        phase = 2 * np.pi * ((grid @ np.array(step)) / 6 - 4 * time[:, None, None])
        found[name] = cells.drives(np.cos(phase))[12:].mean(0)
    for name in set(DIRECTIONS) - {direction}:
        assert (found[direction] > 3 * found[name] + 1).all(), name


def test_pictures_drift_at_their_speed_and_have_the_spectrum_of_scenes():
    frames, velocity = drifting_leaves(600, 32, 30, 15, 0.5, np.random.SeedSequence(1))
    assert frames.shape == (600, 1, 32, 32)
    np.testing.assert_allclose(np.hypot(*velocity.T), 0.5)
    assert len(np.unique(velocity, axis=0)) == 600 / 15
    # More frames leave the first frames as they are.
    longer, _ = drifting_leaves(700, 32, 30, 15, 0.5, np.random.SeedSequence(1))
    np.testing.assert_array_equal(longer[:600], frames)
    spectrum = np.fft.fft2((frames[:, 0] - frames.mean((1, 2, 3))[:, None, None]) * np.hanning(32)[:, None])
    # Twelve frames later a picture has moved by six pixels: the peak of the phase correlation.
    first = np.arange(0, 600, 15)
    cross = spectrum[first + 12] * spectrum[first].conj()
    peaks = np.fft.ifft2(cross / np.abs(cross)).real.reshape(len(first), -1).argmax(1)
    moved = (np.stack(np.unravel_index(peaks, (32, 32)), 1) + 16) % 32 - 16
    assert np.median(np.abs(moved - 12 * velocity[first]).max(1)) < 1
    # Amplitude falls with frequency like that of photographs, with an exponent of -1.3 to -1.7.
    amplitude = np.sqrt((np.abs(spectrum[:, 0, 3:9]) ** 2).mean(0))
    slope = np.polyfit(np.log(np.arange(3, 9)), np.log(amplitude), 1)[0]
    assert -1.9 < slope < -0.8


def test_motion_cells_fire_where_pictures_drift_their_way():
    drift = {"drift": {"speed": 20, "seconds": 0.5}}
    types = ("motion_right", "motion_left", "on_sustained", "off_transient")
    design, keys = Design.of(
        "movie", MOVIE | SMALL | {"types": list(types), "stimulus": drift, "n_images": 3000}
    )
    data = simulate(design, **keys)
    check(data, "movie")
    rates, last = data["rates"].values, data["last_frame"].values
    assert rates.mean() * 30 == pytest.approx(15, rel=0.15)
    _, velocity = drifting_leaves(3000, 8, 30, **drift["drift"], seed=design.streams(5)[2])
    fitted = last < 3000
    # Bins late in a picture see no other one.
    late = fitted & (last % 15 >= 6)
    along = velocity[last[late], 1]
    right, left = along > 0.5, along < -0.5
    ratio = rates[late][right].mean(0) / rates[late][left].mean(0)
    assert (ratio[:2] > 1.3).all()
    assert (ratio[2:4] < 1 / 1.3).all()
    assert (np.abs(np.log(ratio[4:])) < np.log(1.3)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_neurons": 42}, "datasets.movie.n_neurons: 42 is no multiple of the 4 types"),
        ({"types": ["motion_up"], "output": "exponential"}, "needs output softplus, because an exponential"),
        ({"types": ["on"]}, "datasets.movie.types.0: 'on' is not allowed"),
        (
            {"output": "exponential", "stimulus": {"drift": {"speed": 20, "seconds": 1}}},
            "needs output softplus, because drives by pictures have long tails",
        ),
        ({"stimulus": "noise"}, "datasets.movie.stimulus: 'noise' is not allowed"),
        ({"stimulus": {"drift": {"speed": 2}}}, "datasets.movie.stimulus.drift: key 'seconds' is missing"),
    ],
)
def test_mistakes_are_refused_in_one_line(tmp_path, change, message):
    models = {"where_when": WHERE_WHEN}
    config = configuration(
        datasets={"movie": MOVIE | change},
        models=models,
        experiments=[experiment(datasets=["movie"], models=[*models])],
    )
    with pytest.raises(UserError) as error:
        load([write_config(tmp_path, config)])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_average_of_a_fit_has_the_newest_frame_first():
    data = small()
    fits = fit_baseline("x", Condition(data, None, None, [0]), WHERE_WHEN, {})
    parameters = described(SeedFit.of(fits.fits, 0, 0), data)
    assert parameters["image"].sizes == {"color": 1, "y": 8, "x": 8}
    newest = int(data["last_frame"].values[data["split"].values[0] == TRAIN][0])
    np.testing.assert_array_equal(parameters["image"], data["frames"][newest])


def test_the_space_of_windows_is_that_of_their_pixels():
    data = small(stimulus="gaussian")
    fit = load_fit_data(data, None, None, 0)
    raw = select_images(data, fit.subset.train)
    found = ImageSpace.of(raw, fit.train_images, data.attrs)
    expected = ImageSpace.of(np.asarray(raw), np.asarray(fit.train_images), data.attrs)
    assert found.shape == expected.shape == (6, 8, 8)
    assert found.norm == pytest.approx(expected.norm, rel=1e-5)
    # Limits of a pixel are alike at all lags.
    assert (found.low <= expected.low).all()
    assert (found.high >= expected.high).all()
    np.testing.assert_array_equal(found.low[0], expected.low.min(0))


def test_intervals_draw_blocks_where_neighboring_bins_share_noise():
    """Of slow signals and noise that all neurons share."""
    rng = np.random.default_rng(2)
    n_bins, n_neurons, memory = 600, 3, 0.85
    units = {"blocks": np.arange(n_bins) // 30, "bins": np.arange(n_bins)}
    weights = np.sqrt(1 - memory**2) * memory ** np.arange(60)

    def slow():
        return np.convolve(rng.normal(size=n_bins + 59), weights, "valid")[:, None]

    means, intervals = [], {name: [] for name in units}
    for _ in range(80):
        signal = np.repeat(slow(), n_neurons, 1)
        responses = (signal + slow() + rng.normal(size=signal.shape))[None].astype(np.float32)
        means.append(population_scores(scores(signal, responses, noise_free=True))["correlation"])
        for name, drawn in units.items():
            one = Evaluation(0, signal, responses, np.arange(n_bins), drawn, np.arange(n_neurons), True)
            intervals[name].append(1.96 * standard_errors(drawn_scores([one], seed=0))["correlation"])
    away = np.abs(np.array(means) - np.mean(means))
    assert np.mean(away < intervals["blocks"]) > 0.88
    assert np.mean(away < intervals["bins"]) < 0.7


def test_test_bins_are_drawn_in_their_blocks():
    data = small()
    fit = fitted(QUICK, data, train(QUICK, data))
    one = evaluate(fit, data)
    np.testing.assert_array_equal(one.units, data["block"].values[one.images])
    assert len(np.unique(one.units)) == 2


@pytest.mark.parametrize("change", [{}, {"training": QUICK["training"] | {"max_steps": 14}, "refit": True}])
def test_an_interrupted_training_on_a_movie_continues_bit_by_bit(tmp_path, change):
    data, definition = small(), QUICK | change
    undisturbed = train(definition, data, new_checkpoint(tmp_path))
    folder = tmp_path / "stopped"
    for stop_after in (1, 5, 3):
        with pytest.raises(UserError, match="SIGTERM: progress is saved"):
            train(definition, data, Stopping(folder / "checkpoint.pt", stop_after))
    continued = new_checkpoint(folder)
    assert continued.current is not None
    assert_same(undisturbed, train(definition, data, continued))


@pytest.fixture(scope="module")
def sessions():
    """Two sessions of other cells; the clip to fit of the second shows the test clip of the first."""
    first, second = small(), small(seed=2).copy(deep=True)
    second["frames"][300:360] = first["frames"].values[600:]
    return {"first": first, "second": second}


def test_pooled_movies_have_the_windows_and_blocks_of_their_sessions(sessions):
    both = pool(sessions, "both")
    n_first = sessions["first"].sizes["image"]
    for start, data in zip((0, n_first), sessions.values(), strict=True):
        some = np.array([0, 7, data.sizes["image"] - 1])
        alone, together = select_images(data, some), select_images(both, start + some)
        np.testing.assert_array_equal(np.asarray(together), np.asarray(alone))
    assert both["block"].values[n_first:].min() == sessions["first"]["block"].values.max() + 1
    assert np.isnan(both["responses"].values[:, :n_first, 8:]).all()
    with pytest.raises(UserError, match="'first' and 'other' differ, 6 lags and 7 lags: set lags of both"):
        pool({"first": sessions["first"], "other": small(lags=7)}, "both")
    with pytest.raises(UserError, match="differ, rate 30 and rate 20: set rate of both alike"):
        pool({"first": sessions["first"], "other": small(rate=20)}, "both")


def test_windows_that_another_session_holds_share_its_split_with_gaps(sessions):
    both = pool(sessions, "both")
    split, last = both["split"].values[0], both["last_frame"].values
    # The first session has 660 frames.
    original = np.flatnonzero((last >= 605) & (last < 660))
    copies = np.flatnonzero((last >= 660 + 305) & (last < 660 + 360))
    assert (split[original] == TEST).all()
    np.testing.assert_array_equal(split[copies], split[original])
    # No window holds the newest frame of a bin of another split.
    for code in (TRAIN, VALIDATION, TEST):
        held = set((last[split == code][:, None] - np.arange(6)).ravel())
        assert not held & set(last[(split != code) & (split != UNUSED)])


def test_pooled_movies_are_fitted_like_each_session(sessions):
    """Sessions have frames of other values, which are standardized by session."""
    second = small(seed=2).copy(deep=True)
    second["frames"] = second["frames"] * np.uint8(9) + np.uint8(3)
    sessions = {"first": sessions["first"], "second": second}
    both = pool(sessions, "both")
    definition = WHERE_WHEN | {"refit": False}
    fit = fit_baseline("x", Condition(both, None, None, [0]), definition, {})
    together = evaluate(SeedFit.of(fit.fits, 0, 0), both)
    for number, data in enumerate(sessions.values()):
        alone = fit_baseline("x", Condition(data, None, None, [0]), definition, {})
        expected = evaluate(SeedFit.of(alone.fits, 0, 0), data)
        found = of_recording(together, np.repeat([0, 1], 8) == number)
        np.testing.assert_allclose(found.predictions, expected.predictions, atol=1e-3)
        assert len(found.units) == len(expected.units)
    network = fitted(QUICK, both, train(QUICK, both))
    _, found = cluster_fit(network, load_fit_data(both, None, None, 0), None, both["block"].values)
    assert found["n_clusters"] >= 1


def test_a_core_is_transferred_to_a_movie_of_the_same_lags():
    data, others = small(), small(seed=5)
    complete = Condition(data, None, None, [0]).completed(QUICK)
    fits = [train(QUICK, data)]
    core = TransferredCore.of(to_tensors(complete, fits), to_validation(complete, fits), 0, "network")
    frozen = {"core_from": {"model": "network", "mode": "frozen"}}
    found = train(QUICK | frozen, others, transferred=core)
    for name, value in core.state.items():
        if name.startswith("core."):
            assert torch.equal(found.parameters[0][name], value), name
    ridge = {"family": "ridge", "input": "features", "loss": "mse", "grid": [{"ridge_l2": [10.0]}]} | frozen
    ridge = core.completed(Condition(others, None, None, [0]).completed(ridge))
    closed = fit_seed(ModelSpec.of(ridge), 0, load_fit_data(others, None, None, 0), core)
    assert np.isfinite(closed.fits[0].validation_loss).all()
    with pytest.raises(
        UserError, match=r"fitted to images of 6 x 8 x 8 .* set the same color, size and lags"
    ):
        train(QUICK | frozen, small(lags=8), transferred=core)


@pytest.mark.slow
def test_a_network_of_two_layers_finds_the_directions_of_motion_cells():
    types = ("on_sustained", "off_transient", "motion_right", "motion_left")
    data = simulated(types=types, image_size=12, center_sd=1.2, n_images=7200)
    two = {"channels": [16, 6], "kernels": [7, 1], "padding": ["same", "same"]}
    core = NETWORK["cores"][0] | two | {"smooth_layers": [1, 0], "sparse_layers": [0, 0]}
    training = CYCLE | {"max_steps": 900, "evaluate_every": 100}
    # Averages of motion cells have no peak.
    readout = NETWORK["readout"] | {"mask_start": START | {"position": "smoothed_sta"}}
    definition = NETWORK | {"cores": [core], "training": training, "readout": readout}
    fit = fitted(definition, data, train(definition, data))
    assert correlation(fit, data) > 0.75
    cell_types, blocks = data["cell_type"].values, data["block"].values
    _, found = cluster_fit(fit, load_fit_data(data, None, None, 0), cell_types, blocks)
    assert found["n_clusters"] == 4
    assert found["ari"] >= 0.95


@pytest.mark.slow
def test_the_workflow_fits_a_movie_and_finds_its_types(tmp_path):
    models = {
        "ridge": {"family": "ridge", "input": "image", "loss": "mse"}
        | {"grid": [{"window": [7], "ridge_l2": [1000.0, 10000.0]}]},
        "where_when": WHERE_WHEN,
        "network": NETWORK,
    }
    config = configuration(
        datasets={"movie": MOVIE},
        models=models,
        experiments=[experiment(datasets=["movie"], models=[*models])],
    )
    write_config(tmp_path, config)
    wanted = [f"{RUN}/tables/{name}.csv" for name in ("summary", "barcode_scores")]
    wanted += [f"{RUN}/neurons/tiny/movie/where_when.nc"]
    done = snakemake(tmp_path, "--cores", "1", "--", *wanted)
    assert done.returncode == 0, done.stdout
    summary, types = (pd.read_csv(tmp_path / path).set_index("model") for path in wanted[:2])
    found = summary.correlation
    assert max(found.ridge, 0.75) < found.where_when < found.network
    assert found.network > 0.95 * summary.cc_max.network
    assert list(types.index) == ["where_when", "network"]
    assert (types[["n_clusters", "n_types"]] == 4).all(axis=None)
    assert (types.ari >= 0.95).all()
    assert types.stability_halves.where_when >= 0.95
    with read_netcdf(tmp_path / wanted[2]) as neurons:
        assert neurons["image"].shape == (40, 12, 16, 16)
        away = neurons[["row", "column"]].to_array().values.T
    with read_netcdf(tmp_path / RUN / "data/movie.nc") as data:
        distance = np.linalg.norm(away - data["location"].values, axis=1)
    assert np.median(distance) < 0.6
