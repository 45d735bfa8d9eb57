"""Movies from Python: fits of simulated cells, labelled predictions, and errors in one line."""

import dataclasses
import re

import numpy as np
import pytest
import torch
import xarray as xr
from conftest import REPOSITORY
from PIL import Image
from test_movies_simulated import simulated, small

import whatwhere
from whatwhere import UserError, api, compare, fit, load
from whatwhere.api import as_dataset, definition
from whatwhere.dataset import TEST, TRAIN, UNUSED, VALIDATION, is_movie
from whatwhere.experiments.most_exciting import (
    most_exciting_images,
    responsive_courses,
    write_gifs,
    write_pngs,
)
from whatwhere.experiments.tuning import orientation_tuning
from whatwhere.fit_data import load_fit_data
from whatwhere.models.lagged import fit_ridge
from whatwhere.models.linear import fit_linear, solve_ridge
from whatwhere.models.spec import ModelSpec
from whatwhere.sta import averages_of_fit
from whatwhere.subset import choose_subset
from whatwhere.training.progress import Progress
from whatwhere.training.sweep import train_seed

RATE, LAGS = 30, 8
NETWORK = {
    "like": "movie_network",
    "training": {"max_steps": 60, "evaluate_every": 20, "batch_size": 128, "learning_rate": 0.01},
}
QUICK = NETWORK | {"training": NETWORK["training"] | {"max_steps": 20}}
NETWORK_CORE = definition("movie_network")["cores"][0]
MOTION = {"wavelengths": [4.0], "orientations": 2, "average_pooling": 1}
MOTION["motion"] = {"frames": 4, "cycles_per_frame": [0.2]}
STRENGTHS = {"rank": [1], "mask_l2": [0.1], "feature_l2": [1.0], "temporal_l2": [0.1]}
RIDGE = {"like": "movie_factorized_ridge", "grid": [STRENGTHS | {"window": [5]}]}
FIT = {"rate": RATE, "lags": LAGS, "device": "cpu", "verbose": False}


def recording(**changes):
    """Frames (frame, y, x) and responses (frame, neuron) of the clip to fit of a simulated movie."""
    data = small(n_images=1500, lags=LAGS, **changes)
    mine = data["last_frame"].values < 1500
    # The first windows end after the first frames, whose responses are not simulated.
    responses = np.zeros((1500, data.sizes["neuron"]), np.float32)
    responses[LAGS - 1 :] = data["responses"].values[0, mine]
    return data["frames"].values[:1500, 0], responses


@pytest.fixture(scope="module")
def arrays():
    return recording()


@pytest.fixture(scope="module")
def network(arrays):
    return fit(*arrays, model=NETWORK, **FIT)


@pytest.fixture(scope="module")
def closed(arrays):
    return fit(*arrays, model=RIDGE, **FIT)


def test_experiments_show_a_model_clips_and_drifting_gratings(closed, tmp_path):
    found = most_exciting_images(closed, neurons=[0, 5], steps=2, n_starts=1)
    paths = write_gifs(found, tmp_path)
    assert [path.name for path in paths] == ["neuron_0.gif", "neuron_5.gif"]
    with Image.open(paths[1]) as animation:
        assert animation.n_frames == LAGS
        # The last frame is the newest, channel 0 of the window; binary frames are 0 and 1.
        animation.seek(LAGS - 1)
        shown = np.asarray(animation.convert("L"))
    factor = len(shown) // 8
    np.testing.assert_allclose(shown[::factor, ::factor] / 255, found["image"][1, 0], atol=0.02)
    with pytest.raises(UserError, match=r"write clips of a movie with write_gifs\(\)"):
        write_pngs(found, tmp_path)
    # The curve of the output rises in steps, which ascents and gradients do not see.
    clips = most_exciting_images(closed, steps=2, n_starts=1)
    assert (clips["response"].values > 2 * recording()[1].mean(0)).all()
    courses = responsive_courses(closed, clips["image"].values)
    weights = np.asarray(closed.feature_weights)
    cosine = (courses * weights).sum(1) / np.linalg.norm(courses, axis=1) / np.linalg.norm(weights, axis=1)
    np.testing.assert_allclose(np.abs(cosine), 1, atol=1e-4)
    table = orientation_tuning(
        closed, orientations=[0, 45, 90, 135], frequencies=[0.1], temporal_frequencies=[4]
    )
    assert table["direction"].between(0, 360).all()
    # Cells of one product of space and time have no direction.
    assert (table["direction_selectivity"].abs() < 0.1).all()


