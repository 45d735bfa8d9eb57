"""Time this project against the eager PyTorch baseline; exit code 1 where a target is missed.

    python benchmarks/bench.py [CASE ...]

All cases run by default, each in a process of its own, so that no case inherits the heap of another case. If
a reference takes too long, a stated part of the reference is timed and scaled.
"""

import dataclasses
import importlib.util
import logging
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import eager
import numpy as np
import pandas as pd
import torch
from cases import Case, checkerboard, flicker, nonlinear_features, one_kernel, population, three_layers
from measure import DEVICE, Row, compare, hardware, rate, table
from sklearn.linear_model import LinearRegression, Ridge
from whole_fits import equal_loss, figure_4

from whatwhere import sta
from whatwhere.files import read_table, write_table
from whatwhere.fit_data import FitData, load_fit_data
from whatwhere.models.base import ImageShape
from whatwhere.models.factorized_ridge import fit_factorized
from whatwhere.models.feature_bank import GaborFeatureBank
from whatwhere.models.spec import ModelSpec
from whatwhere.simulations.design import Design
from whatwhere.simulations.difference_of_gaussians import simulate
from whatwhere.training.blocks import Tensors
from whatwhere.training.families import FAMILIES

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parents[1]


def random_case(definition: dict, shape: ImageShape, n_neurons: int, n_train: int, n_validation: int) -> Case:
    """A case with the data of :func:`cases.population`."""
    images, responses = population(n_train + n_validation, shape, n_neurons, seed=0)
    tensors = (images[:n_train], responses[:n_train], images[n_train:], responses[n_train:])
    return Case(definition, Tensors(*(tensor.to(DEVICE) for tensor in tensors)))


def eager_steps(case: Case, n_steps: int, n_fits: int = 1) -> Callable[[], None]:
    """Steps of the baseline loop for the first settings, one after the other."""

    def task() -> None:
        size = case.definition["training"]["batch_size"]
        for encoder, strengths in list(zip(case.encoders(), case.strengths(), strict=True))[:n_fits]:
            network = case.eager(encoder)
            trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
            optimizer = torch.optim.Adam(trained, lr=1e-3)
            for step in range(n_steps):
                batch = torch.arange(step * size, (step + 1) * size) % len(case.data.train_images)
                images, responses = case.data.train_images[batch], case.data.train_responses[batch]
                eager.step(network, optimizer, images, responses, strengths)

    return task


def training_step(precision: str, target: float) -> Iterator[Row]:
    """(a) One step of the network of section G.2."""
    case = random_case(three_layers(), (1, 31, 31), 103, 512, 2)
    times = compare(lambda: case.train(1, max_steps=3, precision=precision), eager_steps(case, 3), repeats=4)
    note = rate(3 * case.operations(), times["ours"], precision)
    yield Row("a", f"step of the G.2 network, {precision}", **times, measured="all", target=target, note=note)


def movie_step(name: str, network: Callable[[], tuple[dict, Tensors]], target: float) -> Iterator[Row]:
    """(a) One step of a network of ``config/movies.yaml``, which gathers its windows."""
    definition, data = network()
    case = Case(definition, Tensors(*(one.to(DEVICE) for one in vars(data).values())))
    times = compare(lambda: case.train(1, max_steps=10), eager_steps(case, 10), repeats=4)
    note = rate(10 * case.operations(), times["ours"], "float32")
    yield Row("a", f"step of the {name} network, float32", **times, measured="all", target=target, note=note)


def neuralpredictors_step() -> Iterator[Row]:
    """(a) The same step in the published library, where it is installed."""
    if importlib.util.find_spec("neuralpredictors") is None:
        print("(a) neuralpredictors is not installed: not compared", flush=True)
        return
    from published import published_steps

    case = random_case(three_layers(), (1, 31, 31), 103, 512, 2)
    times = compare(lambda: case.train(1, max_steps=3), published_steps(case.data, 256, 3), repeats=4)
    what = "step of the G.2 network against neuralpredictors 0.3.0"
    yield Row("a", what, **times, measured="all", target=0.65)


