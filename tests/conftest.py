# Large libraries are imported where they are used: the process that starts the workers needs none of them.
import functools
import gc
import os
from pathlib import Path

import pytest
from filelock import FileLock

# For all libraries and all processes that tests start: fits repeat bit by bit only with the same number of
# threads, and more threads than cores wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared" / "data"
_CONFIG = REPOSITORY / "config"
CONFIGURATIONS = {path.name: [path] for path in sorted(_CONFIG.glob("*.yaml")) if path.stem != "models"}
"""Files of every configuration of the repository, by its name: some override or complete another."""
CONFIGURATIONS["table1_full.yaml"].insert(0, _CONFIG / "table1.yaml")
CONFIGURATIONS["recording.yaml"].append(REPOSITORY / "examples" / "my_recording.yaml")


WHOLE_RUNS = ("sessions_run", "finished_run")
"""Fixtures that run the workflow once for all tests."""
LONG_FILES = ("test_deployment.py", "test_readme.py", "test_dag.py", "test_movies_simulated.py")
LONG_FILES += ("test_figures.py", "test_site.py", "test_explorer.py", "test_localization.py")
"""Files of slow tests that take longest without these fixtures, dealt in turn: each worker gets as much."""


@functools.cache
def loaded(name):
    """Returns a checked configuration of the repository, with its files. Tests share it."""
    from whatwhere.config.load import load

    return load(CONFIGURATIONS[name])


def resolved(name="config.yaml"):
    """Returns a checked configuration of the repository. Tests share it: copy before a change."""
    return loaded(name).config


def pytest_collection_modifyitems(items):
    """Puts long tests at the start and the middle of the list, where two workers begin."""
    slow_files = {item.path for item in items if item.get_closest_marker("slow")}
    groups, fast = {name: [] for name in (*WHOLE_RUNS, *LONG_FILES)}, []
    for item in items:
        run = next((name for name in WHOLE_RUNS if name in item.fixturenames), item.path.name)
        (groups.setdefault(run, []) if item.path in slow_files else fast).append(item)
    dealt = list(groups.values())
    first, second = ([item for group in dealt[start::2] for item in group] for start in (0, 1))
    middle = max(len(items) // 2 - len(first), 0)
    items[:] = first + fast[:middle] + second + fast[middle:]


def pytest_collection_finish():
    # What was imported stays: without this, every full collection of garbage walks through it again.
    gc.freeze()


@pytest.fixture(scope="session")
def cowley_folder():
    folder = SHARED / "cowley2023"
    if not folder.is_dir():
        pytest.skip(f"needs the published files in {folder}")
    return folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory, worker_id):
    """Function that fills a folder once for all workers: ``made_once(name, make)`` calls ``make(folder)``."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def once(name, make):
        folder, made = shared / name, shared / f"{name}.made"
        with FileLock(f"{folder}.lock"):
            if not made.exists():
                # A folder without the mark was left by a failure in another worker.
                folder.mkdir()
                make(folder)
                made.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def finished_run(made_once):
    """A copy of the repository in which config/test.yaml has run and its report was written."""
    from repository_copy import CONFIG, OFFLINE, copy_repository, snakemake

    def make(repository):
        copy_repository(repository)
        run = snakemake(repository, "all", "build_report", *CONFIG, **OFFLINE)
        assert run.returncode == 0, run.stdout + run.stderr

    return made_once("finished", make)


@pytest.fixture(scope="session")
def sessions_run(made_once):
    """Folder of a run of a user's recordings: two sessions that are pooled, and pictures."""
    from sessions import RESULTS, own_recordings
    from tiny_run import snakemake, write_config

    def make(folder):
        write_config(folder, own_recordings(folder))
        run = snakemake(folder, "--cores", "1", "--", *RESULTS)
        assert run.returncode == 0, run.stdout

    return made_once("sessions", make)


@pytest.fixture
def rng():
    import numpy as np

    return np.random.default_rng(0)


@pytest.fixture
def tiny_dataset(rng):
    """A recording with y != x, three channels, unequal repeats and two folds."""
    import numpy as np
    import xarray as xr

    n_images, n_neurons = 60, 5
    images = rng.normal(3, 2, (n_images, 3, 9, 11)).astype(np.float32)
    responses = rng.poisson(2.0, (4, n_images, n_neurons)).astype(np.float32)
    responses[2:, ::3] = np.nan
    split = np.zeros((2, n_images), np.int8)
    for fold in split:
        fold[rng.permutation(n_images)[:20]] = np.repeat([1, 2], 10)
    return xr.Dataset(
        {
            "images": (("image", "channel", "y", "x"), images),
            "responses": (("repeat", "image", "neuron"), responses),
            "split": (("fold", "image"), split),
        },
        attrs={
            "name": "tiny",
            "kind": "recorded",
            "source": "random numbers",
            "normalize": "per_pixel",
            "noise_free_test": 0,
            "repeat_averages": 0,
            "validation_fraction": 0.2,
            "validation_max": 0,
        },
    )


def small_core(**changes):
    core = {
        "channels": [4],
        "kernels": [3],
        "padding": ["valid"],
        "unit_norm": False,
        "batch_norm": None,
        "activation": "relu",
        "last_activation": "identity",
        "kernel_sd": 0.01,
        "truncated": True,
        "smooth_layers": [1],
        "sparse_layers": [1],
    }
    return core | changes


def small_training(**changes):
    training = {
        "batch_size": 16,
        "learning_rate": 0.01,
        "max_steps": 30,
        "evaluate_every": 5,
        "patience": 2,
        "burn_in": 0,
        "n_stages": 2,
        "factor": 0.1,
        "fits_at_once": 1,
        "precision": "float32",
    }
    return training | changes


def factorized(**changes):
    definition = {
        "family": "cnn_factorized",
        "cores": [small_core()],
        "readout": {
            "positive_mask": False,
            "positive_features": False,
            "mask_start": {"position": "sta", "height": 1, "noise_sd": 0.001, "truncated": False},
            "feature_start": {"mean": "inverse_channels", "sd": 0.01, "truncated": False},
        },
        "convention": "paper_recording",
        "grid": [{"mask_l1": [0.001, 0.01], "feature_l1": [0.01]}],
        "training": small_training(),
    }
    return definition | changes


def content_of(definition, model, n_settings, neurons, image_mean, image_sd):
    """Content of ``fits.pt`` as if all settings had ended in ``model``, with images of this mean and sd."""
    import torch

    stored = {
        "neurons": neurons,
        "input_mean": image_mean,
        "input_sd": image_sd,
        "parameters": [model.state_dict()] * n_settings,
        "response_mean": torch.full((len(neurons),), 2.0),
        "response_scale": torch.ones(len(neurons)),
        "n_images": 100,
    }
    return {"definition": definition, "seeds": {0: stored}}
