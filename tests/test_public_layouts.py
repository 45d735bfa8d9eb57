"""Files made in the layouts of public recordings; config/README.md lists the kind for each."""

import h5py
import numpy as np
import pytest
from planted import answers, folder_of_pictures, pictures, survives
from recording_files import IMAGE, SPLIT, refuse, write_zip
from scipy.io import savemat

from whatwhere.recordings import cowley2023, load


def arrays(folder, **keys):
    files = {
        key: f"{folder}/{value}" if ":" in value or "." in value else value for key, value in keys.items()
    }
    return {"kind": "arrays", "image": IMAGE, "split": SPLIT, **files}


def save_new_matlab(path, content):
    """MATLAB 7.3: HDF5 with axes reversed, structures as groups."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in content.items():
            dataset = file.create_dataset(name, data=np.asarray(values).T)
            dataset.attrs["MATLAB_class"] = np.bytes_("double")


@pytest.mark.parametrize("version", [5, 7.3])
def test_stringer_matlab_files_with_a_blank_after_the_last_picture(tmp_path, version):
    numbers = np.random.default_rng(3).permutation([*np.repeat(np.arange(40), 2), *[-1] * 9])
    istim = np.where(numbers == -1, 41, numbers + 1).astype(float)[:, None]
    values = np.where((numbers == -1)[:, None], 5, answers(pictures())[numbers])
    imgs = pictures().transpose(1, 2, 0)
    if version == 5:
        savemat(tmp_path / "images.mat", {"imgs": imgs})
        stim = {"resp": values, "istim": istim, "spont": np.ones((3, 5))}
        savemat(tmp_path / "session.mat", {"stim": stim, "med": np.ones((5, 3))})
    else:
        save_new_matlab(tmp_path / "images.mat", {"imgs": imgs})
        save_new_matlab(tmp_path / "session.mat", {"stim/resp": values, "stim/istim": istim})
    definition = arrays(
        tmp_path,
        images="images.mat:imgs",
        responses="session.mat:stim.resp",
        image_of_presentation="session.mat:stim.istim",
    ) | {"layout": ["y", "x", "image"], "index_base": 1}
    refuse(definition, tmp_path, "numbers from 1 to 41 for 40 images do not count from 1")
    definition["blanks"] = [41]
    dataset = survives(definition, tmp_path)
    assert dataset["responses"].shape == (2, 40, 5)
    assert "9 presentations of blanks are left out" in dataset.attrs["reading"]
    refuse(definition | {"responses": f"{tmp_path}/session.mat:stim.respp"}, tmp_path, "arrays in it: ")


def test_the_npz_of_its_successor_with_test_images_in_arrays_of_their_own(tmp_path):
    images = pictures(60)
    rng = np.random.default_rng(2)
    train, test = rng.permutation(np.repeat(np.arange(40), 2)), np.arange(45, 55)
    repeats = answers(images, repeats=4)[:, test]
    savemat(tmp_path / "nat.mat", {"img": images.transpose(1, 2, 0)})
    np.savez(
        tmp_path / "mouse.npz",
        sp=answers(images)[train].T,
        istim_sp=train,
        ss_all=repeats.transpose(1, 0, 2),
        istim_ss=test,
    )
    definition = arrays(
        tmp_path,
        images="nat.mat:img",
        responses="mouse.npz:sp",
        image_of_presentation="mouse.npz:istim_sp",
    )
    definition |= {
        "layout": ["y", "x", "image"],
        "responses_layout": ["neuron", "presentation"],
        "index_base": 0,
        "test_set": {
            "responses": f"{tmp_path}/mouse.npz:ss_all",
            "responses_layout": ["image", "repeat", "neuron"],
            "image_of_presentation": f"{tmp_path}/mouse.npz:istim_ss",
            "index_base": 0,
        },
    }
    dataset = survives(definition, tmp_path)
    assert dataset["responses"].shape == (4, 50, 5)
    assert (dataset["split"].values == 2).sum(1).tolist() == [10, 10]
    assert (dataset["split"].values[:, 40:] == 2).all()


def test_test_images_may_be_arrays_of_their_own(tmp_path):
    images = pictures(50)
    np.savez(
        tmp_path / "a.npz",
        train_images=images[:40],
        train=answers(images)[:40],
        test_images=images[40:],
        test=answers(images, repeats=3)[:, 40:],
    )
    definition = arrays(tmp_path, images="a.npz:train_images", responses="a.npz:train")
    definition["test_set"] = {
        "images": f"{tmp_path}/a.npz:test_images",
        "layout": ["image", "y", "x"],
        "responses": f"{tmp_path}/a.npz:test",
        "responses_layout": ["repeat", "image", "neuron"],
    }
    assert (survives(definition, tmp_path)["split"].values[:, 40:] == 2).all()


def test_cadena_macaque_v1_whose_neurons_did_not_see_every_image(tmp_path):
    """Four repeats at most, numbers as columns, and NaN where a neuron saw an image less often or never."""
    responses = answers(pictures(), repeats=4)
    seen = np.random.default_rng(9).integers(0, 5, (40, 5))
    seen[:, 0] = np.maximum(seen[:, 0], 1)
    responses[np.arange(4)[:, None, None] >= seen] = np.nan
    kinds = np.array(["original", "conv1"] * 20)[:, None]
    numbers = np.arange(40)[:, None] // 2
    np.savez(tmp_path / "cadena.npz", i=pictures(), r=responses, image_numbers=numbers, image_types=kinds)
    definition = arrays(
        tmp_path, images="cadena.npz:i", responses="cadena.npz:r", groups_from="cadena.npz:image_numbers"
    ) | {"responses_layout": ["repeat", "image", "neuron"]}
    dataset = load("mine", definition, tmp_path, None)
    np.testing.assert_array_equal((~np.isnan(dataset["responses"].values)).sum(0), seen)
    split = dataset["split"].values.reshape(2, 20, 2)
    assert (split == split[:, :, :1]).all()
    np.testing.assert_array_equal(dataset["responses"].values, responses.astype(np.float32))


def session(folder, ids="frame_image_id.npy", tiers=("train", "validation", "test"), images=None):
    """A session of 60 trials of 40 images; the first ten test, the next ten validate."""
    images = pictures() if images is None else images
    grey = images if images.ndim == 3 else images.mean(1)
    for part in ("data/images", "data/responses", "data/behavior", "meta/trials"):
        (folder / part).mkdir(parents=True)
    shown = np.concatenate([np.arange(40), np.arange(20)])
    values = answers(grey)[shown]
    for trial, index in enumerate(shown):
        np.save(
            folder / f"data/images/{trial}.npy", images[index][None] if images.ndim == 3 else images[index]
        )
        np.save(folder / f"data/responses/{trial}.npy", values[trial])
        np.save(folder / f"data/behavior/{trial}.npy", [trial, 2.0 * trial])
    tier = np.array([tiers[2]] * 10 + [tiers[1]] * 10 + [tiers[0]] * 20)[shown]
    np.save(folder / "meta/trials/tiers.npy", tier)
    np.save(folder / f"meta/trials/{ids}", shown)
    return {"kind": "sensorium", "path": str(folder), "image": IMAGE}


@pytest.mark.parametrize("ids", ["frame_image_id.npy", "colorframeprojector_image_id.npy", "image_id.npy"])
def test_sensorium_sessions_and_their_behavior(tmp_path, ids):
    definition = session(tmp_path / "s", ids)
    dataset = survives(definition, tmp_path)
    assert "not read: data/behavior" in dataset.attrs["reading"]
    dataset = survives(definition | {"covariates": ["behavior"]}, tmp_path)
    assert dataset["covariate_name"].values.tolist() == ["behavior 0", "behavior 1"]
    assert dataset["covariates"].values[:, 3].tolist() == [[3, 6], [43, 86]]
    refuse(definition | {"covariates": ["pupil"]}, tmp_path, "data/pupil/: trial 0 is missing")


def test_sensorium_sessions_in_green_and_ultraviolet(tmp_path):
    images = np.stack([pictures(), pictures()[::-1]], 1)
    definition = session(tmp_path / "s", images=images)
    refuse(definition, tmp_path, "2 channels, not 1 (grey) or 3 (color): set image.color to stored")
    definition["image"] = IMAGE | {"color": "stored"}
    assert survives(definition, tmp_path).sizes["channel"] == 2


def test_tiers_of_other_names_and_without_validation(tmp_path):
    definition = session(tmp_path / "s", tiers=("train", "train", "final_test"))
    definition["tiers"] = {"test": ["final_test"]}
    refuse(definition, tmp_path, "datasets.mine: no image validates: add 'split'")
    split = survives(definition | {"split": SPLIT}, tmp_path)["split"].values
    assert (split[:, :10] == 2).all()
    assert (split[:, 10:] == 1).sum(1).tolist() == [5, 5]


def test_a_session_of_videos_is_called_one(tmp_path):
    definition = session(tmp_path / "s")
    (tmp_path / "s/data/images").rename(tmp_path / "s/data/videos")
    (tmp_path / "s/meta/trials/frame_image_id.npy").unlink()
    refuse(definition, tmp_path, "is a session of videos")


def test_a_lurz_session_is_one_of_sensorium(tmp_path):
    dataset = survives(session(tmp_path / "s") | {"kind": "lurz2020"}, tmp_path)
    assert dataset.attrs["citation"].startswith("Lurz")


def test_other_sessions_of_cowley_by_words(tmp_path):
    names = [f"image{number:04d}.png" for number in range(1, 41)]
    folder_of_pictures(tmp_path, names)
    members = {name: (tmp_path / "pictures" / name).read_bytes() for name in reversed(names)}
    write_zip(tmp_path / "images_190923.zip", members)
    np.save(tmp_path / "responses_190923.npy", answers(pictures()).T)
    definition = {
        "kind": "images",
        "images": str(tmp_path / "images_190923.zip"),
        "responses": str(tmp_path / "responses_190923.npy"),
        "responses_layout": ["neuron", "image"],
        "file_order": "natural",
        "repeat_averages": True,
        "image": IMAGE,
        "split": SPLIT,
    }
    survives(definition, tmp_path)
    np.save(tmp_path / "responses_190923.npy", answers(pictures(), repeats=3).transpose(2, 1, 0))
    definition |= {"responses_layout": ["neuron", "image", "repeat"], "repeat_averages": False}
    assert survives(definition, tmp_path)["responses"].shape == (3, 40, 5)


@pytest.mark.slow
@pytest.mark.parametrize("session", cowley2023.SESSIONS)
def test_all_published_sessions_of_cowley_at_hand_are_read(cowley_folder, tmp_path, session):
    recording = cowley2023.load({"session": session}, tmp_path, str(cowley_folder))
    assert recording.images.shape == (recording.responses.shape[1], 3, 112, 112)
