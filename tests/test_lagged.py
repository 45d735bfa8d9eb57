"""Closed forms for movies against regressions on windows in memory."""

import dataclasses

import numpy as np
import pytest
import torch

from whatwhere import sta
from whatwhere.errors import UserError
from whatwhere.fit_data import FitData
from whatwhere.models import lagged
from whatwhere.models.factorized_ridge import FactorizedRidge
from whatwhere.models.lagged import LaggedMoments, fit_factorized, fit_ridge, places_of
from whatwhere.models.linear import LinearEncoder, solve_ridge
from whatwhere.models.space_time import raised_cosines
from whatwhere.standardize import standardizer
from whatwhere.subset import Subset
from whatwhere.windows import Windows

LAGS = 6
STRENGTHS = {"rank": 1, "mask_l2": 1e-6, "feature_l2": 1e-6, "temporal_l2": 1e-6}


def bins_of_two_clips(step):
    """Newest frames of bins of ``step`` frames, in three runs whose windows begin at frames 5, 81 and 135."""
    return np.concatenate([np.arange(10, 60, step), np.arange(86, 120, step), np.arange(140, 190, step)])


def movie(rng, step=1, basis=None, shape=(2, 3, 2)):
    frames = rng.standard_normal((200, *shape)).astype(np.float32)
    last = torch.from_numpy(bins_of_two_clips(step))
    return Windows(torch.from_numpy(frames), last, LAGS, basis)


def fit_data(windows, responses):
    """Data of a fit whose images are standardized already; it validates on the training images."""
    responses = responses.astype(np.float32)
    return FitData(
        train_images=windows,
        train_responses=responses,
        validation_images=windows,
        validation_responses=responses,
        response_sd=np.ones(responses.shape[1]),
        response_scale=np.ones(responses.shape[1]),
        standardize=standardizer(windows, "none"),
        subset=Subset(*(np.arange(n) for n in (responses.shape[1], len(windows), len(windows)))),
        patch_corner=None,
        patch_size=None,
    )


def in_memory(windows):
    """Windows as rows, (image, value), float64."""
    return np.asarray(windows, np.float64).reshape(len(windows), -1)


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("n_functions", [None, 3])
@pytest.mark.parametrize("chunk", [8192, 10])
def test_moments_are_those_of_windows_in_memory(rng, monkeypatch, step, n_functions, chunk):
    """Of bins of several frames, clips and gaps, in any order."""
    monkeypatch.setattr(lagged, "_CHUNK", chunk)
    basis = None if n_functions is None else torch.from_numpy(raised_cosines(n_functions, LAGS)).float()
    windows = movie(rng, step, basis)[rng.permutation(len(bins_of_two_clips(step)))]
    responses = rng.standard_normal((len(windows), 4)).astype(np.float32)
    found = LaggedMoments.of(windows, responses)
    rows = in_memory(windows)
    centered, size = rows - rows.mean(0), rows.shape[1]
    assert found.gram.shape == (windows.n_times, 12, windows.n_times, 12)
    np.testing.assert_allclose(found.gram.reshape(size, size), centered.T @ centered, atol=2e-4)
    products = (responses - responses.mean(0)).T @ centered
    np.testing.assert_allclose(found.products.flatten(1), products, atol=1e-4)
    np.testing.assert_allclose(found.window_mean.flatten(), rows.mean(0), atol=1e-5)
    np.testing.assert_allclose(found.response_mean, responses.mean(0), atol=1e-5)


@pytest.mark.parametrize("n_functions", [None, 3])
def test_ridge_is_that_on_windows_in_memory(rng, n_functions):
    basis = None if n_functions is None else torch.from_numpy(raised_cosines(n_functions, LAGS)).float()
    windows = movie(rng, basis=basis)
    responses = rng.standard_normal((len(windows), 3)) + in_memory(windows)[:, :3] + 2
    penalties = [0.0, 1.0, 300.0]
    found = fit_ridge(fit_data(windows, responses), [{"ridge_l2": one} for one in penalties])
    rows = in_memory(windows)
    expected = solve_ridge(rows - rows.mean(0), responses - responses.mean(0), penalties)
    for state, weights in zip(found, expected, strict=True):
        np.testing.assert_allclose(state["filters"].flatten(1), weights.T, atol=2e-3)
        bias = responses.mean(0) - rows.mean(0) @ weights
        np.testing.assert_allclose(state["bias"], bias, atol=2e-3)
    (least,) = fit_ridge(fit_data(windows, responses), [{}])
    assert torch.equal(least["filters"], found[0]["filters"])