def test_predictions_have_times_in_seconds(network, arrays, tmp_path):
    movie, _ = arrays
    found = network.predict(movie[:100])
    assert found.dims == ("time", "neuron")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found["time"], np.arange(LAGS - 1, 100) / RATE)
    # A window is all that a prediction depends on.
    later = network.predict(movie[40:100])
    np.testing.assert_allclose(later, found[40:], atol=1e-5)
    changed = movie[:100].copy()
    changed[60] = 1 - changed[60]
    apart = np.flatnonzero(np.abs(network.predict(changed) - found).max("neuron") > 1e-6) + LAGS - 1
    assert apart.min() == 60
    assert apart.max() <= 60 + LAGS - 1
    features = network.features(movie[:100])
    assert features.dims == ("time", "channel", "y", "x")
    np.testing.assert_array_equal(features["time"], found["time"])
    network.save(tmp_path / "fit.pt")
    again = load(tmp_path / "fit.pt")
    xr.testing.assert_identical(again.predict(movie[:100]), found)
    assert again.image_space.timing == network.image_space.timing
    assert repr(again) == repr(network)


def test_scores_are_correlations_of_whole_windows(network, arrays):
    movie, responses = arrays
    found = network.score(movie, responses)
    predicted = network.predict(movie).values
    for neuron, correlation in enumerate(found["correlation"]):
        expected = np.corrcoef(predicted[:, neuron], responses[LAGS - 1 :, neuron])[0, 1]
        assert correlation == pytest.approx(expected, abs=1e-4)
    assert found["correlation"].mean() > 0.4
    assert network.scores["correlation"].mean() > 0.3
    repeated = network.score(movie, np.stack([responses, responses]))
    np.testing.assert_allclose(repeated["correlation"], found["correlation"], atol=1e-6)
    # Reversed in time, nothing is left.
    assert network.score(movie[::-1], responses)["correlation"].abs().max() < 0.2


def test_a_factorized_ridge_finds_planted_filters(closed, arrays):
    movie, responses = arrays
    places = small(n_images=1500, lags=LAGS)["location"].values
    assert np.abs(closed.positions - places).max() < 2
    assert closed.feature_weights.shape == (8, LAGS)
    assert closed.scores["correlation"].mean() > 0.5
    # A planted delay of one frame is a delay of the filters.
    late = fit(movie[:-1], responses[1:], model=RIDGE, **FIT)
    np.testing.assert_array_equal(late.positions, closed.positions)
    before, after = (one.barcodes.values for one in (closed, late))
    assert (np.abs((before[:, 1:] * after[:, :-1]).sum(1)) > 0.8).all()


def test_clips_have_windows_of_their_own_and_a_use_each(arrays):
    movie, responses = arrays
    clips, measured = [movie[:1200], movie[1200:]], [responses[:1200], np.stack([responses[1200:]] * 2)]
    found = fit(clips, measured, split=["train", "test"], model=RIDGE, **FIT)
    assert (found.split == TEST).sum() == 300 - LAGS + 1
    assert len(found.split) == 1500 - 2 * (LAGS - 1)
    data = as_dataset(clips, measured, None, None, ["train", "test"], "global", 0, RATE, LAGS)
    assert is_movie(data)
    last, split = data["last_frame"].values, data["split"].values[0]
    np.testing.assert_array_equal(np.sort(last[split == TEST]), np.arange(1200 + LAGS - 1, 1500))
    assert data.attrs["block_bins"] == 300
    assert np.isnan(data["responses"].values[1, split != TEST]).all()


