"""The lock of a killed Snakemake goes, and no other lock."""

import os
import platform
from types import SimpleNamespace

import pytest

from whatwhere import unlock as module
from whatwhere.unlock import unlock

MAIN = ("python", "/home/me/.venv/bin/snakemake", "--cores", "2")
SUBPROCESS = ("python", "-m", "snakemake", "--cores", "1", "--mode", "subprocess")


@pytest.fixture
def folder(tmp_path):
    """Folder that a Snakemake on this machine has locked."""
    place = tmp_path / "results of mine"
    (place / ".snakemake" / "locks").mkdir(parents=True)
    for kind in ("input", "output"):
        (place / ".snakemake" / "locks" / f"0.{kind}.lock").write_text("results/a.csv\n")
    write_log(place, platform.node())
    return place


@pytest.fixture(autouse=True)
def processes(tmp_path, monkeypatch):
    """Processes of a machine without Snakemake."""
    found = []
    start(found, 1, tmp_path, "/sbin/init")
    start(found, 2, None)
    monkeypatch.setattr(module.psutil, "process_iter", lambda attributes: found)
    return found


def write_log(folder, host, command="snakemake --cores 2", name="a"):
    log = folder / ".snakemake" / "log" / f"{name}.snakemake.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text(f"SNAKEMAKE\n  Host: {host}\n  Command: {command}\n\nBuilding DAG\n")
    return log


def start(processes, number, folder, *words):
    """Adds a process that works in a folder, as psutil shows it; None for a folder that is hidden."""
    info = {"cmdline": list(words) or None, "cwd": folder and str(folder)}
    processes.append(SimpleNamespace(pid=number, info=info))


def locked(folder):
    return any((folder / ".snakemake" / "locks").iterdir())


def test_the_lock_of_a_killed_run_is_removed(folder):
    assert "Removed the lock" in unlock(folder)
    assert not locked(folder)
    assert unlock(folder) == ""


def test_a_folder_without_results_has_no_lock(tmp_path):
    assert unlock(tmp_path) == ""


@pytest.mark.parametrize("words", [MAIN, ("python", "-m", "snakemake"), ("python", "snakemake", "--dry-run")])
def test_a_lock_stays_while_a_snakemake_works_in_the_folder(folder, processes, tmp_path, words):
    (tmp_path / "link").symlink_to(folder)
    start(processes, 20, folder, *words)
    start(processes, 21, folder, "python", f"{folder}/.snakemake/scripts/tmp1.train.py")
    assert unlock(tmp_path / "link") == ""
    assert locked(folder)


def test_other_processes_and_other_folders_are_no_reason(folder, processes, tmp_path):
    start(processes, 20, tmp_path, *MAIN)
    start(processes, 21, folder, "sh", "-c", "make && .venv/bin/snakemake --cores 2")
    start(processes, 22, folder, "less", ".snakemake/log/a.snakemake.log")
    start(processes, 23, tmp_path / "ended", *MAIN)
    unlock(folder)
    assert not locked(folder)


def test_a_process_whose_folder_is_hidden_may_work_in_it(folder, processes):
    start(processes, 20, None, *MAIN)
    assert unlock(folder) == ""
    assert locked(folder)


def test_jobs_of_a_killed_run_end_first(folder, processes, monkeypatch, capsys):
    start(processes, 30, folder, *SUBPROCESS)
    start(processes, 31, folder, "python", f"{folder}/.snakemake/scripts/tmp1.train.py")
    waited = []

    def wait(jobs):
        assert locked(folder)
        waited.extend(job.pid for job in jobs)

    monkeypatch.setattr(module.psutil, "wait_procs", wait)
    unlock(folder)
    assert waited == [30, 31]
    assert not locked(folder)
    assert "(`kill 30 31` ends them)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("host", "command", "expected"),
    [
        (
            "elsewhere",
            "snakemake --cores 2",
            "by a run on elsewhere: if that run has ended",
        ),
        (platform.node(), "snakemake --profile profiles/slurm", "cancel the jobs"),
        (platform.node(), "snakemake --executor=slurm", "cancel the jobs"),
        (None, "", "no log says by which machine"),
    ],
)
def test_a_lock_that_another_machine_may_hold_stays(folder, host, command, expected):
    old = write_log(folder, platform.node())
    os.utime(old, (0, 0))
    if host:
        write_log(folder, host, command, "b")
    assert expected in unlock(folder)
    assert locked(folder)
