"""Tests of the README and the pages it leads to: marked blocks become files and commands."""

import re
import subprocess

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import REPOSITORY
from repository_copy import copy_repository, rules
from tiny_run import environment

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGES = {page.name: page.read_text(encoding="utf-8") for page in (REPOSITORY / "docs").glob("*.md")}
BLOCKS = re.findall(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the repository with the files that the README names and a small recording."""
    folder = copy_repository(tmp_path_factory.mktemp("clone"))
    for _, option, text in BLOCKS:
        if option.startswith("file="):
            (folder / option.removeprefix("file=")).write_text(text)
    # Fits of a few steps with one penalty; everything else is as the page says.
    models = yaml.safe_load((folder / "config" / "mine.yaml").read_text())["models"]
    short = {"grid": [{"joint_l1": [0.01]}], "training": {"max_steps": 20, "evaluate_every": 10}}
    thin = {"models": dict.fromkeys(["factorized_three_layers", *models], short)}
    (folder / "config" / "thin.yaml").write_text(yaml.safe_dump(thin))
    rng = np.random.default_rng(0)
    images = rng.normal(size=(90, 12, 12))
    drive = images[:, 3:8, 4:9].sum((1, 2))[:, None] * [1.0, -1.0]
    (folder / "data").mkdir()
    np.save(folder / "data" / "images.npy", images)
    np.save(folder / "data" / "responses.npy", rng.poisson(np.exp(0.2 * drive)))
    return folder


def shell(command, folder):
    """Runs a command of the page; a run takes the short fits."""
    command = command.replace("config/mine.yaml", "config/mine.yaml config/thin.yaml")
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_marked_commands_do_what_the_readme_promises(clone):
    commands = [text for language, option, text in BLOCKS if (language, option) == ("bash", "run")]
    assert len(commands) == 2
    for command in commands:
        done = shell(command, clone)
        assert done.returncode == 0, done.stderr
    summary = pd.read_csv(clone / "results" / "mine" / "tables" / "summary.csv")
    assert set(summary["model"]) == {"mean", "ridge", "factorized_three_layers", "small"}
    assert (clone / "results" / "mine" / "figures" / "recording_mine.svg").is_file()


FILE = r"[\w./-]+/[\w./-]+\.(?:yaml|py|md|txt|cff|png)"


def test_every_configuration_the_readme_names_is_valid_and_every_file_exists():
    named = set(re.findall(FILE, README))
    missing = [name for name in named if not (REPOSITORY / name).exists() and "config/mine.yaml" not in name]
    assert len(named) > 8
    assert missing == []


def test_the_readme_is_read_in_five_minutes():
    assert len(README.splitlines()) <= 160


@pytest.mark.parametrize("page", ["runs.md", "gallery.md"])
def test_every_configuration_that_is_said_to_make_a_result_exists(page):
    named = set(re.findall(r"config/\w+\.yaml", PAGES[page]))
    assert len(named) > 3
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_every_rule_and_make_target_that_is_named_exists():
    table = [row.split("|")[2] for row in PAGES["runs.md"].splitlines() if row.startswith("| ")]
    named = [name for names in table for name in re.findall(r"`(\w+)`", names)]
    assert len(named) > 8
    assert set(named) <= rules()
    targets = re.findall(r"(?:`|^)make ([a-z]+)", "\n".join([README, *PAGES.values()]), re.MULTILINE)
    makefile = (REPOSITORY / "Makefile").read_text()
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_pictures_of_documents_are_small_and_all_are_shown():
    shown = set()
    for folder, text in [(REPOSITORY, README), *((REPOSITORY / "docs", text) for text in PAGES.values())]:
        shown |= {(folder / name).resolve() for name in re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)}
    stored = {path for path in (REPOSITORY / "docs").rglob("*") if path.suffix in (".png", ".svg")}
    assert shown == stored
    assert [path for path in stored if path.stat().st_size > 300_000] == []
