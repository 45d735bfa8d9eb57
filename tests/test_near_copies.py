"""Near copies of pictures: never divided by a split, across recordings either, unless the files say so."""

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import factorized, small_training
from planted import arrays
from recording_files import SPLIT

from whatwhere.api import fit
from whatwhere.dataset import TEST, TRAIN, UNUSED, VALIDATION
from whatwhere.description import findings
from whatwhere.errors import UserError
from whatwhere.recordings import load
from whatwhere.recordings.copies import groups_of_copies, seen, small_greys
from whatwhere.recordings.pooled import pool

N_SCENES = 40
MODEL = factorized(training=small_training(max_steps=15))
V4 = Path("../shared/data/cowley2023")


def scenes(n_scenes=N_SCENES, n_views=3, seed=0):
    """Pictures (scene * view, y, x) that differ by contrast, luminance and little noise; and their scenes."""
    rng = np.random.default_rng(seed)
    scene = rng.normal(size=(n_scenes, 1, 16, 16))
    gain = rng.uniform(0.5, 2, (n_scenes, n_views, 1, 1))
    views = gain * scene + rng.normal(size=gain.shape) + 0.1 * rng.normal(size=(n_scenes, n_views, 16, 16))
    return views.reshape(-1, 16, 16), np.repeat(np.arange(n_scenes), n_views)


def loaded(folder, pictures, name="mine", **keys):
    folder.mkdir(exist_ok=True)
    responses = np.random.default_rng(1).random((len(pictures), 4))
    definition = arrays(folder, pictures, responses)
    return load(name, definition | keys, folder, None)


def divided(dataset, scene):
    """Scenes whose pictures are in more than one split, per fold."""
    return [sum(len(set(fold[scene == one])) > 1 for one in set(scene)) for fold in dataset["split"].values]


def test_groups_are_the_scenes():
    pictures, scene = scenes()
    found = groups_of_copies(pictures[:, None], 0.95)
    assert np.array_equal(found[:, None] == found, scene[:, None] == scene)
    assert len(set(groups_of_copies(pictures[:, None], None))) == len(pictures)
    assert len(set(groups_of_copies(pictures[:, None, :7, :7], 0.5))) == len(pictures), "too small to tell"


def test_uniform_pictures_are_copies_of_equal_pictures_alone():
    pictures = np.concatenate([np.full((3, 1, 16, 16), 0.1), np.full((1, 1, 16, 16), 5.0)]).astype(np.float32)
    assert groups_of_copies(pictures, 0.95).tolist() == [0, 0, 0, 1]


def test_seen_pictures_are_found():
    pictures, scene = scenes()
    greys = small_greys(pictures[scene < 10][:, None])
    assert np.array_equal(seen(pictures[:, None], greys, 0.95), scene < 10)


def test_no_scene_is_divided_and_the_shares_hold(tmp_path):
    pictures, scene = scenes()
    order = np.random.default_rng(2).permutation(len(pictures))
    dataset = loaded(tmp_path, pictures[order], split=SPLIT | {"folds": 4})
    assert divided(dataset, scene[order]) == [0] * 4
    for fold in dataset["split"].values:
        assert abs((fold == TEST).sum() - SPLIT["test"] * len(fold)) < 3
    assert dataset.attrs["n_near_copies"] == len(pictures)
    assert any("120 images have near copies" in one for one in findings(dataset))


def test_a_few_near_copies_leave_the_other_images_where_they_were(tmp_path):
    pictures = np.random.default_rng(0).normal(size=(200, 16, 16))
    before = loaded(tmp_path, pictures)["split"].values
    pictures[150] = pictures[3] + 0.01 * pictures[4]
    after = loaded(tmp_path, pictures)["split"].values
    assert (before != after).sum() <= 4


def test_null_keeps_identical_pictures_together_only(tmp_path):
    pictures, scene = scenes()
    dataset = loaded(tmp_path, pictures, split=SPLIT | {"near_copies": None})
    assert divided(dataset, scene)[0] > 5
    assert dataset.attrs["n_near_copies"] == 0


def test_near_copies_that_link_everything_are_refused(tmp_path):
    film = np.cumsum(np.random.default_rng(0).normal(size=(60, 16, 16)), axis=0)
    with pytest.raises(
        UserError, match=r"^datasets.mine.split.near_copies: near copies link \d+ of 60 images.*$"
    ):
        loaded(tmp_path, film, split=SPLIT | {"near_copies": 0.5})


def test_a_given_test_set_stays_and_its_near_copies_are_not_used(tmp_path):
    pictures, _ = scenes()
    given = np.full(len(pictures), "", dtype="<U10")
    given[:30:3] = "test"  # the first view of ten scenes
    np.save(tmp_path / "splits.npy", given)
    dataset = loaded(tmp_path, pictures, splits_from=str(tmp_path / "splits.npy"))
    fold = dataset["split"].values[0]
    assert np.flatnonzero(fold == TEST).tolist() == list(range(0, 30, 3))
    assert np.flatnonzero(fold == UNUSED).tolist() == [i for i in range(30) if i % 3]
    assert dataset.attrs["n_near_copies_divided"] == 0


