"""Peak memory of every step for a large recording: docs/results/memory.csv.

    PYTHONPATH=workflow_scripts python benchmarks/memory.py FOLDER [STEP ...]

The recording has 8000 neurons and 5000 images of 36 x 64 px; 100 images are shown ten times. Every step is
the script of its rule in a process of its own, whose peak memory is read, and writes to ``FOLDER``.
Training takes one step. All steps run unless steps are named; the rows of these steps are then replaced.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from whatwhere.config.load import load
from whatwhere.evaluation.scores import write_scores
from whatwhere.files import read_table, write_table
from whatwhere.fitted.selection import write_selection

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "workflow_scripts"))
import compute_sta  # noqa: E402
import describe_dataset  # noqa: E402
import fit_baseline  # noqa: E402
import load_recording  # noqa: E402
import train  # noqa: E402

TABLE = ROOT / "docs" / "results" / "memory.csv"
N_NEURONS, N_IMAGES, N_TEST, N_REPEATS, SHAPE = 8000, 5000, 100, 10, (36, 64)
LIMIT = 8.0
"""GB that no step may exceed."""
CONDITION = "nall-dall"


def write_recording(folder: Path) -> None:
    """Writes arrays of a recording in which every neuron counts events driven by one pixel."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((N_IMAGES, *SHAPE), np.float32)
    shown = np.concatenate([np.arange(N_IMAGES), np.repeat(np.arange(N_TEST), N_REPEATS - 1)])
    pixels = rng.integers(0, images[0].size, N_NEURONS)
    rates = np.exp(images.reshape(N_IMAGES, -1)[:, pixels] / 2)
    np.save(folder / "images.npy", images)
    np.save(folder / "responses.npy", rng.poisson(rates[shown]).astype(np.float32))
    np.save(folder / "shown.npy", shown)
    np.save(folder / "splits.npy", np.where(np.arange(N_IMAGES) < N_TEST, "test", ""))


def load_dataset(folder: Path) -> None:
    """Reads the arrays as a dataset."""
    definition = {
        "kind": "arrays",
        "images": str(folder / "images.npy"),
        "layout": ["image", "y", "x"],
        "responses": str(folder / "responses.npy"),
        "image_of_presentation": str(folder / "shown.npy"),
        "index_base": 0,
        "splits_from": str(folder / "splits.npy"),
        "image": {"color": "grey", "crop": None, "size": None, "normalize": "per_pixel"},
        "split": {"validation": 0.2, "test": 0.02, "folds": 1, "seed": 1},
    }
    load_recording.main("large", definition, folder, None, str(folder / "data.nc"))
    stored, dense = (folder / "data.nc").stat().st_size, 4 * N_REPEATS * N_IMAGES * N_NEURONS
    print(f"{stored / 1e9:.2f} GB on disk, where all repeats of all images would take {dense / 1e9:.2f} GB")


def describe(folder: Path) -> None:
    """Writes the table of neurons, the figure and the page of the dataset."""
    files = (folder / f"large{ending}" for ending in (".csv", ".svg", ".png", ".html"))
    describe_dataset.main(folder / "data.nc", *files)


def averages(folder: Path) -> None:
    """Computes spike-triggered averages."""
    compute_sta.main(folder / "data.nc", "all", "all", [0], 17, folder / "sta.nc")


def model(name: str, **changes: Any) -> dict[str, Any]:
    """A model of the config with changes."""
    return load([]).config["models"][name] | changes


def train_network(folder: Path) -> None:
    """Trains the network of section G.2 with 32 channels for one step."""
    definition = model("factorized_three_layers")
    definition["grid"] = [{"smoothness": [0.003], "group_sparsity": [0.025], "joint_l1": [0.02]}]
    definition["training"] |= {"max_steps": 1, "evaluate_every": 1}
    train.main(
        dataset=folder / "data.nc",
        averages=folder / "sta.nc",
        localizer=[],
        core=[],
        n_neurons="all",
        n_images="all",
        definition=definition,
        seeds=[0],
        device="cpu",
        checkpoint_seconds=60,
        code="",
        fits=folder / "train.pt",
        validation=folder / "train.nc",
    )


def localize_neurons(folder: Path) -> None:
    """Locations for one, two and four kernels."""
    files = folder / "localize.pt", folder / "localize.nc"
    fit_baseline.main(folder / "data.nc", [], "all", "all", model("localized_features"), [0], *files)


def fit_ridge(folder: Path) -> None:
    """Fits ridge regression with nine penalties."""
    fits, validation = folder / "ridge.pt", folder / "ridge.nc"
    fit_baseline.main(folder / "data.nc", [], "all", "all", model("ridge"), [0], fits, validation)


def score_fits(folder: Path) -> None:
    """Scores the ridge with penalties selected for every neuron."""
    write_selection([str(folder / "ridge.nc")], [CONDITION], ["neuron"], folder / "selection.csv")
    write_scores(
        dataset=folder / "data.nc",
        fits=[str(folder / "ridge.pt")],
        selection=folder / "selection.csv",
        conditions=[CONDITION],
        names={},
        scores=folder / "scores.csv",
        summary=folder / "summary.csv",
        predictions=folder / "predictions.nc",
    )


STEPS: dict[str, Callable[[Path], None]] = {
    "write_recording": write_recording,
    "load_recording": load_dataset,
    "describe_dataset": describe,
    "compute_sta": averages,
    "train": train_network,
    "fit_baseline, localization": localize_neurons,
    "fit_baseline, ridge": fit_ridge,
    "score": score_fits,
}


def measured(name: str, folder: Path) -> dict[str, Any]:
    """Peak memory and seconds of one step in a process of its own."""
    start = time.perf_counter()
    command = [sys.executable, __file__, str(folder), "--here", name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    *notes, peak = done.stdout.splitlines()
    print(*notes, flush=True)
    return {"step": name, "peak_gb": int(peak) / 1e9, "elapsed_s": time.perf_counter() - start}


def main(folder: Path, names: list[str]) -> int:
    """Measures steps; returns 1 if a step exceeds the limit."""
    for name in names:
        row = measured(name, folder)
        print(row, flush=True)
        earlier = read_table(TABLE) if TABLE.exists() else pd.DataFrame({"step": []})
        table = pd.concat([earlier[earlier.step != name], pd.DataFrame([row])])
        order = table.step.map(list(STEPS).index)
        write_table(table.iloc[order.argsort()], TABLE)
    return int((read_table(TABLE).peak_gb > LIMIT).any())


if __name__ == "__main__":
    where, steps = Path(sys.argv[1]), sys.argv[2:]
    if steps[:1] == ["--here"]:
        torch.set_num_threads(1)
        STEPS[steps[1]](where)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    else:
        sys.exit(main(where, steps or list(STEPS)))
