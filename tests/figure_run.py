"""A small run made by the scripts themselves, in one process: what figures are drawn from."""

import copy
from dataclasses import dataclass, field
from pathlib import Path

import collect_scores
import compute_sta
import describe_fits
import fit_baseline
import score
import select_fits
import simulate
import train
from conftest import REPOSITORY

from whatwhere.config import read
from whatwhere.families import CLOSED_FORM

MODELS = read(REPOSITORY / "config" / "config.yaml")["models"]
POPULATION = {
    "kind": "simulated_dog",
    "variation": 0.05,
    "centered": False,
    "image_size": 26,
    "patch": 9,
    "n_images": 400,
    "n_test": 60,
    "validation_fraction": 0.2,
    "validation_max": 0,
    "seed": 3,
}


def small(model, steps=60):
    """A model of the default config with small kernels, trained for a few steps."""
    definition = copy.deepcopy(MODELS[model])
    for core in definition.get("cores", []):
        core["kernels"] = [9]
    if "training" in definition:
        definition["training"] |= {"max_steps": steps, "evaluate_every": 20, "batch_size": 64}
    return definition


@dataclass
class Run:
    """Files of a run below a folder, as the rules lay them out."""

    folder: Path
    files: dict = field(default_factory=dict)

    def path(self, *parts):
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)

    def simulate(self, dataset, **changes):
        simulate.main(dataset, POPULATION | changes, self.path("data", f"{dataset}.nc"))

    def fit(self, experiment, dataset, model, definition, n_neurons, n_images, seeds):
        """Fit, select, score and describe one model in every cell."""
        names = {"experiment": experiment, "dataset": dataset, "model": model}
        data = self.path("data", f"{dataset}.nc")
        cells = [(str(n), str(d)) for n in n_neurons for d in n_images]
        fits, validation, averages = [], [], []
        closed = definition["family"] in CLOSED_FORM
        for n, d in cells:
            where = ("fits", experiment, dataset, model, f"n{n}-d{d}")
            fits.append(self.path(*where, "fits.pt"))
            validation.append(self.path(*where, "validation.nc"))
            if closed:
                fit_baseline.main(data, n, d, definition, seeds, fits[-1], validation[-1])
                continue
            averages.append(self.path("sta", experiment, dataset, f"n{n}-d{d}.nc"))
            compute_sta.main(data, n, d, seeds, 9, averages[-1])
            train.main(
                *(data, averages[-1], n, d, definition, seeds, "cpu", 1, 60.0, "code"),
                *(fits[-1], validation[-1]),
            )
        files = {
            "dataset": data,
            "averages": averages,
            "fits": fits,
            "cells": cells,
            "names": names,
            "selection": self.path("selection", f"{experiment}-{dataset}-{model}.csv"),
            "scores": self.path("scores", f"{experiment}-{dataset}-{model}.csv"),
            "predictions": self.path("predictions", f"{experiment}-{dataset}-{model}.nc"),
            "parameters": self.path("parameters", f"{experiment}-{dataset}-{model}.nc"),
            "locations": self.path("locations", f"{experiment}-{dataset}-{model}.csv"),
        }
        select_fits.main(validation, cells, ["population"], files["selection"])
        selected = (fits, files["selection"], cells, names)
        score.main(data, *selected, 1, files["scores"], files["predictions"])
        described = averages if definition["family"] in ("cnn_factorized", "cnn_known_kernel") else []
        describe_fits.main(data, described, *selected, files["parameters"], files["locations"])
        self.files[experiment, model] = files
        return files

    def of(self, experiment, kind):
        """One kind of files of all models of an experiment."""
        return [files[kind] for (name, _), files in self.files.items() if name == experiment]

    def tables(self, kind, experiments):
        return [path for name in experiments for path in self.of(name, kind)]

    def summary(self, experiments):
        collect_scores.main(
            self.tables("scores", experiments),
            self.path("tables", "scores.csv"),
            self.path("tables", "summary.csv"),
        )
