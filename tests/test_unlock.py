"""The lock of a killed Snakemake goes, and no other lock."""

import os
import platform
import shutil

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


@pytest.fixture
def processes(tmp_path):
    """Processes of a machine without Snakemake."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    start(tmp_path / "proc", 1, tmp_path, "/sbin/init")
    return tmp_path / "proc"


def write_log(folder, host, command="snakemake --cores 2", name="a"):
    log = folder / ".snakemake" / "log" / f"{name}.snakemake.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text(f"SNAKEMAKE\n  Host: {host}\n  Command: {command}\n\nBuilding DAG\n")
    return log


def start(processes, number, folder, *words):
    """Adds a process that works in a folder, as the system shows it."""
    (processes / str(number)).mkdir()
    (processes / str(number) / "cmdline").write_bytes("".join(f"{word}\0" for word in words).encode())
    (processes / str(number) / "cwd").symlink_to(folder)


def locked(folder):
    return any((folder / ".snakemake" / "locks").iterdir())


def test_the_lock_of_a_killed_run_is_removed(folder, processes):
    assert "Removed the lock" in unlock(folder, processes)
    assert not locked(folder)
    assert unlock(folder, processes) == ""


def test_a_folder_without_results_has_no_lock(tmp_path):
    assert unlock(tmp_path) == ""


@pytest.mark.parametrize("words", [MAIN, ("python", "-m", "snakemake"), ("python", "snakemake", "--dry-run")])
def test_a_lock_stays_while_a_snakemake_works_in_the_folder(folder, processes, tmp_path, words):
    (tmp_path / "link").symlink_to(folder)
    start(processes, 20, tmp_path / "link", *words)
    start(processes, 21, folder, "python", f"{folder}/.snakemake/scripts/tmp1.train.py")
    assert unlock(folder, processes) == ""
    assert locked(folder)


def test_other_processes_and_other_folders_are_no_reason(folder, processes, tmp_path):
    start(processes, 20, tmp_path, *MAIN)
    start(processes, 21, folder, "sh", "-c", "make && .venv/bin/snakemake --cores 2")
    start(processes, 22, folder, "less", ".snakemake/log/a.snakemake.log")
    start(processes, 23, tmp_path / "ended", *MAIN)
    unlock(folder, processes)
    assert not locked(folder)


def test_a_process_whose_folder_is_hidden_may_work_in_it(folder, processes, monkeypatch):
    start(processes, 20, folder, *MAIN)

    def refuse(path, other):
        raise PermissionError

    monkeypatch.setattr(module.Path, "samefile", refuse)
    assert unlock(folder, processes) == ""
    assert locked(folder)


def test_jobs_of_a_killed_run_end_first(folder, processes, monkeypatch, capsys):
    start(processes, 30, folder, *SUBPROCESS)
    start(processes, 31, folder, "python", f"{folder}/.snakemake/scripts/tmp1.train.py")
    remaining = [31, 30]

    def wait(seconds):
        assert locked(folder)
        shutil.rmtree(processes / str(remaining.pop()))

    monkeypatch.setattr(module.time, "sleep", wait)
    unlock(folder, processes)
    assert not remaining
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
def test_a_lock_that_another_machine_may_hold_stays(folder, processes, host, command, expected):
    old = write_log(folder, platform.node())
    os.utime(old, (0, 0))
    if host:
        write_log(folder, host, command, "b")
    assert expected in unlock(folder, processes)
    assert locked(folder)
