"""Models with state: gains and offsets by covariates, masks that follow the eye, and controls of both."""

import copy
import functools

import numpy as np
import pytest
import torch
import xarray as xr
from conftest import REPOSITORY
from recording_files import IMAGE, refuse, write_arrays, write_sensorium
from test_movies_data import LAGS, RATE, SPLIT, accepted, movie_of, write_videos
from test_movies_data import ARRAYS as CLIP
from test_movies_data import write_arrays as write_movie

from whatwhere import UserError, fit
from whatwhere.config.files import read
from whatwhere.config.load import library, load
from whatwhere.config.resolve import resolve
from whatwhere.dataset import TEST
from whatwhere.description import explained_by_stimulus, findings
from whatwhere.evaluation.scores import state_scores
from whatwhere.fit_data import Condition
from whatwhere.metrics import pearson
from whatwhere.models.base import predict_prepared
from whatwhere.models.cores import ConvCore
from whatwhere.models.encoder import READOUTS, Encoder
from whatwhere.models.state import State
from whatwhere.models.trials import Trials
from whatwhere.named_fits import NamedFits
from whatwhere.presentations import columns_of, covariates_of, presentations_of
from whatwhere.recordings import load as load_recording
from whatwhere.simulations.design import Design
from whatwhere.simulations.state_cells import COVARIATES, simulate

STATE_RUN = REPOSITORY / "config" / "state.yaml"
GAZE = {"covariates": ["eye_x", "eye_y"]}
STATE = {"modulation": {"covariates": ["running", "pupil"]}, "gaze": GAZE}
SIZES = {"n_neurons": 6, "image_size": 28, "drive_sd": 2.0, "gain_sd": 0.3, "eye_sd": 3.0, "n_repeats": 4}


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


def test_shuffled_covariates_keep_their_values_and_lose_their_presentations():
    data, images = simulated(), np.arange(60)
    plain, shuffled = (
        presentations_of(data, images, np.arange(6), STATE | {"shuffled": one}, 0) for one in (False, True)
    )
    np.testing.assert_array_equal(plain.responses, shuffled.responses)
    assert (plain.covariates != shuffled.covariates).any(1).mean() > 0.9
    np.testing.assert_array_equal(np.sort(plain.covariates, 0), np.sort(shuffled.covariates, 0))


def with_model(**changes):
    """The configuration of docs/tutorials/state.md with changes to the model with state."""
    config = copy.deepcopy(read(STATE_RUN))
    config["models"]["with_state"] |= changes
    return config


def test_a_run_adds_the_shuffled_control_behind_the_model():
    config = load([STATE_RUN]).config
    assert config["experiments"][0]["models"] == ["without_state", "with_state", "with_state_shuffled"]
    control = config["models"]["with_state_shuffled"]
    assert control["state"] == config["models"]["with_state"]["state"] | {"shuffled": True}
    assert control["label"] == "with state, shuffled"
    assert resolve(config, []) == config
