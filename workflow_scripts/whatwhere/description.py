"""Content of a dataset, and suspicious facts about it, before anything is trained.

All images count, test images too: nothing here selects or scores a model.
"""

import numpy as np
import pandas as pd
import xarray as xr

from whatwhere.dataset import SPLITS, UNUSED, duplicate_groups, is_movie, presented
from whatwhere.errors import some_of
from whatwhere.metrics import cc_max
from whatwhere.missing import counts

_BLOCK = 16
MIN_TESTED = 10
"""Test images below which correlations are chance."""
SHOWN_SECONDS = 10.0
"""Longest time over which figures draw responses to a movie."""
STIMULUS_LIMIT = 0.1
"""Share of the variance of a covariate above which it is a function of the stimulus."""
DRIFT_LIMIT = 5.0
"""Standard errors of a correlation with the number of the repeat beyond which a neuron drifts."""


def _correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson r over repeats and images, (repeat, image, neuron) twice to (neuron,), without NaN."""
    present = ~(np.isnan(first) | np.isnan(second))
    counts = np.maximum(present.sum((0, 1)), 1)

    def centered(values: np.ndarray) -> np.ndarray:
        mean = np.where(present, values, 0).sum((0, 1), dtype=np.float64) / counts
        return np.where(present, values - mean, 0)

    first, second = centered(first), centered(second)
    norm = np.sqrt((first**2).sum((0, 1)) * (second**2).sum((0, 1)))
    return np.where(norm > 0, (first * second).sum((0, 1)) / np.where(norm > 0, norm, 1), np.nan)


def _mean_of_others(responses: np.ndarray) -> np.ndarray:
    """Mean of the other repeats at every presentation; NaN where there are none."""
    others = (~np.isnan(responses)).sum(0) - 1
    total = np.nansum(responses, axis=0, dtype=np.float64)
    return np.where(others > 0, (total - responses) / np.maximum(others, 1), np.nan)


def oracle_correlation(responses: np.ndarray) -> np.ndarray:
    """Correlation of each presentation with the mean of the other repeats of its image.

    (repeat, image, neuron), NaN for missing repeats, to (neuron,), NaN if no image was repeated.
    """
    return _correlation(responses, _mean_of_others(responses))


def drift(responses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Change from repeat to repeat that images do not explain; (repeat, image, neuron), NaN where missing.

    Returns
    -------
    correlation
        (neuron,) of the number of the repeat with the response minus the mean of the other repeats.
    by_repeat
        (repeat, neuron) mean of these differences in standard deviations of the neuron's responses; NaN
        where less than a tenth of the repeated images were shown so often.
    """
    change = responses - _mean_of_others(responses)
    number = np.where(np.isnan(change), np.nan, np.arange(len(responses))[:, None, None])
    sd = np.nanstd(responses, axis=(0, 1), dtype=np.float64)
    counts = (~np.isnan(change)).sum(1)
    enough = np.where(counts >= np.maximum(1, counts.max(0) / 10), counts, np.nan)
    by_repeat = np.nansum(change, axis=1) / enough / np.where(sd > 0, sd, np.nan)
    return _correlation(number, change), by_repeat


def repeated(responses: np.ndarray) -> np.ndarray:
    """Responses to the images that all neurons saw twice or more, (repeat, image, neuron).

    If a neuron missed an image: images that any neuron saw twice or more, NaN for neurons that did not.
    """
    times = (~np.isnan(responses)).sum(0)
    if times.all():
        return responses[:, (~np.isnan(responses)).all(2).sum(0) > 1]
    return np.where(times > 1, responses, np.nan)[:, (times > 1).any(1)]


def explained_by_stimulus(dataset: xr.Dataset) -> dict[str, float]:
    """Share of the variance of every covariate over presentations that images explain, adjusted R^2.

    Regressors are mean and standard deviation of the pixels of an image; of a movie, their means over the
    frames of a window.
    """
    if "covariates" not in dataset:
        return {}
    pixels = dataset["frames" if is_movie(dataset) else "images"]
    axes = ("channel", "y", "x")
    statistics = np.stack([pixels.mean(axes).values, pixels.std(axes).values], 1).astype(np.float64)
    if is_movie(dataset):
        last, lags = dataset["last_frame"].values, int(dataset.attrs["lags"])
        summed = np.cumsum(np.concatenate([np.zeros((1, 2)), statistics]), 0)
        statistics = (summed[last + 1] - summed[last + 1 - lags]) / lags
    found = {}
    for name, values in zip(
        dataset["covariate_name"].values, np.moveaxis(dataset["covariates"].values, 2, 0), strict=True
    ):
        repeat, image = np.nonzero(~np.isnan(values))
        n, outputs = len(image), values[repeat, image].astype(np.float64)
        inputs = np.column_stack([np.ones(n), statistics[image]])
        total = outputs.var() * n
        if n > 3 and total > 0:
            left = ((outputs - inputs @ np.linalg.lstsq(inputs, outputs)[0]) ** 2).sum()
            found[str(name)] = float(1 - left / total * (n - 1) / (n - 3))
    return found


