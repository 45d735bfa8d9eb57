"""Simulates a dataset: config entry, files with stimuli -> dataset.nc."""

from pathlib import Path
from typing import Any

from whatwhere.config.kinds import kind_of
from whatwhere.dataset import check, write_dataset
from whatwhere.logs import logged
from whatwhere.simulations.design import Design


def main(
    name: str,
    definition: dict[str, Any],
    recording: str | Path | None,
    downloads: str | Path,
    output: str | Path,
) -> None:
    """Simulates the dataset ``name`` of the configuration and writes it to ``output``.

    ``recording`` is the file of the recorded dataset whose images are shown, or None.
    """
    design, keys = Design.of(name, definition)
    kind, given = kind_of(definition), {"recording": recording, "downloads": Path(downloads)}
    dataset = kind.load_module().simulate(design, **keys, **{key: given[key] for key in kind.takes})
    check(dataset, f"datasets.{name}")
    write_dataset(dataset, output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            name=snakemake.wildcards.dataset,
            definition=snakemake.params.definition,
            recording=next(iter(snakemake.input.recording), None),
            downloads=snakemake.params.downloads,
            output=snakemake.output.dataset,
        )
