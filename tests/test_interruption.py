"""Killed, stopped and starved runs of the real workflow: a rerun ends with the same bytes."""

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
from sessions import TARGETS
from tiny_run import RUN, command, configuration, environment, finished_files, snakemake, write_config

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


def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(sessions_run, start, tmp_path):
    shutil.copy(sessions_run / "mine.yaml", tmp_path)
    options = ("--cores", "1", "--", *TARGETS)
    moments = random.Random(6)
    for _ in range(2):
        process = start(command(tmp_path, *options))
        enough = finished_jobs(tmp_path) + moments.randint(1, 5)
        wait_for(lambda enough=enough: finished_jobs(tmp_path) >= enough, process)
        time.sleep(moments.uniform(0, 3))
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
    assert len(made) > 12
    assert made == {name: expected[name] for name in made}
    assert not [path for path in (tmp_path / "results").rglob("*") if path.name.startswith(".partial-")]


def training(sessions_run, folder):
    """Command that fits the pooled sessions without Snakemake; results, log, checkpoint lie in a folder."""
    folder.mkdir()
    arguments = {
        "dataset": str(sessions_run / RUN / "data/both.nc"),
        "averages": str(sessions_run / RUN / "sta/tiny/both/nall-dall.nc"),
        "localizer": [],
        "core": [],
        "n_neurons": "all",
        "n_images": "all",
        "definition": read(sessions_run / "mine.yaml")["models"]["factorized"],
        "seeds": [0],
        "device": "cpu",
        "threads": 1,
        "checkpoint_seconds": 0.1,
        "code": "same",
        "fits": str(folder / "fits.pt"),
        "validation": str(folder / "validation.nc"),
    }
    code = f"with logged({str(folder / 'train.log')!r}): train.main(**{arguments!r})"
    return [sys.executable, "-c", f"import train; from whatwhere.logs import logged\n{code}"]


def test_a_pooled_fit_that_is_stopped_or_killed_continues_where_it_was(sessions_run, start, tmp_path):
    options = {"env": environment(PYTHONPATH=str(REPOSITORY / "workflow_scripts"))}
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "disturbed"
    assert start(training(sessions_run, undisturbed), **options).wait() == 0
    fit, checkpoint, log = training(sessions_run, folder), folder / "checkpoint.pt", folder / "train.log"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
        process = start(fit, **options)
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        wait_for(lambda old=before: checkpoint.exists() and checkpoint.stat().st_mtime_ns > old, process)
        process.send_signal(number)
        assert process.wait() != 0
        if number != signal.SIGKILL:
            assert f"stopped by {number.name}: progress is saved" in log.read_text()
            assert {path.name for path in folder.iterdir()} == {"checkpoint.pt", "train.log"}
    assert start(fit, **options).wait() == 0
    assert "continuing after" in log.read_text()
    assert not checkpoint.exists()
    for name in ("fits.pt", "validation.nc"):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes()


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
    write_config(folder, configuration())
    done = snakemake(folder)
    assert done.returncode != 0
    assert f"ERROR: {RUN}/data/small.nc: cannot be written: is the disk full?" in done.stdout
    assert "Traceback" not in done.stdout
    assert finished_files(folder) == {}


def test_output_that_cannot_be_written_is_named(tmp_path, mounted):
    write_config(tmp_path, configuration())
    mounted(tmp_path / "results", "ro")
    done = snakemake(tmp_path)
    assert done.returncode != 0
    assert "results" in done.stdout
    assert "Read-only file system" in done.stdout
    assert "Traceback" not in done.stdout