def test_without_a_penalty_values_that_never_vary_have_no_weight(rng):
    windows = movie(rng)
    windows.frames[:, 0, 1] = 3.0
    weights = rng.standard_normal((2, *windows.shape[1:]))
    weights[:, ::2, 1] = 0
    responses = in_memory(windows) @ weights.reshape(2, -1).T
    (found,) = fit_ridge(fit_data(windows, responses), [{}])
    np.testing.assert_allclose(found["filters"], weights, atol=2e-3)
    np.testing.assert_allclose(found["bias"], 0, atol=2e-2)


def test_neurons_without_some_bins_are_fitted_to_their_own(rng):
    windows = movie(rng)
    responses = (rng.standard_normal((len(windows), 3)) + in_memory(windows)[:, :3]).astype(np.float32)
    responses[rng.permutation(len(windows))[:40], 1] = np.nan
    (found,) = fit_ridge(fit_data(windows, responses), [{"ridge_l2": 5.0}])
    for neuron in range(3):
        known = ~np.isnan(responses[:, neuron])
        rows = in_memory(windows)[known]
        alone = responses[known, neuron].astype(np.float64)
        weights = solve_ridge(rows - rows.mean(0), (alone - alone.mean())[:, None], [5.0])[0, :, 0]
        np.testing.assert_allclose(found["filters"][neuron].flatten(), weights, atol=1e-3)


def planted(rng, windows, n_neurons=3, n_maps=2):
    """Filters (neuron, channel, y, x) that are products of a course, feature weights and a mask."""
    height, width = windows.shape[2:]
    courses, weights, masks = (
        rng.standard_normal((n_neurons, *size)) for size in ((windows.n_times,), (n_maps,), (height, width))
    )
    filters = np.einsum("nt,nf,nyx->ntfyx", courses, weights, masks)
    return filters.reshape(n_neurons, -1, height, width), courses, masks


@pytest.mark.parametrize("n_functions", [None, 3])
def test_factorized_ridge_recovers_what_where_and_when(rng, n_functions):
    basis = None if n_functions is None else torch.from_numpy(raised_cosines(n_functions, LAGS)).float()
    windows = movie(rng, basis=basis)
    filters, _, masks = planted(rng, windows)
    responses = in_memory(windows) @ filters.reshape(3, -1).T + 1.5
    data = fit_data(windows, responses)
    (state,) = fit_factorized(data, [STRENGTHS])
    model = FactorizedRidge((windows.shape[1], 3, 2), 3, 1)
    model.load_state_dict(state)
    with torch.no_grad():
        predicted, gathered = model.of_windows(windows, None), model(torch.cat([*windows.split(50)]))
    np.testing.assert_allclose(gathered, predicted, atol=1e-4)
    left = ((predicted.numpy() - responses) ** 2).mean(0) / responses.var(0)
    assert left.max() < 1e-4
    found = state["readout.raw_mask"].flatten(1).numpy()
    cosine = np.sum(found * masks.reshape(3, -1), 1) / np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(np.abs(cosine) / np.linalg.norm(masks.reshape(3, -1), axis=1), 1, atol=1e-3)


def test_two_products_explain_what_one_cannot(rng):
    windows = movie(rng)
    filters = planted(rng, windows)[0] + planted(rng, windows)[0]
    responses = in_memory(windows) @ filters.reshape(3, -1).T
    left = []
    for rank in (1, 2, 4):
        (state,) = fit_factorized(fit_data(windows, responses), [STRENGTHS | {"rank": rank}])
        model = FactorizedRidge((windows.shape[1], 3, 2), 3, rank)
        model.load_state_dict(state)
        with torch.no_grad():
            left.append(((model.of_windows(windows, None).numpy() - responses) ** 2).mean(0))
    assert (left[1] < 0.3 * left[0]).all()
    assert (left[2] < 0.1 * left[0]).all()


