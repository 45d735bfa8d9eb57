"""Running the real workflow from tests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from conftest import REPOSITORY

# A proxy that refuses every connection: whatever wants the network fails.
OFFLINE = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}
CONFIG = ("--cores", "2", "--configfile", "config/test.yaml")


def copy_repository(target):
    """Copies the files that git tracks or would add: no results, no caches."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        source = REPOSITORY / name
        if source.is_file() and not source.is_symlink():
            copied = Path(target, name)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copied)
    return Path(target)


def snakemake(repository, *arguments, **environment):
    """Runs Snakemake in a repository; returns the completed process with its output as text."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=repository,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def rules():
    """Names of all rules; those that a loop defines are keys of dictionaries."""
    files = {path.stem: path.read_text() for path in (REPOSITORY / "rules").glob("*.smk")}
    keys = "".join(files[name] for name in ("data", "fit", "tables", "figures"))
    named = re.findall(r"^rule (\w+):$", "".join(files.values()), re.MULTILINE)
    named += re.findall(r'"(\w+)": WITH', files["evaluate"])
    return {*named, *re.findall(r'^    "(\w+)": [{(]', keys, re.MULTILINE)}
