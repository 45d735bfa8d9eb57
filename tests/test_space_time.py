"""Features of space and time, separable layers and output curves against closed forms."""

import math

import numpy as np
import pytest
import torch
from conftest import small_core
from torch.nn import functional

from whatwhere import windows as windows_module
from whatwhere.errors import UserError
from whatwhere.models.cores import ConvCore, ConvLayer, SeparableConvLayer, temporal_roughness
from whatwhere.models.output_curve import OutputCurve, fit_curves
from whatwhere.models.space_time import SpaceTimeFeatures, fixed_features, n_times, raised_cosines
from whatwhere.windows import Windows

LAGS = 6
STATIC = {"wavelengths": [6.0], "orientations": 2, "average_pooling": 2}
MOTION = STATIC | {"motion": {"frames": 4, "cycles_per_frame": [0.15, 0.25]}}


@pytest.mark.parametrize(("number", "lags"), [(2, 2), (3, 10), (8, 20)])
def test_raised_cosines_are_unit_bumps_from_the_newest_lag_to_the_oldest(number, lags):
    basis = raised_cosines(number, lags)
    assert basis.shape == (number, lags)
    np.testing.assert_allclose(np.linalg.norm(basis, axis=1), 1)
    assert (basis >= 0).all()
    peaks = basis.argmax(1)
    assert peaks[0] == 0
    assert peaks[-1] == lags - 1
    assert (np.diff(peaks) > 0).all()
    assert np.linalg.matrix_rank(basis) == number


@pytest.mark.parametrize("number", [1, 11])
def test_too_few_or_too_many_raised_cosines_are_refused(number):
    message = f"temporal_basis: {number} raised cosines for 10 lags: use 2 to 10"
    with pytest.raises(UserError, match=message):
        raised_cosines(number, 10)


def movie(rng, n_channels=1, size=(8, 7)):
    frames = rng.standard_normal((60, n_channels, *size)).astype(np.float32)
    return Windows.of(frames, np.concatenate([np.arange(5, 30), np.arange(40, 60)]), LAGS)