def test_what_lies_before_a_clip_changes_nothing(rng):
    windows = movie(rng)
    responses = rng.standard_normal((len(windows), 2)) + in_memory(windows)[:, :2]
    other = windows.frames.clone()
    used = torch.zeros(len(other), dtype=torch.bool)
    used[windows.frames_used()] = True
    assert used[[5, 81, 135]].all()
    assert not used[[4, 60, 80, 120, 134]].any()
    other[~used] = 1e4
    data = fit_data(windows, responses)
    changed = dataclasses.replace(data, train_images=Windows(other, windows.last, LAGS))
    for fit, setting in ((fit_ridge, {"ridge_l2": 3.0, "window": 3}), (fit_factorized, STRENGTHS)):
        (before,), (after,) = fit(data, [setting]), fit(changed, [setting])
        for name, value in before.items():
            np.testing.assert_allclose(after[name], value, atol=1e-4, err_msg=name)


def test_neurons_get_the_part_around_the_peak_of_their_average(rng):
    """Peaks in the middle, and in a corner, where a part is moved inside."""
    windows = movie(rng, shape=(1, 7, 9))
    responses = np.stack([in_memory(windows)[:, 63 + y * 9 + x] for y, x in ((3, 4), (0, 8), (3, 4))], 1)
    data = fit_data(windows, responses)
    found = {(rows.start, columns.start): set(some) for (rows, columns), some in places_of(data, 3)}
    assert found == {(2, 3): {0, 2}, (0, 6): {1}}
    assert all(rows.stop - rows.start == 3 for (rows, _), _ in places_of(data, 3))
    ((whole, everyone),) = places_of(data, None)
    assert whole == (slice(None), slice(None))
    assert list(everyone) == [0, 1, 2]
    settings = [{"ridge_l2": 1.0, "window": 3}, {"ridge_l2": 1.0, "window": 50}, {"ridge_l2": 1.0}]
    small, large, all_pixels = fit_ridge(data, settings)
    assert np.count_nonzero(small["filters"][1, 0]) == 9
    assert torch.count_nonzero(small["filters"][1, :, :3, 6:]) == torch.count_nonzero(small["filters"][1])
    np.testing.assert_allclose(large["filters"], all_pixels["filters"], atol=1e-6)
    # The planted pixel, one frame before the bin.
    assert np.unravel_index(small["filters"][1].abs().argmax().item(), (LAGS, 7, 9)) == (1, 0, 8)
    model = LinearEncoder(windows.shape[1:], 3)
    model.load_state_dict(small)
    with torch.no_grad():
        predicted = model.of_windows(windows, None)
        np.testing.assert_allclose(model(torch.from_numpy(np.asarray(windows))), predicted, atol=1e-4)


def test_space_time_averages_are_those_of_windows_in_memory(rng):
    windows = movie(rng)
    responses = rng.standard_normal((len(windows), 3)).astype(np.float32)
    average = sta.space_time_average(windows, responses)
    grey = in_memory(windows).reshape(len(windows), LAGS, 2, 3, 2).mean(2)
    expected = np.einsum("in,ilyx->nlyx", responses, grey) / len(windows)
    np.testing.assert_allclose(average, expected, atol=1e-5)
    maps, courses = sta.separate(np.einsum("nl,nyx->nlyx", expected[:, :, 0, 0], expected[:, 0]))
    np.testing.assert_allclose(np.linalg.norm(courses, axis=1), 1)
    separated = np.einsum("nl,nyx->nlyx", courses, maps)
    np.testing.assert_allclose(separated, np.einsum("nl,nyx->nlyx", expected[:, :, 0, 0], expected[:, 0]))


@pytest.mark.parametrize("n_functions", [None, 3])
def test_moments_that_do_not_fit_into_memory_are_refused_in_one_line(n_functions):
    basis = None if n_functions is None else torch.from_numpy(raised_cosines(n_functions, LAGS)).float()
    windows = Windows(torch.zeros(20, 1, 64, 100), torch.arange(10, 20), LAGS, basis)
    with pytest.raises(UserError, match="6 lags x 6400 values of a window have moments of 6 GB") as error:
        LaggedMoments.of(windows, np.zeros((10, 1), np.float32))
    assert "set 'window' to the pixels" in str(error.value)
    assert "\n" not in str(error.value)
