"""The explorer of a run: neurons.nc of every model -> explore.html."""

from collections import Counter
from pathlib import Path

from whatwhere.explorer import write
from whatwhere.explorer_views import view
from whatwhere.files import read_netcdf
from whatwhere.logs import run_job


def main(
    neurons: list[str],
    names: list[dict[str, str]],
    labels: dict[str, str],
    datasets: dict[str, str],
    run: str,
    page: str | Path,
) -> None:
    """Writes one page for all models.

    ``names`` holds experiment, dataset and model of every file; ``labels`` and ``datasets`` the names that
    the page shows for models and datasets. Fits of one model to one dataset also show their experiment.
    """
    fits = Counter((name["dataset"], name["model"]) for name in names)
    views = {}
    for path, name in zip(neurons, names, strict=True):
        dataset, model = name["dataset"], name["model"]
        among = f" ({name['experiment']})" if fits[dataset, model] > 1 else ""
        with read_netcdf(path) as stored:
            views[datasets[dataset], f"{labels[model]}{among}"] = view(stored)
    write(views, f"Explorer of run {run}", page)


if __name__ == "__main__":
    run_job(main, snakemake)