def test_names_of_neurons_and_orders_of_axes_are_kept(closed, arrays):
    movie, responses = arrays
    names = [f"unit {number}" for number in range(8)]
    named = xr.DataArray(responses.T, {"neuron": names}, ("neuron", "time"))
    turned = xr.DataArray(movie.T, dims=("x", "y", "frame"))
    found = fit(turned, named, model=RIDGE, **FIT)
    predicted = closed.predict(movie[:50]).values
    np.testing.assert_array_equal(found.predict(turned[:, :, :50]), predicted)
    assert found.predict(movie[:50, None])["neuron"].values.tolist() == names
    layouts = {"images_layout": ("x", "y", "frame"), "responses_layout": ("neuron", "time")}
    data, stated = (
        as_dataset(*given, None, "per_pixel", 0, RATE, LAGS)
        for given in ((movie[:, None], responses, None, None), (movie.T, responses.T, *layouts.values()))
    )
    assert data.equals(stated)
    scores = closed.score(movie, responses)["correlation"]
    for given in (named, named[::-1].T):
        np.testing.assert_allclose(found.score(turned, given)["correlation"], scores, atol=1e-6)
    found = closed.score(movie.T, responses.T, **layouts)
    np.testing.assert_array_equal(found["correlation"], scores)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"images": slice(1, None)},
            "images.clips[0]: 1499 frames make 1499 bins of 1 frames",
        ),
        ({"lags": None}, "rate, lags: 30 and None: a movie needs frames per second"),
        ({"rate": None}, "rate, lags: None and 8: a movie needs frames per second"),
        ({"lags": 2.5}, "rate, lags: 30 and 2.5: a movie needs frames per second"),
        ({"lags": "8"}, "rate, lags: 30 and '8': a movie needs frames per second"),
        ({"rate": np.nan}, "rate, lags: nan and 8: a movie needs frames per second"),
        ({"lags": 2000}, "1500 frames hold no window of 2000: set fewer 'lags'"),
        (
            {"images": (slice(None), 0)},
            "images: has shape (1500, 8), expected (frame, y, x) or (frame, channel, y, x)",
        ),
        (
            {"responses": (slice(None), 0)},
            "responses: has shape (1500,), expected (time, neuron) or",
        ),
        (
            {"responses_layout": ("image", "neuron")},
            "responses_layout: [image, neuron] does not describe",
        ),
        ({"images_layout": ("y", "x", "image")}, "images_layout: [y, x, image] does not describe images of"),
        ({"split": ["test"]}, "images: fold 0 has fewer than two train images"),
        ({"split": ["validation"]}, "split: ['validation'] for 1 clips of a movie: give 'train' or 'test'"),
        ({"split": "train"}, "split: 'train' for 1 clips of a movie: give 'train' or 'test' per clip"),
        ({"model": "localized_one_kernel"}, "a localization reads still images, not movies: leave it out"),
        ({"model": "cnn_one_kernel_localized"}, "localizer: infers locations from still images"),
        ({"model": "hsm"}, "a hsm reads still images, not movies: leave it out"),
        (
            {"model": "factorized_ridge"},
            "a movie needs the key 'temporal_l2', the penalty on temporal filters",
        ),
    ],
)
def test_mistakes_are_refused_in_one_line(arrays, change, message):
    movie, responses = arrays
    change = dict(change)
    given = {"model": QUICK} | FIT | change
    movie, responses = movie[given.pop("images", ...)], responses[given.pop("responses", ...)]
    with pytest.raises(UserError) as error:
        fit(movie, responses, **given)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


BASELINES = {
    "ols": {"family": "ols", "input": "image", "loss": "mse", "grid": [{}]},
    "lasso": {"family": "lasso", "input": "image", "loss": "mse", "grid": [{"lasso_l1": [0.01]}]},
    "lnp": {"like": "lnp", "grid": [{"smoothness": [0.02], "filter_l1": [0.02]}]},
    "fixed mask": {"like": "cnn_fixed_mask"},
    "fully connected": {"like": "cnn_fully_connected"},
    "Gaussian readout": {"like": "cnn_gaussian", "grid": [{"smoothness": [0.003], "feature_l1": [0.001]}]},
    "motion": QUICK
    | {"feature_bank": MOTION, "temporal_basis": {"raised_cosines": 3}}
    | {"readout": {"mask_start": {"position": "random"}}},
    "separable": QUICK | {"cores": [NETWORK_CORE | {"temporal_rank": 1}]},
}


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_see_windows_as_they_see_images(arrays, name):
    """Predictions of a movie are those of its windows as images with a channel per lag."""
    movie, responses = (values[:800] for values in arrays)
    model = BASELINES[name]
    if name in ("lnp", "fixed mask", "fully connected", "Gaussian readout"):
        training = definition(model["like"])["training"]
        steps = {"max_epochs": 1} if "max_epochs" in training else {"max_steps": 5}
        model = model | {"training": {"evaluate_every": 5} | steps}
        model |= {} if name == "lnp" else {"cores": [NETWORK_CORE]}
    found = fit(movie, responses, model=model, **FIT)
    predicted = found.predict(movie[:60]).values
    pixels = np.stack([movie[last - LAGS + 1 : last + 1][::-1] for last in range(LAGS - 1, 60)])
    np.testing.assert_allclose(found.arrays.predict(pixels.astype(np.float32)), predicted, atol=1e-4)
    assert predicted.std(0).min() > 0


