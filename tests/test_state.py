"""Models with state: gains and offsets by covariates, masks that follow the eye, and controls of both."""

import copy
import functools

import numpy as np
import pandas as pd
import pytest
import torch
from awake import COVARIATES, MODELS, STATE, WITHOUT, scores, simulate, true_score
from awake import fitted as fitted_to
from conftest import REPOSITORY, factorized
from recording_files import IMAGE, refuse, write_arrays
from test_movies_data import ARRAYS as CLIP
from test_movies_data import LAGS, accepted, movie_of, write_videos
from test_movies_data import write_arrays as write_movie
from test_training import CYCLE, Stopping, assert_same, new_checkpoint
from tiny_run import RUN, configuration, experiment, snakemake, write_config

import whatwhere
from whatwhere import UserError, fit
from whatwhere.config.files import read
from whatwhere.config.load import library
from whatwhere.config.model_checks import mistakes_on
from whatwhere.config.resolve import resolve
from whatwhere.dataset import TEST
from whatwhere.description import explained_by_stimulus, findings
from whatwhere.fit_data import Condition
from whatwhere.metrics import STATE_SCORES
from whatwhere.models.base import predict_prepared
from whatwhere.models.cores import ConvCore
from whatwhere.models.encoder import READOUTS, Encoder
from whatwhere.models.spec import ModelSpec
from whatwhere.models.state import State
from whatwhere.models.trials import Trials
from whatwhere.named_fits import NamedFits
from whatwhere.presentations import columns_of, covariates_of, presentations_of
from whatwhere.recordings import load as load_recording
from whatwhere.simulations.design import Design
from whatwhere.sta import averages_of_fit
from whatwhere.training.sweep import train_seed

GAZE = {"covariates": ["eye_x", "eye_y"]}
SIZES = {"n_neurons": 6, "image_size": 28, "n_repeats": 4}


@functools.cache
def simulated(n_images=60, n_test=20, **changes):
    return simulate(Design("awake", n_images, n_test, 0.2, seed=1), **SIZES | changes)


CORE = {"channels": [3], "kernels": [3], "padding": ["same"], "unit_norm": False, "batch_norm": None}
CORE |= {"activation": "elu", "last_activation": "elu", "kernel_sd": 0.3, "truncated": False}
CORE |= {"smooth_layers": [1], "sparse_layers": [1]}
FEATURES = {"mean": 0.5, "sd": 0.3, "truncated": False}
CONFIGS = {
    "cnn_factorized": {"positive_mask": False, "positive_features": False, "feature_start": FEATURES}
    | {"mask_start": {"position": "uniform", "height": 1.0, "noise_sd": 0.1, "truncated": False}},
    "cnn_fully_connected": {"weight_sd": 0.1, "dropout": 0.0},
    "cnn_gaussian": {"positive_features": False, "position": "random", "sd": 0.2, "feature_start": FEATURES},
}
CONFIGS["cnn_gaussian_mask"] = CONFIGS["cnn_gaussian"]


def encoder(family="cnn_gaussian_mask", state=STATE, n_neurons=4, shape=(1, 12, 14)):
    """A network with random values, also of its functions of covariates."""
    core = ConvCore(shape, CORE, 1)
    model = Encoder(core, READOUTS[family](core.out_shape, n_neurons, CONFIGS[family], True), "softplus")
    model.state = State(state, n_neurons, gains=True)
    rng = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.3, generator=rng)
    return model.eval().requires_grad_(False)


def trials(n_images=5, repeats=3, n_columns=4, shape=(1, 12, 14)):
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(size=(n_images, *shape)).astype(np.float32))
    covariates = rng.normal(size=(n_images * repeats, n_columns)).astype(np.float32)
    return Trials.of(images, np.repeat(np.arange(n_images), repeats), covariates)


@pytest.mark.parametrize("family", CONFIGS)
def test_a_prediction_at_mean_covariates_is_that_without_covariates(family):
    model, shown = encoder(family), trials()
    model.state.standardize_on(shown.covariates.numpy())
    at_mean = Trials.of(shown.images, shown.image.numpy(), model.state.mean.expand(15, -1).numpy())
    expected = predict_prepared(model, shown.images)[shown.image]
    torch.testing.assert_close(predict_prepared(model, at_mean), expected)
    assert (predict_prepared(model, shown) - expected).abs().max() > 0.01


