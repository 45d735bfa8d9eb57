"""Removes the lock that a killed Snakemake left: ``python -m whatwhere.unlock`` in the folder of the results.

Snakemake locks a folder while it runs and does not say who holds the lock. The lock is removed if no
Snakemake works in the folder. If that is unknown, the lock stays, and Snakemake refuses to start.
"""

import fcntl
import platform
from pathlib import Path

import psutil

_CLUSTER = ("-e", "--executor", "--profile", "--workflow-profile")
"""Options of a Snakemake whose jobs may run on other machines."""
_KEYS = ("Host", "Command")
"""Lines at the start of a log of Snakemake."""


def unlock(folder: Path) -> str:
    """Removes the lock of a folder in which Snakemake was killed; waits for jobs that it left behind.

    Returns a line for the user, which is empty if the folder has no lock, or its Snakemake is alive.
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
        alive, jobs = _snakemakes(folder.resolve())
        if alive:
            return ""
        if jobs:
            numbers = " ".join(str(job.pid) for job in jobs)
            print(f"Waiting for jobs of a killed run (`kill {numbers}` ends them)", flush=True)
            psutil.wait_procs(jobs)
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


def _snakemakes(folder: Path) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """Processes of Snakemake and of its jobs that work in a folder; where that is hidden, they may."""
    alive: list[psutil.Process] = []
    jobs: list[psutil.Process] = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words, place = process.info["cmdline"] or [], process.info["cwd"]
        paths = [Path(word) for word in words]
        by_name = any(path.name == "snakemake" for path in paths)
        in_script = any(path.parts[-3:-1] == (".snakemake", "scripts") for path in paths)
        if (by_name or in_script) and (place is None or Path(place) == folder):
            is_job = in_script or "--mode" in words
            (jobs if is_job and place is not None else alive).append(process)
    return alive, jobs


if __name__ == "__main__":
    line = unlock(Path())
    if line:
        print(line)
