"""Everything a run knows about every neuron of one model, side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from whatwhere.dataset import repeat_mean
from whatwhere.errors import UserError
from whatwhere.fitted.model import FittedModel
from whatwhere.locations import in_pixels

MAX_RESPONSES = 60
"""Test images whose measured and predicted responses are kept, spread over all."""


def describe(
    fitted: FittedModel,
    data: xr.Dataset,
    predictions: xr.DataArray,
    *,
    averages: xr.DataArray | None = None,
    exciting: xr.Dataset | None = None,
    clusters: pd.Series | None = None,
) -> xr.Dataset:
    """Collect what is known about the neurons of a fitted model.

    Parameters
    ----------
    fitted
        The model, one seed.
    data
        Its dataset.
    predictions
        (image, neuron) on test images, with the indices of both.
    averages
        (neuron, y, x) spike-triggered averages.
    exciting
        Of :func:`whatwhere.experiments.most_exciting.most_exciting_images`.
    clusters
        Cluster of the barcode of every neuron, in their order.

    Returns
    -------
    Dataset over ``neuron`` with ``neuron_id``, the scores ``correlation``, ``cc_max`` and ``feve``, and
    ``measured`` and ``predicted`` (neuron, shown); where there is such a thing also ``cell_type``,
    ``cluster``, ``row`` and ``column`` (in pixels of the original image), ``mask`` (neuron, mask_y, mask_x)
    in pixels of the model's images, ``barcode`` (neuron, feature), ``average`` (neuron, y, x), ``image``
    (neuron, channel, y, x), ``response`` and ``confirmed``.
    """
    shown = np.unique(np.linspace(0, len(predictions) - 1, MAX_RESPONSES).astype(int))
    images = predictions["image"].values[shown]
    scores = fitted.scores.set_index("neuron").loc[fitted.neurons]
    known = xr.Dataset(
        {
            "neuron_id": ("neuron", np.array(fitted.neuron_ids)),
            **{name: ("neuron", scores[name].to_numpy()) for name in ("correlation", "cc_max", "feve")},
            "measured": (("neuron", "shown"), repeat_mean(data, images, fitted.neurons).T),
            "predicted": (("neuron", "shown"), predictions.values[shown].T),
        },
        coords={"neuron": fitted.neurons},
        attrs={"dataset": fitted.dataset},
    )
    if "cell_type" in data:
        known["cell_type"] = ("neuron", data["cell_type"].values[fitted.neurons])
    if clusters is not None:
        known["cluster"] = ("neuron", clusters.to_numpy())
    if averages is not None:
        known["average"] = (("neuron", "y", "x"), averages.values)
    if exciting is not None:
        names = [name for name in ("image", "response", "confirmed") if name in exciting]
        known = known.merge(exciting[names])
    return _with_places(fitted, known)


def _with_places(fitted: FittedModel, known: xr.Dataset) -> xr.Dataset:
    try:
        masks = in_pixels(fitted.masks, fitted.image_space.shape[1:], fitted.stride)
        known["mask"] = (("neuron", "mask_y", "mask_x"), masks)
        known["barcode"] = (("neuron", "feature"), fitted.barcodes)
        places = fitted.locations
    except UserError:
        # No masks, or no pixels of the original image that all of them share.
        return known
    return known.assign(row=("neuron", places["y"]), column=("neuron", places["x"]))
