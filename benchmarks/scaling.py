"""Growth of time and memory with neurons, images and image size: results/scaling.csv and scaling.svg.

Every size is trained for some steps and evaluated once, in a process of its own, whose peak memory is read.
results/scaling_growth.csv has the exponents and the sizes at which the memory of this machine ends.
"""

import json
import logging
import os
import resource
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from bench import RESULTS, random_case
from cases import three_layers, two_kernels
from measure import hardware, seconds

from whatwhere.files import atomic, write_table
from whatwhere.memory import keep_freed_memory

N_STEPS = 4
LIMIT = {"n_neurons": 5000, "n_images": 5000, "height": 36, "width": 64, "network": "three_layers"}
BASE = {"n_neurons": 100, "n_images": 1024, "height": 48, "width": 48, "network": "two_kernels"}
AXES = {"n_neurons": "neurons", "n_images": "images", "width": "image width (px)"}
POWERS = {"n_neurons": 1, "n_images": 1, "width": 2}
SIZES = [
    *({**BASE, "axis": "n_neurons", "n_neurons": n} for n in (10, 100, 1000, 10_000)),
    *({**BASE, "axis": "n_images", "n_images": 2**e} for e in (8, 10, 12, 14, 16, 18)),
    *({**BASE, "axis": "width", "height": n, "width": n} for n in (24, 32, 48, 64, 96)),
    {**LIMIT, "axis": "limit"},
]


def measure(size: dict) -> dict:
    """Seconds per step and per evaluation, and peak memory of this process, for one size."""
    torch.set_num_threads(1)
    keep_freed_memory()
    logging.disable(logging.WARNING)  # fits of a few steps warn that they stopped at max_steps
    base = _peak_gib()
    definition = {"two_kernels": two_kernels, "three_layers": three_layers}[size["network"]]()
    if size["network"] == "three_layers":
        definition["cores"][0].update(channels=[32] * 3, kernels=[9, 3, 3])
    n_validation = size["n_images"] // 5
    shape = (1, size["height"], size["width"])
    case = random_case(definition, shape, size["n_neurons"], size["n_images"] - n_validation, n_validation)
    case.train(1, max_steps=1)  # the first step also loads libraries and allocates memory
    # Training restores and evaluates at its end: both runs evaluate once more; the difference removes this.
    one, more = (seconds(lambda n=n: case.train(1, max_steps=n, evaluate_every=n)) for n in (1, 1 + N_STEPS))
    data = sum(tensor.nbytes for tensor in vars(case.data).values()) / 2**30
    return {
        "step_s": (more - one) / N_STEPS,
        "rest_s": one,
        "base_gib": base,
        "peak_gib": _peak_gib(),
        "data_gib": data,
    }


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def growth(table: pd.DataFrame, memory_gib: float) -> pd.DataFrame:
    """Exponents between the two largest sizes of every axis, and the size at which memory ends.

    The exponent of memory describes the memory of a fit without that of the libraries. Growth is extrapolated
    from the two largest sizes.

    Parameters
    ----------
    table
        One row per size, with ``axis``, the column of this name, ``step_s``, ``base_gib`` and ``peak_gib``.
    memory_gib
        Memory of the machine.
    """
    rows = []
    for axis in AXES:
        (_, before), (_, last) = table[table.axis == axis].tail(2).iterrows()
        factor = np.log(last[axis] / before[axis])
        time = np.log(last.step_s / before.step_s) / factor
        added, added_before = last.peak_gib - last.base_gib, before.peak_gib - before.base_gib
        memory = np.log(added / added_before) / factor
        # Stored data grow linearly with neurons, images and pixels, and dominate at large sizes.
        size, size_before = last[axis] ** POWERS[axis], before[axis] ** POWERS[axis]
        left = (memory_gib - last.peak_gib) / (last.peak_gib - before.peak_gib)
        ends = (size + left * (size - size_before)) ** (1 / POWERS[axis])
        rows.append(
            {
                "axis": axis,
                "from": before[axis],
                "to": last[axis],
                "exponent_of_time": time,
                "exponent_of_memory": memory,
                "memory_gib": memory_gib,
                "memory_ends_at": ends,
            }
        )
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draws one column per axis: time of a step above, memory below."""
    figure, axes = plt.subplots(2, 3, figsize=(7, 4.2), sharex="col", sharey="row", layout="constrained")
    for column, (axis, label) in zip(axes.T, AXES.items(), strict=True):
        rows = table[table.axis == axis]
        column[0].plot(rows[axis], 1000 * rows.step_s, "o-", color="0.1")
        column[1].plot(rows[axis], rows.peak_gib, "o-", color="0.1", label="peak of the process")
        column[1].plot(rows[axis], rows.data_gib, "s--", color="0.5", label="images and responses")
        column[1].set_xlabel(label)
        for panel in column:
            panel.set_xscale("log")
            panel.set_yscale("log")
        if axis == "width":  # within one decade, whose minor labels overlap
            column[1].set_xticks(rows[axis], [str(width) for width in rows[axis]])
            column[1].minorticks_off()
    axes[0, 0].set_ylabel("time per step (ms)")
    axes[1, 0].set_ylabel("memory (GiB)")
    axes[1, 0].legend(frameon=False, fontsize="small")
    with atomic(path) as temporary:
        figure.savefig(temporary)
    plt.close(figure)


def main() -> int:
    """Measures all sizes; returns 1 if the largest size does not train within 8 GB."""
    rows = []
    for size in SIZES:
        command = [sys.executable, __file__, json.dumps(size)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows.append({**size, **json.loads(done.stdout)})
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows).assign(**hardware())
    write_table(table, RESULTS / "scaling.csv")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    write_table(growth(table, memory).assign(**hardware()), RESULTS / "scaling_growth.csv")
    draw(table, RESULTS / "scaling.svg")
    fits = rows[-1]["peak_gib"] * 2**30 <= 8e9
    peak, verdict = rows[-1]["peak_gib"], "met" if fits else "MISSED"
    print(f"5000 neurons x 5000 images of 36 x 64: {peak:.2f} GiB, target 8 GB: {verdict}")
    return int(not fits)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(json.loads(sys.argv[1]))))
    else:
        sys.exit(main())
