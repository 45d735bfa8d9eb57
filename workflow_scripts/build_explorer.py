"""The explorer of a run: neurons.nc of every model -> explore.html."""

from pathlib import Path

from whatwhere.explorer import write
from whatwhere.explorer_views import view
from whatwhere.files import read_netcdf
from whatwhere.logs import arguments, logged


def main(neurons: list[str], names: list[dict[str, str]], run: str, page: str | Path) -> None:
    """Writes one page for all models; ``names`` holds experiment, dataset and model of every file."""
    views = {}
    for path, name in zip(neurons, names, strict=True):
        with read_netcdf(path) as stored:
            views[name["dataset"], f"{name['model']} ({name['experiment']})"] = view(stored)
    write(views, f"Explorer of run {run}", page)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(**arguments(snakemake.input, snakemake.params, snakemake.output))
