"""Killed, stopped and starved runs of the real workflow: a rerun ends with the same bytes."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from sessions import two_sessions
from tiny_run import (
    RUN,
    command,
    configuration,
    environment,
    experiment,
    finished_files,
    process_of,
    snakemake,
    write_config,
)

pytestmark = pytest.mark.slow

FIT = f"{RUN}/fits/tiny/small/factorized/nall-dall"
TRAIN_LOG = f"{RUN}/logs/train/tiny/small/factorized/nall-dall.log"
LOCKED = "Directory cannot be locked"


def settings():
    """Two fits of a few seconds, saved twice a second."""
    config = configuration(checkpoint_seconds=0.5, experiments=[experiment(seeds=[0, 1])])
    config["models"]["factorized"]["training"] |= {
        "max_steps": 1000,
        "patience": 1000,
        "evaluate_every": 20,
        "n_stages": 1,
    }
    return config


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Folder of a run that nobody disturbs, and how long it took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_config(folder, settings())
    started = time.monotonic()
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout
    return folder, time.monotonic() - started


@pytest.fixture
def half_done(undisturbed, tmp_path):
    """A copy of the run in which the training is still to be done."""
    folder = tmp_path / "run"
    shutil.copytree(undisturbed[0], folder)
    shutil.rmtree(folder / FIT)
    return folder


@pytest.fixture
def start():
    """Function that starts a run as the leader of its own process group, which does not outlive the test."""
    processes = []

    def start_run(folder, *arguments):
        process = subprocess.Popen(
            command(folder, *(arguments or ("--cores", "1"))),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start_run
    for process in processes:
        if process.poll() is None:
            kill(process)


def kill(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, f"the run ended before it wrote {path}"
        time.sleep(0.02)


def partial_files(folder):
    return [path for path in Path(folder, "results").rglob("*") if path.name.startswith(".partial-")]


def test_a_run_killed_at_ten_random_moments_ends_with_the_same_bytes(undisturbed, start, tmp_path):
    reference, seconds = undisturbed
    write_config(tmp_path, settings())
    locks = tmp_path / ".snakemake" / "locks"
    moments = random.Random(5)
    for _ in range(10):
        process = start(tmp_path)
        # Locked: it knows what to do and is about to start jobs.
        while process.poll() is None and not (locks.is_dir() and any(locks.iterdir())):
            time.sleep(0.02)
        try:
            process.wait(moments.uniform(0, seconds / 5))
        except subprocess.TimeoutExpired:
            kill(process)
        # As --unlock does, without its start.
        for lock in locks.glob("*"):
            lock.unlink()
    done = snakemake(tmp_path)
    assert done.returncode == 0, done.stdout
    assert finished_files(tmp_path) == finished_files(reference)
    assert not partial_files(tmp_path)


def test_a_killed_training_continues_where_it_was(undisturbed, half_done, start):
    training = ("--cores", "1", f"{FIT}/fits.pt")
    process = start(half_done, *training)
    wait_for(half_done / FIT / "checkpoint.pt", process)
    kill(process)
    refused = snakemake(half_done, *training)
    assert refused.returncode != 0
    assert LOCKED in refused.stdout
    assert "--unlock" in refused.stdout
    assert snakemake(half_done, "--unlock").returncode == 0
    done = snakemake(half_done, *training)
    assert done.returncode == 0, done.stdout
    assert "continuing after" in (half_done / TRAIN_LOG).read_text()
    assert finished_files(half_done) == finished_files(undisturbed[0])


def test_a_killed_training_of_pooled_recordings_continues_where_it_was(start, tmp_path):
    reference, folder = tmp_path / "reference", tmp_path / "killed"
    config = two_sessions(tmp_path, max_steps=1000, patience=1000)
    for place in (reference, folder):
        place.mkdir()
        write_config(place, config)
    fit = f"{RUN}/fits/tiny/both/factorized/nall-dall"
    training = ("--cores", "1", f"{fit}/fits.pt")
    done = snakemake(reference, *training)
    assert done.returncode == 0, done.stdout
    process = start(folder, *training)
    wait_for(folder / fit / "checkpoint.pt", process)
    kill(process)
    assert snakemake(folder, "--unlock").returncode == 0
    done = snakemake(folder, *training)
    assert done.returncode == 0, done.stdout
    assert "continuing after" in (folder / f"{RUN}/logs/train/tiny/both/factorized/nall-dall.log").read_text()
    assert finished_files(folder) == finished_files(reference)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_told_to_stop_saves_and_says_so(undisturbed, half_done, start, number):
    process = start(half_done, "--cores", "1", f"{FIT}/fits.pt")
    wait_for(half_done / FIT / "checkpoint.pt", process)
    os.kill(process_of("train", half_done), number)
    assert process.wait() != 0
    assert f"stopped by {number.name}: progress is saved" in (half_done / TRAIN_LOG).read_text()
    assert [path.name for path in (half_done / FIT).iterdir()] == ["checkpoint.pt"]
    done = snakemake(half_done, "--cores", "1", f"{FIT}/fits.pt")
    assert done.returncode == 0, done.stdout
    assert "continuing after" in (half_done / TRAIN_LOG).read_text()
    for name in ("fits.pt", "validation.nc"):
        assert (half_done / FIT / name).read_bytes() == (undisturbed[0] / FIT / name).read_bytes()


def test_a_second_run_in_the_same_folder_is_refused_while_the_first_goes_on(undisturbed, half_done, start):
    process = start(half_done, "--cores", "1", f"{FIT}/fits.pt")
    wait_for(half_done / FIT / "checkpoint.pt", process)
    training = process_of("train", half_done)
    # Held still, or it may end before the second run has looked.
    os.kill(training, signal.SIGSTOP)
    second = snakemake(half_done, "--cores", "1", f"{FIT}/fits.pt")
    assert second.returncode != 0
    assert LOCKED in second.stdout
    os.kill(training, signal.SIGCONT)
    assert process.wait() == 0
    assert (half_done / FIT / "fits.pt").read_bytes() == (undisturbed[0] / FIT / "fits.pt").read_bytes()


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
    # The simulated images alone take 384 kB.
    folder = mounted(tmp_path / "disk", "size=300k")
    write_config(folder, settings())
    done = snakemake(folder)
    assert done.returncode != 0
    assert f"ERROR: {RUN}/data/small.nc: cannot be written: is the disk full?" in done.stdout
    assert "Traceback" not in done.stdout
    assert finished_files(folder) == {}


def test_output_that_cannot_be_written_is_named(tmp_path, mounted):
    write_config(tmp_path, settings())
    mounted(tmp_path / "results", "ro")
    done = snakemake(tmp_path)
    assert done.returncode != 0
    assert "results" in done.stdout
    assert "Read-only file system" in done.stdout
    assert "Traceback" not in done.stdout
