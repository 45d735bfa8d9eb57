"""Files of users: arrays, image folders and the Sensorium layout."""

import io
import shutil

import netCDF4
import numpy as np
import pytest
from PIL import Image
from recording_files import (
    IMAGE,
    N_IMAGES,
    responses,
    stimuli,
    write_arrays,
    write_images,
    write_sensorium,
    zip_folder,
)

from whatwhere.dataset import TEST, TRAIN
from whatwhere.errors import UserError
from whatwhere.recordings import archive, input_files, load, read
from whatwhere.recordings.array_files import read_array
from whatwhere.recordings.pictures import decode_image


def test_arrays_of_every_type_give_the_same_dataset(tmp_path):
    definition = write_arrays(tmp_path)
    renamed = shutil.move(definition["images"], tmp_path / "images é 1.npy")
    definition["images"] = str(renamed)
    images, trials = stimuli(), responses(3, N_IMAGES)
    np.savez(tmp_path / "both.npz", images=images, responses=trials)
    for name, group in (("both.nc", ""), ("both.h5", "session/")):
        with netCDF4.Dataset(tmp_path / name, "w") as content:
            for key, array in (("images", images), ("responses", trials)):
                place = content.createGroup(group) if group else content
                dims = [f"{key}{axis}" for axis in range(array.ndim)]
                for dim, size in zip(dims, array.shape, strict=True):
                    place.createDimension(dim, size)
                place.createVariable(key, array.dtype, dims)[:] = array
    definition["layout"] = ["image", "y", "x"]
    reference = load("mine", definition, tmp_path, None)
    assert input_files(definition) == [definition["images"], definition["responses"]]
    np.testing.assert_array_equal(reference["images"].values[:, 0], images)
    for name, prefix in (("both.npz", ""), ("both.nc", ""), ("both.h5", "session/")):
        files = {key: f"{tmp_path / name}:{prefix}{key}" for key in ("images", "responses")}
        assert load("mine", definition | files, tmp_path, None).equals(reference)
        assert input_files(definition | files) == [str(tmp_path / name)] * 2


def test_channels_last_become_channels_first(tmp_path):
    definition = write_arrays(tmp_path)
    colour = np.stack([stimuli(), stimuli() // 2, stimuli() // 3], -1)
    np.save(tmp_path / "images.npy", colour)
    np.save(tmp_path / "responses.npy", responses(N_IMAGES))
    definition.pop("responses_layout")
    definition |= {"layout": ["image", "y", "x", "channel"], "image": IMAGE | {"color": "rgb"}}
    dataset = load("mine", definition, tmp_path, None)
    np.testing.assert_array_equal(dataset["images"].values, np.moveaxis(colour, -1, 1))
    assert dataset["responses"].shape == (1, N_IMAGES, 4)


@pytest.mark.parametrize("as_numbers", [True, False])
def test_a_file_may_give_the_splits(tmp_path, as_numbers):
    labels = np.array(["test"] * 10 + ["train"] * 5 + [""] * 25)
    codes = np.array([2] * 10 + [0] * 5 + [-1] * 25)
    np.save(tmp_path / "splits.npy", codes if as_numbers else labels)
    definition = write_arrays(tmp_path) | {"splits_from": str(tmp_path / "splits.npy")}
    dataset = load("mine", definition, tmp_path, None)
    for fold in dataset["split"].values:
        assert (fold[:10] == TEST).all()
        assert (fold[10:15] == TRAIN).all()
        assert np.bincount(fold[15:]).tolist() == [21, 4]
    assert dataset.attrs["validation_fraction"] == pytest.approx(4 / 30)
    assert str(tmp_path / "splits.npy") in input_files(definition)


@pytest.mark.parametrize("zipped", [True, False])
def test_images_are_matched_to_rows_by_name(tmp_path, zipped):
    definition = write_images(tmp_path)
    table = tmp_path / "responses.csv"
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([header, *rows[::-1]]))
    if zipped:
        definition["images"] = str(zip_folder(tmp_path / "pictures", tmp_path / "p.zip", "folder/"))
    dataset = load("mine", definition, tmp_path, None)
    np.testing.assert_array_equal(dataset["images"].values[:, 0], stimuli())
    assert dataset["neuron_id"].values.tolist() == ["a", "b", "c", "d"]
    expected = np.full((2, N_IMAGES, 4), np.nan)
    expected[0] = responses(N_IMAGES)
    expected[:, 6] = [[1, 2, 3, 4], expected[0, 6].copy()]
    np.testing.assert_allclose(dataset["responses"], expected, rtol=1e-6)
    assert input_files(definition)[-1] == str(table)
    assert len(input_files(definition)) == (2 if zipped else N_IMAGES + 1)


def test_a_doubled_name_is_refused_only_if_a_row_means_it(tmp_path):
    definition = write_images(tmp_path) | {"neurons": ["left"]}
    more = tmp_path / "pictures" / "more"
    more.mkdir()
    for name in ("1.png", "2.png"):
        shutil.copy(tmp_path / "pictures" / "3.png", more / name)
    table = tmp_path / "responses.csv"
    table.write_text("image,left\n2,1\n3,2\n4,3\n")
    with pytest.raises(UserError, match="two images are named '2'"):
        read("mine", definition, tmp_path, None)
    table.write_text("image,left\n3,1\n4,2\n5,3\n")
    recording = read("mine", definition, tmp_path, None)
    np.testing.assert_array_equal(np.asarray(recording.images)[:, 0], stimuli()[2:5])


@pytest.mark.parametrize("kind", ["nc", "h5"])
def test_the_largest_integer_is_a_value_and_a_declared_fill_value_is_missing(tmp_path, kind):
    path = tmp_path / f"r.{kind}"
    with netCDF4.Dataset(path, "w") as content:
        content.createDimension("n", 3)
        content.createVariable("plain", "u1", ["n"])[:] = [0, 254, 255]
        content.createVariable("filled", "u1", ["n"], fill_value=254)[:] = [0, 254, 255]
    assert read_array(f"{path}:plain").values.tolist() == [0, 254, 255]
    np.testing.assert_array_equal(read_array(f"{path}:filled").values, [0, np.nan, 255])


def test_files_above_the_limit_on_size_are_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(50_000))
    assert read_array(tmp_path / "a.npz").values.size == 50_000
    monkeypatch.setattr(archive, "MAX_SIZE", 10_000)
    with pytest.raises(UserError, match="more than the 0 that are read"):
        read_array(tmp_path / "a.npz")