def test_movies_that_do_not_fit_together_are_refused(network, arrays):
    movie, responses = arrays
    named = xr.DataArray(responses, {"neuron": np.arange(8)}, ("time", "neuron"))
    for call, message in (
        (lambda: network.predict(movie[:7]), "images: 7 frames hold no window of 8"),
        (lambda: network.predict(movie[:, :5]), "(channel, y, x), expected (1, 8, 8)"),
        (lambda: network.score(movie, responses[1:]), "responses: have 1499 time bins, the movie 1500: give"),
        (lambda: network.score(movie, responses[LAGS - 1 :]), "have 1493 time bins, the movie 1500"),
        (
            lambda: fit([movie, movie], [responses], **FIT),
            "responses: 1 for 2 clips of a movie: list one per clip",
        ),
        (
            lambda: fit([movie, movie[:, :5]], [responses, responses], **FIT),
            "images[1]: has frames of (1, 5, 8) (channel, y, x) but the first clip of (1, 8, 8): give all",
        ),
        (
            lambda: fit([movie, movie], [responses, responses[:, :3]], **FIT),
            "responses[1]: the number or names of its 3 neurons are not those of the first clip: give the",
        ),
        (
            lambda: fit([movie, movie], [named, named.assign_coords(neuron=np.arange(1, 9))], **FIT),
            "responses[1]: the number or names of its 8 neurons are not those of the first clip: give the",
        ),
    ):
        with pytest.raises(UserError) as error:
            call()
        assert message in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"temporal_basis": {"raised_cosines": 3}}, "temporal_basis: is for movies: leave it out"),
        ({"grid": [{"temporal_smoothness": [0.1]}]}, "temporal_smoothness: is for movies: leave it out"),
    ],
)
def test_keys_of_movies_are_refused_for_still_images(arrays, model, message):
    images, responses = arrays
    with pytest.raises(UserError) as error:
        fit(images[:60], responses[:60], model=NETWORK | model, verbose=False)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_shorter_movies_are_whole_blocks_and_parts_of_longer_ones():
    data = simulated()
    blocks, split = data["block"].values, data["split"].values[0]
    size = int((blocks[split == TRAIN] == blocks[split == TRAIN][0]).sum())
    chosen = {n: choose_subset(data, None, n, 3) for n in (600, 1200, 2400)}
    for n, subset in chosen.items():
        assert len(subset.train) + len(subset.validation) == n
        for some, code in ((subset.train, TRAIN), (subset.validation, VALIDATION)):
            assert (split[some] == code).all()
            assert len(np.unique(some)) == len(some)
            # All but the first blocks, whose first bins have no window, and the last, are whole.
            kept, counts = np.unique(blocks[some], return_counts=True)
            whole = [(blocks[split == code] == one).sum() for one in kept]
            assert (counts < whole).sum() <= 1
            assert len(kept) <= len(some) / size * 1.5 + 2
            # Batches of neighboring bins would be alike.
            assert np.abs(np.diff(some)).mean() > 10
    for small_one, large in ((600, 1200), (1200, 2400)):
        assert set(chosen[small_one].train) < set(chosen[large].train)
        assert set(chosen[small_one].validation) < set(chosen[large].validation)
    other = choose_subset(data, None, 600, 4)
    assert set(other.train) != set(chosen[600].train)
    assert UNUSED not in split[np.concatenate([other.train, other.validation])]


