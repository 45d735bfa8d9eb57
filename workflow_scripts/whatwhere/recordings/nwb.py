"""Sessions in NWB files, the format of the DANDI archive (kind ``nwb``), read through h5py.

pynwb refuses a whole file for one object of an extension whose specification the file does not store, and
leaves out images of an unknown type.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from whatwhere.errors import UserError
from whatwhere.recordings.hdf5 import dataset_at, label_of, open_hdf5, read_dataset
from whatwhere.recordings.labels import given_splits, has_one_of, labels_of_rows, split_names
from whatwhere.recordings.matching import match, names_of
from whatwhere.recordings.nwb_responses import averages, count_spikes, invalid, sample_times
from whatwhere.recordings.pictures import in_numeric_order
from whatwhere.recordings.presentations import BLANK, by_image, index_numbers, shown_images
from whatwhere.recordings.recording import Recording

Column = Callable[[str, str], np.ndarray]
"""Reads a column by its name and the key that gives the name, (presentation,) numbers or text."""

_ROLES = {
    "images": ("Images", "ImageSeries", "OpticalSeries"),
    "presentations": ("TimeIntervals", "IndexSeries"),
    "responses": ("RoiResponseSeries", "TimeSeries", "ElectricalSeries", "SpikeEventSeries"),
}
"""Types of the format by the key that names objects of them."""


def load(definition: dict[str, Any], name: str) -> Recording:
    """Loads one session: images, onsets of their presentations, and responses in a window after the onsets.

    Parameters
    ----------
    definition
        ``path``: the file. ``images``, ``presentations``, ``responses`` (one series or several): names in the
        file, needed where there are several. ``layout``: axes of images, by default [image, y, x] with
        channels last. ``image_of_presentation``, ``splits_from``, ``groups_from``, ``covariates``,
        ``leave_out``: columns of the table of presentations. ``index_base``, ``file_order``, ``blanks``:
        meaning of the numbers or names in ``image_of_presentation``. ``window``: from and to in ms after the
        onset.
    name
        Key of the dataset, for messages.

    Raises
    ------
    UserError
        If the file is unreadable or does not hold a named object.
    """
    path = Path(definition["path"])
    first, last = (edge / 1000 for edge in definition["window"])
    if first >= last:
        raise UserError(f"{name}.window: {definition['window']} is no window: give from and to in ms")
    with open_hdf5(path) as content:
        types = _types(content)
        table = content[_choose(types, "presentations", definition.get("presentations"), name, path)]
        onsets = _onsets(table)
        column = partial(_column, table, len(onsets))
        wanted = definition.get("images") or _linked_images(table)
        place = _choose(types, "images", wanted, name, path)
        images = _read_images(content[place], definition.get("layout"), f"{name}.layout")
        index, reading = _index(table, column, definition, images, name)
        values, neurons, where = _responses(content, types, definition, onsets, (first, last), name)
        values[invalid(content, onsets, (first, last))] = np.nan
        lost = np.isnan(values).all(1) & (index != BLANK)
        left = np.zeros(len(onsets), bool)
        for one, unwanted in definition.get("leave_out", {}).items():
            texts = names_of(column(one, f"{name}.leave_out"))
            left |= has_one_of(texts, unwanted, f"{name}.leave_out.{one}")
        index = np.where(lost | left, BLANK, index)
        shown, rows = shown_images(index)
        if not len(shown):
            raise UserError(f"{path}: no presentation is left that was recorded")
        presentations = by_image(rows, values)
        labels = {}
        for key in {"splits_from", "groups_from"} & set(definition):
            values, label = column(definition[key], f"{name}.{key}"), f"{path}, column '{definition[key]}'"
            values = split_names(values, label) if key == "splits_from" else values.astype(str)
            labels[key] = labels_of_rows(values, index, label)
        names = definition.get("covariates", [])
        covariates = [column(one, f"{name}.covariates") for one in names]
        if any(values.dtype.kind not in "biuf" for values in covariates):
            raise UserError(f"{name}.covariates: a column of {label_of(table)} holds text, expected numbers")
        count, *size = images.values.shape
        readings = [
            f"{count} images of {' x '.join(map(str, size))} (channel, y, x) from {place}, shown by "
            f"{str(table.name)[1:]}",
            reading,
            f"responses from {where}",
            *([f"{lost.sum()} presentations that were not recorded are left out"] if lost.any() else []),
        ]
    return Recording(
        images=images.values[shown],
        responses=presentations,
        split=given_splits(labels.get("splits_from"), definition, name),
        neurons=neurons,
        source=f"file {path}",
        citation="",
        repeat_averages=False,
        groups=labels.get("groups_from"),
        covariates=(names, replace(presentations, values=np.stack(covariates, 1))) if names else None,
        reading=readings,
        image_names=[images.names[i] for i in shown],
    )


def list_objects(path: Path) -> dict[str, list[str]]:
    """Paths that the keys ``images``, ``presentations`` and ``responses`` may name, by key."""
    with open_hdf5(path) as content:
        return _candidates(_types(content))


def table_columns(path: Path, table: str) -> list[str]:
    """Columns of a table of presentations; empty for an IndexSeries."""
    with open_hdf5(path) as content:
        return _columns(content[table])


class _Images(NamedTuple):
    """Images (image, channel, y, x), their names, and whether the file states names and order."""

    values: np.ndarray
    names: list[str]
    is_named: bool
    is_ordered: bool


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
    axes = list(layout or ("image", "y", "x", "channel")[: stored.ndim])
    if stored.ndim not in (3, 4) or 0 in stored.shape or stored.ndim != len(axes):
        given = f", which {key} calls {axes}" if layout else ""
        raise UserError(f"{label}: has axes {stored.shape}{given}, expected (image, y, x), or channels last")
    order = [axes.index(axis) for axis in ("image", "channel", "y", "x") if axis in axes]
    images = stored.transpose(order)
    return _Images(images[:, None] if images.ndim == 3 else images, names, is_named, is_ordered)


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


def _index(
    table: h5py.Group, column: Column, definition: dict[str, Any], images: _Images, key: str
) -> tuple[np.ndarray, str]:
    """Index of the image of every presentation, and a phrase on its source."""
    names = images.names
    label, base = label_of(table), definition.get("index_base")
    blanks = definition.get("blanks", [])
    if "start_time" not in table:
        label, source = f"{label}/data", "its numbers"
        values = read_dataset(dataset_at(table, "data"))
        # By the standard, an IndexSeries counts from 0.
        base = 0 if base is None else base
    else:
        name = definition.get("image_of_presentation")
        if name is None:
            raise UserError(
                f"{key}.image_of_presentation: is missing: name the column of {label} with the image that "
                f"was shown: {', '.join(_columns(table))}; films without such a column are not read"
            )
        values = column(name, f"{key}.image_of_presentation")
        label, source = f"{label}, column '{name}'", f"column {name}"
    are_names = images.is_named and set(names) >= set(values) - set(map(str, blanks))
    if values.dtype.kind == "U" and not are_names:
        values = _as_numbers(values, blanks, names, label)
    if values.dtype.kind == "U":
        index, how = match(values.tolist(), names, label, blanks)
        return index, f"{source} by {how}"
    if not images.is_ordered and "file_order" not in definition:
        raise UserError(
            f"{key}.file_order: is missing: {label} counts images whose order the file does not state: set "
            f"natural for {', '.join(names[:3])}, ..., or sorted for {', '.join(sorted(names)[:3])}, ..."
        )
    index, how = index_numbers(values, len(names), base, f"{key}.index_base", label, blanks)
    if definition.get("file_order") == "sorted" and not images.is_ordered:
        place = np.array([names.index(image) for image in sorted(names)])
        index = np.where(index == BLANK, BLANK, place[index])
    return index, f"{source}: {how}"


def _as_numbers(values: np.ndarray, blanks: list[Any], names: list[str], label: str) -> np.ndarray:
    """Numbers that are stored as text, NaN for words that are listed as blanks."""
    words = np.isin(values, [blank for blank in blanks if isinstance(blank, str)])
    try:
        return np.where(words, "nan", values).astype(np.float64)
    except ValueError as error:
        word = str(error).rpartition("'")[0].rpartition("'")[2]
        raise UserError(
            f"{label}: there is no image '{word}' among {', '.join(names[:3])}, ...: list what shows no "
            "image under blanks"
        ) from error


def _columns(table: h5py.Group) -> list[str]:
    return [str(name) for name in table.attrs.get("colnames", [])]


def _column(table: h5py.Group, n_presentations: int, name: str, key: str) -> np.ndarray:
    """Values of a column, (presentation,) numbers or text."""
    label = label_of(table)
    if name not in _columns(table):
        raise UserError(f"{key}: {label} has no column '{name}' but {', '.join(_columns(table))}")
    values = read_dataset(dataset_at(table, name))
    if values.shape != (n_presentations,) or f"{name}_index" in table:
        raise UserError(
            f"{key}: column '{name}' of {label} has shape {values.shape}, expected one value for each of the "
            f"{n_presentations} presentations"
        )
    return values.astype(str) if values.dtype.kind in "OS" else values


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
