"""Trains all settings and seeds of a condition: dataset.nc, sta.nc (, fits.pt) -> fits.pt, validation.nc."""

from pathlib import Path
from typing import Any

import torch

from whatwhere.config.files import size
from whatwhere.dataset import open_dataset
from whatwhere.files import read_netcdf
from whatwhere.fit_data import Condition
from whatwhere.logs import run_job
from whatwhere.memory import keep_freed_memory
from whatwhere.models.spec import ModelSpec
from whatwhere.sta import AVERAGES
from whatwhere.training.checkpoint import Checkpoint, fingerprint
from whatwhere.training.devices import choose_device
from whatwhere.training.fits import ModelFits
from whatwhere.training.sweep import n_trainings, train
from whatwhere.training.transferred import transferred_cores


def main(
    dataset: str | Path,
    averages: str | Path,
    localizer: list[str],
    core: list[str],
    n_neurons: str,
    n_images: str,
    definition: dict[str, Any],
    seeds: list[int],
    device: str,
    checkpoint_seconds: float,
    code: str,
    fits: str | Path,
    validation: str | Path,
) -> None:
    """Trains a sweep, or continues an interrupted one, and writes it to ``fits`` and ``validation``.

    ``localizer`` holds ``fits.pt`` and ``validation.nc`` of the model that this one starts from, ``core``
    ``fits.pt`` and ``validation.nc`` of the model whose core it takes, if any.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    checkpoint = Checkpoint(
        Path(fits).with_name("checkpoint.pt"),
        fingerprint([definition, code, n_neurons, n_images, seeds], [dataset, averages, *localizer, *core]),
        checkpoint_seconds,
        len(seeds) * n_trainings(ModelSpec.of(definition)),
    )
    with open_dataset(dataset) as data, read_netcdf(averages) as stored:
        train(
            str(fits),
            Condition(data, size(n_neurons), size(n_images), seeds),
            definition,
            lambda seed: {name: stored[name].sel(seed=seed).values for name in AVERAGES},
            ModelFits.read(localizer[0], localizer) if localizer else None,
            transferred_cores(core, seeds),
            choose_device(device),
            checkpoint,
        ).write(fits, validation)
    checkpoint.remove()


if __name__ == "__main__":
    run_job(main, snakemake)