@pytest.mark.parametrize("bank", [None, STATIC, MOTION])
@pytest.mark.parametrize("n_functions", [None, 3])
@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("chunk", [11, 1024])
def test_features_of_windows_are_those_of_their_pixels(
    rng, monkeypatch, bank, n_functions, n_channels, chunk
):
    monkeypatch.setattr(windows_module, "_CHUNK", chunk)
    windows = movie(rng, n_channels)
    features = SpaceTimeFeatures(windows.shape[1:], LAGS, bank, n_functions)
    found = features.standardize_on(windows)
    assert found.shape == (len(windows), *features.out_shape)
    pixels = torch.from_numpy(np.asarray(windows))
    np.testing.assert_allclose(np.asarray(found), features(pixels), atol=1e-4)
    np.testing.assert_array_equal(np.asarray(features(windows)), np.asarray(found))
    definition = {"lags": LAGS} | ({} if bank is None else {"feature_bank": bank})
    definition |= {} if n_functions is None else {"temporal_basis": {"raised_cosines": n_functions}}
    assert n_times(definition) == features.n_times == found.n_times
    assert features.out_shape[0] % features.n_times == 0
    same = fixed_features(windows.shape[1:], definition)
    assert (None if same is None else same.out_shape) == (
        None if bank is None and n_functions is None else features.out_shape
    )
    if bank is not None:
        maps = np.asarray(Windows(found.frames, found.last, found.lags).compact().frames)
        np.testing.assert_allclose(maps.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(maps.std(0), 1, atol=1e-3)
    # Figures show a filter per map; without a bank, one per function of time.
    n_filters = features.out_shape[0] // (1 if bank is None else features.n_times)
    assert len(features.filters()) == n_filters


def test_a_basis_alone_multiplies_lags_by_functions(rng):
    windows = movie(rng, 2)
    found = np.asarray(SpaceTimeFeatures(windows.shape[1:], LAGS, None, 3)(windows))
    by_lag = np.asarray(windows).reshape(len(windows), LAGS, 2, 8, 7)
    expected = np.einsum("kl,ilcyx->ikcyx", raised_cosines(3, LAGS), by_lag).reshape(found.shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    filters = SpaceTimeFeatures(windows.shape[1:], LAGS, None, 3).filters()[:, :, 0, 0]
    by_filter = np.einsum("kc,icyx->ikyx", filters, np.asarray(windows))
    np.testing.assert_allclose(found, by_filter, atol=1e-5)


def test_models_of_images_have_one_time():
    assert n_times({}) == n_times({"feature_bank": STATIC}) == 1
    assert fixed_features((1, 8, 8), {}) is None
    message = "feature_bank.motion: filters of 4 frames, but 'lags' is 3"
    with pytest.raises(UserError, match=message):
        SpaceTimeFeatures((3, 8, 8), 3, MOTION, None)


def grating(direction, phase, n_frames=12, size=24):
    """Windows of one grating of 6 px that drifts by 0.25 cycles per frame along x."""
    x = torch.arange(size) / 6
    time = direction * 0.25 * torch.arange(n_frames)
    waves = torch.cos(2 * math.pi * (x - time[:, None]) + phase)
    frames = waves[:, None, None].expand(-1, 1, size, -1).contiguous()
    return Windows(frames, torch.arange(LAGS - 1, n_frames), LAGS)


def test_motion_energy_prefers_its_direction_and_no_phase():
    features = SpaceTimeFeatures((LAGS, 24, 24), LAGS, MOTION, None)
    n_maps = features.out_shape[0] // features.n_times
    n_still, n_pairs = 3, 2
    assert n_maps == n_still + 2 * 2 * n_pairs
    found = {}
    for direction in (1, -1):
        energies = torch.cat(
            [
                torch.from_numpy(np.asarray(features(grating(direction, phase))))[:, n_still:n_maps, 6, 6]
                for phase in (0.0, 0.7, 2.0, 4.0)
            ]
        )
        # Frequency, direction, orientation; the first orientation is that of the grating.
        energies = energies.unflatten(1, (2, 2, n_pairs))
        np.testing.assert_allclose(energies[:, 1, :, 0].std(0) / energies[:, 1, :, 0].max(), 0, atol=0.01)
        found[direction] = energies.mean(0)
    for direction, own in ((1, 0), (-1, 1)):
        fast = found[direction][1, :, 0]
        assert fast[own] > 5 * fast[1 - own]
        assert fast[own] > found[direction][0, own, 0]
        assert fast[own] > 5 * found[direction][1, own, 1]
    np.testing.assert_allclose(found[1][1, 0, 0], found[-1][1, 1, 0], rtol=1e-3)


@pytest.mark.parametrize(("kernel", "same"), [(3, True), (4, True), (3, False), (1, True)])
@pytest.mark.parametrize("unit_norm", [False, True])
def test_a_separable_layer_is_a_full_layer_with_the_products(rng, kernel, same, unit_norm):
    given = ((3 * 2, 8, 7), 5, kernel, same, unit_norm, None, "elu")
    separable, full = SeparableConvLayer(2, 3, *given), ConvLayer(*given)
    separable.draw(0.3, False, torch.Generator().manual_seed(0))
    courses, spaces = separable.courses.detach().numpy(), separable.spaces.detach().numpy()
    products = sum(courses[:, one, :, None, None, None] * spaces[:, one, None] for one in range(2)).reshape(
        5, 6, kernel, kernel
    )
    np.testing.assert_allclose(separable.kernels.detach(), products, atol=1e-6)
    full.kernels.data = separable.kernels.detach()
    images = torch.from_numpy(rng.standard_normal((4, 6, 8, 7)).astype(np.float32))
    with torch.no_grad():
        found, expected = separable(images), full(images)
    assert found.shape[1:] == separable.out_shape
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert [*dict(separable.named_parameters())] == ["courses", "spaces"]


def test_a_rank_makes_the_first_layer_separable():
    config = small_core(channels=[4, 3], kernels=[3, 3], padding=["same", "same"]) | {"temporal_rank": 1}
    config |= {"smooth_layers": [1, 0], "sparse_layers": [0, 1], "kernel_sd": 0.2}
    core = ConvCore((6, 8, 7), config, 3)
    first, second = core.conv_layers()
    assert isinstance(first, SeparableConvLayer)
    assert not isinstance(second, SeparableConvLayer)
    core.initialize(torch.Generator().manual_seed(0))
    assert core(torch.ones(2, 6, 8, 7)).shape == (2, *core.out_shape)
    penalty = core.temporal_smoothness() + core.smoothness() + core.group_sparsity()
    penalty.backward()
    assert all(parameter.grad.isfinite().all() for parameter in core.parameters())
    singular = torch.linalg.svdvals(first.kernels.detach().unflatten(1, (3, 2)).flatten(2))
    assert (singular[:, 1] < 1e-5).all()


def test_products_have_the_spread_of_a_full_layer():
    layer = SeparableConvLayer(2, 40, (40, 8, 8), 200, 5, True, False, None, "elu")
    layer.draw(0.3, True, torch.Generator().manual_seed(0))
    assert float(layer.kernels.detach().std()) == pytest.approx(0.3, rel=0.3)


def test_temporal_roughness_is_that_of_the_course(rng):
    """Of 1, 2, 4: differences 0 - 2 + 2, 1 - 4 + 4 and 2 - 8 + 0."""
    kernels = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1)
    assert float(temporal_roughness(kernels, 3)) == pytest.approx((0**2 + 1**2 + 6**2) / 21)
    random = torch.from_numpy(rng.standard_normal((4, 5 * 2, 3, 3)))
    padded = functional.pad(random.unflatten(1, (5, 2)), (0, 0, 0, 0, 0, 0, 1, 1))
    second = padded[:, 2:] - 2 * padded[:, 1:-1] + padded[:, :-2]
    expected = second.square().flatten(1).sum(1) / random.square().flatten(1).sum(1)
    np.testing.assert_allclose(temporal_roughness(random, 5), expected)
    np.testing.assert_allclose(temporal_roughness(3 * random, 5), expected)
    assert (temporal_roughness(torch.zeros(2, 10, 3, 3), 5) == 0).all()


def curve_of(drives, responses):
    curve = OutputCurve(drives.shape[1])
    state = fit_curves(drives, responses)
    curve.load_state_dict({name.removeprefix("curve."): value for name, value in state.items()})
    return curve


def test_an_output_curve_recovers_a_rising_curve(rng):
    """Of a softplus and a step, from noisy responses; it is constant beyond the drives of the fit."""
    drives = rng.normal(0, 1, (8000, 2)) * [1, 10]
    truth = np.stack([np.log1p(np.exp(3 * drives[:, 0])), np.where(drives[:, 1] > 5, 4.0, 1.0)], 1)
    curve = curve_of(drives, truth + 0.3 * rng.standard_normal(truth.shape))
    found = curve(torch.from_numpy(drives).float()).numpy()
    assert np.sqrt(((found - truth) ** 2).mean(0)).max() < 0.15
    order = np.argsort(drives[:, 0])
    assert (np.diff(found[order, 0]) >= -1e-5).all()
    ends = curve(torch.tensor([[-1e4, -1e4], [1e4, 1e4]])).numpy()
    np.testing.assert_allclose(ends, [found.min(0), found.max(0)], rtol=1e-5)
    one = curve(torch.from_numpy(drives[:, 1:]).float(), slice(1, 2))
    np.testing.assert_array_equal(one.numpy()[:, 0], found[:, 1])


def test_an_output_curve_keeps_constants_and_ignores_missing_responses(rng):
    drives = rng.standard_normal((500, 3))
    drives[:, 1] = 0.7
    responses = np.stack([np.full(500, 2.5), np.arange(500) % 2, np.exp(drives[:, 2])], 1)
    curve = curve_of(drives, responses)
    found = curve(torch.from_numpy(drives).float()).numpy()
    np.testing.assert_allclose(found[:, 0], 2.5, rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], 0.5, rtol=1e-6)
    np.testing.assert_allclose(found[:, 2], responses[:, 2], atol=0.1)
    gaps = responses.copy()
    gaps[::3] = np.nan
    some = curve_of(drives, gaps)
    known = curve_of(
        np.delete(drives, slice(None, None, 3), 0), np.delete(responses, slice(None, None, 3), 0)
    )
    for name, value in some.state_dict().items():
        assert torch.equal(value, known.state_dict()[name]), name
    untouched = OutputCurve(3)(torch.from_numpy(drives).float())
    np.testing.assert_allclose(untouched, drives, atol=0.1)
