"""A small run made by the scripts in one process, from which figures are drawn."""

import copy
import itertools
from dataclasses import dataclass, field
from pathlib import Path

from conftest import resolved

import compute_sta
import fit_baseline
import simulate
import train
from whatwhere import plotting
from whatwhere.config.traits import n_features, traits_of
from whatwhere.evaluation.parameters import write_parameters
from whatwhere.evaluation.scores import write_scores
from whatwhere.fitted.selection import write_selection

MODELS = resolved()["models"]
LABELS = {name: model.get("label", name) for name, model in MODELS.items()}
PAPER = {name: model["paper"] for name, model in MODELS.items() if "paper" in model}
GAUSSIANS = {"kind": "simulated_dog", "variation": 0, "centered": True, "image_size": 26, "patch": 9}
FEATURES = {"kind": "simulated_features", "color": "rgb", "image_size": 20, "normalize": "global"}
SIZES = {"n_images": 240, "n_test": 40, "validation_fraction": 0.2, "validation_max": 0, "seed": 3}


def saved(draw, svg, *arguments):
    """The figure of a script, and its files ``svg`` and beside it the PNG."""
    plotting.use_style()
    figure = draw(*arguments)
    plotting.save(figure, svg, svg.with_suffix(".png"))
    return figure


def small(model, steps=20):
    """A model of the default config with smaller kernels or fewer features, trained for a few steps."""
    definition = copy.deepcopy(MODELS[model])
    for core in definition.get("cores", []):
        core |= {"channels": [2, 3, 4]} if len(core["kernels"]) == 3 else {"kernels": [9]}
    if "training" in definition:
        definition["training"] |= {"max_steps": steps, "evaluate_every": 10, "batch_size": 32}
    return definition


@dataclass
class Run:
    """Files of a run below a folder, as the rules lay them out."""

    folder: Path
    files: dict = field(default_factory=dict)
    scaling: tuple = ()

    def path(self, *parts):
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return str(path)

    def simulate(self, dataset, **changes):
        output = self.path("data", f"{dataset}.nc")
        simulate.main(dataset, SIZES | changes, output)

    def fit(self, experiment, dataset, model, definition, n_neurons, n_images, seeds, rules=("population",)):
        """Fit, select, score and describe one model in every condition."""
        names = {"experiment": experiment, "dataset": dataset, "model": model}
        data = self.path("data", f"{dataset}.nc")
        conditions = [f"n{n}-d{d}" for n in n_neurons for d in n_images]
        fits, validation, averages = [], [], []
        traits = traits_of(definition)
        for condition, (n, d) in zip(
            conditions, itertools.product(map(str, n_neurons), map(str, n_images)), strict=True
        ):
            where = ("fits", experiment, dataset, model, condition)
            fits.append(self.path(*where, "fits.pt"))
            validation.append(self.path(*where, "validation.nc"))
            if traits.rule == "train" or traits.masks:
                averages.append(self.path("sta", experiment, dataset, f"{condition}.nc"))
                compute_sta.main(data, n, d, seeds, 9, averages[-1])
            if traits.rule == "fit_baseline":
                fit_baseline.main(data, [], n, d, definition, seeds, fits[-1], validation[-1])
                continue
            train.main(
                *(data, averages[-1], [], [], n, d, definition, seeds, "cpu", 60.0, "code"),
                *(fits[-1], validation[-1]),
            )
        files = {
            "dataset": data,
            "averages": averages,
            "fits": fits,
            "conditions": conditions,
            "names": names,
        }
        for kind in ("selection", "scores", "summaries", "locations", "predictions", "parameters", "draws"):
            end = "nc" if kind in ("predictions", "parameters", "draws") else "csv"
            files[kind] = self.path(kind, experiment, dataset, f"{model}.{end}")
        write_selection(validation, conditions, rules, files["selection"])
        selected = (fits, files["selection"], conditions, names)
        write_scores(
            data, *selected, files["scores"], files["summaries"], files["predictions"], files["draws"]
        )
        described = averages if traits.masks else []
        write_parameters(data, described, *selected, files["parameters"], files["locations"])
        if n_features(definition) > 1:
            from whatwhere.evaluation.clusters import write_barcodes

            for kind, name in (("barcodes", ".csv"), ("barcode_scores", "_scores.csv"), ("fields", ".nc")):
                files[kind] = self.path("barcodes", experiment, dataset, f"{model}{name}")
            outputs = files["barcodes"], files["barcode_scores"], files["fields"]
            write_barcodes(data, averages[-1], *selected, *outputs)
        self.files[experiment, model, dataset, n_neurons[-1]] = files
        return files

    def last(self, experiment, model):
        """Files of the last fit of a model in an experiment."""
        return {key[:2]: files for key, files in self.files.items()}[experiment, model]

    def of(self, experiment, kind):
        """One kind of files of all models of an experiment that have it."""
        return [files[kind] for key, files in self.files.items() if key[0] == experiment and kind in files]
