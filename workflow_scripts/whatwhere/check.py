"""Validates a configuration and its data in seconds: whatwhere check config/mine.yaml ..."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from whatwhere.config.files import Config, dump, size
from whatwhere.config.kinds import kind_of, sessions_of
from whatwhere.config.load import load as load_config
from whatwhere.config.model_checks import check_size
from whatwhere.config.plan import used
from whatwhere.config.schema import Sources
from whatwhere.cost import Size, cost, sizes, summary
from whatwhere.dataset import repeat_mean
from whatwhere.description import overview
from whatwhere.errors import UserError
from whatwhere.files import atomic
from whatwhere.logs import report
from whatwhere.models.spec import ModelSpec
from whatwhere.recordings import load
from whatwhere.recordings.pooled import pool
from whatwhere.subset import choose_subset
from whatwhere.training.transferred import transferred_cores

DOWNLOADS = Path("results", "downloads")


def check(paths: Sequence[str | Path]) -> list[str]:
    """Validates the default configuration extended by files, in order, and loads their recordings.

    Published recordings are loaded only from a mirror on this machine; nothing is downloaded. Simulations
    are not run. Warnings about the data are logged. The configuration in full, with the datasets and models
    that its experiments use, is written to ``results/<run>/check.yaml``.

    Returns facts about the datasets, a line each; then where the configuration is written in full; at last
    what is fitted, and the time and disk that it takes. UserError if anything would stop the workflow.
    """
    loaded = load_config(paths)
    config, sources = loaded.config, loaded.sources
    lines, of = [f"run {config['run']}"], sizes(config)
    for name in used(config, "datasets"):
        lines += ["", f"dataset {name}", *(f"  {line}" for line in _dataset(name, config, sources, of))]
    sections = {
        section: {name: config[section][name] for name in used(config, section)}
        for section in ("datasets", "models")
    }
    for experiment in config["experiments"]:
        for name in experiment["models"]:
            file = config["models"][name].get("core_from", {}).get("file")
            if file is not None:
                transferred_cores([file, str(Path(file).with_name("validation.nc"))], experiment["seeds"])
    resolved = Path("results", config["run"], "check.yaml")
    with atomic(resolved) as path:
        path.write_text(dump(config | sections), encoding="utf-8")
    return [*lines, "", f"all keys in full: {resolved}", "", summary(cost(config, of))]


def _dataset(name: str, config: Config, sources: Sources, of: dict[str, Size]) -> list[str]:
    """Facts about a dataset; the size of a recording is added to ``of``."""
    definition, mirror = config["datasets"][name], config["mirror"]
    if kind_of(definition).simulated:
        sizes = f"{definition['n_neurons']} neurons, {definition['n_images']} images and"
        return [f"{definition['kind']}: {sizes} {definition['n_test']} to test, made by the workflow"]
    pooled = kind_of(definition).pooled
    sessions = {key: config["datasets"][key] for key in (sessions_of(definition) if pooled else [name])}
    if any(kind_of(of).downloaded for of in sessions.values()) and mirror is None:
        return [f"{definition['kind']}: downloaded by the workflow, not checked unless 'mirror' is a folder"]
    loaded = {key: load(key, of, DOWNLOADS, mirror) for key, of in sessions.items()}
    dataset = pool(loaded, name, definition.get("without_images_of", ())) if pooled else loaded[name]
    _check_fits(dataset, name, config, sources)
    of[name] = Size.of(dataset)
    return [f"{term}: {value}" for term, value in overview(dataset).items()]


def _check_fits(dataset: xr.Dataset, name: str, config: Config, sources: Sources) -> None:
    """Refuses too large subsets, too large kernels, and responses that a model cannot predict."""
    smallest = min(dataset.sizes["y"], dataset.sizes["x"])
    # Once for all seeds and sizes, because averages over repeats take longest.
    responses = repeat_mean(dataset, *(np.arange(dataset.sizes[dim]) for dim in ("image", "neuron")))
    for index, experiment in enumerate(config["experiments"]):
        if name not in experiment["datasets"]:
            continue
        subsets = itertools.product(*(experiment[key] for key in ("n_neurons", "n_images", "seeds")))
        for n_neurons, n_images, seed in subsets:
            try:
                subset = choose_subset(dataset, size(str(n_neurons)), size(str(n_images)), seed)
                images = np.concatenate([subset.train, subset.validation])
                fitted = responses[np.ix_(images, subset.neurons)]
                for model in experiment["models"]:
                    ModelSpec.of(config["models"][model]).check_responses(fitted, subset.neurons)
            except UserError as error:
                raise UserError(f"{sources[-1][0]}: experiments.{index}: {error}") from error
            for model in experiment["models"]:
                check_size(config, model, smallest, len(subset.neurons), sources)


def main(paths: Sequence[str]) -> int:
    """Prints what :func:`check` returns."""
    return report(lambda: check(paths))
