"""The run of a configuration as two tables, fits and their conditions, and the results that follow."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from whatwhere.config.files import Config
from whatwhere.config.kinds import kind_of, sessions_of
from whatwhere.config.strategies import strategy_of, target_of
from whatwhere.config.traits import n_features, traits_of


def fits(config: Config) -> pd.DataFrame:
    """Tables every model that is fitted to a dataset in an experiment, a row each.

    Columns are ``experiment``, ``dataset``, ``model``; ``path`` (files of the fit below a run's folders);
    ``label`` (the name in figures) and ``paper`` (the model of the paper whose values stand beside it, or an
    empty string); ``figure`` (an empty string if none); ``target`` and ``strategy``, see
    :mod:`whatwhere.config.strategies`; ``family`` and its :class:`whatwhere.config.traits.Traits`; and truth
    values. ``simulated``: the dataset is. ``barcodes``: the model has several feature weights to cluster.
    ``example``: the paper's model with barcodes, of which figures show one. ``scaling``: the paper's model
    fitted at several sizes. ``recording``: of the first experiment on a recording or a simulated movie, whose
    models that dataset's figure compares. ``drawn``: the model of these whose neurons the figure shows.
    ``explored``: on a dataset to which a model with barcodes is fitted.
    """
    planned = pd.DataFrame(
        {
            "experiment": experiment["name"],
            "dataset": dataset,
            "model": model,
            "path": f"{experiment['name']}/{dataset}/{model}",
            "label": config["models"][model].get("label", model),
            "paper": config["models"][model].get("paper", ""),
            "figure": experiment["figure"] or "",
            "target": target_of(config, dataset),
            "strategy": strategy_of(config, dataset, model),
            "family": config["models"][model]["family"],
            **asdict(traits_of(config["models"][model])),
            "simulated": kind_of(config["datasets"][dataset]).simulated,
            "barcodes": n_features(config["models"][model]) > 1,
            "several": len(experiment["n_neurons"]) * len(experiment["n_images"]) > 1,
            "shown": model == shown_model(experiment["models"], config["models"]),
        }
        for experiment in config["experiments"]
        for dataset, model in itertools.product(experiment["datasets"], experiment["models"])
    )
    first = planned.experiment == planned.groupby("dataset").experiment.transform("first")
    simulated_movie = planned.dataset.map(lambda name: "lags" in config["datasets"][name])
    recording = first & (~planned.simulated | simulated_movie)
    return planned.assign(
        example=planned.factorized & planned.barcodes,
        scaling=planned.factorized & planned.several,
        recording=recording,
        drawn=recording & planned.shown,
        explored=planned.dataset.isin(planned.dataset[planned.barcodes]),
    )


def shown_model(names: Sequence[str], models: Config) -> str:
    """Returns the model whose neurons a figure shows: with state, the paper's, with masks, or the last."""
    able = [n for n in names if "state" in models[n] and not models[n]["state"].get("shuffled")]
    able += (n for trait in ("factorized", "masks") for n in names if getattr(traits_of(models[n]), trait))
    return [*able, names[-1]][0]


def conditions(config: Config) -> pd.DataFrame:
    """Tables every population and data size of every fit, smallest first.

    Columns are those of :func:`fits`, and ``n_neurons``, ``n_images`` (as in paths: a number or ``all``);
    ``condition``, the folder of the condition; ``condition_path`` and ``sta``, files of the condition below a
    run's folders; ``localizer``, those of the model that the fit starts from, or an empty string; ``core``,
    the folder of the fits whose core the fit takes, or an empty string; ``last``, whether it is the largest
    condition.
    """
    experiments = {one["name"]: one for one in config["experiments"]}
    rows = []
    for fit in fits(config).to_dict("records"):
        above = f"{fit['experiment']}/{fit['dataset']}"
        model, experiment = config["models"][fit["model"]], experiments[fit["experiment"]]
        sizes = list(itertools.product(map(str, experiment["n_neurons"]), map(str, experiment["n_images"])))
        for n_neurons, n_images in sizes:
            condition = f"n{n_neurons}-d{n_images}"
            core, source = "", model.get("core_from", {})
            if "file" in source:
                core = str(Path(source["file"]).parent)
            elif source:
                # A model of this dataset lends the core of this condition, of another dataset its largest.
                lender, lent = fit | source, "nall-dall" if "dataset" in source else condition
                inside = "/".join(lender[key] for key in ("experiment", "dataset", "model"))
                core = f"results/{config['run']}/fits/{inside}/{lent}"
            rows.append(
                fit
                | {
                    "n_neurons": n_neurons,
                    "n_images": n_images,
                    "condition": condition,
                    "condition_path": f"{fit['path']}/{condition}",
                    "sta": f"{above}/{condition}",
                    "core": core,
                    "localizer": f"{above}/{model['localizer']}/{condition}" if "localizer" in model else "",
                    "last": (n_neurons, n_images) == sizes[-1],
                }
            )
    return pd.DataFrame(rows)


def results(planned: pd.DataFrame) -> list[str]:
    """Returns tables, figures and pages that a run makes of its :func:`fits`, as paths below its folder."""
    drawn = sorted(set(planned.figure) - {""})
    recorded = sorted(planned.dataset[planned.recording].unique())
    barcodes = list(planned.path[planned.barcodes])
    tables = {
        "scores": True,
        "summary": True,
        "differences": True,
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
        *(f"recording/{name}" for name in recorded),
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
    """Names of the ``datasets`` or ``models`` that experiments use, and of the recordings that are pooled."""
    names = [name for one in config["experiments"] for name in one[section]]
    inside = [one for name in names for one in sessions_of(config[section][name])]
    return list(dict.fromkeys(names + inside))
