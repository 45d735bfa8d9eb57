"""Validate a configuration and its data in seconds: python -m whatwhere.check config/mine.yaml ..."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from whatwhere.config.files import SIMULATED, Config, cells, merge, read, size
from whatwhere.config.validation import check_size, validate
from whatwhere.dataset import repeat_mean
from whatwhere.description import overview
from whatwhere.errors import UserError
from whatwhere.fit_data import check_responses, draw
from whatwhere.recordings import PUBLISHED, load
from whatwhere.recordings.fetch import is_url

DEFAULT = Path(__file__).parents[2] / "config" / "config.yaml"
DOWNLOADS = Path("results", "downloads")

Sources = Sequence[tuple[str, Config]]


def check(paths: Sequence[str | Path]) -> list[str]:
    """Validate configurations, merged with the default one as Snakemake does it, and load their recordings.

    Published recordings are loaded only from a mirror on this machine, nothing is downloaded. Simulations
    are not run. Warnings about the data are logged.

    Parameters
    ----------
    paths
        Files that the default configuration is extended by, in order.

    Returns
    -------
    What the datasets of the experiments hold, a line for each fact.

    Raises
    ------
    UserError
        If anything would stop the workflow before it trains.
    """
    files = dict.fromkeys(Path(path).resolve() for path in (DEFAULT, *paths))
    sources = [(str(path), read(path)) for path in files]
    config: Config = {}
    for _, content in sources:
        config = merge(config, content)
    validate(config, sources)
    lines = [f"run {config['run']}"]
    for name in dict.fromkeys(name for one in config["experiments"] for name in one["datasets"]):
        lines += ["", f"dataset {name}", *(f"  {line}" for line in _dataset(name, config, sources))]
    return lines


def _dataset(name: str, config: Config, sources: Sources) -> list[str]:
    definition, mirror = config["datasets"][name], config["mirror"]
    kind = definition["kind"]
    if kind in SIMULATED:
        sizes = f"{definition['n_neurons']} neurons, {definition['n_images']} images and"
        return [f"{kind}: {sizes} {definition['n_test']} to test, made by the workflow"]
    if kind in PUBLISHED and (mirror is None or is_url(mirror)):
        return [f"{kind}: downloaded by the workflow, not checked unless 'mirror' is a folder"]
    dataset = load(name, definition, DOWNLOADS, mirror)
    _check_fits(dataset, name, config, sources)
    return [f"{term}: {value}" for term, value in overview(dataset).items()]


def _check_fits(dataset: xr.Dataset, name: str, config: Config, sources: Sources) -> None:
    """Refuse what no job could fit: too much, too large kernels, responses beyond a model's output."""
    smallest = min(dataset.sizes["y"], dataset.sizes["x"])
    for index, experiment in enumerate(config["experiments"]):
        if name not in experiment["datasets"]:
            continue
        for n_neurons, n_images in cells(experiment):
            for seed in experiment["seeds"]:
                try:
                    drawn = draw(dataset, size(n_neurons), size(n_images), seed)
                    seen = repeat_mean(
                        dataset, np.concatenate([drawn.train, drawn.validation]), drawn.neurons
                    )
                    for model in experiment["models"]:
                        check_responses(config["models"][model], seen, drawn.neurons)
                except UserError as error:
                    raise UserError(f"{sources[-1][0]}: experiments.{index}: {error}") from error
            for model in experiment["models"]:
                check_size(config, model, smallest, len(drawn.neurons), sources)


def main(paths: Sequence[str]) -> int:
    """Print what :func:`check` returns; exit code 1 after one line if it refuses."""
    logging.basicConfig(level=logging.WARNING, format="warning: %(message)s", stream=sys.stdout)
    try:
        print("\n".join(check(paths)))
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