def test_trials_of_withheld_tiers_are_left_out(tmp_path, caplog):
    definition = write_sensorium(tmp_path)
    whole = load("mine", definition, tmp_path, None)
    path = tmp_path / "session/meta/trials/tiers.npy"
    tiers = np.load(path).astype("U20")
    withheld = np.flatnonzero(tiers == "train")[:5]
    tiers[withheld] = "live_test"
    np.save(path, tiers)
    for trial in withheld:
        (tmp_path / f"session/data/responses/{trial}.npy").unlink()
    dataset = load("mine", definition, tmp_path, None)
    assert "5 trials of the tier live_test are left out" in caplog.text
    left = np.delete(np.arange(N_IMAGES), withheld)
    for name in ("images", "responses", "split"):
        axis = whole[name].dims.index("image")
        np.testing.assert_array_equal(dataset[name], np.take(whole[name].values, left, axis))


def test_images_of_different_sizes_and_colors_become_equal(tmp_path):
    definition = write_images(tmp_path)
    Image.new("RGB", (24, 20), (50, 50, 50)).save(tmp_path / "pictures" / "3.png")
    definition["image"] = IMAGE | {"size": [8, 6]}
    images = load("mine", definition, tmp_path, None)["images"].values
    assert images.shape == (N_IMAGES, 1, 8, 6)
    np.testing.assert_allclose(images[2], 50, rtol=1e-5)
    definition["image"] = IMAGE | {"crop": [0, 0, 9, 9]}
    assert load("mine", definition, tmp_path, None)["images"].shape == (N_IMAGES, 1, 9, 9)


@pytest.mark.parametrize(
    ("mode", "suffix", "dtype", "channels"),
    [
        ("L", "png", "uint8", 1),
        ("RGB", "jpg", "uint8", 3),
        ("RGBA", "png", "uint8", 3),
        ("RGB", "bmp", "uint8", 3),
        ("L", "webp", "uint8", 3),
        ("P", "gif", "uint8", 3),
        ("P", "png", "uint8", 3),
        ("LA", "png", "uint8", 1),
        ("1", "tif", "uint8", 1),
        ("I;16", "tif", "uint16", 1),
        ("F", "tif", "float32", 1),
    ],
)
def test_every_type_of_image_is_decoded_without_loss_of_depth(mode, suffix, dtype, channels):
    stream = io.BytesIO()
    picture = Image.new(mode, (4, 3))
    if mode in ("LA", "RGBA"):
        picture.putalpha(255)
    picture.save(stream, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()))
    pixels = decode_image(stream.getvalue(), f"a.{suffix}")
    assert (pixels.dtype, pixels.shape) == (dtype, (channels, 3, 4))


@pytest.mark.parametrize("form", ["folder", "zip", "zip with a folder"])
def test_trials_of_one_image_become_its_repeats(tmp_path, form):
    definition = write_sensorium(tmp_path)
    if form != "folder":
        prefix = "static20457-5-9-preproc0/" if "with" in form else ""
        definition["path"] = str(zip_folder(tmp_path / "session", tmp_path / "s.zip", prefix))
    dataset = load("mouse", definition, tmp_path, None)
    trials = responses(50).astype(np.float32)
    assert dataset["responses"].shape == (2, N_IMAGES, 4)
    np.testing.assert_array_equal(dataset["responses"][0], trials[:40])
    np.testing.assert_array_equal(dataset["responses"][1, :10], trials[40:])
    assert np.isnan(dataset["responses"][1, 10:]).all()
    np.testing.assert_array_equal(dataset["images"].values[:, 0], stimuli())
    assert dataset["split"].values.tolist() == [[2] * 10 + [1] * 10 + [0] * 20]
    assert dataset.attrs["validation_fraction"] == pytest.approx(1 / 3)
    assert dataset["neuron_id"].values.tolist() == ["7", "8", "9", "10"]
    assert input_files(definition) == [definition["path"]]


def test_the_published_session_of_this_layout_is_cited(tmp_path):
    definition = write_sensorium(tmp_path)
    assert load("mine", definition, tmp_path, None).attrs["citation"] == ""
    named = load("mine", definition | {"kind": "lurz2020"}, tmp_path, None)
    assert named.attrs["citation"].startswith("Lurz et al. 2021")


def test_equal_ids_of_different_classes_are_different_images(tmp_path):
    definition = write_sensorium(tmp_path)
    trials = tmp_path / "session/meta/trials"
    ids = np.load(trials / "frame_image_id.npy")
    np.save(trials / "colorframeprojector_image_id.npy", ids % 20)
    np.save(trials / "colorframeprojector_image_class.npy", np.where(ids % 1000 < 20, "a", "b"))
    assert load("mouse", definition, tmp_path, None)["responses"].shape == (2, N_IMAGES, 4)
