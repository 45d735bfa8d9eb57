"""White noise is drawn from its seed when a dataset is read, and is the noise that was simulated."""

import numpy as np
import pytest
import xarray as xr
from simulated import simulated

from whatwhere import dataset
from whatwhere.dataset import check, open_dataset, select_images, write_dataset
from whatwhere.errors import UserError
from whatwhere.simulations import white_noise
from whatwhere.simulations.white_noise import WhiteNoise

SEEDS = np.random.SeedSequence(7).spawn(3)
COUNTS = (5, 1, 9)


@pytest.fixture
def noise():
    return WhiteNoise(SEEDS, COUNTS, (1, 2, 3), "images", n_block=2)


@pytest.fixture
def drawn(monkeypatch):
    """Sizes of the blocks that are drawn from now on."""
    sizes = []

    def count(images):
        sizes.append(len(images))
        return 0

    monkeypatch.setattr(white_noise.zlib, "crc32", count)
    return sizes


@pytest.fixture
def stored(tmp_path):
    """File of three repetitions of 100 and 30 images, and the dataset."""
    written = simulated("dog", repetitions=3)
    write_dataset(written, tmp_path / "dog.nc")
    return tmp_path / "dog.nc", written


def test_a_region_is_the_region_of_the_streams_in_order(noise, rng):
    streams = zip(map(np.random.default_rng, SEEDS), COUNTS, strict=True)
    whole = np.concatenate([stream.standard_normal((n, 1, 2, 3), np.float32) for stream, n in streams])
    lazy = xr.Variable(("image", "channel", "y", "x"), noise.lazy())
    for start in rng.integers(0, 14, 10):
        np.testing.assert_array_equal(lazy[start : start + 5], whole[start : start + 5])
    np.testing.assert_array_equal(lazy[::-2, 0, 1], whole[::-2, 0, 1])
    np.testing.assert_array_equal(lazy[[14, 3, 3], ..., 2], whole[[14, 3, 3], ..., 2])
    np.testing.assert_array_equal(lazy, whole)


def test_a_stream_is_drawn_once_in_order_and_only_where_it_is_read(noise, drawn):
    for image in range(15):
        noise.draw((slice(image, image + 1),))
    assert sum(drawn) == 15
    drawn.clear()
    assert len(noise.draw((slice(13, 15),))) == 2
    assert sum(drawn) == 3, "the blocks with images 12 and 13, and 14"


def test_other_repetitions_are_not_drawn(stored, drawn, monkeypatch):
    monkeypatch.setattr(dataset, "_PIECE", 1 << 30)
    with open_dataset(stored[0]) as data:
        drawn_checksums = data["images"].attrs["crc32"]
        assert len(drawn_checksums) == 6
        with pytest.raises(UserError):  # the counted checksum is 0
            select_images(data, np.arange(130, 230))
    assert drawn == [100]


def test_a_file_stores_the_recipe_instead_of_the_images(stored):
    path, written = stored
    with xr.open_dataset(path) as plain, open_dataset(path) as data:
        assert path.stat().st_size < written["images"].nbytes / 4
        assert plain["images"].isnull().all(), "without the recipe, no pixel has a value"
        recipe = plain["images"].attrs
        assert recipe["units"] == "sd of the white noise"
        check(data, "dog.nc")
        np.testing.assert_array_equal(data["images"], written["images"])
        xr.testing.assert_identical(data.drop_vars("images").load(), written.drop_vars("images"))
        # As the comment says, with numpy alone.
        keys = recipe["spawn_keys"].reshape(len(recipe["stream_images"]), -1)
        seeds = [np.random.SeedSequence(recipe["seed"], spawn_key=key) for key in keys]
        images = [
            np.random.default_rng(seed).standard_normal((n, *plain["images"].shape[1:]), dtype=np.float32)
            for seed, n in zip(seeds, recipe["stream_images"], strict=True)
        ]
        np.testing.assert_array_equal(data["images"], np.concatenate(images))


def test_white_noise_that_differs_is_refused_in_one_line(stored):
    path, written = stored
    written["images"].attrs["crc32"][3] += 1
    write_dataset(written, path)
    with open_dataset(path) as data:
        assert len(select_images(data, np.arange(130))) == 130
        with pytest.raises(UserError, match=r"^[^\n]*dog\.nc: images: white noise of [^\n]*rerun[^\n]*$"):
            select_images(data, np.array([240]))


def test_a_recipe_of_other_images_is_refused(stored):
    path, written = stored
    write_dataset(written.isel(image=slice(200)), path)
    with pytest.raises(UserError, match=r"^[^\n]*dog\.nc: images: 200 [^\n]* 390$"):
        open_dataset(path)
