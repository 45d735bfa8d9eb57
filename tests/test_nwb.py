"""NWB files as pynwb writes them, one of them in the layout of Allen natural scenes."""

import warnings
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest
from planted import answers, pictures, survives
from recording_files import IMAGE, SPLIT, refuse

from whatwhere.recordings import load

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from pynwb.base import ImageReferences, Images
    from pynwb.epoch import TimeIntervals
    from pynwb.image import GrayscaleImage, ImageSeries, IndexSeries
    from pynwb.ophys import DfOverF, ImageSegmentation, OpticalChannel, RoiResponseSeries

pytestmark = pytest.mark.filterwarnings("ignore")  # of pynwb about our short descriptions

GAP = 0.5
"""Seconds from onset to onset."""


def new_file():
    return NWBFile("planted", "one", datetime(2020, 1, 1, tzinfo=UTC))


def write(file, path):
    with NWBHDF5IO(str(path), "w") as stream:
        stream.write(file)
    return {
        "kind": "nwb",
        "path": str(path),
        "window": [50, 250],
        "image": IMAGE,
        "split": SPLIT,
    }


def presentations(n_images, n_repeats, n_blanks=0):
    """Shuffled numbers of images, -1 for blanks, and their onsets."""
    numbers = np.concatenate([np.repeat(np.arange(n_images), n_repeats), np.full(n_blanks, -1)])
    return np.random.default_rng(3).permutation(numbers), 10 + GAP * np.arange(len(numbers))


def responses_to(numbers, images):
    """Responses (presentation, neuron); blanks get a constant."""
    values = answers(images)[numbers] / 3
    values[numbers == -1] = 50
    return values


def add_units(file, numbers, onsets, images):
    """Spikes in the window after the onset, and as many noise spikes before it."""
    counts = responses_to(numbers, images).round().astype(int)
    rng = np.random.default_rng(4)
    for unit in range(counts.shape[1]):
        evoked = np.repeat(onsets, counts[:, unit])
        evoked = evoked + rng.uniform(0.051, 0.249, len(evoked))
        noise = rng.uniform(onsets[0], onsets[-1], 3 * len(onsets))
        noise = noise[(noise - onsets[0]) % GAP > 0.26]
        file.add_unit(spike_times=np.sort(np.concatenate([evoked, noise])), id=100 + unit)
    return counts


def add_table(file, numbers, onsets, name="natural_scenes_presentations", **columns):
    table = TimeIntervals(name=name, description="shown")
    kinds = {"stimulus_name": ["natural_scenes"] * len(numbers), "frame": numbers.astype(float)} | columns
    for column in kinds:
        table.add_column(column, description=column)
    for row, onset in enumerate(onsets):
        values = {column: kinds[column][row] for column in kinds}
        table.add_interval(start_time=onset, stop_time=onset + 0.25, **values)
    file.add_time_intervals(table)


def add_series_of_images(file, images, name="natural_scenes"):
    file.add_stimulus_template(ImageSeries(name=name, data=images, unit="n.a.", rate=1.0, format="raw"))


@pytest.mark.slow
def test_the_layout_of_allen_natural_scenes(tmp_path):
    images = pictures(118)
    numbers, onsets = presentations(118, 50, n_blanks=50)
    file = new_file()
    add_series_of_images(file, images)
    add_table(file, numbers, onsets)
    counts = add_units(file, numbers, onsets, images)
    dataset = survives(write(file, tmp_path / "allen.nwb"), tmp_path)
    assert dataset["responses"].shape == (50, 118, 5)
    np.testing.assert_array_equal(dataset["responses"].values[:, 7], counts[numbers == 7])
    assert dataset["neuron_id"].values.tolist() == ["100", "101", "102", "103", "104"]
    assert "50 presentations of blanks (-1) are left out" in dataset.attrs["reading"]
    assert "found images: stimulus/templates/natural_scenes" in dataset.attrs["reading"]


def ophys(file, numbers, onsets, images, timestamps):
    device = file.create_device("scope")
    channel = OpticalChannel("green", "green", 510.0)
    plane = file.create_imaging_plane(
        name="plane",
        optical_channel=channel,
        imaging_rate=20.0,
        description="plane",
        device=device,
        excitation_lambda=920.0,
        indicator="GCaMP",
        location="V1",
    )
    segmentation = ImageSegmentation()
    module = file.create_processing_module("ophys", "traces")
    module.add(segmentation)
    rois = segmentation.create_plane_segmentation(name="rois", imaging_plane=plane, description="cells")
    for _ in range(5):
        rois.add_roi(pixel_mask=[[1, 1, 1.0]])
    times = np.arange(0, onsets[-1] + 2, 0.05)
    trace = np.zeros((len(times), 5))
    for onset, row in zip(onsets, responses_to(numbers, images), strict=True):
        trace[(times >= onset + 0.05) & (times < onset + 0.25)] = row
    timing = {"timestamps": times} if timestamps else {"rate": 20.0, "starting_time": 0.0}
    region = rois.create_roi_table_region("all", region=list(range(5)))
    module.add(DfOverF(RoiResponseSeries("dff", trace, "n.a.", rois=region, **timing)))


@pytest.mark.parametrize("timestamps", [True, False])
def test_traces_are_averaged_in_the_window(tmp_path, timestamps):
    images = pictures()
    numbers, onsets = presentations(40, 3)
    file = new_file()
    add_series_of_images(file, images)
    add_table(file, numbers, onsets)
    ophys(file, numbers, onsets, images, timestamps)
    definition = write(file, tmp_path / "a.nwb") | {"responses": "processing/ophys/DfOverF/dff"}
    dataset = survives(definition, tmp_path)
    wanted = responses_to(numbers, images)[numbers == 9]
    np.testing.assert_allclose(dataset["responses"].values[:, 9], wanted, rtol=1e-4)


