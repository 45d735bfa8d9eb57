"""Load a recorded dataset: downloaded or user's files -> dataset.nc."""

from pathlib import Path
from typing import Any

from whatwhere.dataset import write_dataset
from whatwhere.logs import logged
from whatwhere.recordings import load


def main(
    name: str, definition: dict[str, Any], downloads: str | Path, mirror: str | None, output: str
) -> None:
    """Load the dataset ``name`` of the config and write it to ``output``."""
    write_dataset(load(name, definition, Path(downloads), mirror), output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            name=snakemake.wildcards.dataset,
            definition=snakemake.params.definition,
            downloads=snakemake.params.downloads,
            # No param: files are checked, and where they come from changes nothing.
            mirror=snakemake.config["mirror"],
            output=snakemake.output.dataset,
        )
