"""Downloads the published files of a dataset on a machine with internet: config entry -> downloads/*."""

from pathlib import Path
from typing import Any

from whatwhere.logs import run_job
from whatwhere.recordings import read


def main(
    name: str, definition: dict[str, Any], downloads: str | Path, mirror: str | None, done: str | Path
) -> None:
    """Fetches and verifies the files of the dataset ``name`` of the configuration, and writes ``done``."""
    read(name, definition, Path(downloads), mirror)
    Path(done).touch()


if __name__ == "__main__":
    run_job(main, snakemake)
