"""Put recordings together: dataset.nc of each -> dataset.nc."""

from pathlib import Path

from whatwhere.dataset import open_dataset, write_dataset
from whatwhere.logs import logged
from whatwhere.recordings.pooled import pool


def main(name: str, recordings: list[str], datasets: list[str], output: str | Path) -> None:
    """Write the pool ``name`` of ``recordings``, whose files are ``datasets``, to ``output``."""
    loaded = {}
    for recording, path in zip(recordings, datasets, strict=True):
        with open_dataset(path) as data:
            loaded[recording] = data.load()
    write_dataset(pool(loaded, name), output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            name=snakemake.wildcards.dataset,
            recordings=list(snakemake.params.recordings),
            datasets=list(snakemake.input.datasets),
            output=snakemake.output.dataset,
        )