@pytest.mark.parametrize("hidden", [None, 3])
def test_the_response_is_the_nonlinearity_of_drive_and_offset_times_gain(hidden):
    more = {} if hidden is None else {"hidden": hidden}
    model, shown = encoder(state={"modulation": STATE["modulation"] | more}), trials(n_columns=2)
    drive = model.readout(model.core(shown.images))[shown.image]
    gain, offset = model.state.modulation(shown.covariates, slice(None))
    torch.testing.assert_close(
        predict_prepared(model, shown), torch.nn.functional.softplus(drive + offset) * gain
    )
    if hidden is None:
        torch.testing.assert_close(gain.log(), shown.covariates @ model.state.gain_weights.T)


def test_a_gaussian_mask_moves_exactly_and_a_free_mask_by_interpolation():
    shown = trials()
    features, shift = shown.images, torch.tensor([[1.3, -2.4]]).expand(5, 2)
    for family in ("cnn_gaussian_mask", "cnn_gaussian"):
        readout = encoder(family, shape=(3, 12, 14)).readout
        features = trials(shape=(3, 12, 14)).images
        found = readout.shifted(features, shift)
        readout.mean += torch.tensor([1.3 * 2 / 11, -2.4 * 2 / 13])
        torch.testing.assert_close(found, readout(features), atol=1e-5, rtol=1e-5)
    readout = encoder("cnn_factorized").readout
    whole = readout.shifted(features, torch.tensor([[2.0, -1.0]]).expand(5, 2))
    moved = torch.zeros_like(features)
    moved[:, :, :-2, 1:] = features[:, :, 2:, :-1]
    torch.testing.assert_close(whole, readout(moved), atol=1e-4, rtol=1e-4)
    half = readout.shifted(features, torch.tensor([[0.5, 0.0]]).expand(5, 2))
    both = [readout.shifted(features, torch.tensor([[one, 0.0]]).expand(5, 2)) for one in (0.0, 1.0)]
    torch.testing.assert_close(half, (both[0] + both[1]) / 2, atol=1e-4, rtol=1e-4)


def test_the_gaze_map_starts_at_the_calibration_and_its_penalty_is_the_distance_from_it():
    state = State({"gaze": GAZE | {"calibration": [[20, 0], [0, -10]], "hidden": 4}}, 3, gains=True)
    state.initialize(torch.Generator().manual_seed(0))
    eyes = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    state.standardize_on(eyes)
    expected = (eyes - eyes.mean(0)) * [20, -10]
    np.testing.assert_allclose(state.shift(torch.from_numpy(eyes)).detach(), expected, rtol=1e-4, atol=1e-4)
    penalty = state.penalties()["gaze_l2"]
    assert penalty() == 0
    state.gaze_weights.data[0, 1] = 0.2  # one px to the right per sd of the first covariate
    assert penalty().item() == pytest.approx(1)


def test_a_core_runs_once_per_image():
    model, shown = encoder(), trials(n_images=4, repeats=100)
    seen = []
    model.core.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    found = predict_prepared(model, shown)
    assert found.shape == (400, 4)
    assert sum(seen) <= 5  # an image of two batches is computed twice
    batch = shown[torch.tensor([399, 0, 150])]
    torch.testing.assert_close(model(batch), found[[399, 0, 150]], atol=1e-5, rtol=1e-4)