def sweep(case: Case, together: int, **changes: Any) -> None:
    """Trains all settings of two seeds."""
    for _ in range(2):
        case.train(together, **changes)


def figure_3_sweep(n_neurons: int, together: int, target: float) -> Iterator[Row]:
    """(c) Ten penalties and two seeds of a condition of Figure 3."""
    case = random_case(one_kernel(), (1, 48, 48), n_neurons, 819, 205)
    times = compare(lambda: sweep(case, together, max_steps=50), eager_steps(case, 50), repeats=2, scale=20)
    what = f"20 fits of a Fig 3 condition (N {n_neurons}, D 2^10), {together} at once"
    note = rate(2 * 50 * case.operations(), times["ours"], "float32")
    yield Row("c", what, **times, measured="1 of 20 fits, 50 steps each", target=target, note=note)


def figure_5_sweep(precision: str, target: float) -> Iterator[Row]:
    """(c) Ten penalties and two seeds of a condition of Figure 5."""
    case = random_case(nonlinear_features(), (3, 44, 44), 100, 896, 2)
    times = compare(
        lambda: sweep(case, 1, max_steps=4, precision=precision),
        eager_steps(case, 4, n_fits=4),
        repeats=2,
        scale=5,
    )
    note = rate(2 * 4 * case.operations(), times["ours"], precision)
    what = f"20 fits of a Fig 5 condition (N 100, D 2^10), {precision}"
    yield Row("c", what, **times, measured="4 of 20 fits, 4 steps each", target=target, note=note)


def simulated(n_images: int) -> FitData:
    """Data of 1000 simulated neurons on 48 x 48 px, a fifth of the images for validation."""
    design = Design("simulated", n_images, 2, validation_fraction=0.2, validation_max=0, seed=0)
    arguments = {"variation": 0.0, "centered": True, "image_size": 48, "patch": 17}
    data = simulate(design, scales=[1.0], n_neurons=1000, **arguments)
    return load_fit_data(data, None, None, 0)


def linear_models() -> Iterator[Row]:
    """(d) Ridge and OLS of 1000 neurons and 13 penalties on 48 x 48 px."""
    penalties = [10, 100, 300, 1000, 1500, 2000, 2500, 3000, 5000, 8000, 10000, 15000, 20000]
    fit = simulated(4096)
    images = fit.train_images.reshape(len(fit.train_images), -1)
    for name, strengths, make, scale in (
        ("ridge", penalties, lambda: [Ridge(alpha=penalty) for penalty in penalties[:2]], 13 / 2 * 1000),
        ("OLS", [0], lambda: [LinearRegression()], 1000),
    ):
        definition = {"family": "ridge", "input": "image", "grid": [{"ridge_l2": strengths}]}
        times = compare(
            lambda definition=definition: FAMILIES["ridge"].fit(ModelSpec.of(definition), fit),
            lambda make=make: [model.fit(images, fit.train_responses[:, 0]) for model in make()],
            repeats=1,
            scale=scale,
        )
        what = f"{name}, 1000 neurons x {len(strengths)} penalties, 3277 images"
        yield Row("d", what, **times, measured=f"1 of {scale:g} parts", target=0.02)


def factorized_ridge() -> Iterator[Row]:
    """(d) Factorized ridge of 1000 neurons on the Gabor feature bank, against a ridge per neuron."""
    fit = simulated(6250)
    feature_bank = GaborFeatureBank(
        (1, 48, 48), {"wavelengths": [4, 8, 16], "orientations": 6, "average_pooling": 4}
    )
    maps = feature_bank.standardize_on(torch.from_numpy(fit.train_images)).numpy()
    fit = dataclasses.replace(fit, train_images=maps)
    features = maps.reshape(len(maps), -1)
    times = compare(
        lambda: fit_factorized(fit, [{"rank": 3, "mask_l2": 3.0, "feature_l2": 1.0}]),
        lambda: Ridge(alpha=1e4).fit(features, fit.train_responses[:, 0]),
        repeats=2,
        scale=1000,
    )
    what = f"factorized ridge of rank 3, 1000 neurons x {len(maps)} images, {features.shape[1]} features"
    yield Row("d", what, **times, measured="1 of 1000 neurons", target=0.02)


