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

    With the key ``movie``, images are frames and the window is the time bin, see :func:`_load_movie`.

    Parameters
    ----------
    definition
        ``path``: the file. ``images``, ``presentations``, ``responses`` (one series or several): names in the
        file, needed where there are several. ``layout``: axes of images, by default [image, y, x] with
        channels last. ``image_of_presentation``, ``splits_from``, ``groups_from``, ``covariates``,
        ``leave_out``: columns of the table of presentations. ``index_base``, ``file_order``, ``blanks``:
        meaning of the numbers or names in ``image_of_presentation``. ``window``: from and to in ms after the
        onset. ``covariate_series``, ``covariate_window``: see :func:`_series`.
    name
        Key of the dataset, for messages.

    Raises
    ------
    UserError
        If the file is unreadable or does not hold a named object.
    """
    if "movie" in definition:
        return _load_movie(definition, name)
    path = Path(definition["path"])
    first, last = (edge / 1000 for edge in definition["window"])
    if first >= last:
        raise UserError(f"{name}.window: {definition['window']} is no window: give from and to in ms")
    with open_hdf5(path) as content:
        types = _types(content)
        table = content[_choose(types, "presentations", definition.get("presentations"), name, path)]
        onsets = _onsets(table)
        wanted = definition.get("images") or _linked_images(table)
        place = _choose(types, "images", wanted, name, path)
        images = _read_images(content[place], definition.get("layout"), f"{name}.layout")
        columns = _table(table, len(onsets))
        index, reading = _index(table, columns, definition, images, name)
        values, neurons, where = _responses(content, types, definition, onsets, (first, last), name)
        values[invalid(content, onsets, (first, last))] = np.nan
        lost = np.isnan(values).all(1) & (index != BLANK)
        index = np.where(lost, BLANK, index)
        readings = [
            f"{images.reading} from {place}, shown by {str(table.name)[1:]}",
            reading,
            f"responses from {where}",
            *([f"{lost.sum()} presentations that were not recorded are left out"] if lost.any() else []),
        ]
        rows = with_columns(Rows(values, index, index, readings, neurons), columns, definition, name)
        series = _series(content, types, definition, onsets, (first, last), name)
        if series is not None:
            names, table = rows.covariates or ([], np.empty((len(index), 0)))
            rows = rows._replace(covariates=([*names, *series[0]], np.concatenate([table, series[1]], 1)))
        return recording_of(definition, name, images.values, images.names, rows)


def _load_movie(definition: dict[str, Any], name: str) -> Movie:
    """Loads a movie from its frames and a table with the number and the start of every frame that was shown.

    A presentation of the movie shows all its frames in order; presentations are repeats. Spikes are counted,
    and samples of a series averaged, from the start of a bin until its length, ``bin / rate``, is over.
    """
    path, timing = Path(definition["path"]), timing_of(definition["movie"], f"{name}.movie")
    with open_hdf5(path) as content:
        types = _types(content)
        table = content[_choose(types, "presentations", definition.get("presentations"), name, path)]
        onsets = _onsets(table)
        place = _choose(types, "images", definition.get("images") or _linked_images(table), name, path)
        images = _read_images(content[place], definition.get("layout"), f"{name}.layout")
        columns = _table(table, len(onsets))
        index, reading = _index(table, columns, definition, images, name)
        rows = Rows(np.empty((len(index), 0)), index, index, [reading])
        rows = with_columns(rows, columns, definition, name)
        shown = np.flatnonzero(rows.image != BLANK)
        shown = shown[np.argsort(onsets[shown], kind="stable")]
        n_frames = len(images.values)
        wrong = np.flatnonzero(rows.image[shown] != np.arange(len(shown)) % n_frames)
        if not len(shown) or len(wrong) or len(shown) % n_frames:
            row = shown[wrong[0]] if len(wrong) else len(onsets)
            raise UserError(
                f"{label_of(table)}: row {row} breaks a presentation of the {n_frames} frames of {place} in "
                f"order: name the rows of other stimuli under {name}.leave_out or {name}.blanks"
            )
        starts = onsets[shown].reshape(-1, n_frames)
        for repeat, times in enumerate(starts):
            label = f"{label_of(table)}, presentation {repeat} of the movie"
            frame_edges(times, n_frames, timing.rate, label)
        bins = starts[:, :: timing.frames_per_bin].reshape(-1)
        window = (0, timing.seconds_per_bin)
        values, neurons, where = _responses(content, types, definition, bins, window, name)
        values[invalid(content, bins, window)] = np.nan
        names, state = _series(content, types, definition, bins, window, name) or ([], None)
    shape = (len(starts), len(bins) // len(starts), -1)
    return Movie(
        clips=[
            Clip(images.values, values.reshape(shape), None, None if state is None else state.reshape(shape))
        ],
        covariates=names,
        timing=timing,
        source=f"file {path}",
        neurons=None if neurons is None else names_of(neurons),
        reading=[
            f"{n_frames} frames from {place}, shown {len(starts)} times",
            *rows.reading,
            f"responses from {where}",
        ],
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


def _choose(types: dict[str, str], role: str, wanted: str | None, name: str, path: Path) -> str:
    """Path of the only group of a role, or of the group with this end of its path or, of any type, path."""
    there = _candidates(types)[role]
    key, listed = f"{name}.{role}", ", ".join(there)
    if not there and wanted not in types:
        kinds = " or ".join(_ROLES[role])
        raise UserError(f"{key}: {path} holds no {kinds}: give the full path of another object")
    end = (wanted or "").strip("/")
    fitting = there if wanted is None else [end] if end in types else []
    fitting = fitting or [place for place in there if place.endswith(f"/{end}")]
    if len(fitting) != 1:
        fault = f"there is no {wanted}" if wanted is not None and not fitting else "there are several"
        raise UserError(f"{key}: {fault}: name one of those in {path}: {listed}")
    return fitting[0]


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
    for name in _columns(group):
        dataset = dataset_at(group, name)
        is_plain = dataset.dtype.kind in "biuf" or h5py.check_string_dtype(dataset.dtype) is not None
        if is_plain and dataset.shape == (n_rows,) and f"{name}_index" not in group:
            columns[name] = names_of(read_dataset(dataset))
    return Table(label_of(group), pd.DataFrame(columns, dtype=str))


def _columns(group: h5py.Group) -> list[str]:
    return [str(name) for name in group.attrs.get("colnames", [])]


def _index(
    group: h5py.Group, table: Table, definition: dict[str, Any], images: _Images, name: str
) -> tuple[np.ndarray, str]:
    """Index of the image of every presentation, and a phrase on its source."""
    names, key = images.names, f"{name}.image_of_presentation"
    if "start_time" not in group:
        label = f"{table.label}/data"
        values = read_dataset(dataset_at(group, "data"))
        # By the standard, an IndexSeries counts from 0.
        definition = {"index_base": 0} | definition
    elif "image_of_presentation" not in definition:
        raise UserError(
            f"{key}: is missing: name the column of {table.label} with the image that was shown: "
            f"{', '.join(table.header)}; a movie also needs the key movie"
        )
    else:
        column = definition["image_of_presentation"]
        values, label = table.text(column, key), f"{table.label}, column '{column}'"
    known = names if images.is_named else None
    index, how = image_index(values, known, len(names), definition, name, label)
    if "index_base" in definition and not images.is_ordered and "file_order" not in definition:
        raise UserError(
            f"{name}.file_order: is missing: {label} counts images whose order the file does not state: set "
            f"natural for {', '.join(names[:3])}, ..., or sorted for {', '.join(sorted(names)[:3])}, ..."
        )
    if definition.get("file_order") == "sorted" and not images.is_ordered:
        place = np.array([names.index(image) for image in sorted(names)])
        index = np.where(index == BLANK, BLANK, place[index])
    return index, f"{label}: {how}"


def _series(
    content: h5py.File,
    types: dict[str, str],
    definition: dict[str, Any],
    onsets: np.ndarray,
    window: tuple[float, float],
    name: str,
) -> tuple[list[str], np.ndarray] | None:
    """Names and values (presentation, covariate) of series, such as running speed and the place of the eye.

    A value is the mean of the samples in ``covariate_window``, by default the window of the responses. None
    if there are no ``covariate_series``; UserError if the window ends later than that of the responses, or as
    for :func:`whatwhere.recordings.nwb_responses.averages`.
    """
    start, end = (
        edge / 1000 for edge in definition.get("covariate_window", [1000 * edge for edge in window])
    )
    if end > window[1] + 1e-9 or start >= end:
        raise UserError(
            f"{name}.covariate_window: {definition['covariate_window']} ms end after the response, at "
            f"{1000 * window[1]:g} ms: covariates from the future are not allowed"
        )
    names, values = [], []
    for covariate, wanted in definition.get("covariate_series", {}).items():
        place = _choose(types, "covariate_series", wanted, name, Path(definition["path"]))
        values.append(averages(content[place], onsets, (start, end)))
        names += names_of_columns(covariate, values[-1].shape[1])
    return (names, np.concatenate(values, 1)) if values else None


def _responses(
    content: h5py.File,
    types: dict[str, str],
    definition: dict[str, Any],
    onsets: np.ndarray,
    window: tuple[float, float],
    name: str,
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Responses (presentation, neuron), names of neurons or None, and their source."""
    path, series = Path(definition["path"]), definition.get("responses", "units")
    if series == "units":
        return *count_spikes(content, onsets, window), series
    listed = [series] if isinstance(series, str) else series
    places = [_choose(types, "responses", wanted, name, path) for wanted in listed]
    for place in places:
        if "data" not in content[place]:
            inside = [one for one in _candidates(types)["responses"] if one.startswith(f"{place}/")]
            raise UserError(
                f"{name}.responses: {place} is a {types[place]}, expected one series or a list of series: "
                f"{', '.join(inside) or 'it holds none'}"
            )
    means = {place: averages(content[place], onsets, window) for place in places}
    units = np.array([f"{place} {i}" for place, values in means.items() for i in range(values.shape[1])])
    return np.concatenate([*means.values()], 1), units if len(places) > 1 else None, ", ".join(places)
