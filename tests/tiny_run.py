"""Runs of the real `snakemake` command on a tiny configuration."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import yaml
from conftest import REPOSITORY, factorized, small_core, small_training

RUN = "results/tiny"
SNAKEMAKE = (sys.executable, "-m", "snakemake")

DATASET = {
    "kind": "simulated_dog",
    "scales": [0.6, 1.0],
    "n_neurons": 8,
    "variation": 0.05,
    "centered": False,
    "image_size": 20,
    "patch": 17,
    "n_images": 200,
    "n_test": 40,
    "validation_fraction": 0.2,
    "validation_max": 0,
    "seed": 1,
}


def experiment(**changes):
    defaults = {
        "name": "tiny",
        "datasets": ["small"],
        "models": ["factorized"],
        "n_neurons": ["all"],
        "n_images": ["all"],
        "seeds": [0],
        "selection": ["population"],
        "figure": None,
    }
    return defaults | changes


def configuration(**changes):
    """A whole simulation with one trained model in seconds."""
    model = factorized(
        cores=[small_core(kernels=[5])],
        training=small_training(max_steps=100),
        grid=[{"mask_l1": [0.01]}],
        convention="signed_recording",
    )
    defaults = {
        "run": "tiny",
        "device": "cpu",
        "datasets": {"small": DATASET},
        "models": {"factorized": model},
        "experiments": [experiment()],
    }
    return defaults | changes


def write_config(folder, config):
    path = Path(folder, "mine.yaml")
    path.write_text(yaml.safe_dump(config))
    return path


def command(folder, *arguments, program=SNAKEMAKE, config="mine.yaml"):
    """Command line of a run in `folder`, which holds mine.yaml unless another file is given."""
    return [
        *program,
        "--snakefile",
        str(REPOSITORY / "Snakefile"),
        "--directory",
        str(folder),
        "--configfile",
        str(Path(folder, config)),
        *arguments,
    ]


def environment(**changes):
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"} | changes


def snakemake(folder, *arguments, program=SNAKEMAKE):
    """Runs to the end; returns the completed process with all output in `stdout`."""
    return subprocess.run(
        command(folder, *(arguments or ("--cores", "1")), program=program),
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=1800,
        check=False,
    )


TIMES = ("logs", "benchmarks", "tables/run_times.csv", "pages/run.html")
"""Results that hold times, and differ from run to run."""


def finished_files(folder, run=RUN):
    """SHA-256 of every result by path, but for :data:`TIMES`."""
    results = Path(folder, run)
    return {
        str(path.relative_to(results)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(results.rglob("*"))
        if path.is_file() and not str(path.relative_to(results)).startswith(TIMES)
    }
