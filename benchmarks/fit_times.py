"""Time and memory of ``fit(images, responses)`` with nothing else: benchmarks/results/fit_times.csv.

    OMP_NUM_THREADS=1 PYTHONPATH=workflow_scripts python benchmarks/fit_times.py

Every size is fitted in a process of its own, on one core. The time is that of the processor. Run it on a
quiet machine.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from whatwhere import fit
from whatwhere.files import write_table

TABLE = Path(__file__).parent / "results" / "fit_times.csv"
SIZES = [(40, 600, 40, 40), (100, 1000, 40, 40), (100, 2000, 36, 64), (1000, 5000, 36, 64)]
"""Neurons, images, and height and width of images in pixels."""


def recording(n_neurons: int, n_images: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth images, and counts (image, neuron) of events driven by the contrast of one patch each."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((n_images, height, width)).astype(np.float32)
    images = images.cumsum(1).cumsum(2)
    images /= images.std((1, 2), keepdims=True)
    corners = rng.integers(0, [height - 8, width - 8], (n_neurons, 2))
    contrast = np.stack([images[:, i : i + 8, j : j + 8].std((1, 2)) for i, j in corners], axis=1)
    return images, rng.poisson(2 * contrast / contrast.mean(0))


def measure(n_neurons: int, n_images: int, height: int, width: int) -> None:
    """Prints minutes and gigabytes of one fit."""
    images, responses = recording(n_neurons, n_images, height, width)
    started = time.process_time()
    fit(images, responses, device="cpu")
    minutes = (time.process_time() - started) / 60
    print(minutes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(*map(int, sys.argv[1:]))
        sys.exit()
    rows = []
    for size in SIZES:
        done = subprocess.run(
            [sys.executable, __file__, *map(str, size)], stdout=subprocess.PIPE, check=True, text=True
        )
        minutes, gigabytes = map(float, done.stdout.split()[-2:])
        sizes = dict(zip(["n_neurons", "n_images", "height", "width"], size, strict=True))
        rows.append(sizes | {"minutes": minutes, "peak_gb": gigabytes})
        print(rows[-1], flush=True)
        write_table(pd.DataFrame(rows), TABLE)
