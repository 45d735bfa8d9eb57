"""Fits every setting and seed in closed form or by inference: dataset.nc -> fits.pt, validation.nc."""

from pathlib import Path
from typing import Any

from whatwhere.config.files import size
from whatwhere.dataset import open_dataset
from whatwhere.files import write_netcdf, write_tensors
from whatwhere.fit_data import load_fit_data
from whatwhere.logs import arguments, logged
from whatwhere.models.spec import ModelSpec
from whatwhere.training.closed_forms import fit_seed
from whatwhere.training.fits import to_tensors, to_validation
from whatwhere.training.transferred import transferred_cores


def main(
    dataset: str | Path,
    core: list[str],
    n_neurons: str,
    n_images: str,
    definition: dict[str, Any],
    seeds: list[int],
    fits: str | Path,
    validation: str | Path,
) -> None:
    """Writes the fits of all settings and seeds to ``fits`` and ``validation``.

    ``core`` lists ``fits.pt`` and ``validation.nc`` of the network whose core the model uses, if any.
    """
    transferred = transferred_cores(core, seeds)
    for one in transferred.values():
        definition = one.completed(definition)
    spec = ModelSpec.of(definition)
    with open_dataset(dataset) as data:
        candidates = [
            fit_seed(
                spec, seed, load_fit_data(data, size(n_neurons), size(n_images), seed), transferred.get(seed)
            )
            for seed in seeds
        ]
    write_netcdf(to_validation(definition, candidates), validation)
    write_tensors(to_tensors(definition, candidates), fits)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            **arguments(snakemake.input, snakemake.params, snakemake.output),
            n_neurons=snakemake.wildcards.n_neurons,
            n_images=snakemake.wildcards.n_images,
        )
