"""The run of a configuration as two tables, fits and their conditions, and the results that follow.

``python -m whatwhere.config.plan config/mine.yaml`` prints them.
"""

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from whatwhere.config.files import Config
from whatwhere.config.kinds import kind_of
from whatwhere.config.load import load
from whatwhere.config.traits import n_features, traits_of
from whatwhere.errors import UserError


def fits(config: Config) -> pd.DataFrame:
    """Tables every model that is fitted to a dataset in an experiment, a row each.

    Parameters
    ----------
    config
        A resolved, valid configuration.

    Returns
    -------
    Columns ``experiment``, ``dataset``, ``model``; ``path`` (files of the fit below a run's folders);
    ``label`` (the name in figures) and ``paper`` (the model of the paper whose values stand beside it, or an
    empty string); ``figure`` (an empty string if none); ``family`` and ``rule``; and truth values.
    ``simulated``: the dataset is. ``masks``: the model learns where neurons look. ``known_field``: it knows
    the true receptive fields. ``factorized``: it is the paper's model. ``shares_filter``: all neurons have
    one filter. ``barcodes``: it has several feature weights to cluster. ``example``: the paper's model with
    barcodes, of which figures show one. ``scaling``: the paper's model fitted at several sizes.
    ``recording``: of the first experiment on a recorded dataset, whose models that dataset's figure compares.
    ``drawn``: the model of these whose neurons the figure shows. ``explored``: on a dataset to which a model
    with barcodes is fitted.
    """
    rows = []
    earlier: set[str] = set()
    for experiment in config["experiments"]:
        several = len(experiment["n_neurons"]) * len(experiment["n_images"]) > 1
        shown = shown_model(experiment["models"], config["models"])
        for dataset, model in itertools.product(experiment["datasets"], experiment["models"]):
            definition = config["models"][model]
            traits = traits_of(definition)
            simulated = kind_of(config["datasets"][dataset]).simulated
            recording = not simulated and dataset not in earlier
            barcodes = n_features(definition) > 1
            rows.append(
                {
                    "experiment": experiment["name"],
                    "dataset": dataset,
                    "model": model,
                    "path": f"{experiment['name']}/{dataset}/{model}",
                    "label": definition.get("label", model),
                    "paper": definition.get("paper", ""),
                    "figure": experiment["figure"] or "",
                    "family": definition["family"],
                    "rule": traits.rule,
                    "simulated": simulated,
                    "masks": traits.masks,
                    "known_field": traits.known_field,
                    "factorized": traits.factorized,
                    "shares_filter": traits.shares_filter,
                    "barcodes": barcodes,
                    "example": traits.factorized and barcodes,
                    "scaling": traits.factorized and several,
                    "recording": recording,
                    "drawn": recording and model == shown,
                }
            )
        earlier.update(experiment["datasets"])
    planned = pd.DataFrame(rows)
    return planned.assign(explored=planned.dataset.isin(planned.dataset[planned.barcodes]))


def shown_model(names: Sequence[str], models: Config) -> str:
    """Returns the model whose neurons a figure shows: the paper's, or one with masks, or the last."""
    for trait in ("factorized", "masks"):
        for name in names:
            if getattr(traits_of(models[name]), trait):
                return name
    return names[-1]


def conditions(config: Config) -> pd.DataFrame:
    """Tables every population and data size of every fit, a row each, smallest first.

    Parameters
    ----------
    config
        A resolved, valid configuration.

    Returns
    -------
    The columns of :func:`fits`, and ``n_neurons``, ``n_images`` (as in paths: a number or ``all``); ``condition``,
    the folder of the condition; ``condition_path`` and ``sta``, files of the condition below a run's folders;
    ``localizer``, those of the model that the fit starts from, or an empty string; ``core``, the folder of
    the fits whose core the fit takes, or an empty string; ``last``, whether it is the largest condition.
    """
    sizes = {
        one["name"]: list(itertools.product(map(str, one["n_neurons"]), map(str, one["n_images"])))
        for one in config["experiments"]
    }
    rows = []
    for fit in fits(config).to_dict("records"):
        above = f"{fit['experiment']}/{fit['dataset']}"
        localizer = config["models"][fit["model"]].get("localizer")
        for n_neurons, n_images in sizes[fit["experiment"]]:
            condition = f"n{n_neurons}-d{n_images}"
            rows.append(
                fit
                | {
                    "n_neurons": n_neurons,
                    "n_images": n_images,
                    "condition": condition,
                    "condition_path": f"{fit['path']}/{condition}",
                    "sta": f"{above}/{condition}",
                    "core": _core_folder(config, fit, condition),
                    "localizer": f"{above}/{localizer}/{condition}" if localizer else "",
                    "last": (n_neurons, n_images) == sizes[fit["experiment"]][-1],
                }
            )
    return pd.DataFrame(rows)


def _core_folder(config: Config, fit: Mapping[Any, Any], condition: str) -> str:
    """Folder of the fits that a core is taken from: of a file, or of a model of this run.

    A model of the same dataset gives that of the same condition, one of another dataset its largest.
    """
    source = config["models"][fit["model"]].get("core_from")
    if source is None:
        return ""
    if "file" in source:
        return str(Path(source["file"]).parent)
    experiment, dataset = source.get("experiment", fit["experiment"]), source.get("dataset", fit["dataset"])
    own = "dataset" not in source
    folder = f"{experiment}/{dataset}/{source['model']}/{condition if own else 'nall-dall'}"
    return f"results/{config['run']}/fits/{folder}"


def members(config: Config) -> pd.DataFrame:
    """Tables what every condition of an ensemble is made from, a row for every ensemble member.

    Returns
    -------
    The columns of :func:`conditions` of the ensemble, ``member``, a model, and ``member_path``, files of its
    condition below a run's folders.
    """
    table = conditions(config)
    inside = [config["models"][model].get("members", []) for model in table.model]
    table = table.assign(member=inside)[list(map(bool, inside))].explode("member", ignore_index=True)
    return table.assign(
        member_path=table.experiment + "/" + table.dataset + "/" + table.member + "/" + table.condition
    )


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
        "panel": (planned.rule == "fit_ensemble").any(),
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
    """Prints what configurations run; exit code 1 after one line if they are refused."""
    try:
        config = load(paths).config
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    planned, of_conditions = fits(config), conditions(config)
    print(f"run {config['run']}: {len(planned)} fits, {len(of_conditions)} conditions\n")
    columns = ["experiment", "dataset", "model", "rule", "condition", "localizer", "last"]
    print(of_conditions[columns].to_string(index=False))
    print("\n" + "\n".join(results(planned)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
