"""Views of the explorer: a row of words, numbers and small pictures for every neuron of a model."""

import numpy as np
import pandas as pd
import xarray as xr
from sklearn.decomposition import PCA

from whatwhere import plotting, thumbnails

TEXTS = ("neuron_id", "type", "cluster", "look", "want", "code", "color")
NUMBERS = (
    *("neuron", "correlation", "ceiling", "feve", "confirmed", "row", "column", "first", "second"),
    *("bin_seconds", "frame_ms", "latency_ms"),
)
LISTS = ("measured", "predicted", "course")
"""Columns of a view: words and pictures; numbers, the last of them the times of a movie; and the responses to
test images, with the weights over lags of a movie."""
MAX_ANIMATED = 500
"""Neurons of a model up to which clips are animated, in a page of a few megabytes."""


def view(neurons: xr.Dataset) -> pd.DataFrame:
    """Table of the neurons of one model, a file of ``whatwhere.evaluation.neurons``, for the explorer.

    One row per neuron with the columns :data:`TEXTS`, :data:`NUMBERS` and :data:`LISTS`; what is not known is
    an empty text or NaN. ``first`` and ``second`` are the principal components of the barcodes.
    """
    n_neurons = neurons.sizes["neuron"]
    table = pd.DataFrame(index=range(n_neurons), columns=[*TEXTS], data="", dtype=object)
    table["neuron"] = neurons["neuron"].values
    table["neuron_id"] = neurons["neuron_id"].values.astype(str)
    names = {name: name for name in ("correlation", "feve", "confirmed", "row", "column")}
    for column_name, variable in (names | {"ceiling": "cc_max"}).items():
        table[column_name] = neurons[variable].values.astype(float) if variable in neurons else np.nan
    for column_name, variable in (("type", "cell_type"), ("cluster", "cluster")):
        if variable in neurons:
            table[column_name] = [f"{value + 1}" for value in neurons[variable].values]
    table["first"], table["second"] = _map_of_barcodes(neurons).T
    for name in LISTS:
        lists = neurons[name].values if name in neurons else np.empty((n_neurons, 0))
        table[name] = [[float(f"{value:.3g}") for value in values] for values in lists]
    lags = int(neurons.attrs.get("lags", 0))
    ms = 1000 / neurons.attrs["frames_per_second"] if lags else np.nan
    table["bin_seconds"] = neurons.attrs.get("seconds_per_bin", np.nan)
    table["frame_ms"], table["latency_ms"] = ms, ms * neurons.attrs.get("latency_frames", 0)
    if "mask" in neurons and "average" in neurons:
        pairs = zip(neurons["mask"].values, neurons["average"].values, strict=True)
        table["look"] = [thumbnails.mask_on_average(*pair) for pair in pairs]
    if "image" in neurons:
        animated = lags and n_neurons <= MAX_ANIMATED
        table["want"] = [
            thumbnails.animation(image, lags) if animated else thumbnails.picture(image)
            for image in neurons["image"].values
        ]
    if "barcode" in neurons:
        table["code"] = [thumbnails.barcode(weights) for weights in neurons["barcode"].values]
    groups = table["type"] if "cell_type" in neurons else table["cluster"]
    table["color"] = [plotting.LINE_COLORS[int(one or 1) % len(plotting.LINE_COLORS) - 1] for one in groups]
    return table


def _map_of_barcodes(neurons: xr.Dataset) -> np.ndarray:
    """First two principal components of the barcodes, (neuron, 2)."""
    n_neurons = neurons.sizes["neuron"]
    places = np.full((n_neurons, 2), np.nan)
    if "barcode" in neurons and min(neurons["barcode"].shape) > 1:
        places[:] = PCA(2, svd_solver="full").fit_transform(neurons["barcode"].values)
    return places
