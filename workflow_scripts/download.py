"""Downloads the published files of a dataset on a machine with internet: config entry -> downloads/*."""

from pathlib import Path
from typing import Any

from whatwhere.config.kinds import kind_of
from whatwhere.logs import run_job
from whatwhere.recordings import read


def main(
    name: str, definition: dict[str, Any], downloads: str | Path, mirror: str | None, done: str | Path
) -> None:
    """Fetches and verifies the files of the dataset ``name`` of the configuration, and writes ``done``."""
    if kind_of(definition).downloaded:
        read(name, definition, Path(downloads), mirror)
    else:
        # Recordings do without torch, which takes seconds to import.
        from whatwhere.simulations.vgg19 import fetch_weights

        space = definition["feature_space"]
        fetch_weights(space["weights"], space["sha256"], Path(downloads))
    Path(done).touch()


if __name__ == "__main__":
    run_job(main, snakemake)
