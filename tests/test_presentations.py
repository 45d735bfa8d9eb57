"""Responses by presentation: numbers of images, blanks, repeats and memory."""

import os

import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import answers, arrays, pictures, survives
from recording_files import refuse, write_sensorium

from load_recording import main
from whatwhere.dataset import check, open_dataset
from whatwhere.recordings import load, stamp
from whatwhere.recordings.presentations import BLANK, by_image

SHOWN = np.random.default_rng(2).permutation(np.repeat(np.arange(40), 2))


def by_presentation(folder, numbers, shown=SHOWN, **keys):
    np.save(folder / "index.npy", numbers)
    values = np.where((shown == BLANK)[:, None], 50, answers(pictures())[shown])
    definition = arrays(folder, responses=values)
    definition |= {"image_of_presentation": str(folder / "index.npy"), "index_base": 0, **keys}
    return {key: value for key, value in definition.items() if value is not None}


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("blank", [None, -1, 99, np.nan])
def test_numbers_and_blanks_of_both_bases_are_read_as_stated(tmp_path, first, blank):
    numbers, shown = (SHOWN + first).astype(float), SHOWN
    if blank is not None:
        numbers, shown = np.insert(numbers, [3, 60], blank), np.insert(SHOWN, [3, 60], BLANK)
    definition = by_presentation(tmp_path, numbers, shown, index_base=first)
    if blank == 99:
        refuse(definition, tmp_path, f"do not count from {first}")
        definition["blanks"] = [99]
    dataset = survives(definition, tmp_path)
    assert dataset["responses"].shape == (2, 40, 5)
    assert f"numbered from {first}" in dataset.attrs["reading"]
    assert ("2 presentations of blanks" in dataset.attrs["reading"]) == (blank is not None)


@pytest.mark.parametrize(
    ("numbers", "keys", "expected"),
    [
        (SHOWN, {"index_base": None}, "set datasets.mine.index_base to 0"),
        (SHOWN + 1, {"index_base": None}, "set datasets.mine.index_base to 1"),
        (SHOWN + 1, {}, "numbers from 1 to 40 for 40 images do not count from 0"),
        (SHOWN, {"index_base": 1}, "numbers from 0 to 39 for 40 images do not count from 1"),
        (np.where(SHOWN == 0, 40, SHOWN), {"layout": ["image", "y", "x"]}, "do not count from 0"),
        (SHOWN, {"blanks": [7]}, "7 is listed under blanks but is the number of an image"),
        (SHOWN + 7, {"layout": ["image", "y", "x"]}, "do not count from 0"),
        (SHOWN + 0.5, {"layout": ["image", "y", "x"]}, "is no number of an image"),
        (SHOWN[:-1], {}, "but there are 79 presentations"),
        (SHOWN[None].repeat(2, 0), {}, "one number of an image per presentation"),
    ],
)
def test_what_cannot_be_numbers_of_images_is_refused(tmp_path, numbers, keys, expected):
    refuse(by_presentation(tmp_path, numbers, **keys), tmp_path, expected)


def test_some_of_the_images_do_not_tell_the_axes(tmp_path):
    some = SHOWN[(SHOWN > 0) & (SHOWN < 30)]
    definition = by_presentation(tmp_path, some, some)
    refuse(definition, tmp_path, "set datasets.mine.layout to [image, y, x]")
    dataset = survives(definition | {"layout": ["image", "y", "x"]}, tmp_path)
    assert dataset.sizes["image"] == 29
    assert "11 images were never shown and are left out" in dataset.attrs["reading"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(-1, 5), min_size=8, max_size=40), st.integers(0, 9))
def test_any_part_of_the_dense_array_is_that_of_the_whole(shown, seed):
    shown = np.array([*range(6), *shown])
    values = np.random.default_rng(seed).random((len(shown), 3)).astype(np.float32)
    lazy = by_image(shown, values).dense()
    whole = np.asarray(lazy)
    variable = xr.Variable(("repeat", "image", "neuron"), lazy)
    for key in (
        (0,),
        (slice(None), slice(1, 5, 2)),
        (slice(None), 3, 1),
        (slice(0, 1), slice(4, 0, -1), slice(2)),
    ):
        np.testing.assert_array_equal(variable[key].values, whole[key])
    images = np.array([4, 0, 2])
    np.testing.assert_array_equal(variable.isel(image=images).values, whole[:, images])
    for image in range(6):
        rows = values[shown == image]
        np.testing.assert_array_equal(whole[: len(rows), image], rows)
        assert np.isnan(whole[len(rows) :, image]).all()


