"""Downloads the published files of a dataset on a machine with internet: config entry -> downloads/*."""

from pathlib import Path
from typing import Any

from whatwhere.logs import arguments, logged
from whatwhere.recordings import read


def main(
    name: str, definition: dict[str, Any], downloads: str | Path, mirror: str | None, done: str | Path
) -> None:
    """Fetches and verifies the files of the dataset ``name`` of the configuration, and writes ``done``."""
    read(name, definition, Path(downloads), mirror)
    Path(done).touch()


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            name=snakemake.wildcards.dataset,
            mirror=snakemake.config["mirror"],
            **arguments(snakemake.params, snakemake.output),
        )
