"""Killed, stopped and starved runs of the real workflow: a rerun ends with the same bytes."""

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import REPOSITORY
from sessions import PICTURES
from tiny_run import (
    DATASET,
    RUN,
    command,
    configuration,
    environment,
    finished_files,
    snakemake,
    write_config,
)

from whatwhere.config.files import read

pytestmark = pytest.mark.slow


@pytest.fixture
def start():
    """Function that starts a command as leader of a process group, which does not outlive the test."""
    processes = []

    def start_process(arguments, **options):
        process = subprocess.Popen(
            arguments,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            **({"env": environment(), "stderr": subprocess.DEVNULL} | options),
        )
        processes.append(process)
        return process

    yield start_process
    for process in processes:
        if process.poll() is None:
            kill(process)


def kill(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, "the process ended too early"
        time.sleep(0.05)


def unlocked(folder):
    """Output of the command that removes the lock of a killed run."""
    options = environment(PYTHONPATH=str(REPOSITORY / "workflow_scripts"))
    arguments = [sys.executable, "-m", "whatwhere.unlock"]
    return subprocess.check_output(arguments, cwd=folder, env=options, text=True)


def finished_jobs(folder):
    """Number of jobs that ended and left their time."""
    return len(list(Path(folder, RUN, "benchmarks").rglob("*.tsv")))


def test_a_run_killed_at_a_random_moment_ends_with_the_same_bytes(sessions_run, start, tmp_path):
    shutil.copy(sessions_run / "mine.yaml", tmp_path)
    options = ("--cores", "1", "--", *PICTURES)
    moment = random.Random(6)
    process, enough = start(command(tmp_path, *options)), moment.randint(1, 4)
    wait_for(lambda: finished_jobs(tmp_path) >= enough, process)
    time.sleep(moment.uniform(0, 3))
    # Held still, or it may end before the second run has looked.
    os.killpg(process.pid, signal.SIGSTOP)
    refused = snakemake(tmp_path, *options)
    assert refused.returncode != 0
    assert "Directory cannot be locked" in refused.stdout
    assert "--unlock" in refused.stdout
    assert unlocked(tmp_path) == "", "the run is alive"
    kill(process)
    assert "Removed the lock" in unlocked(tmp_path)
    done = snakemake(tmp_path, *options)
    assert done.returncode == 0, done.stdout
    made, expected = finished_files(tmp_path), finished_files(sessions_run)
    assert len(made) > 8
    assert made == {name: expected[name] for name in made}
    assert not [path for path in (tmp_path / "results").rglob("*") if path.name.startswith(".partial-")]


def train_with_log(folder, arguments):
    """A job of the rule ``train`` without Snakemake."""
    import train
    from whatwhere.logs import logged

    with logged(folder / "train.log"):
        train.main(**arguments)
        assert "torch._dynamo" not in sys.modules, "torch's compiler takes as long to import as torch"


@pytest.fixture
def fit_pooled(sessions_run, tmp_path):
    """Function that starts the fit of the pooled sessions; its files lie in ``tmp_path``."""
    # Its processes are copies of one process that has imported the large libraries.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "xarray", "scipy.ndimage", "scipy.optimize"])
    config = read(sessions_run / "mine.yaml")
    arguments = {
        "dataset": str(sessions_run / RUN / "data/both.nc"),
        "averages": str(sessions_run / RUN / "sta/tiny/both/nall-dall.nc"),
        "localizer": [],
        "core": [],
        "n_neurons": "all",
        "n_images": "all",
        "definition": config["models"]["factorized"],
        "seeds": [0],
        "device": "cpu",
        "checkpoint_seconds": 0.1,
        "code": "same",
        "fits": str(tmp_path / "fits.pt"),
        "validation": str(tmp_path / "validation.nc"),
    }
    processes = []

    def start_fit():
        process = context.Process(target=train_with_log, args=(tmp_path, arguments))
        process.start()
        processes.append(process)
        return process

    yield start_fit
    for process in processes:
        process.kill()
        process.join()


def test_a_pooled_fit_that_is_stopped_or_killed_continues_where_it_was(sessions_run, fit_pooled, tmp_path):
    checkpoint, log = tmp_path / "checkpoint.pt", tmp_path / "train.log"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = fit_pooled()
        while not (checkpoint.exists() and checkpoint.stat().st_mtime_ns > before):
            assert process.is_alive(), "the process ended too early"
            time.sleep(0.02)
        os.kill(process.pid, number)
        process.join()
        assert process.exitcode == (-number if number == signal.SIGKILL else 1)
        if number != signal.SIGKILL:
            assert f"stopped by {number.name}: progress is saved" in log.read_text()
            assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt", "train.log"}
    last = fit_pooled()
    last.join()
    assert last.exitcode == 0
    assert "continuing after" in log.read_text()
    assert not checkpoint.exists()
    undisturbed = sessions_run / RUN / "fits/tiny/both/factorized/nall-dall"
    for name in ("fits.pt", "validation.nc"):
        assert (tmp_path / name).read_bytes() == (undisturbed / name).read_bytes()


@pytest.fixture
def mounted(tmp_path):
    """Function that mounts a memory disk at a folder for the time of the test."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    folders = []

    def mount(folder, options):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_nothing_half_written(tmp_path, mounted):
    # The responses and rates of 20,000 images take 1.3 MB.
    folder = mounted(tmp_path / "disk", "size=300k")
    write_config(folder, configuration(datasets={"small": DATASET | {"n_images": 20_000}}))
    done = snakemake(folder)
    assert done.returncode != 0
    assert f"ERROR: {RUN}/data/small.nc: cannot be written: is the disk full?" in done.stdout
    assert "Traceback" not in done.stdout
    assert set(finished_files(folder)) <= {"index.html"}


def test_output_that_cannot_be_written_is_named(tmp_path, mounted):
    write_config(tmp_path, configuration())
    mounted(tmp_path / "results", "ro")
    done = snakemake(tmp_path)
    assert done.returncode != 0
    assert "results" in done.stdout
    assert "Read-only file system" in done.stdout
    assert "Traceback" not in done.stdout