def test_a_closed_form_takes_covariates_as_further_regressors():
    data = simulated(eye_sd=0.0)
    spec = {"like": "ridge_pixels", "output_curve": False, "refit": False, "grid": [{"ridge_l2": [30.0]}]}
    state = {"modulation": {"covariates": ["running", "pupil"]}}
    model = library([("t", {"models": {"m": spec | {"state": state}}})])["m"]
    fits = NamedFits(Condition(data, None, None, [0]), {"m": model}, ["m"], None, torch.device("cpu"), False)
    selected = fits.selected(fits.fit("m"))
    shown = presentations_of(
        data, np.flatnonzero(data["split"].values[0] != TEST), selected.neurons, state, 0
    )
    images = data["images"].values[data["split"].values[0] != TEST]
    predicted = selected.predict_trials(images, shown.image, shown.covariates)
    flat = predicted - selected.predict(images)[shown.image]
    standardized = (shown.covariates - shown.covariates.mean(0)) / shown.covariates.std(0)
    assert np.linalg.matrix_rank(flat - flat.mean(0), tol=1e-3) == 2
    expected = np.linalg.lstsq(standardized, flat)[0]
    np.testing.assert_allclose(
        standardized @ expected, flat - (flat - standardized @ expected).mean(0), atol=0.01
    )
    # Of the training presentations, nothing that covariates explain is left.
    train = presentations_of(data, fits.condition.data(0).subset.train, selected.neurons, state, 0)
    images = data["images"].values[fits.condition.data(0).subset.train]
    left = train.responses - selected.predict_trials(images, train.image, train.covariates)
    slope = np.linalg.lstsq(train.covariates - train.covariates.mean(0), left - left.mean(0))[0]
    np.testing.assert_allclose(slope, 0, atol=1e-3)


