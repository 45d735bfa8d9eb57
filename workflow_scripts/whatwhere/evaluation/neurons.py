"""Everything known about the neurons of one model, and their images: fits.pt, scores, ... -> neurons.nc."""

from pathlib import Path

import numpy as np
import xarray as xr

from whatwhere.conditions import last_listed_condition
from whatwhere.dataset import TRAIN, open_dataset, repeat_mean, select_images
from whatwhere.description import consecutive
from whatwhere.errors import UserError
from whatwhere.experiments.most_exciting import most_exciting_images, responsive_courses
from whatwhere.files import read_netcdf, read_table, read_tensors, write_netcdf
from whatwhere.fitted.model import FittedModel
from whatwhere.fitted.run import assemble
from whatwhere.locations import in_pixels

N_STARTS = 1  # ascents, from the training image that excites a neuron most, or from noise for a movie
MAX_RESPONSES = 60  # test images whose measured and predicted responses are kept, spread over all
MAX_BINS = 180  # consecutive test bins of a movie whose responses are kept


def write_neurons(
    dataset: str | Path,
    fits: str | Path,
    selection: str | Path,
    scores: str | Path,
    predictions: str | Path,
    averages: str | Path | None,
    barcodes: str | Path | None,
    neurons: str | Path,
) -> None:
    """Writes what is known about the first seed and selection rule of the last condition to ``neurons``.

    ``fits`` and ``averages`` are files of that condition. Models that have no barcodes give neither
    ``averages`` nor ``barcodes``. With averages, most exciting images are found, which a fit of the second
    seed confirms.

    The file has, over ``neuron``: ``neuron_id``, the scores ``correlation``, ``cc_max`` and ``feve``, and
    ``measured`` and ``predicted`` (neuron, shown) responses to test images; where there is such a thing also
    ``cell_type``, ``cluster``, ``row`` and ``column`` (in pixels of the original image), ``mask`` (neuron,
    mask_y, mask_x) in pixels of the model's images, ``barcode`` (neuron, feature), ``average`` (neuron, y,
    x), ``image`` (neuron, channel, y, x), ``response`` with the interval ``response_low`` to
    ``response_high``, and ``confirmed``. Of a movie, images are windows, attributes are those of
    :class:`whatwhere.recordings.movie_contract.Timing`, and ``course`` (neuron, lag) is that of the clips.
    """
    selected = last_listed_condition(read_table(selection), ["condition"])
    content, rated = read_tensors(fits), read_table(scores)
    with open_dataset(dataset) as data, read_netcdf(predictions) as stored:
        of_seeds = [rows for _, rows in selected.groupby("seed", sort=False)][:2]
        first, *others = [assemble(data, content, rows, rated) for rows in of_seeds]
        seed, timing = first.seed_fits[0].seed, first.image_space.timing
        predicted = stored["predictions"].load()
        bins = predicted["image"].values
        shown = np.unique(np.linspace(0, len(predicted) - 1, MAX_RESPONSES).astype(int))
        if timing:
            shown = np.flatnonzero(np.isin(bins, consecutive(data, bins)))[:MAX_BINS]
        measured = repeat_mean(data, bins[shown], first.neurons)
        known = xr.Dataset(
            {
                "neuron_id": ("neuron", np.array(first.neuron_ids).astype(str)),
                **{
                    name: ("neuron", first.scores[name].to_numpy())
                    for name in ("correlation", "cc_max", "feve")
                },
                "measured": (("neuron", "shown"), measured.T),
                "predicted": (("neuron", "shown"), predicted.values[shown].T),
            },
            coords={"neuron": first.neurons},
            attrs={"dataset": first.dataset} | (timing.attributes() if timing else {}),
        )
        if "cell_type" in data:
            known["cell_type"] = ("neuron", data["cell_type"].values[first.neurons])
        if barcodes:
            table = last_listed_condition(read_table(barcodes))
            known["cluster"] = ("neuron", table[table.seed == seed]["cluster"].to_numpy())
        if averages:
            with read_netcdf(averages) as maps:
                known["average"] = (("neuron", "y", "x"), maps["smoothed_sta"].sel(seed=seed).values)
            # Seeds may have different subsets of neurons.
            same = [other for other in others if set(first.neurons) <= set(other.neurons)]
            tested = repeat_mean(data, predicted["image"].values, first.neurons)
            train = np.flatnonzero(first.split == TRAIN)
            exciting = most_exciting_images(
                first,
                n_starts=N_STARTS,
                images=None if timing else np.asarray(select_images(data, train)),
                held_out=(predicted.values, tested),
                confirm=same[0] if same else None,
            )
            if timing:
                courses = responsive_courses(first, exciting["image"].values)
                known["course"] = (("neuron", "lag"), courses)
            exciting = exciting.drop_vars("response_of_start")
            known = known.merge(exciting.assign_coords(neuron=first.neurons))
    write_netcdf(_with_places(first, known), neurons)


def _with_places(fitted: FittedModel, known: xr.Dataset) -> xr.Dataset:
    """Adds masks, barcodes and locations, as far as the model and the original images have them."""
    try:
        masks = in_pixels(fitted.arrays.masks, fitted.image_space.shape[1:], fitted.stride)
        known["mask"] = (("neuron", "mask_y", "mask_x"), masks)
        known["barcode"] = (("neuron", "feature"), fitted.arrays.barcodes)
        places = fitted.locations
    except UserError:
        return known
    return known.assign(row=("neuron", places["y"]), column=("neuron", places["x"]))
