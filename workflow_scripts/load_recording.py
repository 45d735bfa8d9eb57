"""Loads a recorded dataset: published files, files of the user, or dataset.nc of sessions -> dataset.nc."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from whatwhere.config.kinds import kind_of, sessions_of
from whatwhere.dataset import open_dataset, write_dataset
from whatwhere.logs import run_job
from whatwhere.recordings import load
from whatwhere.recordings.pooled import pool


def main(
    name: str,
    definition: dict[str, Any],
    downloads: str | Path,
    mirror: str | None,
    dataset: str | Path,
    sessions: Sequence[str] = (),
) -> None:
    """Loads the dataset ``name`` of the configuration and writes it to ``dataset``.

    ``sessions`` are the files of the datasets of a pooled dataset, in the order of its definition.
    """
    if kind_of(definition).pooled:
        files = zip(sessions_of(definition), sessions, strict=True)
        opened = {session: open_dataset(path) for session, path in files}
        loaded = pool(opened, name, definition.get("without_images_of", ()))
    else:
        loaded = load(name, definition, Path(downloads), mirror)
    write_dataset(loaded, dataset)


if __name__ == "__main__":
    run_job(main, snakemake)