def test_samples_are_presentations_and_models_without_state_see_averages():
    data = simulated()
    condition = Condition(data, None, None, [0])
    plain, both = condition.data(0), condition.data(0, STATE)
    np.testing.assert_array_equal(plain.train_responses, both.train_responses)
    test = np.flatnonzero(data["split"].values[0] == TEST)
    shown = presentations_of(data, test, np.arange(6), STATE, 0)
    assert shown.responses.shape == (20 * 4, 6)
    for row in (0, 1, 79):
        image, repeat = test[row // 4], row % 4
        assert shown.image[row] == row // 4
        np.testing.assert_array_equal(shown.responses[row], data["responses"].values[repeat, image])
        np.testing.assert_array_equal(shown.covariates[row], data["covariates"].values[repeat, image])
    np.testing.assert_allclose(shown.means(20), data["responses"].values[:, test].mean(0), rtol=1e-6)


GAZE_NET = {"gaze": GAZE | {"hidden": 3}}
RUNNING_NET = {"modulation": {"covariates": ["running", "pupil"], "hidden": 3}}


@pytest.mark.parametrize("state", [GAZE_NET, RUNNING_NET, STATE])
def test_a_stopped_sweep_of_models_with_state_continues_bit_by_bit(tmp_path, state):
    penalties = {f"{key}_l2": [0.01, 1.0] for key in state}
    cycle = CYCLE | {"max_steps": 12, "evaluate_every": 2, "fits_at_once": 2, "batch_size": 16}
    more = {"training": cycle, "refit": True, "state": state, "grid": [dict(list(penalties.items())[:1])]}
    spec = ModelSpec.of(factorized(convention="paper_recording", **more))
    data = Condition(simulated(), None, None, [0]).data(0, state)
    averages = averages_of_fit(simulated(), data, 3)

    def sweep(checkpoint):
        return train_seed(spec, 0, data, averages, None, None, torch.device("cpu"), checkpoint)

    undisturbed = sweep(new_checkpoint(tmp_path))
    for parameters in undisturbed.parameters:
        assert any(name.startswith("state.") and one.any() for name, one in parameters.items())
    with pytest.raises(UserError, match="SIGTERM: progress is saved"):
        sweep(Stopping(tmp_path / "stopped" / "checkpoint.pt", 5))
    continued = new_checkpoint(tmp_path / "stopped")
    assert continued.current is not None
    assert_same(undisturbed, sweep(continued))
    trained = undisturbed.parameters[0]["state.mean"]
    torch.testing.assert_close(trained, torch.from_numpy(data.trials[0].covariates.mean(0)))
    # The loss of the mean response is that of presentations, as all losses are.
    loss = undisturbed.validation_loss_of_mean
    expected = data.train_responses.mean(0) - data.trials[1].responses * np.log(
        data.train_responses.mean(0) + 1e-5
    )
    np.testing.assert_allclose(loss, expected.mean(0), rtol=1e-4)


def test_shuffled_covariates_keep_their_values_and_lose_their_presentations():
    data, images = simulated(), np.arange(60)
    plain, shuffled = (
        presentations_of(data, images, np.arange(6), STATE | {"shuffled": one}, 0) for one in (False, True)
    )
    np.testing.assert_array_equal(plain.responses, shuffled.responses)
    assert (plain.covariates != shuffled.covariates).any(1).mean() > 0.9
    np.testing.assert_array_equal(np.sort(plain.covariates, 0), np.sort(shuffled.covariates, 0))


def test_a_run_adds_the_shuffled_control_behind_the_model():
    written = configuration(models={"own": MODELS["with_state"] | {"label": "mine"}, "bare": WITHOUT})
    models = ["bare", "own"]
    written["experiments"] = [experiment(models=models, name=name) for name in ("first", "second")]
    written |= {"models": read(REPOSITORY / "config/models.yaml")["models"] | written["models"]}
    written["cores"] = read(REPOSITORY / "config/models.yaml")["cores"]
    config = resolve(written, [])
    assert [one["models"] for one in config["experiments"]] == [["bare", "own", "own_shuffled"]] * 2
    control = config["models"]["own_shuffled"]
    assert control["state"] == config["models"]["own"]["state"] | {"shuffled": True}
    assert control["label"] == "mine, shuffled"
    assert resolve(config, []) == config


LAGGED = {"modulation": {"covariates": ["running"], "lags": [0, 2]}}


def movie(folder, **changes):
    """Definition of a movie of two clips with running, which is missing in some bins of the first."""
    write_movie(folder)
    running = np.arange(200, dtype=np.float32)
    running[[50, 51, 120]] = np.nan
    np.save(folder / "running.npy", running)
    np.save(folder / "later.npy", 1000 + np.arange(200.0))
    files = ({"running": str(folder / name)} for name in ("running.npy", "later.npy"))
    return movie_of(folder, *(CLIP | {"covariates": one} for one in files), **changes)


def test_lags_count_bins_back_and_never_leave_a_clip(tmp_path):
    data = accepted(movie(tmp_path, missing={"running": "leave_out"}), tmp_path)
    assert columns_of(LAGGED) == [("running", 0), ("running", 2)]
    now, before = np.moveaxis(covariates_of(data, LAGGED)[0], 1, 0)
    known = ~np.isnan(now) & ~np.isnan(before)
    np.testing.assert_array_equal(now[known] - 2, before[known])
    # Bins whose window is not whole are left out, and so are the two after them and after missing values.
    first, second = np.split(~known, [200 - LAGS + 1])
    assert np.flatnonzero(first).tolist() == [0, 1, *(np.array([50, 51, 52, 53, 120, 122]) - LAGS + 1)]
    assert np.flatnonzero(second).tolist() == [0, 1]


def test_covariates_from_the_future_are_refused():
    ahead = {"modulation": {"covariates": ["running"], "lags": [0, -1]}}
    with pytest.raises(
        UserError, match=r"lags.1: -1 is in the future of the response: give bins of 0 or more"
    ):
        library([("mine", {"models": {"m": {"like": "movie_network", "state": ahead}}})])
    network = library([("mine", {"models": {"m": {"like": "factorized_pixels", "state": LAGGED}}})])["m"]
    (mistake,) = mistakes_on(network, movie=False)
    assert mistake == (
        ("state", "modulation", "lags"),
        "are bins of a movie: leave them out for still images",
    )


def test_missing_values_are_refused_left_out_or_held_and_never_zero(tmp_path):
    state = {"modulation": {"covariates": ["running"]}}
    data = accepted(movie(tmp_path), tmp_path)
    with pytest.raises(UserError, match=r"datasets.mine.missing: covariate 'running' is missing in 3 pres"):
        covariates_of(data, state)
    held = accepted(movie(tmp_path, missing={"running": "hold_last"}), tmp_path)
    values = covariates_of(held, state)[0, :, 0]
    np.testing.assert_array_equal(values[[50 - LAGS + 1, 51 - LAGS + 1, 120 - LAGS + 1]], [49, 49, 119])
    left = accepted(movie(tmp_path, missing={"running": "leave_out"}), tmp_path)
    shown = presentations_of(left, np.arange(left.sizes["image"]), np.arange(3), state, 0)
    assert len(shown.image) == left.sizes["image"] - 3
    refuse(movie(tmp_path, missing={"speed": "hold_last"}), tmp_path, "'speed: hold_last' is not understood")
    definition = write_arrays(tmp_path)
    np.save(tmp_path / "running.npy", np.full((3, 40), np.nan))
    definition |= {
        "covariates": {"running": str(tmp_path / "running.npy")},
        "missing": {"running": "hold_last"},
    }
    refuse(definition, tmp_path, "missing: hold_last needs the order of presentations in time")
    unknown = {"modulation": {"covariates": ["speed"]}}
    with pytest.raises(UserError, match="has no covariate 'speed': choose from running, pupil, eye_x, eye_y"):
        covariates_of(simulated(), unknown)


def test_a_covariate_that_is_a_function_of_the_stimulus_is_reported(tmp_path, caplog):
    definition = write_arrays(tmp_path)
    images = np.load(tmp_path / "images.npy")
    rng = np.random.default_rng(0)
    pupil = images.mean((1, 2)) / images.mean((1, 2)).std() + rng.normal(size=(3, 40))
    files = {"pupil": pupil, "running": rng.normal(size=(3, 40))}
    for name, values in files.items():
        np.save(tmp_path / f"{name}.npy", values)
    definition |= {"covariates": {name: str(tmp_path / f"{name}.npy") for name in files}}
    data = load_recording("mine", definition, tmp_path, None)
    shares = explained_by_stimulus(data)
    assert shares["pupil"] == pytest.approx(0.5, abs=0.1)
    assert abs(shares["running"]) < 0.05
    message = "covariate pupil follows the stimulus: mean and contrast of images explain"
    assert next(one for one in findings(data) if "covariate" in one).startswith(message)
    assert message in caplog.text
    bright = accepted(movie(tmp_path), tmp_path)
    means = bright["frames"].values.mean((1, 2, 3))
    windows = np.stack([means[bright["last_frame"].values - lag] for lag in range(LAGS)]).mean(0)
    bright["covariates"][0, :, 0] = windows
    assert explained_by_stimulus(bright)["running"] == pytest.approx(1)


def test_mistakes_of_a_state_are_refused():
    network = {"like": "factorized_pixels", "state": STATE}
    for definition, expected in (
        (network | {"state": {}}, "state: says nothing without 'modulation' or 'gaze': add one"),
        (
            {"like": "factorized_pixels", "grid": [{"gaze_l2": [1]}]},
            "is a penalty of 'state.gaze', which this",
        ),
        ({"like": "ridge_pixels", "state": STATE}, "state.gaze: is for networks: covariates are further"),
        (
            network | {"state": {"gaze": GAZE | {"calibration": [[1], [2]]}}},
            "calibration: needs 2 numbers in",
        ),
    ):
        with pytest.raises(UserError, match=expected):
            library([("mine", {"models": {"m": definition}})])


def write_session(folder, data):
    """A simulated recording in the layout of Sensorium 2022; behavior are running and pupil."""
    for name in ("images", "responses", "behavior", "pupil_center"):
        (folder / "data" / name).mkdir(parents=True)
    (folder / "meta/trials").mkdir(parents=True)
    image, repeat = np.nonzero(~np.isnan(data["responses"].values[:, :, 0].T))
    for trial, place in enumerate(zip(repeat, image, strict=True)):
        state = data["covariates"].values[place]
        files = {"images": data["images"].values[place[1]], "responses": data["responses"].values[place]}
        for name, values in (files | {"behavior": state[:2], "pupil_center": state[2:]}).items():
            np.save(folder / "data" / name / f"{trial}.npy", values)
    np.save(
        folder / "meta/trials/tiers.npy",
        np.array(["train", "validation", "test"])[data["split"].values[0]][image],
    )
    np.save(folder / "meta/trials/frame_image_id.npy", image)
    keys = {"kind": "sensorium", "path": str(folder), "covariates": ["behavior", "pupil_center"]}
    return keys | {"image": IMAGE | {"degrees_per_pixel": 0.5}}


def write_videos_with_behavior(folder):
    definition = write_videos(folder)
    session = folder / "session/data"
    for part in ("behavior", "pupil_center"):
        (session / part).mkdir()
        for trial in range(6):
            known = ~np.isnan(np.load(session / f"responses/{trial}.npy")[0])
            values = np.where(known, 100 * trial + np.arange(72) + [[0.0], [0.5]], np.nan)
            np.save(session / part / f"{trial}.npy", values)
    return definition | {"covariates": ["behavior", "pupil_center"]}


def test_sessions_of_sensorium_2022_and_2023_have_covariates(tmp_path):
    data = simulated()
    found = accepted(write_session(tmp_path / "still", data), tmp_path)
    names = ["behavior 0", "behavior 1", "pupil_center 0", "pupil_center 1"]
    assert found["covariate_name"].values.tolist() == names
    np.testing.assert_allclose(
        found["covariates"].values,
        np.where(np.isnan(data["responses"].values[:, :, :1]), np.nan, data["covariates"].values),
    )
    definition = write_videos_with_behavior(tmp_path)
    found = accepted(definition | {"movie": definition["movie"] | {"bin": 2, "skip": 0}}, tmp_path)
    assert found["covariate_name"].values.tolist() == names
    # Trials 0, 2 and 4 show video 0; a bin is the mean over two frames.
    first = found["covariates"].values[:, found["split"].values[0] == TEST][:, 0]
    np.testing.assert_allclose(first, np.array([[2.5, 3, 2.5, 3]]) + np.array([[0], [200], [400]]))


def test_arrays_in_memory_are_fitted_and_predicted_with_covariates(tmp_path):
    data = simulated(n_images=120, n_test=40, n_repeats=1)
    values = data["covariates"].values[0]
    given = {name: values[:, column] for column, name in enumerate(COVARIATES)}
    state = copy.deepcopy(STATE)
    model = {"like": "factorized_pixels", "convention": "paper_recording", "state": state}
    model |= {"training": {"max_steps": 40, "evaluate_every": 20}}
    arrays = (data["images"].values[:, 0], data["responses"].values[0])
    split = data["split"].values[0]
    fitted = fit(*arrays, covariates=given, model=model, split=split, device="cpu", verbose=False)
    assert {"single_trial_stimulus", "single_trial_state", "state_explains"} <= set(fitted.scores)
    assert fitted.gains["covariate"].values.tolist() == ["running", "pupil"]
    some = {name: one[:7] for name, one in given.items()}
    with_state, without = fitted.predict(arrays[0][:7], covariates=some), fitted.predict(arrays[0][:7])
    assert with_state.shape == without.shape == (7, 6)
    assert np.abs(with_state - without).max() > 1e-4
    used = split < TEST
    mean = {name: np.full(7, one[split == 0].mean()) for name, one in given.items()}
    np.testing.assert_allclose(fitted.predict(arrays[0][:7], covariates=mean), without, rtol=1e-3, atol=1e-4)
    shift = fitted.gaze_shift({"eye_x": [1.0, 1.1], "eye_y": [1.0, 1.0]})
    assert list(shift) == ["y", "x"]
    fitted.save(tmp_path / "model.pt")
    again = whatwhere.load(tmp_path / "model.pt")
    np.testing.assert_array_equal(again.predict(arrays[0][:7], covariates=some), with_state)
    with pytest.raises(UserError, match=r"covariates: 'pupil' has shape \(0,\), expected \(7,\)"):
        fitted.predict(arrays[0][:7], covariates={"running": some["running"]})
    with pytest.raises(UserError, match="no default model uses them: give a model with state"):
        fit(*arrays, covariates=given)
    holes = given | {"pupil": np.where(np.arange(len(values)) == 3, np.nan, given["pupil"])}
    with pytest.raises(
        UserError, match="missing: covariate 'pupil' is missing in 1 presentations: set pupil to"
    ):
        fit(*arrays, covariates=holes, model=model, split=split, device="cpu", verbose=False)
    fit(*arrays, covariates=holes, missing={"pupil": "leave_out"}, model=model, split=split, verbose=False)
    assert used.sum() == 120


def test_a_movie_in_memory_is_fitted_and_predicted_with_lagged_covariates():
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(400, 6, 6)).astype(np.float32)
    running = rng.normal(size=400)
    responses = np.stack([frames[:, 2, 3] + np.roll(running, 1), frames[:, 4, 1]], 1) + 5
    model = {"like": "movie_ridge", "refit": False, "output_curve": False, "grid": [{"ridge_l2": [10.0]}]}
    model |= {"state": {"modulation": {"covariates": ["running"], "lags": [0, 1]}}}
    given = {"covariates": {"running": running}, "rate": 10, "lags": 2}
    fitted = fit(frames, responses, model=model, verbose=False, **given)
    assert fitted.scores["state_explains"].to_numpy() == pytest.approx([0.3, 0], abs=0.1)
    predicted = fitted.predict(frames[:50], covariates={"running": running[:50]})
    assert np.corrcoef(predicted[:, 0], responses[1:50, 0])[0, 1] > 0.95
    with pytest.raises(UserError, match="gains: this model has no gains"):
        assert fitted.gains is None