def test_a_gap_as_long_as_a_window_lies_between_splits(arrays):
    data = as_dataset(*arrays, None, None, None, "per_pixel", 0, RATE, LAGS)
    last, split = data["last_frame"].values, data["split"].values[0]
    assert all((split == code).any() for code in (TRAIN, VALIDATION, TEST, UNUSED))
    for code in (TRAIN, VALIDATION, TEST):
        held = set((last[split == code][:, None] - np.arange(LAGS)).ravel())
        assert not held & set(last[(split != code) & (split != UNUSED)])


def test_a_movie_of_one_lag_is_fitted_as_its_frames_are(arrays):
    """Still images and windows of one frame give a network the same parameters, bit by bit."""
    movie, responses = arrays
    dataset = as_dataset(movie, responses, None, None, None, "per_pixel", 0, RATE, 1)
    windows = load_fit_data(dataset, None, None, 0)
    pixels = {name: np.asarray(getattr(windows, name)) for name in ("train_images", "validation_images")}
    model = definition("movie_network")
    spec = ModelSpec.of(model | {"training": model["training"] | QUICK["training"]})
    averages = averages_of_fit(dataset, windows, smoothing=5)
    trained, again = (
        train_seed(spec, 0, data, averages, None, None, torch.device("cpu"), Progress(1), None)
        for data in (windows, dataclasses.replace(windows, **pixels))
    )
    for name, value in trained.parameters[0].items():
        assert torch.equal(value, again.parameters[0][name]), name
    strengths = [{"ridge_l2": 10.0}, {"ridge_l2": 1000.0}]
    found = fit_ridge(windows, strengths)
    expected = fit_linear(solve_ridge, [10.0, 1000.0], dataclasses.replace(windows, **pixels), "image")
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one["filters"], other["filters"], atol=1e-5)
        np.testing.assert_allclose(one["bias"], other["bias"], atol=1e-5)


def test_candidates_for_movies_are_compared(arrays):
    shorter = [values[:800] for values in arrays]
    found = compare(*shorter, models={"closed": RIDGE, "network": QUICK}, **FIT)
    assert {*found.models} == {"closed", "network"}
    assert found.ensemble.predict(arrays[0][:20]).dims == ("time", "neuron")


def test_the_lines_of_the_documentation_run(arrays, monkeypatch, tmp_path):
    """With fewer steps and strengths than by default."""
    page = (REPOSITORY / "docs" / "movies.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python no-test: [^\n]*\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    resolve = api._models

    def with_small_models(wanted, base):
        models = resolve({"closed": RIDGE, "trained": QUICK}, base)
        return models | {"movie_factorized_ridge": models["closed"], "movie_network": models["trained"]}

    monkeypatch.setattr(api, "_models", with_small_models)
    movie, responses = (values[:800] for values in arrays)
    names = {"movie": movie, "responses": responses, "new_movie": movie[:60], "new_responses": responses[:60]}
    for block in blocks:
        exec(block, names)
    assert len([*tmp_path.glob("exciting/*.gif")]) == len(names["table"]) == 8
    assert names["model"].image_space.timing.lags == 20
    assert names["model"].predict(movie[:60]).sizes == {"time": 41, "neuron": 8}
    assert whatwhere.fit is fit


def test_bins_in_which_nobody_was_recorded_are_left_out(arrays):
    frames, responses = arrays
    lost = responses.copy()
    lost[100:130] = np.nan
    complete, holes = (
        as_dataset(frames, one, None, None, None, "global", 0, RATE, LAGS) for one in (responses, lost)
    )
    assert holes.sizes["image"] == complete.sizes["image"] - 30
    assert not np.isin(holes["last_frame"], np.arange(100, 130)).any()


def test_a_movie_of_one_pixel_is_predicted_as_it_was_fitted(arrays):
    frames, responses = arrays
    pixel = np.ascontiguousarray(frames[:, 5:6, 5:6])
    model = {"like": "movie_ridge", "grid": [{"ridge_l2": [100.0], "window": [1]}]}
    fitted = fit(pixel, responses, model=model, **FIT)
    assert fitted.predict(pixel).shape == (1500 - LAGS + 1, responses.shape[1])


def test_dictionaries_of_movies_are_refused(arrays):
    frames, responses = arrays
    with pytest.raises(UserError, match="sessions of movies are pooled by a configuration"):
        fit({"a": frames}, {"a": responses}, **FIT)
