"""Properties of the loaders for any input: splits, repeats, downloads, decoding and the data contract."""

import contextlib
import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from recording_files import IMAGE, served

from whatwhere.dataset import SPLITS, TEST, TRAIN, VALIDATION, check, duplicate_groups
from whatwhere.errors import UserError
from whatwhere.fit_data import load_fit_data
from whatwhere.recordings import load
from whatwhere.recordings.fetch import download, has_checksum
from whatwhere.recordings.pictures import in_numeric_order
from whatwhere.recordings.preprocess import preprocess
from whatwhere.recordings.splits import assign, validation_share

FEW = settings(deadline=None, max_examples=40)
SHARE = st.floats(0.1, 0.4)
CONTENTS = st.lists(st.integers(0, 40), min_size=30, max_size=200)


def shares(validation, test, seed, folds=2):
    return {"validation": validation, "test": test, "folds": folds, "seed": seed}


@FEW
@given(contents=CONTENTS, validation=SHARE, test=SHARE, seed=st.integers(0, 99))
def test_copies_never_straddle_splits_and_shares_are_kept(contents, validation, test, seed):
    groups = np.unique(contents, return_inverse=True)[1]
    folds = assign(groups, None, shares(validation, test, seed), "x")
    largest = np.bincount(groups).max()
    for fold in folds:
        for group in np.unique(groups):
            assert len(np.unique(fold[groups == group])) == 1
        for code, share in ((VALIDATION, validation), (TEST, test)):
            assert abs((fold == code).sum() - share * len(groups)) <= 2 * largest + 1


@pytest.mark.slow
@FEW
@given(
    contents=CONTENTS, labels=st.lists(st.sampled_from([*SPLITS, ""]), min_size=41, max_size=41), share=SHARE
)
def test_what_is_given_stays_and_its_copies_join_it(contents, labels, share):
    groups = np.unique(contents, return_inverse=True)[1]
    # Only the first image of every group is given a split.
    first = np.unique(groups, return_index=True)[1]
    given_split = np.full(len(groups), "", "U10")
    given_split[first] = [labels[group] for group in groups[first]]
    folds = assign(groups, given_split, shares(share, share, 0), "x")
    # Images given to training validate if no others can.
    opened = "train" if not {"", "validation"} & set(given_split[first]) else None
    for fold in folds:
        for group, index in enumerate(first):
            if given_split[index] not in ("", opened):
                assert (fold[groups == group] == SPLITS.index(given_split[index])).all()
        if "test" in given_split:
            assert not (fold[~np.isin(groups, groups[given_split == "test"])] == TEST).any()
    assert 0 <= validation_share(folds, given_split, None) <= 1


@pytest.mark.slow
@FEW
@given(contents=CONTENTS, seed=st.integers(0, 9))
def test_splits_depend_on_the_seed_alone(contents, seed):
    groups = np.unique(contents, return_inverse=True)[1]
    config = shares(0.2, 0.2, seed, folds=3)
    np.testing.assert_array_equal(assign(groups, None, config, "x"), assign(groups, None, config, "y"))
    more = assign(groups, None, config | {"folds": 5}, "x")
    np.testing.assert_array_equal(more[:3], assign(groups, None, config, "x"))


@FEW
@given(st.lists(st.integers(0, 3), min_size=2, max_size=12), st.sampled_from([3, (5, 4)]))
def test_copies_are_still_copies_after_preprocessing(contents, size):
    palette = np.random.default_rng(0).integers(0, 255, (4, 3, 9, 7)).astype(np.uint8)
    images = palette[contents]
    prepared = preprocess(images, IMAGE | {"size": size, "crop": [1, 0, 7, 6]}, "x")
    np.testing.assert_array_equal(duplicate_groups(prepared), duplicate_groups(images))


@FEW
@given(st.integers(1, 30), st.integers(1, 30), st.floats(-1e3, 1e3, width=32))
def test_a_constant_image_stays_constant_at_any_size(y, x, value):
    prepared = preprocess(np.full((1, 1, 9, 7), value), IMAGE | {"size": [y, x]}, "x")
    assert prepared.shape == (1, 1, y, x)
    np.testing.assert_allclose(prepared, value, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(st.binary(max_size=2000), st.booleans(), st.text("ab é0", min_size=1, max_size=5).map(str.strip))
def test_a_download_returns_the_bytes_that_were_published(content, blob, name):
    name = f"{name}.bin"
    with TemporaryDirectory() as folder:
        path = Path(folder, "served", name)
        path.parent.mkdir()
        path.write_bytes(content)
        header = b"blob %d\0" % len(content)
        checksum = (hashlib.sha1(header + content) if blob else hashlib.sha256(content)).hexdigest()

        def fault(path):
            return None if has_checksum(path.read_bytes(), checksum) else "wrong checksum"

        with served(path.parent) as (url, requested):
            for _ in range(2):
                kept = download(f"{url}/{quote(name)}", Path(folder, "kept", name), fault)
                assert kept.read_bytes() == content
            assert len(requested) == 1
            path.write_bytes(content + b"x")
            other = Path(folder, "other")
            with pytest.raises(UserError, match="wrong checksum"):
                download(f"{url}/{quote(name)}", other / name, fault)
            assert [path.suffix for path in other.iterdir()] == [".lock"]


@contextlib.contextmanager
def may_refuse():
    """Accept a UserError of the block if it is one line."""
    message = ""
    try:
        yield
    except UserError as error:
        message = str(error)
    assert "\n" not in message


@FEW
@given(st.lists(st.text("a0b19.", max_size=6), max_size=10))
def test_any_names_can_be_put_in_order(names):
    ordered = in_numeric_order(names)
    assert sorted(ordered) == sorted(names)
    assert in_numeric_order([f"{n}.png" for n in (10, 9, 100)]) == ["9.png", "10.png", "100.png"]


@settings(deadline=None, max_examples=30)
@given(
    images=hnp.arrays(
        st.sampled_from(["u1", "i2", "f4", "f8", "?"]), st.tuples(st.integers(20, 30), st.just(3), st.just(4))
    ),
    trials=hnp.arrays("f4", (2, 30, 3), elements=st.floats(-5, 5, width=32)),
    missing=st.lists(st.integers(0, 29), max_size=9),
)
def test_a_loaded_dataset_fulfils_the_contract_or_is_refused(images, trials, missing):
    trials[1, missing] = np.nan
    with TemporaryDirectory() as folder:
        np.save(f"{folder}/images.npy", images)
        np.save(f"{folder}/responses.npy", trials[:, : len(images)])
        definition = {
            "kind": "arrays",
            "images": f"{folder}/images.npy",
            "responses": f"{folder}/responses.npy",
            "responses_layout": ["repeat", "image", "neuron"],
            "image": IMAGE,
            "split": shares(0.2, 0.2, 1),
        }
        with may_refuse():
            dataset = load("mine", definition, Path(folder), None)
            check(dataset, "mine")
            stored, recorded = dataset["responses"].values, trials[:, : len(images)]
            # Of neurons that lie below zero by rounding alone that is 0; all else is kept.
            lowest, sd = np.nanmin(recorded, (0, 1)), np.nanstd(recorded, (0, 1), dtype=float)
            rounding = (recorded < 0) & (lowest > -1e-6 * sd)
            np.testing.assert_array_equal(stored, np.where(rounding, 0, recorded))
            assert set(np.unique(dataset["split"])) == {TRAIN, VALIDATION, TEST}
            data = load_fit_data(dataset, None, None, 0)
            assert np.isfinite(data.train_responses).all()
            assert np.isfinite(data.train_images).all()