def averages() -> Iterator[Row]:
    """(e) Spike-triggered averages of 1000 neurons over 2^16 images, against the bare product."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2**16, 1, 48, 48), np.float32)
    responses = rng.standard_normal((2**16, 1000), np.float32)
    left, right = np.ascontiguousarray(responses[:4096].T), images[:4096].reshape(4096, -1)
    times = compare(
        lambda: sta.spike_triggered_average(images, responses), lambda: left @ right, repeats=4, scale=16
    )
    operations = 2 * images.size * 1000
    note = (
        f"{operations / times['ours'] / 1e9:.0f} Gflop/s of {operations / times['reference'] / 1e9:.0f} "
        f"at the peak: {1 / times['ratio']:.0%}"
    )
    yield Row("e", "STA, 1000 neurons, 2^16 images", **times, measured="1/16", target=1.5, note=note)


def dag() -> Iterator[Row]:
    """(f) A dry run of the configuration of the paper."""
    config = ROOT / "config" / "paper.yaml"
    command = [sys.executable, "-m", "snakemake", "-n", "--configfile", str(config)]
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    jobs = int(re.findall(r"^total\s+(\d+)", done.stdout, re.MULTILINE)[-1])
    what = f"dry run of {config.name}"
    yield Row.of_value("f", f"{what}, s of CPU", times, 15.0, ours=float(np.median(times)))
    yield Row.of_value("f", f"{what}, jobs", [jobs], 400)


CASES: dict[str, Callable[[], Iterator[Row]]] = {
    "step_float32": partial(training_step, "float32", 0.72),
    "step_bfloat16": partial(training_step, "bfloat16", 0.4),
    "step_checkerboard": partial(movie_step, "checkerboard", checkerboard, 0.6),
    "step_flicker": partial(movie_step, "flicker", flicker, 0.6),
    "equal_loss": equal_loss,
    "neuralpredictors": neuralpredictors_step,
    "figure_4": figure_4,
    "figure_3_sweep_1": partial(figure_3_sweep, 100, 1, 0.33),
    "figure_3_sweep_10": partial(figure_3_sweep, 100, 10, 0.33),
    "figure_3_sweep_1000": partial(figure_3_sweep, 1000, 10, 0.18),
    "figure_5_sweep_float32": partial(figure_5_sweep, "float32", 0.68),
    "figure_5_sweep_bfloat16": partial(figure_5_sweep, "bfloat16", 0.4),
    "linear": linear_models,
    "factorized_ridge": factorized_ridge,
    "sta": averages,
    "dag": dag,
}
TABLE = RESULTS / f"bench_{DEVICE.type}.csv"


def run(name: str) -> None:
    """Runs one case, prints its rows and replaces its earlier rows in the table.

    A case that cannot run here keeps its rows in the table.
    """
    torch.set_num_threads(1)
    # Timed fits stop at max_steps and would warn.
    logging.getLogger("whatwhere").setLevel(logging.ERROR)
    rows = []
    for row in CASES[name]():
        rows.append(row)
        print(row.line(), flush=True)
    if not rows:
        return
    tables = [table(rows).assign(benchmark=name)]
    if TABLE.exists():
        earlier = read_table(TABLE)
        tables.insert(0, earlier[earlier.benchmark != name])
    write_table(pd.concat(tables, ignore_index=True), TABLE)


def main(names: list[str]) -> int:
    """Runs cases, each in a process of its own, and returns 1 if a target is missed."""
    print(", ".join(f"{name} {value}" for name, value in hardware().items()), flush=True)
    for name in names:
        subprocess.run([sys.executable, __file__, "--here", name], check=True)
    rows = read_table(TABLE)
    rows = rows[rows.benchmark.isin(names) & rows.target.notna()]
    missed = rows.what[~rows.met]
    print(f"{len(rows) - len(missed)} of {len(rows)} targets met" + "".join(f"; missed: {m}" for m in missed))
    return int(len(missed) > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        run(sys.argv[2])
    else:
        sys.exit(main(sys.argv[1:] or list(CASES)))
