"""Removes the lock that a killed Snakemake left: ``python -m whatwhere.unlock`` in the folder of the results.

Snakemake locks a folder while it runs and does not say who holds the lock. The lock is removed if no
Snakemake works in the folder. If that is unknown, the lock stays, and Snakemake refuses to start.
"""

import fcntl
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PROCESSES = Path("/proc")
"""Folder with the processes of this machine."""
_CLUSTER = ("-e", "--executor", "--profile", "--workflow-profile")
"""Options of a Snakemake whose jobs may run on other machines."""
_KEYS = ("Host", "Command")
"""Lines at the start of a log of Snakemake."""
_WAIT = 1.0
"""Seconds between two looks at processes."""


def unlock(folder: Path, processes: Path = PROCESSES) -> str:
    """Removes the lock of a folder in which Snakemake was killed; waits for jobs that it left behind.

    Parameters
    ----------
    folder
        Working directory of Snakemake.
    processes
        As :data:`PROCESSES`.

    Returns
    -------
    A line for the user; empty if the folder has no lock, or its Snakemake is alive.
    """
    state = folder / ".snakemake"
    if not any(state.glob("locks/*.lock")):
        return ""
    # One at a time: a lock that is listed here is older than any Snakemake that starts after another unlock.
    with open(state / "unlock.lock", "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        locks = {path: path.stat().st_mtime for path in state.glob("locks/*.lock")}
        if not locks:
            return ""
        elsewhere = _elsewhere(state / "log", min(locks.values()))
        if elsewhere:
            return f"{folder.resolve()} is locked, {elsewhere}"
        waiting: list[int] = []
        while True:
            found = dict(_snakemakes(folder, processes))
            if any(found.values()):
                return ""
            if not found:
                break
            if sorted(found) != waiting:
                waiting = sorted(found)
                numbers = " ".join(map(str, waiting))
                print(f"Waiting for jobs of a killed run (`kill {numbers}` ends them)", flush=True)
            time.sleep(_WAIT)
        for path in locks:
            path.unlink(missing_ok=True)
    return "Removed the lock of a run that was killed; the run continues"


def _elsewhere(logs: Path, locked: float) -> str:
    """Reason why another machine may hold a lock, by the logs since the lock was made; or an empty string."""
    recent = [log for log in logs.glob("*.log") if log.stat().st_mtime >= locked]
    lines = [line.partition(":") for log in recent for line in log.read_text(errors="replace").splitlines()]
    hosts, commands = ({text.strip() for key, _, text in lines if key == f"  {k}"} for k in _KEYS)
    others = sorted(hosts - {platform.node()})
    if not hosts:
        return "and no log says by which machine: `snakemake --unlock` removes the lock if no run is alive"
    if others:
        return f"by a run on {others[0]}: if that run has ended, `snakemake --unlock` removes the lock"
    if any(word.partition("=")[0] in _CLUSTER for command in commands for word in command.split()):
        return "by a run whose jobs may still run on a cluster: cancel the jobs, then `snakemake --unlock`"
    return ""


def _snakemakes(folder: Path, processes: Path) -> Iterator[tuple[int, bool]]:
    """Numbers of processes of Snakemake that work in a folder, and whether each is Snakemake and no job."""
    for process in processes.iterdir():
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # no process, or one that has ended
            continue
        paths = [Path(word) for word in words]
        by_name = any(path.name == "snakemake" for path in paths)
        is_job = by_name and "--mode" in words
        is_job |= any(path.parts[-3:-1] == (".snakemake", "scripts") for path in paths)
        if not by_name and not is_job:
            continue
        try:
            here = (process / "cwd").samefile(folder)
        except PermissionError:  # of another user: it may work here
            here, is_job = True, False
        except OSError:
            continue
        if here:
            yield int(process.name), not is_job


if __name__ == "__main__":
    line = unlock(Path())
    if line:
        print(line)
    sys.exit(0)
