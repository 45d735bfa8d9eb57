"""Trains all settings and seeds of a condition: dataset.nc, sta.nc (, fits.pt) -> fits.pt, validation.nc."""

from pathlib import Path
from typing import Any

import torch

from whatwhere import sta
from whatwhere.config.files import size
from whatwhere.dataset import open_dataset, shared_kernel
from whatwhere.files import read_netcdf, read_tensors, write_netcdf, write_tensors
from whatwhere.fit_data import load_fit_data
from whatwhere.logs import arguments, logged
from whatwhere.memory import keep_freed_memory
from whatwhere.models.spec import ModelSpec
from whatwhere.training.checkpoint import Checkpoint, fingerprint
from whatwhere.training.devices import choose_device, warn_of_imitation
from whatwhere.training.fits import to_tensors, to_validation
from whatwhere.training.starts import start_from
from whatwhere.training.sweep import n_trainings, train_seed
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
    threads: int,
    checkpoint_seconds: float,
    code: str,
    fits: str | Path,
    validation: str | Path,
) -> None:
    """Trains a sweep, or continues an interrupted one, and writes it to ``fits`` and ``validation``.

    ``localizer`` holds ``fits.pt`` and ``validation.nc`` of the model that this one starts from, ``core``
    ``fits.pt`` and ``validation.nc`` of the model whose core it takes, if any.
    """
    torch.set_num_threads(threads)
    keep_freed_memory()
    where = choose_device(device)
    spec = ModelSpec.of(definition)
    warn_of_imitation(spec.trained[1].precision, where)
    with open_dataset(dataset) as data, read_netcdf(averages) as stored:
        kernel = shared_kernel(data)
        found: dict[int, Any] = dict.fromkeys(seeds, (None, {}))
        if localizer:
            starts = read_tensors(localizer[0])
            with read_netcdf(localizer[1]) as rated:
                found = {seed: start_from(starts, rated, definition, seed) for seed in seeds}
        checkpoint = Checkpoint(
            Path(fits).with_name("checkpoint.pt"),
            fingerprint(
                [definition, code, n_neurons, n_images, seeds], [dataset, averages, *localizer, *core]
            ),
            checkpoint_seconds,
            len(seeds) * n_trainings(spec),
        )
        transferred = transferred_cores(core, seeds)
        candidates = [
            train_seed(
                spec,
                seed,
                load_fit_data(data, size(n_neurons), size(n_images), seed),
                {name: stored[name].sel(seed=seed).values for name in sta.AVERAGES} | found[seed][1],
                kernel,
                found[seed][0],
                where,
                checkpoint,
                transferred.get(seed),
            )
            for seed in seeds
        ]
    write_netcdf(to_validation(definition, candidates), validation)
    write_tensors(to_tensors(definition, candidates), fits)
    checkpoint.remove()


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            **arguments(snakemake.input, snakemake.params, snakemake.output),
            n_neurons=snakemake.wildcards.n_neurons,
            n_images=snakemake.wildcards.n_images,
            threads=snakemake.threads,
            # No param: how often progress is saved changes no result.
            checkpoint_seconds=snakemake.config["checkpoint_seconds"],
            code=snakemake.params.code,
        )
