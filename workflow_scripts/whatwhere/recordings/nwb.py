"""Sessions in NWB files, the format of the DANDI archive (kind ``nwb``), read through h5py.

pynwb refuses a whole file for one object of an extension whose specification the file does not store, and
leaves out images of an unknown type.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd

from whatwhere.errors import UserError
from whatwhere.recordings.array_files import NamedArray
from whatwhere.recordings.arrays import arrange_images
from whatwhere.recordings.covariates import names_of_columns
from whatwhere.recordings.hdf5 import dataset_at, label_of, open_hdf5, read_dataset
from whatwhere.recordings.matching import names_of
from whatwhere.recordings.movie_contract import Clip
from whatwhere.recordings.movies import Movie, timing_of
from whatwhere.recordings.nwb_responses import averages, count_spikes, invalid, sample_times
from whatwhere.recordings.pictures import in_numeric_order
from whatwhere.recordings.presentations import BLANK
from whatwhere.recordings.recording import Recording
from whatwhere.recordings.rows import Rows, image_index, recording_of, with_columns
from whatwhere.recordings.spike_trains import frame_edges
from whatwhere.recordings.tables import Table

_ROLES = {
    "images": ("Images", "ImageSeries", "OpticalSeries"),
    "presentations": ("TimeIntervals", "IndexSeries"),
    "responses": ("RoiResponseSeries", "TimeSeries", "ElectricalSeries", "SpikeEventSeries"),
    "covariate_series": ("TimeSeries", "SpatialSeries"),
}
"""Types of the format by the key that names objects of them."""


def load(definition: dict[str, Any], name: str) -> Recording | Movie:
    """Loads one session: images, onsets of their presentations, and responses in a window after the onsets.

    With the key ``movie``, images are frames and the window is the time bin, see :func:`_movie`.
    ``images``, ``presentations`` and ``responses`` (one series or several) are names in the file, needed
    where there are several. ``layout`` are the axes of images, by default [image, y, x] with channels last.
    Other keys name columns of the table of presentations, or say what the numbers or names in them mean.
    ``window`` is from and to in ms after the onset; ``covariate_series`` and ``covariate_window`` see
    :meth:`_Session.series`.
    """
    with open_hdf5(Path(definition["path"])) as content:
        session = _Session(content, definition, name)
        return _movie(session) if "movie" in definition else _recording(session)


def _recording(session: "_Session") -> Recording:
    definition, name, images = session.definition, session.name, session.images
    first, last = (edge / 1000 for edge in definition["window"])
    if first >= last:
        raise UserError(f"{name}.window: {definition['window']} is no window: give from and to in ms")
    values, neurons, where = session.responses(session.onsets, (first, last))
    lost = np.isnan(values).all(1) & (session.index != BLANK)
    index = np.where(lost, BLANK, session.index)
    readings = [
        f"{images.reading} from {session.place}, shown by {str(session.table.name)[1:]}",
        session.reading,
        f"responses from {where}",
        *([f"{lost.sum()} presentations that were not recorded are left out"] if lost.any() else []),
    ]
    rows = with_columns(Rows(values, index, index, readings, neurons), session.columns, definition, name)
    names, series = session.series(session.onsets, (first, last))
    if names:
        before, table = rows.covariates or ([], np.empty((len(index), 0)))
        rows = rows._replace(covariates=([*before, *names], np.concatenate([table, series], 1)))
    return recording_of(definition, name, images.values, images.names, rows)


def _movie(session: "_Session") -> Movie:
    """A movie from its frames and a table with the number and the start of every frame that was shown.

    A presentation of the movie shows all its frames in order; presentations are repeats. Spikes are counted,
    and samples of a series averaged, from the start of a bin until its length, ``bin / rate``, is over.
    """
    definition, name, index = session.definition, session.name, session.index
    timing, label = timing_of(definition["movie"], f"{name}.movie"), label_of(session.table)
    rows = Rows(np.empty((len(index), 0)), index, index, [session.reading])
    rows = with_columns(rows, session.columns, definition, name)
    shown = np.flatnonzero(rows.image != BLANK)
    shown = shown[np.argsort(session.onsets[shown], kind="stable")]
    n_frames = len(session.images.values)
    wrong = np.flatnonzero(rows.image[shown] != np.arange(len(shown)) % n_frames)
    if not len(shown) or len(wrong) or len(shown) % n_frames:
        row = shown[wrong[0]] if len(wrong) else len(session.onsets)
        fault = f"row {row} breaks a presentation of the {n_frames} frames of {session.place} in order"
        advice = f"name the rows of other stimuli under {name}.leave_out or {name}.blanks"
        raise UserError(f"{label}: {fault}: {advice}")
    starts = session.onsets[shown].reshape(-1, n_frames)
    for repeat, times in enumerate(starts):
        frame_edges(times, n_frames, timing.rate, f"{label}, presentation {repeat} of the movie")
    bins = starts[:, :: timing.frames_per_bin].reshape(-1)
    values, neurons, where = session.responses(bins, (0, timing.seconds_per_bin))
    names, series = session.series(bins, (0, timing.seconds_per_bin))
    shape = (len(starts), len(bins) // len(starts), -1)
    state = series.reshape(shape) if names else None
    frames = f"{n_frames} frames from {session.place}, shown {len(starts)} times"
    return Movie(
        clips=[Clip(session.images.values, values.reshape(shape), None, state)],
        covariates=names,
        timing=timing,
        source=f"file {definition['path']}",
        neurons=None if neurons is None else names_of(neurons),
        reading=[frames, *rows.reading, f"responses from {where}"],
    )


class _Images(NamedTuple):
    """Images (image, channel, y, x), their names, whether the file states names and order, and a phrase."""

    values: np.ndarray
    names: list[str]
    is_named: bool
    is_ordered: bool
    reading: str


def _types(content: h5py.File) -> dict[str, str]:
    """Types of groups by path."""
    types: dict[str, str] = {}

    def visit(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Group) and "neurodata_type" in item.attrs:
            types[name] = str(item.attrs["neurodata_type"])

    content.visititems(visit)
    return types


def _candidates(types: dict[str, str]) -> dict[str, list[str]]:
    found = {role: [place for place in types if types[place] in kinds] for role, kinds in _ROLES.items()}
    # Averages of a microscope are images, too, and a table of invalid times is a table.
    found["images"] = [place for place in found["images"] if place.startswith("stimulus/")] or found["images"]
    found["presentations"] = [p for p in found["presentations"] if not p.endswith("/invalid_times")]
    found["responses"] += ["units"] if "units" in types else []
    return found


def _linked_images(table: h5py.Group) -> str | None:
    """Path of the images that an IndexSeries numbers."""
    for link in ("indexed_images", "indexed_timeseries"):
        if link in table:
            where = table.get(link, getlink=True)
            return str(where.path if isinstance(where, h5py.SoftLink) else table[link].name)
    return None


def _read_images(group: h5py.Group, layout: Sequence[str] | None, key: str) -> _Images:
    label, is_named, is_ordered = label_of(group), False, True
    if "data" in group:
        if "external_file" in group:
            raise UserError(f"{label}: keeps its frames in other files: use kind images for these files")
        stored = read_dataset(dataset_at(group, "data"))
        names = [str(number) for number in range(len(stored))]
    else:
        is_named, is_ordered = True, "order_of_images" in group
        if is_ordered:
            references = group["order_of_images"][...]
            names = [str(group.file[image].name).rpartition("/")[2] for image in references]
        else:
            names = in_numeric_order([name for name in group if isinstance(group[name], h5py.Dataset)])
            is_ordered = names == sorted(names)
        pictures = [read_dataset(dataset_at(group, name)) for name in names]
        if not pictures:
            raise UserError(f"{label}: holds no image")
        odd = next((n for n, p in zip(names, pictures, strict=True) if p.shape != pictures[0].shape), None)
        if odd is not None:
            raise UserError(f"{label}: {odd} has another shape than {names[0]}: give images of one size")
        stored = np.stack(pictures)
    axes = layout or ("image", "y", "x", "channel")[: stored.ndim]
    images, _, reading = arrange_images(NamedArray(stored, None), None, axes, key, label)
    return _Images(images, names, is_named, is_ordered, reading)


def _onsets(table: h5py.Group) -> np.ndarray:
    """Onsets of presentations, s."""
    if "start_time" in table:
        onsets = read_dataset(dataset_at(table, "start_time"))
    else:
        onsets = sample_times(table, len(dataset_at(table, "data")))
    if not np.isfinite(onsets).all():
        row = np.flatnonzero(~np.isfinite(onsets))[0]
        raise UserError(f"{label_of(table)}: presentation {row} has no time")
    return onsets


def _table(group: h5py.Group, n_rows: int) -> Table:
    """Columns with one number or text per presentation; without columns, an IndexSeries."""
    columns = {}
    for name in map(str, group.attrs.get("colnames", [])):
        dataset = dataset_at(group, name)
        is_plain = dataset.dtype.kind in "biuf" or h5py.check_string_dtype(dataset.dtype) is not None
        if is_plain and dataset.shape == (n_rows,) and f"{name}_index" not in group:
            columns[name] = names_of(read_dataset(dataset))
    return Table(label_of(group), pd.DataFrame(columns, dtype=str))


class _Session:
    """An open file: types of its groups by path, presentations, onsets in s, and the images they show."""

    def __init__(self, content: h5py.File, definition: dict[str, Any], name: str) -> None:
        self.content, self.definition, self.name = content, definition, name
        self.types = _types(content)
        self.table = content[self._choose("presentations", definition.get("presentations"))]
        self.onsets = _onsets(self.table)
        self.place = self._choose("images", definition.get("images") or _linked_images(self.table))
        self.images = _read_images(content[self.place], definition.get("layout"), f"{name}.layout")
        self.columns = _table(self.table, len(self.onsets))
        self.index, self.reading = self._index()

    def responses(
        self, onsets: np.ndarray, window: tuple[float, float]
    ) -> tuple[np.ndarray, np.ndarray | None, str]:
        """Responses (presentation, neuron), NaN in invalid times; names of neurons or None; their source."""
        series = self.definition.get("responses", "units")
        names: np.ndarray | None
        if series == "units":
            (values, names), places = count_spikes(self.content, onsets, window), ["units"]
        else:
            listed = [series] if isinstance(series, str) else series
            places = [self._choose("responses", wanted) for wanted in listed]
            each = [self._averages(place, onsets, window) for place in places]
            units = [
                f"{place} {i}" for place, of in zip(places, each, strict=True) for i in range(of.shape[1])
            ]
            values, names = np.concatenate(each, 1), np.array(units) if len(places) > 1 else None
        values[invalid(self.content, onsets, window)] = np.nan
        return values, names, ", ".join(places)

    def _averages(self, place: str, onsets: np.ndarray, window: tuple[float, float]) -> np.ndarray:
        if "data" not in self.content[place]:
            inside = [one for one in _candidates(self.types)["responses"] if one.startswith(f"{place}/")]
            expected = f"one series or a list of series: {', '.join(inside) or 'it holds none'}"
            raise UserError(f"{self.name}.responses: {place} is a {self.types[place]}, expected {expected}")
        return averages(self.content[place], onsets, window)

    def series(self, onsets: np.ndarray, window: tuple[float, float]) -> tuple[list[str], np.ndarray]:
        """Names and values (presentation, covariate) of series, such as running speed and eye position.

        A value is the mean of the samples in ``covariate_window``, by default the window of the responses.
        UserError if the window ends later than that of the responses, or as for
        :func:`whatwhere.recordings.nwb_responses.averages`.
        """
        given = self.definition.get("covariate_window", [1000 * edge for edge in window])
        start, end = (edge / 1000 for edge in given)
        if end > window[1] + 1e-9 or start >= end:
            fault = f"{given} ms end after the response, at {1000 * window[1]:g} ms"
            advice = "covariates from the future are not allowed"
            raise UserError(f"{self.name}.covariate_window: {fault}: {advice}")
        names: list[str] = []
        values = [np.empty((len(onsets), 0), np.float32)]
        for covariate, wanted in self.definition.get("covariate_series", {}).items():
            place = self._choose("covariate_series", wanted)
            values.append(averages(self.content[place], onsets, (start, end)))
            names += names_of_columns(covariate, values[-1].shape[1])
        return names, np.concatenate(values, 1)

    def _choose(self, role: str, wanted: str | None) -> str:
        """Path of the only group of a role, or of the group with this path or, of the role, end of a path."""
        there, path = _candidates(self.types)[role], self.content.filename
        key, listed = f"{self.name}.{role}", ", ".join(there)
        if not there and wanted not in self.types:
            kinds = " or ".join(_ROLES[role])
            raise UserError(f"{key}: {path} holds no {kinds}: give the full path of another object")
        end = (wanted or "").strip("/")
        fitting = there if wanted is None else [end] if end in self.types else []
        fitting = fitting or [place for place in there if place.endswith(f"/{end}")]
        if len(fitting) != 1:
            fault = f"there is no {wanted}" if wanted is not None and not fitting else "there are several"
            raise UserError(f"{key}: {fault}: name one of those in {path}: {listed}")
        return fitting[0]

    def _index(self) -> tuple[np.ndarray, str]:
        """Index of the image of every presentation, and a phrase on its source."""
        names, table, definition = self.images.names, self.columns, self.definition
        key = f"{self.name}.image_of_presentation"
        if "start_time" not in self.table:
            label = f"{table.label}/data"
            values = read_dataset(dataset_at(self.table, "data"))
            # By the standard, an IndexSeries counts from 0.
            definition = {"index_base": 0} | definition
        elif "image_of_presentation" not in definition:
            advice = f"name the column of {table.label} with the image shown: {', '.join(table.header)}"
            raise UserError(f"{key}: is missing: {advice}; a movie also needs the key movie")
        else:
            column = definition["image_of_presentation"]
            values, label = table.text(column, key), f"{table.label}, column '{column}'"
        known = names if self.images.is_named else None
        index, how = image_index(values, known, len(names), definition, self.name, label)
        if "index_base" in definition and not self.images.is_ordered and "file_order" not in definition:
            natural, by_text = (", ".join(order[:3]) for order in (names, sorted(names)))
            fault = f"is missing: {label} counts images whose order the file does not state"
            orders = f"natural for {natural}, ..., or sorted for {by_text}, ..."
            raise UserError(f"{self.name}.file_order: {fault}: set {orders}")
        if definition.get("file_order") == "sorted" and not self.images.is_ordered:
            place = np.array([names.index(image) for image in sorted(names)])
            index = np.where(index == BLANK, BLANK, place[index])
        return index, f"{label}: {how}"
