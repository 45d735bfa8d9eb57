import functools
import hashlib
import logging
import zipfile

import jsonschema
import numpy as np
import pytest
import yaml
from conftest import REPOSITORY, SHARED
from recording_files import (
    IMAGE,
    N_IMAGES,
    SPLIT,
    WRITERS,
    responses,
    served,
    stimuli,
    write_antolik,
    write_arrays,
    zip_folder,
)

from load_recording import main
from whatwhere.dataset import TEST, TRAIN, check, open_dataset
from whatwhere.errors import UserError
from whatwhere.fit_data import load_fit_data
from whatwhere.metrics import scores
from whatwhere.models.linear import fit_linear, solve_ridge
from whatwhere.recordings import antolik2016, cowley2023, load
from whatwhere.recordings.array_files import split_location
from whatwhere.recordings.pictures import decode_image
from whatwhere.recordings.preprocess import preprocess
from whatwhere.recordings.recording import clip_rounding
from whatwhere.recordings.splits import assign

SMALL = IMAGE | {"size": [12, 12]}


def v4(session, **image):
    return {"kind": "cowley2023", "session": session, "image": SMALL | image, "split": SPLIT}


@functools.cache
def recording(session, folder):
    return cowley2023.load({"session": session}, folder, str(folder))


@pytest.mark.parametrize(
    ("session", "shape", "averages"), [("210325", (10, 640, 50), False), ("201025", (1, 1200, 89), True)]
)
def test_published_sessions_have_their_published_shapes(cowley_folder, session, shape, averages):
    data = recording(session, cowley_folder)
    assert data.responses.shape == shape
    assert data.images.shape == (shape[1], 3, 112, 112)
    assert data.repeat_averages == averages


def test_single_trials_average_to_the_published_means(cowley_folder):
    responses = recording("210325", cowley_folder).responses
    path = cowley_folder / "data_V4_responses" / "responses_repeat_averaged" / "responses_210325.npy"
    np.testing.assert_allclose(np.nanmean(responses, axis=0).T, np.load(path), atol=1e-4)
    repeats = (~np.isnan(responses)).sum(0)
    assert (repeats.min(), repeats.max()) == (6, 10)


def test_images_are_in_numeric_order(cowley_folder):
    path = cowley_folder / "data_V4_responses" / "images" / "images_210325.zip"
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("image0123.jpg"))
        expected = decode_image(archive.read(name), name)
    np.testing.assert_array_equal(recording("210325", cowley_folder).images[122], expected)


@pytest.mark.slow
def test_shuffled_pairs_destroy_the_score(cowley_folder, tmp_path):
    dataset = load("v4", v4("210325"), tmp_path, str(cowley_folder))
    shuffled = dataset.copy(deep=True)
    order = np.random.default_rng(0).permutation(dataset.sizes["image"])
    shuffled["responses"].values[:] = dataset["responses"].values[:, order]

    def score(data):
        fit = load_fit_data(data, None, None, 0)
        (ridge,) = fit_linear(solve_ridge, [3000.0], fit, "image")
        test = data["split"].values[0] == TEST
        images = fit.standardize(data["images"].values[test]).reshape(test.sum(), -1)
        predictions = images @ ridge["filters"].flatten(1).numpy().T + ridge["bias"].numpy()
        return scores(predictions, data["responses"].values[:, test], noise_free=False)["correlation"].mean()

    assert score(dataset) > 0.2
    assert abs(score(shuffled)) < 0.07


@pytest.mark.slow
def test_a_dataset_keeps_trials_folds_and_the_share_that_validates(cowley_folder, tmp_path):
    dataset = load("v4", v4("210325", color="rgb"), tmp_path, str(cowley_folder))
    assert dataset["images"].shape == (640, 3, 12, 12)
    assert dataset.sizes["repeat"] == 10
    assert [np.bincount(fold).tolist() for fold in dataset["split"].values] == [[426, 107, 107]] * 2
    assert abs(dataset.attrs["validation_fraction"] - 0.2) < 1e-12


def test_grey_is_luma_and_resizing_averages():
    images = np.zeros((1, 3, 8, 8), np.uint8)
    images[:, 1] = 100
    grey = preprocess(images, IMAGE, "x")
    np.testing.assert_allclose(grey, 58.7, rtol=1e-6)
    checks = np.indices((16, 16)).sum(0)[None, None] % 2 * 200.0
    small = preprocess(checks, IMAGE | {"size": [4, 4]}, "x")
    np.testing.assert_allclose(small, 100, atol=8)


