"""Types among feature weights: dataset.nc, fits.pt, sta.nc -> barcodes.csv, scores.csv, fields.nc."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from whatwhere import stability
from whatwhere.barcodes import aligned_means, certainty, cluster, has_weights, normalize
from whatwhere.cell_types import clearest_gap, find_types
from whatwhere.config.files import condition_sizes
from whatwhere.dataset import is_movie, open_dataset
from whatwhere.files import read_netcdf, write_netcdf, write_table
from whatwhere.fit_data import FitData, joined, load_fit_data
from whatwhere.fitted.seed_fit import SeedFit, selected_fits
from whatwhere.locations import peaks
from whatwhere.models.base import EVALUATION_CHUNK

N_BOOTSTRAPS = 20
HALF_WIDTH = 10


def cluster_fit(
    fit: SeedFit, fit_data: FitData, types: np.ndarray | None, blocks: np.ndarray | None = None
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Barcodes and types of one fit, their certainty, stability and agreement with the true types.

    Neurons without weights are set apart as cluster -1. ``blocks`` (image,) holds the block of every bin of a
    movie.
    """
    weights, masks, seed, pooled = fit.feature_weights, fit.masks, fit.seed, fit_data.pooled
    recording = None if pooled is None else np.concatenate([pooled.train, pooled.validation])
    responses = np.concatenate([fit_data.train_responses, fit_data.validation_responses])
    features = stability.pooled_features(fit.model, _standardized(fit, fit_data, recording))
    measured = responses / fit.stored["response_scale"].numpy()
    subset = fit_data.subset
    of_images = None if blocks is None else blocks[np.concatenate([subset.train, subset.validation])]
    halves = stability.half_weights(features, measured, weights, of_images)
    codes = normalize(weights, masks)
    n_train = len(fit_data.train_images)
    of_validation = None if recording is None else recording[n_train:]
    stored = fit_data.standardize.undo(fit_data.validation_images, of_validation)
    predictions = fit.predict(stored, of_validation)
    known = has_weights(predictions, fit_data.validation_responses)
    inside, repeated = codes[known], np.stack([normalize(half, masks) for half in halves])[:, known]
    clusters = np.full(len(codes), -1)
    clusters[known], p_value = find_types(inside)
    probability = np.zeros(len(codes))
    probability[known] = certainty(inside, clusters[known], repeated)
    true = np.full(len(codes), -1) if types is None else types[fit.neurons]
    table = pd.DataFrame(
        {
            "neuron": fit.neurons,
            "cell_type": true,
            "cluster": clusters,
            "certainty": probability,
            "norm": np.linalg.norm(weights, axis=1),
            **{f"weight_{channel}": values for channel, values in enumerate(codes.T)},
        }
    )
    n_clusters = int(clusters.max(initial=-1)) + 1
    n_types = np.nan if types is None else len(np.unique(true))
    score = {
        "n_clusters": n_clusters,
        "p_value": p_value,
        "n_unfitted": int((~known).sum()),
        "stability_bootstraps": stability.bootstrap_stability(inside, clusters[known], N_BOOTSTRAPS, seed),
        "stability_halves": stability.balanced_agreement(*(cluster(half, n_clusters) for half in repeated)),
        **dict.fromkeys(("ari", "nmi"), np.nan),
        "n_types": n_types,
        "ari_known_number": np.nan,
    }
    if types is not None:
        # Only models with barcodes of a simulation need it.
        from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

        score |= {
            "ari": adjusted_rand_score(true[known], clusters[known]),
            "nmi": normalized_mutual_info_score(true[known], clusters[known]),
            "ari_known_number": adjusted_rand_score(true[known], cluster(inside, int(n_types))),
        }
    return table, score


def _standardized(fit: SeedFit, fit_data: FitData, recording: np.ndarray | None) -> Iterator[Tensor]:
    """Yields chunks of training images, then validation images, as the fit standardizes them."""
    images = joined(fit_data.train_images, fit_data.validation_images)
    for start in range(0, len(images), EVALUATION_CHUNK):
        some = slice(start, start + EVALUATION_CHUNK)
        mine = None if recording is None else recording[some]
        stored = fit_data.standardize.undo(np.asarray(images[some]), mine)
        yield torch.from_numpy(np.asarray(fit.standardize(stored, mine)))


def fields_of(fit: SeedFit, clusters: np.ndarray, averages: np.ndarray) -> xr.Dataset:
    """Mean spike-triggered average (neuron, y, x) of every cluster, and the clearest gap between barcodes.

    Averages are aligned to the peaks of the masks.
    """
    known = clusters >= 0
    evidence, position = clearest_gap(normalize(fit.feature_weights, fit.masks)[known])
    positions = peaks(fit.masks[known], averages.shape[1:], fit.model.stride)
    means = aligned_means(averages[known], positions, clusters[known], HALF_WIDTH)
    offset = np.arange(-HALF_WIDTH, HALF_WIDTH + 1)
    return xr.Dataset(
        {
            "field": (("cluster", "dy", "dx"), means),
            "n_neurons": ("cluster", np.bincount(clusters[known])),
            "evidence": ((), evidence),
            "position": ("neuron", position, {"units": "distance between the centers of two groups"}),
        },
        coords={
            "dy": ("dy", offset, {"units": "px"}),
            "dx": ("dx", offset, {"units": "px"}),
        },
    )


def write_barcodes(
    dataset: str | Path,
    averages: str | Path,
    fits: list[str],
    selection: str | Path,
    conditions: list[str],
    names: dict[str, str],
    barcodes: str | Path,
    scores: str | Path,
    fields: str | Path,
) -> None:
    """Writes one row per fit and neuron to ``barcodes`` and one per fit to ``scores``.

    The receptive fields of the clusters, of the first seed and selection rule of the last condition, go to
    ``fields``; ``averages`` holds the spike-triggered averages of that condition.
    """
    tables, rows, written = [], [], False
    with open_dataset(dataset) as data:
        types = data["cell_type"].values if "cell_type" in data else None
        blocks = data["block"].values if is_movie(data) else None
        for selected in selected_fits(selection, conditions, fits):
            fit = selected.fit.of_most_neurons()
            fit_data = load_fit_data(data, *condition_sizes(selected.condition), fit.seed)
            table, score = cluster_fit(fit, fit_data, types, blocks)
            keys = names | {"selection": selected.rule} | fit.sizes
            tables.append(pd.concat([pd.DataFrame(keys, index=table.index), table], axis=1))
            state = {"converged": selected.converged.mean(), "at_edge": selected.at_edge.mean()}
            rows.append({"condition": selected.condition} | keys | score | state)
            if selected.condition == conditions[-1] and not written:
                with read_netcdf(averages) as stored:
                    average = stored["sta"].sel(seed=fit.seed).values
                write_netcdf(fields_of(fit, table["cluster"].to_numpy(), average), fields)
                written = True
    write_table(pd.concat(tables, ignore_index=True), barcodes)
    write_table(with_agreement(pd.DataFrame(rows), tables).drop(columns="condition"), scores)


def with_agreement(scores: pd.DataFrame, tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Scores of fits with the agreement between the seeds of each condition and selection rule."""
    agreement = np.full(len(scores), np.nan)
    for rows in scores.groupby(["condition", "selection"], sort=False).indices.values():
        neurons, clusters = ([tables[i][name].to_numpy() for i in rows] for name in ("neuron", "cluster"))
        agreement[rows] = stability.agreement_between_fits(neurons, clusters)
    return scores.assign(stability_seeds=agreement)