def neuron_table(dataset: xr.Dataset) -> pd.DataFrame:
    """Statistics of the responses of every neuron and agreement of repeats, one row per neuron.

    Columns ``neuron``, ``neuron_id`` (the owner's name), ``mean``, ``sd``, ``minimum``, ``maximum``,
    ``oracle_correlation``, ``cc_max`` (highest correlation with the repeat mean that noise allows) and
    ``drift`` (see :func:`drift`). Undefined values are NaN.
    """
    # In blocks: intermediate results are several times larger than the responses.
    blocks = [
        _rows(dataset["responses"][:, :, start : start + _BLOCK].values)
        for start in range(0, dataset.sizes["neuron"], _BLOCK)
    ]
    table = pd.concat(blocks, ignore_index=True)
    table.insert(0, "neuron", np.arange(len(table)))
    table.insert(1, "neuron_id", dataset.get("neuron_id", table.neuron).to_numpy())
    return table


def _rows(responses: np.ndarray) -> pd.DataFrame:
    again = repeated(responses)
    undefined = np.full(responses.shape[2], np.nan)
    some = again.shape[1] > 1 and bool((~np.isnan(again)).any((0, 1)).all())
    return pd.DataFrame(
        {
            "mean": np.nanmean(responses, axis=(0, 1), dtype=np.float64),
            "sd": np.nanstd(responses, axis=(0, 1), dtype=np.float64),
            "minimum": np.nanmin(responses, axis=(0, 1)),
            "maximum": np.nanmax(responses, axis=(0, 1)),
            "oracle_correlation": oracle_correlation(again) if some else undefined,
            "cc_max": cc_max(again) if some else undefined,
            "drift": drift(again)[0] if some else undefined,
        }
    )


def split_sizes(dataset: xr.Dataset) -> dict[str, int]:
    """Number of training, validation and test images of the first fold."""
    codes = dataset["split"].values[0]
    return {label: int((codes == code).sum()) for code, label in enumerate(SPLITS)}


def consecutive(dataset: xr.Dataset, bins: np.ndarray) -> np.ndarray:
    """First :data:`SHOWN_SECONDS` of the longest run of consecutive bins among ``bins``, (bin,)."""
    apart = np.diff(dataset["last_frame"].values[bins]) != dataset.attrs["frames_per_bin"]
    longest = max(np.split(bins, np.flatnonzero(apart) + 1), key=len)
    return longest[: max(2, round(SHOWN_SECONDS / dataset.attrs["seconds_per_bin"]))]


def overview(dataset: xr.Dataset) -> dict[str, str]:
    """Interpretation of the files, as pairs of a term and its value."""
    sizes, seen = dataset.sizes, ~np.isnan(dataset["responses"].values).all(0)
    presentations = presented(dataset).sum(0)
    fewest, most = int(presentations.min()), int(presentations.max())
    repeats = f"{most}" if fewest == most else f"{fewest} to {most}"
    if dataset.attrs["repeat_averages"]:
        repeats = "averages, single trials unknown"
    elif dataset.attrs["noise_free_test"]:
        repeats += ", test responses without noise"
    neurons = dataset["neuron_id"].values.astype(str).tolist() if "neuron_id" in dataset.coords else []
    first = f" ({', '.join(neurons[:5])}{', ...' if len(neurons) > 5 else ''})" if len(neurons) else ""
    unused = int((dataset["split"].values[0] == UNUSED).sum())
    gaps = {"in gaps between splits": unused} if unused else {}
    covariates = ", ".join(dataset["covariate_name"].values.astype(str)) if "covariates" in dataset else ""
    rows = {
        "Source": dataset.attrs["source"],
        "Cite": dataset.attrs.get("citation", ""),
        **_stimuli(dataset),
        "Neurons": f"{sizes['neuron']}{first}",
        "Read as": dataset.attrs.get("reading", ""),
        "Pairs": _pairs(dataset),
        "Missing responses": "" if seen.all() else counts(seen),
        f"Presentations per {_unit(dataset)}": repeats,
        f"Repeated {_unit(dataset)}s": _repeated_images(dataset, presentations > 1),
        "Splits": ", ".join(f"{size} {label}" for label, size in (split_sizes(dataset) | gaps).items()),
        "Folds": f"{sizes['fold']}",
        "Normalization": dataset.attrs["normalize"],
        "Covariates": covariates and f"{covariates} (used by models with state)",
    }
    return {term: value for term, value in rows.items() if value}