@pytest.mark.slow
@pytest.mark.parametrize("effect", [True, False])
def test_planted_gains_and_eye_movements_are_recovered_and_their_absence_costs_nothing(effect):
    planted = {} if effect else {"gain_sd": 0.0, "eye_sd": 0.0}
    data = simulated(n_images=2500, n_test=200, n_neurons=20, image_size=32, n_repeats=10, **planted)
    short = {"training": WITHOUT["training"] | {"max_steps": 600}}
    without, found, shuffled = (scores(data, fitted_to(data, one | short)) for one in MODELS.values())
    assert shuffled["state_explains"] <= 0.001
    assert shuffled["single_trial"] <= without["single_trial"] + 0.001
    if not effect:
        assert found["single_trial"] == pytest.approx(without["single_trial"], abs=0.003)
        return
    assert found["single_trial"] >= 0.97 * true_score(data)
    assert without["single_trial"] <= 0.85 * true_score(data)
    assert found["gain_correlation"] >= 0.95
    assert found["gaze_error"] < 0.5


@pytest.mark.slow
def test_sessions_of_sensorium_2022_and_2023_run_by_configuration(tmp_path):
    state = {"modulation": {"covariates": ["behavior 0", "behavior 1"]}}
    state["gaze"] = {"covariates": ["pupil_center 0", "pupil_center 1"]}
    still = WITHOUT | {
        "state": state,
        "label": "still",
        "training": WITHOUT["training"] | {"max_steps": 40, "evaluate_every": 20},
    }
    lagged = {
        "like": "movie_network",
        "label": "moving",
        "state": {"modulation": state["modulation"] | {"lags": [0, 1]}},
    }
    lagged |= {"training": {"max_steps": 20, "evaluate_every": 10}}
    datasets = {
        "still": write_session(tmp_path / "still", simulated(n_images=200, n_test=40)),
        "moving": write_videos_with_behavior(tmp_path),
    }
    names = ("still", "moving")
    experiments = [experiment(name=name, datasets=[name], models=[name]) for name in names]
    models = {"still": still, "moving": lagged}
    write_config(tmp_path, configuration(datasets=datasets, models=models, experiments=experiments))
    drawn = [f"{RUN}/figures/recording/{name}.svg" for name in names]
    results = [f"{RUN}/tables/summary.csv", f"{RUN}/datasets/still.html", *drawn]
    run = snakemake(tmp_path, "--cores", "1", "--", *results)
    assert run.returncode == 0, run.stdout
    summary = pd.read_csv(tmp_path / RUN / "tables/summary.csv").set_index("model")
    assert list(summary.index) == ["still", "still_shuffled", "moving", "moving_shuffled"]
    assert np.isfinite(summary[STATE_SCORES].to_numpy()).all()
    page = (tmp_path / RUN / "datasets/still.html").read_text()
    assert "behavior 0, behavior 1, pupil_center 0, pupil_center 1 (used by models with state)" in page
    assert "shift to the right (degrees)" in (tmp_path / drawn[0]).read_text()
    assert "correlation with single trials" in (tmp_path / drawn[1]).read_text()