def test_splits_of_the_files_hold_and_divided_near_copies_are_counted(tmp_path):
    pictures, _ = scenes()
    np.save(tmp_path / "splits.npy", np.tile(["train", "validation", "test"], N_SCENES))
    dataset = loaded(tmp_path, pictures, splits_from=str(tmp_path / "splits.npy"))
    assert dataset["split"].values[0].tolist() == [TRAIN, VALIDATION, TEST] * N_SCENES
    assert any("40 test images have near copies among" in one for one in findings(dataset))


def test_near_copies_share_a_split_across_recordings(tmp_path):
    pictures, _ = scenes()
    first = loaded(tmp_path / "a", pictures[::3], "first")
    second = loaded(tmp_path / "b", np.concatenate([pictures[1::3], scenes(seed=9)[0][::3]]), "second")
    split = pool({"first": first, "second": second}, "both")["split"].values[0]
    assert np.array_equal(split[:N_SCENES], split[N_SCENES : 2 * N_SCENES])


def test_a_pool_does_not_train_on_the_published_test_set_of_a_later_recording(tmp_path):
    pictures, _ = scenes(n_views=1)
    np.save(tmp_path / "splits.npy", np.repeat(["train", "validation", "test"], [20, 10, 10]))
    first = loaded(tmp_path / "a", pictures, "first")
    second = loaded(tmp_path / "b", pictures, "second", splits_from=str(tmp_path / "splits.npy"))
    expected = "of the test set of 'second' train in an earlier recording: name 'second' first"
    with pytest.raises(UserError, match=rf"^datasets.both.recordings: \d+ images {re.escape(expected)}$"):
        pool({"first": first, "second": second}, "both")
    pooled = pool({"second": second, "first": first}, "both")["split"].values[0]
    assert (pooled[30:40] == TEST).all()
    assert (pooled[70:80] == TEST).all()


@pytest.mark.skipif(not V4.exists(), reason="needs ../shared/data")
def test_the_triplets_of_a_real_session_stay_together(tmp_path):
    image = {"color": "grey", "crop": None, "size": [44, 44], "normalize": "per_pixel"}
    split = {"validation": 1 / 6, "test": 1 / 6, "folds": 5, "seed": 1}
    definition = {"kind": "cowley2023", "session": "210305", "image": image, "split": split}
    dataset = load("v4", definition, tmp_path, str(V4))
    assert dataset.attrs["n_near_copies"] == 298
    greys = small_greys(dataset["images"].values)
    for fold in dataset["split"].values:
        assert not (greys[fold == TEST] @ greys[fold != TEST].T > 0.95).any()
        assert 60 <= (fold == TEST).sum() <= 72


def test_a_pool_leaves_out_images_of_the_recording_that_a_core_is_tested_on(tmp_path):
    pictures, _ = scenes()
    others, _ = scenes(seed=9)
    target = loaded(tmp_path / "a", pictures[::3], "target")
    first = loaded(tmp_path / "b", np.concatenate([others[::3], pictures[1:30:3]]), "first")
    second = loaded(tmp_path / "c", others[1::3], "second")
    pooled = pool({"first": first, "second": second, "target": target}, "both", ["target"])
    assert set(pooled["recording"].values) == {"first", "second"}
    assert (pooled["split"].values[0] == UNUSED).nonzero()[0].tolist() == list(range(N_SCENES, N_SCENES + 10))
    cropped = target.isel(x=slice(12))
    with pytest.raises(
        UserError, match=r"^datasets.both.without_images_of: 'target' has no images of the size"
    ):
        pool({"first": first, "second": second, "target": cropped}, "both", ["target"])


@pytest.mark.parametrize("copies", ["the same pictures", "near copies", "other pictures"])
def test_a_core_that_has_seen_test_images_is_refused(copies):
    pictures, _ = scenes(n_views=2)
    responses = np.random.default_rng(1).random((N_SCENES, 4))
    splits = [np.where(np.arange(N_SCENES) % 8 == one, "test", "") for one in (0, 4)]
    core = fit(pictures[::2], responses, model=MODEL, split=splits[0], verbose=False)
    mine = {
        "the same pictures": pictures[::2],
        "near copies": pictures[1::2],
        "other pictures": scenes(n_views=2, seed=9)[0][::2],
    }[copies]
    again = {"model": MODEL, "split": splits[1], "core_from": core, "verbose": False}
    if copies == "other pictures":
        fit(mine, responses, **again)
        return
    with pytest.raises(UserError, match=r"^core_from: .* was fitted to 5 of the 5 test images of arrays.*$"):
        fit(mine, responses, **again)
    # A core that was fitted on top of such a core has seen them, too.
    further = fit(scenes(n_views=2, seed=9)[0][::2], responses, **again)
    with pytest.raises(UserError, match="was fitted to 5 of the 5 test images"):
        fit(mine, responses, **(again | {"core_from": further}))
