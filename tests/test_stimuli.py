from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from scipy.stats import kurtosis
from sklearn.datasets import load_sample_images

from whatwhere.dataset import TEST, TRAIN, VALIDATION
from whatwhere.errors import UserError
from whatwhere.recordings import load
from whatwhere.simulations.dead_leaves import dead_leaves
from whatwhere.simulations.design import Design
from whatwhere.simulations.stimuli import Crops, Generated, open_stimuli, show
from whatwhere.simulations.v1_cells import gabor

PHOTOGRAPHS = {"source": "photographs", "validation": 0.2, "test": 0.2}


def leaves(n_images, channels=1, size=24, seed=0):
    return np.concatenate(list(dead_leaves(n_images, channels, (size, size), np.random.SeedSequence(seed))))


def fill(stimuli, n_images, split, channels=1, size=16, seed=0):
    images = np.full((n_images, channels, size, size), np.nan, np.float32)
    pixels = stimuli.fill(images, split, np.random.SeedSequence(seed))
    assert np.isfinite(images).all()
    return images, pixels


def numbered(heights, width=20):
    """Crops of pictures in which every pixel has a value of its own."""
    sizes = np.cumsum([0, *(height * width for height in heights)])
    pictures = [
        np.arange(start, stop, dtype=np.float32).reshape(1, -1, width) for start, stop in pairwise(sizes)
    ]
    return Crops("numbers", pictures, np.array([TRAIN, VALIDATION, TEST]))


def amplitude_slope(images):
    """Exponent of the amplitude spectrum of grey images (image, y, x) under a Hann window."""
    size = images.shape[-1]
    window = np.hanning(size)[:, None] * np.hanning(size)
    centered = images - images.mean((1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(centered * window)) ** 2).mean(0)
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, None], frequency)
    inside = (radius > 2.5 / size) & (radius < 0.4)
    return np.polyfit(np.log(radius[inside]), np.log(power[inside]) / 2, 1)[0]


def edge_kurtosis(images):
    """Excess kurtosis of the responses of an oriented filter in the middle of images (image, y, x)."""
    top = (images.shape[-1] - 9) // 2
    middle = images[:, top : top + 9, top : top + 9]
    return np.mean(
        [kurtosis((middle * gabor(9, angle, 5.0, 0.0, 1.0)).sum((1, 2))) for angle in (0, np.pi / 2)]
    )


@pytest.mark.slow
def test_generated_images_have_the_spectrum_and_the_edges_of_photographs():
    generated = leaves(400, size=44)[:, 0]
    # Measured on 1,200 photographs at 56 px: slope -1.35 to -1.53, kurtosis 6.0 to 8.8; of Gaussian noise 0.
    assert -1.8 < amplitude_slope(generated) < -1.2
    assert edge_kurtosis(generated) > 3
    noise = np.random.default_rng(0).standard_normal(generated.shape)
    assert abs(edge_kurtosis(noise)) < 1
    assert abs(amplitude_slope(noise)) < 0.1


@pytest.mark.slow
def test_generated_images_are_standardized_and_stationary():
    generated = leaves(1500, size=16)
    assert abs(generated.mean()) < 0.1
    np.testing.assert_allclose(generated.var(), 1, atol=0.15)
    by_place = generated[:, 0].var(0)
    np.testing.assert_allclose(by_place, by_place.mean(), rtol=0.2)


@pytest.mark.slow
def test_generated_colors_are_correlated_as_in_photographs():
    generated = leaves(400, channels=3)
    correlation = np.corrcoef(generated.transpose(1, 0, 2, 3).reshape(3, -1))
    share = np.linalg.eigvalsh(correlation) / 3
    # Photographs: 0.90 luminance, 0.08 yellow-blue, 0.02 red-green.
    np.testing.assert_allclose(share, [0.015, 0.08, 0.905], atol=0.03)


def test_generated_images_differ_and_more_images_leave_the_first_images_as_they_are():
    images = leaves(70)
    assert len(np.unique(images, axis=0)) == 70
    np.testing.assert_array_equal(images[:40], leaves(40))
    assert not np.array_equal(images[:40], leaves(40, seed=1))


def test_crops_are_pieces_of_pictures_of_their_split():
    crops = numbered([18, 17, 19])
    seen = []
    for split in (TRAIN, VALIDATION, TEST):
        images, pixels = fill(crops, 10, split)
        assert pixels == len(np.unique(images))
        picture = crops.pictures[split][0]
        for image in images[:, 0]:
            y, x = np.argwhere(picture == image[0, 0])[0]
            np.testing.assert_array_equal(image, picture[y : y + 16, x : x + 16])
        seen.append(set(images.ravel().tolist()))
    assert len(set.union(*seen)) == sum(map(len, seen))


