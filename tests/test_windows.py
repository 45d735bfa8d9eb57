"""Windows of a movie against stacks of frames that are made by hand."""

import numpy as np
import pytest
import torch

from whatwhere import windows
from whatwhere.errors import UserError
from whatwhere.windows import Windows, as_images, as_tensor

LAGS = 4
LAST = np.array([3, 4, 9, 7, 15, 16])
"""Newest frames out of order, of two clips with a gap between them."""
BASIS = torch.tensor([[1.0, 0.5, 0.0, 0.0], [0.0, 0.2, 0.7, 1.0]])


@pytest.fixture
def frames(rng):
    return rng.standard_normal((20, 2, 3, 5)).astype(np.float32)


@pytest.fixture
def movie(frames):
    return Windows.of(frames, LAST, LAGS)


def stacked(frames, last=LAST, lags=LAGS):
    """Windows frame by frame: channels of the newest frame first."""
    return np.stack([np.concatenate([frames[newest - lag] for lag in range(lags)]) for newest in last])


def test_a_window_is_a_stack_of_frames_newest_first(frames, movie):
    expected = stacked(frames)
    np.testing.assert_array_equal(np.asarray(movie), expected)
    np.testing.assert_array_equal(np.asarray(movie)[2, 2 * 3 + 1], frames[9 - 3, 1])
    assert movie.shape == expected.shape == (6, 8, 3, 5)
    assert len(movie) == 6
    assert (movie.n_times, movie.dtype) == (4, torch.float32)
    assert np.asarray(movie, np.float64).dtype == np.float64


def test_slices_and_arrays_select_and_tensors_gather(frames, movie):
    expected = stacked(frames)
    for key in (slice(1, 4), slice(None, None, 2), np.array([5, 0, 0]), np.arange(6) % 2 == 0, [1, 2]):
        assert isinstance(movie[key], Windows)
        np.testing.assert_array_equal(np.asarray(movie[key]), expected[key])
        assert movie[key].frames is movie.frames
    gathered = movie[torch.tensor([4, 1])]
    assert isinstance(gathered, torch.Tensor)
    np.testing.assert_array_equal(gathered, expected[[4, 1]])
    parts = list(movie.split(4))
    assert [len(one) for one in parts] == [4, 2]
    np.testing.assert_array_equal(torch.cat(parts), expected)
    assert np.asarray(movie[:0]).shape == (0, 8, 3, 5)
    assert as_tensor(movie) is as_images(movie) is movie


def test_a_basis_takes_the_place_of_lags(frames):
    movie = Windows(torch.from_numpy(frames), torch.from_numpy(LAST), LAGS, BASIS)
    by_lag = stacked(frames).reshape(6, LAGS, 2, 3, 5)
    expected = np.einsum("kl,ilcyx->ikcyx", BASIS, by_lag).reshape(6, 4, 3, 5)
    assert movie.shape == expected.shape
    np.testing.assert_allclose(np.asarray(movie), expected, rtol=1e-5, atol=1e-6)
    for other in (movie[:], movie.crop(slice(None), slice(None)), movie.compact(), movie.to(movie.device)):
        np.testing.assert_array_equal(np.asarray(other), np.asarray(movie))


def test_crop_compact_and_joined_keep_the_pixels(frames, movie, rng):
    expected = stacked(frames)
    cropped = movie.crop(slice(1, 3), slice(0, 2))
    np.testing.assert_array_equal(np.asarray(cropped), expected[:, :, 1:3, :2])
    compact = movie.compact()
    used = sorted({newest - lag for newest in LAST for lag in range(LAGS)})
    assert len(compact.frames) == len(used) < len(frames)
    np.testing.assert_array_equal(compact.frames, frames[used])
    np.testing.assert_array_equal(np.asarray(compact), expected)
    others = rng.standard_normal((6, 2, 3, 5)).astype(np.float32)
    both = movie.joined(Windows.of(others, np.array([5, 3]), LAGS))
    together = np.concatenate([expected, stacked(others, [5, 3])])
    np.testing.assert_array_equal(np.asarray(both), together)


def test_scales_are_those_of_pixels_or_of_the_group_of_a_window(rng):
    frames = rng.integers(0, 256, (20, 2, 3, 5)).astype(np.uint8)
    movie = Windows.of(frames, LAST, LAGS)
    scale, offset = rng.uniform(0.5, 2, (2, 2, 2, 3, 5)).astype(np.float32)
    expected = stacked(frames.astype(np.float32)).reshape(6, LAGS, 2, 3, 5)
    found = np.asarray(movie.scaled(scale[0], offset[0]))
    assert found.dtype == np.float32
    alike = (expected * scale[0] + offset[0]).reshape(found.shape)
    np.testing.assert_allclose(found, alike, rtol=1e-5)
    groups = (LAST > 10).astype(int)
    by_group = (expected * scale[groups][:, None] + offset[groups][:, None]).reshape(found.shape)
    for given in (groups, torch.from_numpy(groups)):
        np.testing.assert_allclose(np.asarray(movie.scaled(scale, offset, given)), by_group, rtol=1e-5)
    np.testing.assert_array_equal(movie.frames, frames)


def test_statistics_count_every_used_frame_once(frames, movie, monkeypatch):
    monkeypatch.setattr(windows, "_CHUNK", 3)
    used = sorted({newest - lag for newest in LAST for lag in range(LAGS)})
    mean, sd = movie.pixel_statistics()
    np.testing.assert_allclose(mean, frames[used].astype(np.float64).mean(0))
    np.testing.assert_allclose(sd, frames[used].astype(np.float64).std(0))


@pytest.mark.parametrize("basis", [None, BASIS])
@pytest.mark.parametrize("products", [1 << 26, 1])
def test_products_with_filters_are_those_of_gathered_windows(frames, rng, monkeypatch, basis, products):
    """With one block of neurons, and one neuron at a time; some filters are zero outside of a part."""
    monkeypatch.setattr(windows, "_PRODUCTS", products)
    movie = Windows(torch.from_numpy(frames), torch.from_numpy(LAST), LAGS, basis)
    filters = torch.from_numpy(rng.standard_normal((3, *movie.shape[1:])).astype(np.float32))
    for part in (filters, filters * (torch.arange(5) < 2), torch.zeros_like(filters)):
        expected = torch.from_numpy(np.asarray(movie)).flatten(1) @ part.flatten(1).T
        np.testing.assert_allclose(movie.project(part), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("chunk", [2, 7, 1024])
def test_maps_of_frames_and_of_several_frames_take_their_place(frames, movie, monkeypatch, chunk):
    monkeypatch.setattr(windows, "_CHUNK", chunk)
    doubled = movie.map_frames(lambda some: 2 * some[:, :1])
    np.testing.assert_array_equal(np.asarray(doubled), 2 * stacked(frames[:, :1]))
    # Differences from the frame two before.
    moved = movie.map_frames(lambda some: some[2:] - some[:-2], reach=3)
    assert moved.lags == LAGS - 2
    differences = np.concatenate([np.zeros_like(frames[:2]), frames[2:] - frames[:-2]])
    np.testing.assert_array_equal(np.asarray(moved), stacked(differences, lags=2))


def test_more_windows_than_fit_into_memory_are_refused_in_one_line():
    movie = Windows.of(np.zeros((40, 1, 100, 200), np.uint8), np.full(20_000, 30), 20)
    message = "20000 windows of 20 frames take 8 GB: use fewer lags, smaller frames"
    with pytest.raises(UserError, match=message) as error:
        np.asarray(movie)
    assert "\n" not in str(error.value)
