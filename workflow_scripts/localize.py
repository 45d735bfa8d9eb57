"""Infer kernels and locations for every seed of a cell: dataset.nc -> fits.pt, validation.nc, starts.pt."""

from pathlib import Path
from typing import Any

from whatwhere.config.files import size
from whatwhere.dataset import open_dataset
from whatwhere.files import write_netcdf, write_tensors
from whatwhere.fit_data import load_fit_data
from whatwhere.logs import logged
from whatwhere.training.closed_forms import fit_seed, refit_seed
from whatwhere.training.fits import to_tensors, to_validation


def main(
    dataset: str | Path,
    n_neurons: str,
    n_images: str,
    definition: dict[str, Any],
    seeds: list[int],
    fits: str | Path,
    validation: str | Path,
    starts: str | Path,
) -> None:
    """Write the fits to predict with to ``fits``, those to select by and to train from to ``starts``.

    The latter never see a validation image. The former do with ``refit``, once their losses are recorded.
    """
    trained, final = [], []
    with open_dataset(dataset) as data:
        for seed in seeds:
            cell = load_fit_data(data, size(n_neurons), size(n_images), seed)
            candidates = fit_seed(definition, seed, cell)
            trained.append(candidates)
            if definition["refit"]:
                candidates = refit_seed(definition, candidates, cell)
            final.append(candidates)
    write_netcdf(to_validation(definition, trained), validation)
    write_tensors(to_tensors(definition, trained), starts)
    write_tensors(to_tensors(definition, final), fits)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            dataset=snakemake.input.dataset,
            n_neurons=snakemake.wildcards.n_neurons,
            n_images=snakemake.wildcards.n_images,
            definition=snakemake.params.definition,
            seeds=snakemake.params.seeds,
            fits=snakemake.output.fits,
            validation=snakemake.output.validation,
            starts=snakemake.output.starts,
        )
