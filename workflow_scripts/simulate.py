"""Simulate a dataset: config entry, files with stimuli -> dataset.nc."""

from pathlib import Path
from typing import Any

from whatwhere.dataset import check
from whatwhere.files import write_netcdf
from whatwhere.logs import logged
from whatwhere.simulations import difference_of_gaussians, v1_cells
from whatwhere.simulations.design import Design


def main(
    name: str,
    definition: dict[str, Any],
    recording: str | Path | None,
    downloads: str | Path,
    output: str | Path,
) -> None:
    """Simulate the dataset ``name`` of the config and write it to ``output``.

    ``recording`` is the file of the recorded dataset whose images are shown, or None.
    """
    design, arguments = Design.of(name, definition)
    if definition["kind"] == "simulated_dog":
        dataset = difference_of_gaussians.simulate(design, **arguments)
    elif definition["kind"] == "simulated_v1":
        dataset = v1_cells.simulate(design, **arguments, recording=recording)
    else:
        # Only here, because torch takes longer to import than the other kinds to simulate.
        from whatwhere.simulations import feature_units

        dataset = feature_units.simulate(design, **arguments, recording=recording, downloads=Path(downloads))
    check(dataset, f"datasets.{name}")
    write_netcdf(dataset, output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            name=snakemake.wildcards.dataset,
            definition=snakemake.params.definition,
            recording=snakemake.input.get("recording"),
            downloads=snakemake.params.downloads,
            output=snakemake.output.dataset,
        )