def test_crop_is_top_left_height_width():
    images = np.arange(30.0).reshape(1, 1, 5, 6)
    cropped = preprocess(images, IMAGE | {"crop": [1, 2, 3, 4]}, "x")
    np.testing.assert_array_equal(cropped[0, 0], images[0, 0, 1:4, 2:6])


@pytest.mark.parametrize("size", [5, [5, 5]])
def test_one_number_is_the_size_of_a_square(size):
    images = stimuli()[:, None]
    assert preprocess(images, IMAGE | {"size": size}, "x").shape == (N_IMAGES, 1, 5, 5)


def test_given_splits_are_kept_and_the_rest_is_divided():
    given = np.array(["test"] * 5 + [""] * 20)
    folds = assign(np.arange(25), given, SPLIT | {"validation": 0.2}, "x")
    assert (folds[:, :5] == TEST).all()
    assert [np.bincount(fold[5:], minlength=3).tolist() for fold in folds] == [[16, 4, 0]] * 2
    assert (folds[0] != folds[1]).any()
    assert (folds[0] == TRAIN).sum() == 16


def test_training_images_that_are_missing_are_named_with_their_source(tmp_path):
    folder = SHARED / "antolik2016"
    if not folder.is_dir() or (folder / "Data/region1/training_inputs.npy").is_file():
        pytest.skip(f"needs {folder} without the training images")
    definition = write_antolik(tmp_path) | {"region": 1, "checksums": True}
    with pytest.raises(UserError) as error:
        load("region1", definition, tmp_path, str(folder))
    message = str(error.value)
    for part in (
        "https://doi.org/10.1371/journal.pcbi.1004927.s001",
        f"{folder}/Data/region1/training_inputs.npy",
    ):
        assert part in message


@pytest.mark.parametrize("region", [1, 2, 3])
def test_published_test_sets_have_the_checksums_and_repeats_of_their_region(region):
    folder = SHARED / "antolik2016" / "Data" / f"region{region}"
    if not folder.is_dir():
        pytest.skip(f"needs the published files in {folder}")
    for name, checksum in antolik2016.REGIONS[region].items():
        path = folder / f"{name}.npy"
        if path.is_file() and len(checksum) == 64:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == checksum
    single = np.load(folder / "raw_validation_set.npy")
    assert single.shape[:2] == ({1: 10, 2: 8, 3: 12}[region], 50)
    np.testing.assert_allclose(single.mean(0), np.load(folder / "validation_set.npy"), atol=1e-6)


@pytest.mark.parametrize("form", ["folder", "zip file", "folder with the zip"])
def test_a_stand_in_for_the_supplement_is_read_from_every_kind_of_mirror(tmp_path, form):
    definition = write_antolik(tmp_path)
    folder, other = tmp_path / "mirror", tmp_path / "other"
    other.mkdir()
    supplement = zip_folder(folder, other / antolik2016.ZIP)
    mirror = {"folder": folder, "zip file": supplement, "folder with the zip": other}[form]
    dataset = load("region2", definition, tmp_path / "downloads", str(mirror))
    data = folder / "Data" / "region2"
    assert dataset["images"].shape == (70, 1, 31, 31)
    np.testing.assert_allclose(
        dataset["images"][60:].values.reshape(10, -1), np.load(data / "validation_inputs.npy"), rtol=1e-6
    )
    np.testing.assert_allclose(dataset["responses"][0, :60], np.load(data / "training_set.npy"), rtol=1e-6)
    np.testing.assert_allclose(
        dataset["responses"][:, 60:], np.load(data / "raw_validation_set.npy"), rtol=1e-6
    )
    assert np.isnan(dataset["responses"][1:, :60]).all()
    assert [np.bincount(fold).tolist() for fold in dataset["split"].values] == [[48, 12, 10]] * 2
    assert (dataset["split"].values[:, 60:] == TEST).all()
    assert dataset.attrs["validation_fraction"] == pytest.approx(0.2)


def test_the_supplement_is_downloaded_once_and_again_when_damaged(tmp_path, monkeypatch):
    definition = write_antolik(tmp_path) | {"checksums": True}
    data = tmp_path / "mirror" / "Data" / "region2"
    blob = {}
    for name in antolik2016.REGIONS[2]:
        content = (data / f"{name}.npy").read_bytes()
        blob[name] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    monkeypatch.setitem(antolik2016.REGIONS, 2, blob)
    (tmp_path / "served").mkdir()
    zip_folder(tmp_path / "mirror", tmp_path / "served" / "s001")
    kept = tmp_path / "downloads" / "antolik2016" / antolik2016.ZIP
    with served(tmp_path / "served") as (url, requested):
        monkeypatch.setattr(antolik2016, "ADDRESS", f"{url}/s001")
        first = load("region2", definition, tmp_path / "downloads", None)
        load("region2", definition, tmp_path / "downloads", None)
        assert len(requested) == 1
        kept.write_bytes(kept.read_bytes()[:1000])
        assert load("region2", definition, tmp_path / "downloads", None).equals(first)
        assert len(requested) == 2