@pytest.mark.slow
def test_a_file_stores_what_was_shown_and_no_more(tmp_path):
    """One image shown 500 times, 199 shown once, with 400 neurons: 699 rows, not 100 000."""
    shown = np.concatenate([np.zeros(500, int), np.arange(1, 200)])
    np.save(tmp_path / "images.npy", pictures(200))
    np.save(tmp_path / "r.npy", np.random.default_rng(0).random((699, 400), np.float32))
    np.save(tmp_path / "i.npy", shown)
    definition = arrays(tmp_path) | {
        "images": str(tmp_path / "images.npy"),
        "responses": str(tmp_path / "r.npy"),
        "image_of_presentation": str(tmp_path / "i.npy"),
        "index_base": 0,
    }
    np.save(tmp_path / "images.npy", pictures(200))
    output = tmp_path / "out" / "d.nc"
    main("mine", definition, tmp_path, None, str(output))
    rows = 699 * 400 * 4
    # A chunk holds 40 images: the image shown often takes their room in every repeat.
    assert output.stat().st_size < 40 * 500 * 400 * 4 + 2 * rows
    with open_dataset(output) as dataset, netCDF4.Dataset(output) as stored:
        check(dataset, "d.nc")
        expected = load("mine", definition, tmp_path, None)["responses"].values
        np.testing.assert_array_equal(dataset["responses"].values, expected)
        assert stored["responses"].chunking()[0] == 1


def test_words_among_numbers_are_blanks_if_listed(tmp_path):
    numbers = np.insert((SHOWN + 1).astype(str).astype("U9"), [3, 60], ["omitted", "grey"])
    shown = np.insert(SHOWN, [3, 60], BLANK)
    definition = by_presentation(tmp_path, numbers, shown, index_base=1, blanks=["grey"])
    refuse(definition, tmp_path, "'omitted' in row 4 is not a number: write NA if it is missing, or list it")
    dataset = survives(definition | {"blanks": ["grey", "omitted"]}, tmp_path)
    assert "2 presentations of blanks are left out" in dataset.attrs["reading"]


def test_covariates_follow_their_presentations(tmp_path):
    np.save(tmp_path / "speed.npy", SHOWN * 0.5)
    definition = by_presentation(tmp_path, SHOWN, covariates={"speed": str(tmp_path / "speed.npy")})
    dataset = survives(definition, tmp_path)
    np.testing.assert_allclose(dataset["covariates"].values[1, :, 0], np.arange(40) * 0.5)


def test_a_split_may_be_given_per_presentation(tmp_path):
    np.save(tmp_path / "s.npy", np.where(SHOWN < 9, "test", ""))
    definition = by_presentation(tmp_path, SHOWN, splits_from=str(tmp_path / "s.npy"))
    assert (survives(definition, tmp_path)["split"].values[:, :9] == 2).all()
    np.save(tmp_path / "s.npy", np.where(np.arange(80) < 9, "test", ""))
    refuse(definition, tmp_path, "show one image but are")


@pytest.mark.parametrize(
    "name",
    [
        "data/responses/7.npy",
        "data/images/7.npy",
        "meta/trials/frame_image_id.npy",
        "meta/neurons/unit_ids.npy",
    ],
)
def test_every_file_of_a_session_rewritten_in_place_changes_its_stamp(tmp_path, name):
    definition = write_sensorium(tmp_path)
    before = stamp(definition)
    assert stamp(definition) == before
    path = tmp_path / "session" / name
    folder = path.parent.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    os.utime(path.parent, ns=(folder.st_atime_ns, folder.st_mtime_ns))
    assert stamp(definition) != before
