"""What a configuration runs, as two tables: fits and their cells; and what a run makes from them.

``python -m whatwhere.config.plan config/mine.yaml`` prints them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from whatwhere.config.files import SIMULATED, Config
from whatwhere.config.load import load
from whatwhere.config.traits import n_features, traits_of
from whatwhere.errors import UserError

FITS = [
    "experiment",
    "dataset",
    "model",
    "path",
    "figure",
    "family",
    "rule",
    "simulated",
    "masks",
    "shares_filter",
    "barcodes",
    "example",
    "scaling",
    "recording",
    "drawn",
    "explored",
]
"""Columns of :func:`fits`."""
CELLS = ["n_neurons", "n_images", "cell", "cell_path", "sta", "localizer", "core", "last"]
"""Columns that :func:`cells` adds."""


def fits(config: Config) -> pd.DataFrame:
    """Every model that is fitted to a dataset in an experiment, a row each.

    Parameters
    ----------
    config
        A resolved, valid configuration.

    Returns
    -------
    Columns ``experiment``, ``dataset``, ``model``; ``path`` (their files below a run's folders); ``figure``
    (an empty string if none); ``family`` and ``rule``; and truth values. ``simulated``: the dataset is.
    ``masks``: it learns where neurons look. ``shares_filter``: all neurons have one. ``barcodes``: it has
    several feature weights to cluster. ``example``: the paper's model with both, of which figures show one.
    ``scaling``: the paper's model fitted at several sizes. ``recording``: of the first experiment on a
    recorded dataset, whose models that dataset's figure compares. ``drawn``: the one of them whose neurons
    it shows. ``explored``: on a dataset to which a model with barcodes is fitted.
    """
    rows = []
    seen: set[str] = set()
    for experiment in config["experiments"]:
        several = len(experiment["n_neurons"]) * len(experiment["n_images"]) > 1
        for dataset in experiment["datasets"]:
            simulated = config["datasets"][dataset]["kind"] in SIMULATED
            first = dataset not in seen
            seen.add(dataset)
            shown = shown_model(experiment["models"], config["models"])
            for model in experiment["models"]:
                definition = config["models"][model]
                traits = traits_of(definition)
                barcodes = n_features(definition) > 1
                rows.append(
                    {
                        "experiment": experiment["name"],
                        "dataset": dataset,
                        "model": model,
                        "path": f"{experiment['name']}/{dataset}/{model}",
                        "figure": experiment["figure"] or "",
                        "family": definition["family"],
                        "rule": traits.rule,
                        "simulated": simulated,
                        "masks": traits.masks,
                        "shares_filter": traits.shares_filter,
                        "barcodes": barcodes,
                        "example": traits.factorized and barcodes,
                        "scaling": traits.factorized and several,
                        "recording": first and not simulated,
                        "drawn": first and not simulated and model == shown,
                    }
                )
    planned = pd.DataFrame(rows, columns=FITS)
    interesting = planned.dataset[planned.barcodes.astype(bool)]
    return planned.assign(explored=planned.dataset.isin(interesting))


def shown_model(names: Sequence[str], models: Config) -> str:
    """The model whose neurons a figure shows: the paper's, or else one with masks, or else the last one."""
    for trait in ("factorized", "masks"):
        for name in names:
            if getattr(traits_of(models[name]), trait):
                return name
    return names[-1]


def cells(config: Config) -> pd.DataFrame:
    """Every population and data size of every fit, a row each, smallest first.

    Parameters
    ----------
    config
        A resolved, valid configuration.

    Returns
    -------
    The columns of :func:`fits`, and ``n_neurons``, ``n_images`` (as in paths: a number or ``all``); ``cell``,
    its folder; ``cell_path`` and ``sta``, its files below a run's folders; ``localizer``, those of the model
    it starts from, or an empty string; ``core``, the folder of the fits whose core it takes, or an empty
    string; ``last``, whether it is the largest cell of its fit.
    """
    by_name = {experiment["name"]: experiment for experiment in config["experiments"]}
    rows = []
    for fit in fits(config).to_dict("records"):
        experiment = by_name[fit["experiment"]]
        sizes = [(n, d) for n in experiment["n_neurons"] for d in experiment["n_images"]]
        above = config["models"][fit["model"]].get("localizer")
        for n_neurons, n_images in sizes:
            cell = f"n{n_neurons}-d{n_images}"
            rows.append(
                fit
                | {
                    "n_neurons": str(n_neurons),
                    "n_images": str(n_images),
                    "cell": cell,
                    "cell_path": f"{fit['path']}/{cell}",
                    "sta": f"{fit['experiment']}/{fit['dataset']}/{cell}",
                    "core": _core_folder(config, fit, cell),
                    "localizer": f"{fit['experiment']}/{fit['dataset']}/{above}/{cell}" if above else "",
                    "last": (n_neurons, n_images) == sizes[-1],
                }
            )
    return pd.DataFrame(rows, columns=[*FITS, *CELLS])


def _core_folder(config: Config, fit: Mapping[Any, Any], cell: str) -> str:
    """Folder of the fits that a core is taken from: of a file, or of a model of this run.

    A model of the same dataset gives that of the same cell, one of another dataset its largest.
    """
    source = config["models"][fit["model"]].get("core_from")
    if source is None:
        return ""
    if "file" in source:
        return str(Path(source["file"]).parent)
    experiment, dataset = source.get("experiment", fit["experiment"]), source.get("dataset", fit["dataset"])
    own = "dataset" not in source
    folder = f"{experiment}/{dataset}/{source['model']}/{cell if own else 'nall-dall'}"
    return f"results/{config['run']}/fits/{folder}"


def members(config: Config) -> pd.DataFrame:
    """What every cell of a combined model is made from, a row for every member.

    Returns
    -------
    The columns of :func:`cells` of the combined model, ``member``, a model, and ``member_path``, the files of
    its cell below a run's folders.
    """
    rows = [
        cell
        | {"member": member, "member_path": f"{cell['experiment']}/{cell['dataset']}/{member}/{cell['cell']}"}
        for cell in cells(config).to_dict("records")
        for member in config["models"][cell["model"]].get("members", [])
    ]
    return pd.DataFrame(rows, columns=[*FITS, *CELLS, "member", "member_path"])


def results(planned: pd.DataFrame) -> list[str]:
    """Tables, figures and pages that a run makes, as paths below its folder.

    Parameters
    ----------
    planned
        What :func:`fits` returns.
    """
    drawn = sorted(set(planned.figure) - {""})
    recorded = sorted(planned.dataset[planned.recording].unique())
    barcodes = list(planned.path[planned.barcodes])
    tables = {
        "scores": True,
        "summary": True,
        "table1": "table1" in drawn,
        "scaling": planned.scaling.any(),
        "exchange_rates": planned.scaling.any(),
        "data_efficiency": "data_efficiency" in drawn,
        "transfer": "transfer" in drawn,
        "panel": (planned.rule == "combine").any(),
        "barcodes": bool(barcodes),
        "barcode_scores": bool(barcodes),
    }
    figures = [
        *drawn,
        *(f"recording_{name}" for name in recorded),
        *(["scaling"] if planned.scaling.any() else []),
        *(f"barcodes/{path}" for path in barcodes),
        *(f"most_exciting/{path}" for path in barcodes),
        *(["fig1"] if planned.example.any() else []),
    ]
    return [
        *(f"tables/{name}.csv" for name, wanted in tables.items() if wanted),
        *(f"figures/{name}.svg" for name in figures),
        *(f"datasets/{name}.html" for name in sorted(planned.dataset.unique())),
        *(["explore.html"] if barcodes else []),
    ]


def used(config: Config, section: str) -> list[str]:
    """Names of the ``datasets`` or ``models`` that experiments use, and of what pools are made of."""
    names = [name for one in config["experiments"] for name in one[section]]
    inside = [one for name in names for one in config[section][name].get("recordings", [])]
    return list(dict.fromkeys(names + inside))


def main(paths: Sequence[str]) -> int:
    """Print what configurations run; exit code 1 after one line if they are refused."""
    try:
        config = load(paths).config
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    planned, of_cells = fits(config), cells(config)
    print(f"run {config['run']}: {len(planned)} fits, {len(of_cells)} cells\n")
    columns = ["experiment", "dataset", "model", "rule", "cell", "localizer", "last"]
    print(of_cells[columns].to_string(index=False))
    print("\n" + "\n".join(results(planned)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