def _unit(dataset: xr.Dataset) -> str:
    return "bin" if is_movie(dataset) else "image"


def _stimuli(dataset: xr.Dataset) -> dict[str, str]:
    """Number and shape of images; of a movie also its duration, bins and windows."""
    sizes, attrs = dataset.sizes, dataset.attrs
    shape = f"{sizes['channel']} x {sizes['y']} x {sizes['x']} (channel, y, x)"
    if not is_movie(dataset):
        return {"Images": f"{sizes['image']} of {shape}"}
    frame = 1 / attrs["frames_per_second"]
    latency = attrs["latency_frames"] * frame
    return {
        "Frames": f"{sizes['frame']} of {shape}, {sizes['frame'] * frame / 60:.1f} min at {1 / frame:.4g} Hz",
        "Bins": f"{sizes['image']} of {1000 * attrs['seconds_per_bin']:.4g} ms",
        "Windows": f"{attrs['lags']} frames, {1000 * attrs['lags'] * frame:.4g} ms"
        + (f", {1000 * latency:.4g} ms before the end of the bin" if latency else ""),
    }


def _repeated_images(dataset: xr.Dataset, repeated: np.ndarray) -> str:
    """Splits of the repeated images, (image,) truth values, in the first fold; empty if all or none are."""
    if repeated.all() or not repeated.any():
        return ""
    sizes = split_sizes(dataset.isel(image=repeated))
    place = ", ".join(f"{size} {label}" for label, size in sizes.items() if size)
    found = f"{repeated.sum()} of {len(repeated)} {_unit(dataset)}s"
    return f"{found} are the test set" if sizes["test"] == repeated.sum() else f"{found}: {place}"


def _pairs(dataset: xr.Dataset) -> str:
    """First responses to the first three images of a recording, for the owner to compare."""
    if dataset.attrs["kind"] == "simulated":
        return ""
    names = dataset["image_name"].values[:3] if "image_name" in dataset.coords else range(3)
    answers = dataset["responses"][0, :3, :3].values
    more = ", ..." if dataset.sizes["neuron"] > 3 else ""
    pairs = [
        f"{_unit(dataset)} {name}: {', '.join(f'{value:.4g}' for value in row)}{more}"
        for name, row in zip(names, answers, strict=True)
    ]
    return "; ".join(pairs)


def findings(dataset: xr.Dataset) -> list[str]:
    """Legal but suspicious facts about a recording, one line each; none for simulations."""
    if dataset.attrs["kind"] == "simulated":
        return []
    table, shown = neuron_table(dataset), presented(dataset).sum(0)
    found = []
    if not is_movie(dataset):
        images = dataset["images"].values
        copies = len(images) - len(np.unique(duplicate_groups(images)))
        if copies:
            found.append(
                f"{copies} images repeat earlier ones; copies share a split, but are no repeats: "
                "give responses as (repeat, image, neuron) to know the noise"
            )
        near, torn = (dataset.attrs.get(name, 0) for name in ("n_near_copies", "n_near_copies_divided"))
        if near:
            found.append(
                f"{near} images have near copies (small grey versions correlate above "
                f"{dataset.attrs['near_copies']:g}), which share a split or, beside given test images, are "
                "not used"
            )
        if torn:
            found.append(
                f"{torn} test images have near copies among the images that models are fitted to, as the "
                "given splits say: scores on them measure memory"
            )
        blank = np.flatnonzero(np.ptp(images.reshape(len(images), -1), axis=1) == 0)
        if len(blank):
            found.append(f"{len(blank)} images are uniform: {some_of(blank)}")
    dead = (table.minimum == 0) & (table.maximum == 0)
    of_neurons = {
        "never respond": dead,
        "always respond alike": (table.sd == 0) & ~dead,
        "have negative responses, which a poisson loss cannot fit": table.minimum < 0,
        "have no variance beyond noise": table.cc_max == 0,
        "drift over repeats": table.drift.abs() * np.sqrt(shown[shown > 1].sum()) > DRIFT_LIMIT,
    }
    found += [
        f"{has.sum()} neurons {fact}: {some_of(table.neuron[has])}"
        for fact, has in of_neurons.items()
        if has.any()
    ]
    if not dataset.attrs["repeat_averages"] and table.cc_max.isna().all():
        found.append(f"no {_unit(dataset)} was repeated: noise ceilings and FEVE are undefined")
    for name, share in explained_by_stimulus(dataset).items():
        if share > STIMULUS_LIMIT:
            found.append(
                f"covariate {name} follows the stimulus: mean and contrast of images explain {share:.0%} of "
                "its variance, so that what it explains of responses is not state alone"
            )
    tested = split_sizes(dataset)["test"]
    if tested < MIN_TESTED:
        found.append(f"only {tested} {_unit(dataset)}s test: scores say little")
    return found