def test_a_file_is_downloaded_once_checked_and_repaired(tmp_path, monkeypatch):
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "é.bin").write_bytes(b"content")
    file = "a b/é.bin", hashlib.sha256(b"content").hexdigest()
    with served(tmp_path) as (url, requested):
        monkeypatch.setattr(cowley2023, "ADDRESS", url)
        path = cowley2023.published(*file, tmp_path / "kept", None)
        assert path.read_bytes() == b"content"
        assert cowley2023.published(*file, tmp_path / "kept", None) == path
        assert len(requested) == 1
        path.write_bytes(b"damaged")
        assert cowley2023.published(*file, tmp_path / "kept", None).read_bytes() == b"content"


def test_a_mirror_folder_is_read_in_place(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    file = "a", hashlib.sha1(b"blob 1\0x").hexdigest()
    assert cowley2023.published(*file, tmp_path / "kept", str(tmp_path)) == tmp_path / "a"
    assert not (tmp_path / "kept").exists()


def test_suspicious_recordings_warn(tmp_path, caplog):
    definition = write_arrays(tmp_path)
    images, trials = stimuli(), responses(3, N_IMAGES)
    images[1] = images[0]
    trials[..., 2] = 0
    trials[0, 0, 1] = -1
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "responses.npy", trials)
    with caplog.at_level(logging.WARNING):
        dataset = load("mine", definition, tmp_path, None)
    assert "1 images repeat earlier ones" in caplog.text
    assert "1 neurons never respond: [2]" in caplog.text
    assert "1 neurons have negative responses" in caplog.text
    assert (dataset["split"][:, 0] == dataset["split"][:, 1]).all()


def test_rounding_noise_below_zero_is_clipped_with_a_warning_and_no_more_than_that(rng, caplog):
    noisy = np.abs(rng.normal(3, 2.8, (2, 50, 3))).astype(np.float32)
    noisy[0, :5, 0] = -5e-8
    noisy[1, 3, 0] = np.nan
    noisy[0, 1, 1], noisy[0, 2, 1] = -5e-8, -0.5
    with caplog.at_level(logging.WARNING):
        clipped = clip_rounding(noisy, "datasets.mine")
    assert "datasets.mine: 1 neurons hold rounding noise below zero, down to -5e-08: set to 0" in caplog.text
    np.testing.assert_array_equal(clipped[..., 1:], noisy[..., 1:])
    np.testing.assert_array_equal(clipped[..., 0], np.maximum(noisy[..., 0], 0))
    assert clipped.dtype == np.float32


def test_one_neuron_is_enough(tmp_path):
    definition = write_arrays(tmp_path)
    del definition["responses_layout"]
    np.save(tmp_path / "responses.npy", responses(N_IMAGES)[:, :1])
    assert load("mine", definition, tmp_path, None).sizes["neuron"] == 1


def test_locations_may_name_an_array():
    assert [str(part) for part in split_location("a:b/c.npz:d")] == ["a:b/c.npz", "d"]
    assert split_location("a:b.npy")[1] is None


@pytest.mark.parametrize("kind", WRITERS)
def test_the_script_writes_what_the_contract_wants_and_the_schema_knows_the_keys(tmp_path, kind):
    definition = WRITERS[kind](tmp_path)
    main("mine", definition, tmp_path / "downloads", str(tmp_path / "mirror"), str(tmp_path / "out" / "d.nc"))
    with open_dataset(tmp_path / "out" / "d.nc") as dataset:
        check(dataset, "d.nc")
        assert dataset.attrs["normalize"] == "per_pixel"
    schema = yaml.safe_load((REPOSITORY / "config/schemas/datasets.schema.yaml").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(definition)
    for key in set(definition) & {"images", "responses", "path", "region", "image", "split"}:
        assert not validator.is_valid({k: v for k, v in definition.items() if k != key})
    assert not validator.is_valid(definition | {"imagess": 1})
    assert not validator.is_valid(definition | {"image": IMAGE | {"size": 0}})
    assert not validator.is_valid(definition | {"image": IMAGE | {"crop": [0, 0, 0, 5]}})
