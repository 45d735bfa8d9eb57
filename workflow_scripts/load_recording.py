"""Loads a recorded dataset: published files, files of the user, or dataset.nc of sessions -> dataset.nc."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from whatwhere.config.kinds import kind_of
from whatwhere.dataset import open_dataset, write_dataset
from whatwhere.logs import logged
from whatwhere.recordings import load
from whatwhere.recordings.pooled import pool


def main(
    name: str,
    definition: dict[str, Any],
    downloads: str | Path,
    mirror: str | None,
    output: str | Path,
    sessions: Sequence[str] = (),
) -> None:
    """Loads the dataset ``name`` of the configuration and writes it to ``output``.

    ``sessions`` are the files of the datasets of a pooled dataset, in the order of its definition.
    """
    if kind_of(definition).pooled:
        files = zip(definition["recordings"], sessions, strict=True)
        dataset = pool({session: open_dataset(path) for session, path in files}, name)
    else:
        dataset = load(name, definition, Path(downloads), mirror)
    write_dataset(dataset, output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            name=snakemake.wildcards.dataset,
            definition=snakemake.params.definition,
            downloads=snakemake.params.downloads,
            # No param: files are checked, and where they come from changes nothing.
            mirror=snakemake.config["mirror"],
            output=snakemake.output.dataset,
            sessions=list(snakemake.input.sessions),
        )
