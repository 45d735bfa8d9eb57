"""Sessions in NWB files, the format of the DANDI archive (kind ``nwb``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.array_files import NamedArray
from whatwhere.recordings.arrays import shape_images
from whatwhere.recordings.hdf5 import dataset_at, open_hdf5, read_dataset
from whatwhere.recordings.labels import labels_of_rows, split_names, tiers_of
from whatwhere.recordings.matching import match
from whatwhere.recordings.nwb_responses import averages, count_spikes, seconds
from whatwhere.recordings.pictures import in_numeric_order
from whatwhere.recordings.presentations import by_image, index_numbers, shown_images
from whatwhere.recordings.recording import Recording

_IMAGES = ("Images", "ImageSeries", "OpticalSeries")
_TABLES = ("TimeIntervals", "IndexSeries")
_FILMS = "stimulus/presentation/"
"""Where series of images lie that are shown from the first to the last."""
_SERIES = ("RoiResponseSeries", "TimeSeries", "ElectricalSeries", "SpikeEventSeries")


def load(definition: dict[str, Any], name: str) -> Recording:
    """Load one session: images, when they were shown, and responses in a window after that.

    Parameters
    ----------
    definition
        ``path``: the file. ``images``, ``presentations``, ``responses``: names in it, needed where there are
        several. ``layout``: axes of images, [image, y, x] with channels last if left out.
        ``image_of_presentation``, ``splits_from``, ``groups_from``, ``covariates``: columns of the table of
        presentations. ``window``: from and to in ms after the onset.
    name
        The dataset's key, for messages.

    Raises
    ------
    UserError
        If the file is unreadable, or does not hold what is named.
    """
    path = Path(definition["path"])
    with open_hdf5(path) as content:
        types = _types(content)
        shown_by = _choose(types, _TABLES, definition.get("presentations"), f"{name}.presentations", path)
        table = content[shown_by]
        wanted = definition.get("images") or _linked_images(table)
        place = _choose(types, _IMAGES, wanted, f"{name}.images", path)
        images, names, size = _read_images(content[place], definition.get("layout"), name, f"{path}:{place}")
        onsets = _onsets(table, f"{path}:{shown_by}")
        if place.startswith(_FILMS) and not ("image_of_presentation" in definition or _telling(table)):
            raise UserError(
                f"{path}:{place}: is a film, shown from its first frame to its last, which no model takes: "
                f"name images that a column of {shown_by} counts"
            )
        index, reading = _index(table, definition, names, name, f"{path}:{shown_by}")
        shown, rows = shown_images(index)
        first, last = (edge / 1000 for edge in definition["window"])
        if first >= last:
            raise UserError(f"{name}.window: {definition['window']} is no window: give from and to in ms")
        where = definition.get("responses", "units")
        # Rows of blanks are not needed, but keep their place.
        if where == "units":
            values, neurons = count_spikes(content, onsets, (first, last), path)
        else:
            place_of_series = _choose(types, _SERIES, where, f"{name}.responses", path)
            values = averages(content[place_of_series], onsets, (first, last), f"{path}:{place_of_series}")
            neurons = None
        presentations = by_image(rows, values)
        labels, groups = (
            _labels(what, table, definition, index, shown, name) for what in ("splits_from", "groups_from")
        )
        covariates = _covariates(table, definition, name)
        found = _found(types)
    return Recording(
        images=images[shown],
        responses=presentations,
        split=tiers_of(labels, definition.get("tiers"), f"{name}.tiers"),
        neurons=neurons,
        source=f"file {path}",
        citation="",
        repeat_averages=False,
        groups=groups,
        covariates=covariates and (covariates[0], replace(presentations, values=covariates[1])),
        reading=[
            f"images from {place} ({size}), shown by {shown_by}",
            reading,
            f"responses from {where}",
            found,
        ],
        image_names=[names[i] for i in shown],
    )


def _types(content: h5py.File) -> dict[str, str]:
    """Type of every group of the file, by path."""
    types: dict[str, str] = {}

    def visit(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Group) and "neurodata_type" in item.attrs:
            types[name] = str(item.attrs["neurodata_type"])

    content.visititems(visit)
    return types


def _choose(types: dict[str, str], kinds: tuple[str, ...], wanted: str | None, key: str, path: Path) -> str:
    """Path of the group of some kind that is named by its path or its end, or is the only one.

    A full path may be that of any kind, such as one of an extension. Of images, those of the stimulus come
    before averages of a microscope.
    """
    there = [place for place, kind in types.items() if kind in kinds]
    if wanted is None:
        stimuli = [place for place in there if place.startswith("stimulus/")] if kinds is _IMAGES else []
        fitting = stimuli or there
    else:
        end = wanted.strip("/")
        fitting = [place for place in types if place == end] or [
            place for place in there if place.endswith(f"/{end}")
        ]
    if len(fitting) == 1:
        return fitting[0]
    listed = ", ".join(there) or "none"
    fault = f"there is no {wanted}" if wanted is not None and not fitting else "there are several"
    if not there:
        raise UserError(
            f"{key}: {path} holds no {' or '.join(kinds)}: give the full path of what it holds instead"
        )
    raise UserError(f"{key}: {fault}: name one of those in {path}: {listed}")


def _found(types: dict[str, str]) -> str:
    """A phrase on what the file offers."""
    parts = []
    for what, kinds in (("images", _IMAGES), ("presentations", _TABLES), ("responses", _SERIES)):
        there = [place for place, kind in types.items() if kind in kinds]
        there += ["units"] if what == "responses" and types.get("units") else []
        parts.append(f"{what}: {', '.join(there)}" if there else f"no {what}")
    return f"found {'; '.join(parts)}"


def _linked_images(table: h5py.Group) -> str | None:
    """Path of the images that an IndexSeries counts."""
    for link in ("indexed_images", "indexed_timeseries"):
        if link in table:
            where = table.get(link, getlink=True)
            return str(where.path if isinstance(where, h5py.SoftLink) else table[link].name)
    return None


def _read(group: h5py.Group, name: str, label: str) -> np.ndarray:
    size = Path(group.file.filename).stat().st_size
    return read_dataset(dataset_at(group, name, Path(label)), f"{label}/{name}", size)


def _read_images(
    group: h5py.Group, layout: Sequence[str] | None, key: str, label: str
) -> tuple[np.ndarray, list[str], str]:
    """Images (image, channel, y, x), their names, and how their axes were read."""
    stored, names = _stack(group, label)
    axes = layout or ("image", "y", "x", "channel")[: stored.ndim]
    images, reading, _ = shape_images(NamedArray(stored, None), axes, f"{key}.layout", label)
    return images, names, reading


def _stack(group: h5py.Group, label: str) -> tuple[np.ndarray, list[str]]:
    """Images as they are stored, the first axis that of images, and their names."""
    if "data" in group:
        if "external_file" in group:
            raise UserError(f"{label}: keeps its frames in other files: give them as kind images")
        frames = _read(group, "data", label)
        if frames.ndim not in (3, 4) or 0 in frames.shape:
            raise UserError(f"{label}: has shape {frames.shape}, expected (frame, y, x), or channels last")
        return frames, [str(number) for number in range(len(frames))]
    if "order_of_images" in group:
        names = [str(group.file[one].name).rpartition("/")[2] for one in group["order_of_images"][...]]
    else:
        names = in_numeric_order([name for name in group if isinstance(group[name], h5py.Dataset)])
    pictures = [_read(group, name, label) for name in names]
    if not pictures:
        raise UserError(f"{label}: holds no image")
    odd = next((n for n, p in zip(names, pictures, strict=True) if p.shape != pictures[0].shape), None)
    if odd is not None or pictures[0].ndim not in (2, 3):
        raise UserError(f"{label}: {odd or names[0]} has another shape than an image or than {names[0]}")
    return np.stack(pictures), names


def _onsets(table: h5py.Group, label: str) -> np.ndarray:
    """When every presentation began, s."""
    onsets = _read(table, "start_time", label) if "start_time" in table else seconds(table, label)
    if not np.isfinite(onsets).all():
        raise UserError(f"{label}: presentation {np.flatnonzero(~np.isfinite(onsets))[0]} has no time")
    return onsets


def _index(
    table: h5py.Group, definition: dict[str, Any], names: list[str], key: str, label: str
) -> tuple[np.ndarray, str]:
    """Index of the image of every presentation, and how it was understood."""
    base = definition.get("index_base")
    if "start_time" not in table:
        numbers = _read(table, "data", label)
        return index_numbers(numbers, len(names), 0 if base is None else base, f"{key}.index_base", label)
    columns = _columns(table)
    column = definition.get("image_of_presentation")
    if column is None:
        telling = _telling(table)
        varied = [name for name in telling if len(np.unique(_column(table, name, label))) > 1]
        if len(varied) != 1:
            raise UserError(
                f"{key}.image_of_presentation: is missing: name the column of {label} that says which image "
                f"was shown: {', '.join(columns)}"
            )
        column = varied[0]
    elif column not in columns:
        raise UserError(
            f"{key}.image_of_presentation: {label} has no column '{column}' but {', '.join(columns)}"
        )
    values = _column(table, column, label)
    if values.dtype.kind == "U":
        index, how = match(values.tolist(), names, label)
        return index, f"column {column} by {how}"
    index, how = index_numbers(values, len(names), base, f"{key}.index_base", f"{label}/{column}")
    return index, f"column {column}: {how}"


def _telling(table: h5py.Group) -> list[str]:
    """Columns whose name says that they name images; an IndexSeries counts them itself."""
    words = {"image", "frame", "stimulus", "stim", "picture", "natural_scene"}
    return [name for name in _columns(table) if words & set(re.split("[^a-z]+", name.lower()))] or [
        "data"
    ] * ("data" in table)


def _columns(table: h5py.Group) -> list[str]:
    return [str(name) for name in table.attrs.get("colnames", [])]


def _column(table: h5py.Group, name: str, label: str) -> np.ndarray:
    values = _read(table, name, label)
    return values.astype(str) if values.dtype.kind == "O" else values


def _named_column(table: h5py.Group, column: str, key: str) -> np.ndarray:
    label = f"{table.file.filename}:{str(table.name).strip('/')}"
    if column not in _columns(table):
        raise UserError(f"{key}: {label} has no column '{column}' but {', '.join(_columns(table))}")
    return _column(table, column, label)


def _labels(
    what: str,
    table: h5py.Group,
    definition: dict[str, Any],
    index: np.ndarray,
    shown: np.ndarray,
    name: str,
) -> np.ndarray | None:
    if what not in definition:
        return None
    column = definition[what]
    values = _named_column(table, column, f"{name}.{what}")
    label = f"{table.file.filename}, column '{column}'"
    values = split_names(values, label) if what == "splits_from" else values.astype(str)
    return labels_of_rows(values, index, shown, label)


def _covariates(
    table: h5py.Group, definition: dict[str, Any], name: str
) -> tuple[list[str], np.ndarray] | None:
    columns = definition.get("covariates")
    if not columns:
        return None
    values = [_named_column(table, column, f"{name}.covariates") for column in columns]
    return list(columns), np.stack(values, 1).astype(np.float64)