def test_no_crop_is_shown_twice_and_all_can_be_shown():
    crops = numbered([18, 17, 19])
    images, pixels = fill(crops, 3 * 5, TRAIN)
    assert len(np.unique(images.reshape(15, -1), axis=0)) == 15
    assert pixels == 18 * 20
    with pytest.raises(UserError, match="15 different train crops of 16 x 16 px, expected 16"):
        fill(crops, 16, TRAIN)
    with pytest.raises(UserError, match="0 different test crops"):
        fill(Crops("numbers", crops.pictures[:1], np.array([TRAIN])), 1, TEST)


def test_pictures_smaller_than_a_crop_are_never_used():
    crops = Crops("numbers", [np.zeros((1, 15, 40)), np.ones((1, 20, 20))], np.array([TRAIN, TRAIN]))
    images, _ = fill(crops, 20, TRAIN)
    assert (images == 1).all()


def test_more_crops_leave_the_first_ones_as_they_are():
    crops = numbered([40, 17, 19])
    np.testing.assert_array_equal(fill(crops, 30, TRAIN)[0][:11], fill(crops, 11, TRAIN)[0])


@pytest.mark.parametrize("color", ["grey", "rgb"])
def test_photographs_are_cut_into_disjoint_regions(color):
    crops = open_stimuli(PHOTOGRAPHS, color, None, "datasets.a")
    assert [picture.shape[1:] for picture in crops.pictures] == 2 * [(427, 384), (427, 128), (427, 128)]
    assert crops.split.tolist() == [TRAIN, VALIDATION, TEST] * 2
    if color == "rgb":
        whole = np.concatenate(crops.pictures[:3], axis=-1)
        np.testing.assert_array_equal(whole, np.moveaxis(load_sample_images().images[0], -1, 0))


def test_splits_of_photographs_have_independent_pixels():
    design = Design("a", 230, 40, 0.2, 30, seed=0)
    shown = show(design, PHOTOGRAPHS, "grey", (31, 31), None, design.streams(4))
    independent = shown.independent_pixels
    assert shown.images.shape == (270, 1, 31, 31)
    assert list(independent) == [f"independent_pixels_{s}" for s in ("train", "validation", "test")]
    assert 0.2 < independent["independent_pixels_train"] / (200 * 31**2) < 0.9


def test_copies_of_an_image_file_share_a_split(rng, tmp_path):
    arrays = [rng.integers(0, 255, (20, 24), np.uint8) for _ in range(12)]
    for index, array in enumerate([*arrays, *arrays]):
        Image.fromarray(array).save(tmp_path / f"image{index}.png")
    definition = {"source": "images", "path": str(tmp_path), "validation": 0.25, "test": 0.25, "seed": 3}
    crops = open_stimuli(definition, "grey", None, "datasets.a")
    np.testing.assert_array_equal(crops.split[:12], crops.split[12:])
    assert np.bincount(crops.split).tolist() == [12, 6, 6]
    np.testing.assert_array_equal(crops.pictures[5][0], arrays[5])


def test_a_folder_without_images_is_refused(tmp_path):
    definition = {"source": "images", "path": str(tmp_path), "validation": 0.2, "test": 0.2, "seed": 0}
    with pytest.raises(UserError, match="holds no PNG, JPEG or TIFF file"):
        open_stimuli(definition, "grey", None, "datasets.a")


def test_images_of_a_recording_keep_their_split_and_grey_images_give_no_color(tiny_dataset, tmp_path):
    tiny_dataset.to_netcdf(tmp_path / "tiny.nc")
    definition = {"source": "recording", "dataset": "tiny"}
    crops = open_stimuli(definition, "rgb", tmp_path / "tiny.nc", "datasets.a")
    np.testing.assert_array_equal(crops.split, tiny_dataset["split"][0])
    np.testing.assert_array_equal(np.stack(crops.pictures), tiny_dataset["images"])
    images, _ = fill(crops, 10, TEST, channels=3, size=9)
    assert images.shape == (10, 3, 9, 9)
    tiny_dataset.isel(channel=[0]).to_netcdf(tmp_path / "grey.nc")
    with pytest.raises(UserError, match="rgb is set but the images are grey"):
        open_stimuli(definition, "rgb", tmp_path / "grey.nc", "datasets.a")


@pytest.mark.slow
def test_photographs_of_a_published_recording_are_stimuli(cowley_folder, tmp_path):
    definition = {
        "kind": "cowley2023",
        "session": "210325",
        "image": {"color": "grey", "crop": None, "size": 56, "normalize": "none"},
        "split": {"validation": 0.2, "test": 0.2, "folds": 1, "seed": 0},
    }
    recording = load("v4", definition, tmp_path, str(cowley_folder))
    recording.to_netcdf(tmp_path / "v4.nc")
    stimuli = open_stimuli({"source": "recording", "dataset": "v4"}, "grey", tmp_path / "v4.nc", "datasets.a")
    images, pixels = fill(stimuli, 300, TRAIN, size=44)
    assert 0 < pixels <= 384 * 56**2
    assert images.std() > 20


def test_generated_stimuli_are_new_pixels():
    assert fill(Generated(), 33, TRAIN)[1] == 33 * 16**2
