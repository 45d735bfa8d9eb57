"""NWB files as pynwb writes them: read rightly, or refused in one line that names the key to set."""

import shutil
import warnings
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest
from planted import answers, pictures, survives
from recording_files import IMAGE, SPLIT, refuse

from whatwhere.recordings import load

GAP = 0.5
"""Seconds from onset to onset."""
SHOWN = np.random.default_rng(3).permutation([*np.repeat(np.arange(40), 2), -1, -1, -1])
"""Numbers of images by presentation, -1 for blanks."""
ONSETS = 10 + GAP * np.arange(len(SHOWN))
TABLE = "intervals/natural_scenes_presentations"
TRACES = "processing/ophys/DfOverF/dff"
UNITS = np.where((SHOWN == -1)[:, None], 50, answers(pictures())[SHOWN] / 3).round()
"""Planted spikes per window, (presentation, unit)."""


def add_units(file):
    """Spikes in the window after the onset, and as many noise spikes outside."""
    rng = np.random.default_rng(4)
    for unit, counts in enumerate(UNITS.astype(int).T):
        evoked = np.repeat(ONSETS, counts) + rng.uniform(0.051, 0.249, counts.sum())
        noise = rng.uniform(ONSETS[0], ONSETS[-1], 3 * len(ONSETS))
        noise = noise[(noise - ONSETS[0]) % GAP > 0.26]
        observed = [[0, 20.0], [20.0, 100]]
        file.add_unit(spike_times=np.sort([*evoked, *noise]), obs_intervals=observed, id=100 + unit)


def add_table(file, name, numbers):
    from pynwb.epoch import TimeIntervals

    columns = {
        "frame": numbers.astype(float),
        "words": [str(number) if number >= 0 else "grey" for number in numbers],
        "picture": [f"p{number}" if number >= 0 else "grey" for number in numbers],
        "tier": ["final" if number < 8 else "train" for number in numbers],
        "family": [f"f{number // 2}" for number in numbers],
        "running": numbers * 0.5,
        "aborted": np.arange(len(numbers)) % 7 == 3,
    }
    table = TimeIntervals(name=name, description="shown")
    for column in columns:
        table.add_column(column, description=column)
    for row, onset in enumerate(ONSETS):
        values = {column: columns[column][row] for column in columns}
        table.add_interval(start_time=onset, stop_time=onset + 0.25, **values)
    file.add_time_intervals(table)