def test_pictures_in_a_stated_order_are_counted_by_an_index_series(tmp_path):
    images = pictures()
    numbers, onsets = presentations(40, 2)
    file = new_file()
    # Names whose order is not that of the pictures.
    one_by_one = [GrayscaleImage(name=f"p{97 - i}", data=image) for i, image in enumerate(images)]
    stack = Images(
        name="scenes",
        images=one_by_one,
        order_of_images=ImageReferences(name="order_of_images", data=one_by_one),
    )
    file.add_stimulus_template(stack)
    file.add_stimulus(
        IndexSeries(
            name="shown", data=numbers.astype(np.uint32), indexed_images=stack, unit="N/A", timestamps=onsets
        )
    )
    add_units(file, numbers, onsets, images)
    survives(write(file, tmp_path / "a.nwb"), tmp_path)


@pytest.mark.slow
def test_columns_name_pictures_splits_groups_and_covariates(tmp_path):
    images = pictures()
    numbers, onsets = presentations(40, 2)
    file = new_file()
    file.add_stimulus_template(
        Images(name="scenes", images=[GrayscaleImage(name=f"s{i}", data=p) for i, p in enumerate(images)])
    )
    add_table(
        file,
        numbers,
        onsets,
        name="trials_of_images",
        image_name=[f"s{number}" for number in numbers],
        tier=["final" if number < 8 else "train" for number in numbers],
        family=[f"f{number // 2}" for number in numbers],
        running=numbers * 0.5,
    )
    add_table(file, numbers[::-1], onsets, name="other_presentations")
    add_units(file, numbers, onsets, images)
    definition = write(file, tmp_path / "a.nwb")
    refuse(definition, tmp_path, "datasets.mine.presentations: there are several: name one of those")
    definition |= {"presentations": "trials_of_images"}
    refuse(definition, tmp_path, "image_of_presentation: is missing: name the column")
    definition |= {
        "image_of_presentation": "image_name",
        "splits_from": "tier",
        "tiers": {"test": ["final"]},
        "groups_from": "family",
        "covariates": ["running"],
    }
    dataset = survives(definition, tmp_path)
    assert (dataset["split"].values[:, :8] == 2).all()
    split = dataset["split"].values.reshape(2, 20, 2)
    assert (split == split[:, :, :1]).all()
    np.testing.assert_allclose(dataset["covariates"].values[1, :, 0], np.arange(40) * 0.5)


def recorded(axes=(0, 1, 2)):
    """A file of 40 pictures (image, y, x), stored with other axes, that were shown twice to units."""
    images = pictures()
    numbers, onsets = presentations(40, 2)
    file = new_file()
    add_series_of_images(file, images.transpose(axes))
    add_table(file, numbers, onsets)
    add_units(file, numbers, onsets, images)
    return file


@pytest.fixture
def session(tmp_path):
    file = recorded()
    times = np.arange(0, 20, 0.5)
    file.add_acquisition(TimeSeries("short", np.ones((len(times), 2)), "n.a.", timestamps=times))
    return write(file, tmp_path / "a.nwb")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"images": "movie"}, "datasets.mine.images: there is no movie"),
        ({"presentations": "movie"}, "datasets.mine.presentations: there is no movie"),
        ({"responses": "movie"}, "datasets.mine.responses: there is no movie"),
        ({"image_of_presentation": "picture"}, "has no column 'picture' but"),
        ({"splits_from": "tier"}, "datasets.mine.splits_from: "),
        ({"window": [250, 50]}, "datasets.mine.window: [250, 50] is no window"),
        ({"responses": "acquisition/short", "window": [50, 60]}, "ms after the onset of presentation 0"),
    ],
)
def test_what_is_not_in_the_file_is_refused_with_what_is(session, tmp_path, changes, expected):
    refuse(session | changes, tmp_path, expected)


def test_a_truncated_file_is_refused(session, tmp_path):
    path = tmp_path / "a.nwb"
    path.write_bytes(path.read_bytes()[:-5000])
    refuse(session, tmp_path, "is damaged or not HDF5")


def test_spikes_outside_the_window_are_not_counted(session, tmp_path):
    inside = load("mine", session, tmp_path, None)["responses"].values
    wider = load("mine", session | {"window": [-1000, 2000]}, tmp_path, None)["responses"].values
    assert (wider > inside).all()


def test_axes_of_images_are_told_by_words(tmp_path):
    # The format's own order is x before y.
    definition = write(recorded((0, 2, 1)), tmp_path / "a.nwb") | {"layout": ["image", "x", "y"]}
    assert "40 images of 1 x 10 x 12 (channel, y, x)" in survives(definition, tmp_path).attrs["reading"]


def test_types_of_extensions_are_read_by_their_full_path(session, tmp_path):
    place = "stimulus/templates/natural_scenes"
    with h5py.File(tmp_path / "a.nwb", "r+") as file:
        file[place].attrs["neurodata_type"] = "StimulusTemplate"
    refuse(session, tmp_path, "give the full path of what it holds")
    survives(session | {"images": place}, tmp_path)


def test_averages_of_the_microscope_are_no_stimuli(tmp_path):
    file = recorded()
    module = file.create_processing_module("ophys", "traces")
    module.add(Images(name="summary", images=[GrayscaleImage(name="average", data=np.ones((9, 9)))]))
    survives(write(file, tmp_path / "a.nwb"), tmp_path)


def test_a_store_of_another_format_is_refused(tmp_path, session):
    (tmp_path / "b.nwb").mkdir()
    refuse(
        session | {"path": str(tmp_path / "b.nwb")}, tmp_path, "b.nwb: is a folder, expected one HDF5 file"
    )
