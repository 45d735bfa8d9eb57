"""Everything known about the neurons of one model, and their images: fits.pt, scores, ... -> neurons.nc."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from whatwhere.dataset import open_dataset, repeat_mean
from whatwhere.errors import UserError
from whatwhere.experiments.most_exciting import most_exciting_images
from whatwhere.files import last_condition, read_netcdf, read_table, read_tensors, write_netcdf
from whatwhere.fitted.model import FittedModel
from whatwhere.fitted.run import assemble
from whatwhere.locations import in_pixels
from whatwhere.logs import arguments, logged

N_STARTS = 1
"""The better of two raises responses by .3 to 1.1 % (six models of 1000 neurons), for twice the time."""
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
    """Collects what is known about the neurons of a fitted model.

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


def main(
    dataset: str | Path,
    fits: list[str],
    selection: str | Path,
    scores: str | Path,
    predictions: str | Path,
    averages: list[str],
    barcodes: list[str],
    neurons: str | Path,
    threads: int,
) -> None:
    """Writes what is known about the first seed and selection rule of the last condition.

    ``averages`` and ``barcodes`` hold one file, or none for models that have none. Where there are averages,
    most exciting images are found, which a fit of the second seed confirms.
    """
    torch.set_num_threads(threads)
    selected = last_condition(read_table(selection), ["condition"])
    content, rated = read_tensors(fits[0]), read_table(scores)
    average, exciting, clusters = None, None, None
    with open_dataset(dataset) as data, read_netcdf(predictions) as predicted:
        of_seeds = [rows for _, rows in selected.groupby("seed", sort=False)][:2]
        first, *others = [assemble(data, content, rows, rated) for rows in of_seeds]
        seed = first.seed_fits[0].seed
        if averages:
            with read_netcdf(averages[0]) as stored:
                average = stored["smoothed_sta"].sel(seed=seed).load()
            # Seeds may have drawn other neurons.
            same = [other for other in others if set(first.neurons) <= set(other.neurons)]
            exciting = most_exciting_images(first, n_starts=N_STARTS, confirm=same[0] if same else None)
        if barcodes:
            table = last_condition(read_table(barcodes[0]))
            clusters = table[table.seed == seed]["cluster"]
        known = describe(
            first,
            data,
            predicted["predictions"].load(),
            averages=average,
            exciting=exciting,
            clusters=clusters,
        )
    write_netcdf(known, neurons)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(**arguments(snakemake.input, snakemake.output), threads=snakemake.threads)
