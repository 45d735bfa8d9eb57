"""Splits of recordings: repeated images, splits that files give, and what is asked about."""

import re

import numpy as np
import pytest
from planted import arrays, folder_of_pictures, pictures, survives
from recording_files import SPLIT

from whatwhere.api import as_dataset
from whatwhere.dataset import TEST
from whatwhere.description import overview
from whatwhere.errors import UserError
from whatwhere.recordings import input_files, load
from whatwhere.recordings.splits import repeated_images


def with_repeats(folder, repeated, n_images=40, **split):
    """Images of which some were shown three times, responses (repeat, image, neuron) with NaN."""
    trials = np.random.default_rng(3).random((3, n_images, 5))
    trials[1:, ~np.isin(np.arange(n_images), repeated)] = np.nan
    definition = arrays(folder, pictures(n_images), trials, responses_layout=["repeat", "image", "neuron"])
    return definition | {"split": SPLIT | split}


def refuse(definition, folder, expected):
    with pytest.raises(UserError, match=rf"^[^\n]*{re.escape(expected)}[^\n]*$"):
        load("mine", definition, folder, None)


def test_repeated_images_are_the_test_set_in_every_fold_unless_the_configuration_says_otherwise(tmp_path):
    repeated = np.arange(2, 40, 3)
    dataset = load("mine", with_repeats(tmp_path, repeated), tmp_path, None)
    for fold in dataset["split"].values:
        np.testing.assert_array_equal(np.flatnonzero(fold == TEST), repeated)
        assert np.bincount(fold).tolist() == [23, 4, 13], "a share of the other images validates"
    assert dataset.attrs["validation_fraction"] == pytest.approx(4 / 27)
    assert overview(dataset)["Repeated images"] == "13 of 40 images are the test set"
    scattered = load("mine", with_repeats(tmp_path, repeated, test_repeated=False), tmp_path, None)
    once = load("mine", with_repeats(tmp_path, []), tmp_path, None)
    np.testing.assert_array_equal(scattered["split"], once["split"])
    assert overview(scattered)["Repeated images"] == "13 of 40 images: 9 train, 2 validation, 2 test"
    assert "Repeated images" not in overview(once)


def test_arrays_in_memory_are_divided_alike(tmp_path):
    definition = with_repeats(tmp_path, np.arange(12))
    loaded = load("mine", definition, tmp_path, None)
    found = as_dataset(
        np.load(definition["images"]),
        np.load(definition["responses"]),
        None,
        definition["responses_layout"],
        None,
        "per_pixel",
        0,
    )
    np.testing.assert_array_equal(found["split"].values == TEST, loaded["split"].values[:1] == TEST)


@pytest.mark.parametrize(
    ("count", "wanted", "tests"),
    [
        (9, None, False),
        (10, None, True),
        (19, None, True),
        (20, None, False),
        (9, True, True),
        (30, True, True),
    ],
)
def test_few_or_most_images_test_only_if_the_configuration_says_so(count, wanted, tests, caplog):
    shown = np.where(np.arange(40) < count, 7, 1)
    split = repeated_images(shown, wanted, "mine")
    assert split is None if not tests else (split == np.where(shown > 1, "test", "")).all()
    assert ("state split.test_repeated" in caplog.text) == (not tests), "the user is asked"


@pytest.mark.parametrize("count", [0, 40])
def test_repeated_images_that_cannot_be_the_test_set_are_refused(tmp_path, count):
    definition = with_repeats(tmp_path, np.arange(count), test_repeated=True)
    refuse(definition, tmp_path, f"datasets.mine.split.test_repeated: {count} of 40 images were repeated")


def test_a_copy_of_a_repeated_image_tests_too(tmp_path):
    definition = with_repeats(tmp_path, np.arange(10))
    images = pictures()
    images[30] = images[4]
    np.save(tmp_path / "images.npy", images)
    split = load("mine", definition, tmp_path, None)["split"].values
    assert (np.flatnonzero(split[0] == TEST) == [*range(10), 30]).all()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["train"] * 40, "gives no validation and no test image: label some images validation and test"),
        (["train"] * 30 + ["test"] * 10, "gives no validation image: label some images validation, or list"),
        (["train"] * 30 + ["validation"] * 10, "gives no test image: label some images test, or list labels"),
    ],
)
def test_splits_without_test_or_validation_images_are_asked_about(tmp_path, labels, expected):
    np.save(tmp_path / "s.npy", labels)
    definition = arrays(tmp_path, splits_from=str(tmp_path / "s.npy"))
    refuse(definition, tmp_path, f"datasets.mine.splits_from: {expected}")
    refuse(definition, tmp_path, "such as tiers: {assign: [train]}")
    split = survives(definition | {"tiers": {"assign": ["train"]}}, tmp_path)["split"].values
    given = np.array([["train", "validation", "test"].index(label) for label in labels])
    assert {0, 1, 2} == set(split[0])
    assert (split[:, given > 0] == given[given > 0]).all()
    with pytest.raises(UserError, match=r"^split: gives no [^\n]* or leave the labels [^\n]* empty, or -1$"):
        as_dataset(pictures(), np.load(definition["responses"]), None, None, labels, "per_pixel", 0)


def test_given_splits_are_not_overruled_by_repeats(tmp_path):
    (tmp_path / "s.txt").write_text("\n" * 40)
    definition = with_repeats(tmp_path, np.arange(12)) | {"splits_from": str(tmp_path / "s.txt")}
    split = load("mine", definition, tmp_path, None)["split"].values
    assert not (split[:, :12] == TEST).all()
    refuse(definition | {"split": SPLIT | {"test_repeated": True}}, tmp_path, "remove the key")


NAMES = ["test"] * 10 + ["validation"] * 6 + ["train"] * 24


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.txt", "\n".join(NAMES)),
        ("s.csv", "\ufeff" + "\r\n".join(f"{name} " for name in NAMES) + "\r\n"),
        ("s.txt", "\n".join({"test": "2", "validation": "1", "train": "0"}[name] for name in NAMES)),
        ("s.csv:set", "picture,set\n" + "\n".join(f"{i},{name}" for i, name in enumerate(NAMES))),
    ],
    ids=["names", "spaces", "numbers", "column"],
)
@pytest.mark.parametrize("kind", ["arrays", "images"])
def test_splits_may_be_a_text_file(tmp_path, name, content, kind):
    (tmp_path / name.removesuffix(":set")).write_bytes(content.encode())
    definition = arrays(tmp_path, splits_from=str(tmp_path / name))
    if kind == "images":
        names = [f"{number:02d}.png" for number in range(40)]
        definition |= {
            "kind": "images",
            "images": folder_of_pictures(tmp_path, names),
            "file_order": "natural",
        }
    split = survives(definition, tmp_path)["split"].values
    assert split.tolist() == [[["train", "validation", "test"].index(name) for name in NAMES]] * len(split)
    assert str(tmp_path / name.removesuffix(":set")) in input_files(definition)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("s.csv", b"picture,set\n0,test\n", "'picture,set' holds several values, expected a label: write"),
        ("s.csv:tier", b"picture,set\n0,test\n", "has no column 'tier' but picture, set"),
        ("s.txt", b"test\n" * 39, "has 39 values for 40 images"),
        ("s.txt", "test\n".encode("utf-16"), "is no text file in UTF-8"),
    ],
)
def test_a_text_file_that_lists_no_splits_is_refused(tmp_path, name, content, expected):
    (tmp_path / name.partition(":")[0]).write_bytes(content)
    refuse(arrays(tmp_path, splits_from=str(tmp_path / name)), tmp_path, expected)