def add_traces(file):
    """Two planes of three and two regions; the second one is sampled at times of its own."""
    from pynwb.ophys import DfOverF, ImageSegmentation, OpticalChannel, RoiResponseSeries

    channel = OpticalChannel("green", "green", 510.0)
    plane = file.create_imaging_plane(
        name="plane",
        optical_channel=channel,
        imaging_rate=20.0,
        description="plane",
        device=file.create_device("scope"),
        excitation_lambda=920.0,
        indicator="GCaMP",
        location="V1",
    )
    segmentation, traces = ImageSegmentation(), DfOverF()
    module = file.create_processing_module("ophys", "traces")
    module.add([segmentation, traces])
    times = np.arange(0, ONSETS[-1] + 2, 0.05)
    for name, neurons, timing in (
        ("dff", slice(0, 3), {"rate": 20.0, "starting_time": 0.0}),
        ("deep", slice(3, 5), {"timestamps": times[::2]}),
    ):
        sampled = timing.get("timestamps", times)
        trace = np.zeros((len(sampled), len(UNITS[0, neurons])))
        for onset, row in zip(ONSETS, UNITS[:, neurons], strict=True):
            trace[(sampled >= onset + 0.05) & (sampled < onset + 0.25)] = row
        rois = segmentation.create_plane_segmentation(name=name, imaging_plane=plane, description="cells")
        for _ in range(trace.shape[1]):
            rois.add_roi(pixel_mask=[[1, 1, 1.0]])
        region = rois.create_roi_table_region("all", region=list(range(trace.shape[1])))
        traces.add_roi_response_series(RoiResponseSeries(name, trace, "n.a.", rois=region, **timing))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A session with two tables, an IndexSeries, two sets of images, units and two planes."""
    path = tmp_path_factory.mktemp("nwb") / "a.nwb"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about our short descriptions
        from pynwb import NWBHDF5IO, NWBFile
        from pynwb.base import ImageReferences, Images
        from pynwb.image import GrayscaleImage, ImageSeries, IndexSeries

        file = NWBFile("planted", "one", datetime(2020, 1, 1, tzinfo=UTC))
        film = ImageSeries(name="natural_scenes", data=pictures(), unit="n.a.", rate=1.0, format="raw")
        # Sorted as text, 10 comes before 2.
        single = [GrayscaleImage(name=f"p{i}", data=image) for i, image in enumerate(pictures())]
        order = ImageReferences(name="order_of_images", data=single)
        scenes = Images(name="scenes", images=single, order_of_images=order)
        file.add_stimulus_template(film)
        file.add_stimulus_template(scenes)
        shown, times = SHOWN[SHOWN >= 0], ONSETS[SHOWN >= 0]
        file.add_stimulus(
            IndexSeries(
                name="shown", data=shown.astype("u4"), indexed_images=scenes, unit="N/A", timestamps=times
            )
        )
        add_table(file, "natural_scenes_presentations", SHOWN)
        add_table(file, "other_presentations", SHOWN[::-1])
        add_units(file)
        add_traces(file)
        file.processing["ophys"].add(
            Images(name="summary", images=[GrayscaleImage(name="average", data=np.ones((9, 9)))])
        )
        file.add_invalid_time_interval(start_time=900.0, stop_time=901.0)
        with NWBHDF5IO(str(path), "w") as stream:
            stream.write(file)
    return path


@pytest.fixture
def session(written, tmp_path):
    """Definition of a copy, in which every key that is needed is stated."""
    shutil.copy(written, tmp_path / "a.nwb")
    return {
        "kind": "nwb",
        "path": str(tmp_path / "a.nwb"),
        "images": "natural_scenes",
        "presentations": "natural_scenes_presentations",
        "image_of_presentation": "frame",
        "index_base": 0,
        "window": [50, 250],
        "image": IMAGE,
        "split": SPLIT,
    }


def change(session, place, values):
    """Replace an array of the file."""
    with h5py.File(session["path"], "r+") as file:
        if place in file:
            attributes = dict(file[place].attrs)
            del file[place]
            file[place] = values
            file[place].attrs.update(attributes)
        else:
            file[place] = values


def test_the_layout_of_allen_natural_scenes(session, tmp_path):
    dataset = survives(session, tmp_path)
    assert dataset["responses"].shape == (2, 40, 5)
    np.testing.assert_array_equal(dataset["responses"].values[:, 7], UNITS[SHOWN == 7])
    assert dataset["neuron_id"].values.tolist() == ["100", "101", "102", "103", "104"]
    assert "3 presentations of blanks are left out" in dataset.attrs["reading"]
    wider = load("mine", session | {"window": [-1000, 2000]}, tmp_path, None)["responses"].values
    assert (wider > dataset["responses"].values).all()


@pytest.mark.parametrize("how", ["as written", "turned", "turned with times"])
def test_planes_are_averaged_in_the_window_also_if_stored_by_neuron(session, tmp_path, how):
    if "turned" in how:
        place = TRACES if how == "turned" else "processing/ophys/DfOverF/deep"
        with h5py.File(session["path"], "r") as file:
            values = file[f"{place}/data"][...].T
        change(session, f"{place}/data", values)
    dataset = survives(session | {"responses": [TRACES, "processing/ophys/DfOverF/deep"]}, tmp_path)
    np.testing.assert_allclose(dataset["responses"].values[:, 9], UNITS[SHOWN == 9], rtol=1e-4)
    assert dataset["neuron_id"].values[[0, 4]].tolist() == [f"{TRACES} 0", "processing/ophys/DfOverF/deep 1"]


def test_what_was_not_recorded_is_missing_and_not_zero(session, tmp_path):
    late = ONSETS > 30
    change(session, "units/obs_intervals", np.array([[0, 20.0], [20, 100]] * 4 + [[0, 20.0], [20, 30.4]]))
    change(session, "intervals/invalid_times/start_time", [ONSETS[4] + 0.1])
    change(session, "intervals/invalid_times/stop_time", [ONSETS[4] + 0.2])
    dataset = load("mine", session, tmp_path, None)
    wanted = UNITS.copy()
    wanted[late, 4], wanted[4] = np.nan, np.nan
    for image in range(40):
        kept = (image == SHOWN) & (np.arange(len(SHOWN)) != 4)
        found = dataset["responses"].values[: kept.sum(), image]
        np.testing.assert_array_equal(found, wanted[kept])
    assert "1 presentations that were not recorded are left out" in dataset.attrs["reading"]


def test_presentations_after_the_last_spike_are_pointed_out(session, tmp_path, caplog):
    starts = ONSETS + np.where(np.arange(len(ONSETS)) < 80, 0, 60)
    change(session, f"{TABLE}/start_time", starts)
    load("mine", session, tmp_path, None)
    assert "3 presentations lie before the first or after the last spike" in caplog.text


def test_an_index_series_counts_pictures_in_their_stated_order(session, tmp_path):
    unused = ("images", "image_of_presentation", "index_base")
    series = {key: value for key, value in session.items() if key not in unused} | {"presentations": "shown"}
    survives(series, tmp_path)
    change(session, "stimulus/presentation/shown/data", SHOWN[SHOWN >= 0] + 1)
    refuse(
        series, tmp_path, "numbers from 1 to 40 for 40 images do not count from 0: check datasets.mine.index_"
    )
    survives(series | {"index_base": 1}, tmp_path)


def test_an_order_that_the_file_does_not_state_is_asked_for(session, tmp_path):
    with h5py.File(session["path"], "r+") as file:
        del file["stimulus/templates/scenes/order_of_images"]
    session["images"] = "scenes"
    refuse(session, tmp_path, "datasets.mine.file_order: is missing")
    survives(session | {"file_order": "natural"}, tmp_path)
    place = {name: number for number, name in enumerate(sorted(f"p{i}" for i in range(40)))}
    change(session, f"{TABLE}/frame", [float(place.get(f"p{number}", -1)) for number in SHOWN])
    survives(session | {"file_order": "sorted"}, tmp_path)


@pytest.mark.parametrize(
    ("images", "column", "blanks"),
    [
        ("scenes", "picture", ["grey"]),
        ("natural_scenes", "words", ["grey"]),
        ("natural_scenes", "frame", [40]),
    ],
)
def test_what_shows_no_image_is_stated(session, tmp_path, images, column, blanks):
    change(session, f"{TABLE}/frame", np.where(SHOWN == -1, 40.0, SHOWN))
    session |= {"images": images, "image_of_presentation": column}
    if column == "picture":
        del session["index_base"]
    refuse(session, tmp_path, "under blanks")
    survives(session | {"blanks": blanks}, tmp_path)


def test_columns_give_splits_groups_covariates_and_what_is_left_out(session, tmp_path):
    session |= {
        "splits_from": "tier",
        "tiers": {"test": ["final"], "assign": ["train"]},
        "groups_from": "family",
        "covariates": ["running"],
    }
    dataset = survives(session, tmp_path)
    assert (dataset["split"].values[:, :8] == 2).all()
    split = dataset["split"].values.reshape(2, 20, 2)
    assert (split == split[:, :, :1]).all()
    np.testing.assert_allclose(dataset["covariates"].values[1, :, 0], np.arange(40) * 0.5)
    kept = survives(session | {"leave_out": {"aborted": [True]}}, tmp_path)["responses"].values
    assert (~np.isnan(kept[..., 0])).sum() == ((SHOWN >= 0) & (np.arange(len(SHOWN)) % 7 != 3)).sum()


def test_series_of_running_and_eyes_are_means_over_the_window_of_the_response(session, tmp_path):
    times = np.arange(0, ONSETS[-1] + 2, 0.01)
    eye = np.stack([times, np.where(times % 1 < 0.5, 1.0, np.nan)], 1)
    for place, values in (("running/speed", 3 * times), ("eye/pupil_tracking", eye)):
        change(session, f"processing/{place}/data", values)
        change(session, f"processing/{place}/timestamps", times)
    with h5py.File(session["path"], "r+") as file:
        for place in ("running/speed", "eye/pupil_tracking"):
            file[f"processing/{place}"].attrs["neurodata_type"] = "TimeSeries"
    series = {"running": "speed", "eye": "processing/eye/pupil_tracking"}
    session |= {"covariate_series": series, "covariates": ["frame"]}
    dataset = survives(session, tmp_path)
    assert dataset["covariate_name"].values.tolist() == ["frame", "running", "eye 0", "eye 1"]
    onset = ONSETS[np.flatnonzero(SHOWN == 5)]
    shown = dataset["covariates"].values[:, dataset["image_name"].values.tolist().index("5")]
    np.testing.assert_allclose(shown[:, 0], 5)
    np.testing.assert_allclose(shown[:, 1:3], (onset[:, None] + 0.145) * [3, 1], atol=0.01)
    earlier = survives(session | {"covariate_window": [-100, 0]}, tmp_path)["covariates"].values
    assert np.nanmean(dataset["covariates"].values[..., 2] - earlier[..., 2]) == pytest.approx(0.2, abs=0.01)
    refuse(
        session | {"covariate_window": [0, 400]},
        tmp_path,
        "covariate_window: [0, 400] ms end after the response, at 250 ms: covariates from the future",
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"images": None}, "datasets.mine.images: there are several: name one of those"),
        ({"images": "movie"}, "datasets.mine.images: there is no movie"),
        ({"presentations": None}, "datasets.mine.presentations: there are several: name one of those"),
        ({"responses": "movie"}, "datasets.mine.responses: there is no movie"),
        (
            {"responses": "processing/ophys/DfOverF"},
            f"expected one series or a list of series: {TRACES[:-3]}",
        ),
        ({"image_of_presentation": None}, "image_of_presentation: is missing: name the column"),
        ({"image_of_presentation": "pictures"}, "has no column 'pictures' but"),
        ({"index_base": None}, "set datasets.mine.index_base to 0"),
        ({"index_base": 1}, "do not count from 1: check datasets.mine.index_base"),
        (
            {"index_base": 1, "image_of_presentation": "words", "blanks": ["grey"]},
            "do not count from 1: check datasets.mine.index_base",
        ),
        ({"images": "scenes", "image_of_presentation": "picture"}, "in row 1 is not a number"),
        ({"splits_from": "tiers"}, "datasets.mine.splits_from: "),
        ({"covariates": ["tier"]}, "column 'tier': 'train' in line 2 is not a number"),
        ({"leave_out": {"tier": ["none"]}}, "leave_out.tier: there is no 'none', there are final, train"),
        ({"window": [250, 50]}, "datasets.mine.window: [250, 50] is no window"),
        ({"responses": TRACES, "window": [60, 70]}, "ms after the onset of presentation"),
        ({"window": [4e5, 5e5]}, "no unit has a spike in any window: spikes lie from "),
    ],
)
def test_what_may_be_meant_is_asked_for(session, tmp_path, changes, expected):
    definition = {key: value for key, value in (session | changes).items() if value is not None}
    refuse(definition, tmp_path, expected)


def test_axes_of_images_are_named_by_layout(session, tmp_path):
    # The format's own order is x before y.
    change(session, "stimulus/templates/natural_scenes/data", pictures().transpose(0, 2, 1))
    dataset = survives(session | {"layout": ["image", "x", "y"]}, tmp_path)
    assert "40 images of 1 x 10 x 12 (channel, y, x)" in dataset.attrs["reading"]


def test_objects_of_extensions_are_ignored_or_read_by_their_full_path(session, tmp_path):
    place = "stimulus/templates/natural_scenes"
    with h5py.File(tmp_path / "a.nwb", "r+") as file:
        file["acquisition"].create_group("eye").attrs.update(
            {"neurodata_type": "Eye", "namespace": "ndx-eye"}
        )
        file[place].attrs["neurodata_type"] = "StimulusTemplate"
    refuse(session, tmp_path, "datasets.mine.images: there is no natural_scenes")
    survives(session | {"images": place}, tmp_path)


def test_truncated_files_and_stores_of_another_format_are_refused(session, tmp_path):
    path = tmp_path / "a.nwb"
    path.write_bytes(path.read_bytes()[:-5000])
    refuse(session, tmp_path, "is damaged or not HDF5")
    (tmp_path / "b.nwb").mkdir()
    session["path"] = str(tmp_path / "b.nwb")
    refuse(session, tmp_path, "b.nwb: is a folder, expected one HDF5 file")
