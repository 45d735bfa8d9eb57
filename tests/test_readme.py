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

DOCS = REPOSITORY / "docs"
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGES = {str(page.relative_to(DOCS)): page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md")}


def blocks(text):
    """Language, option and text of the blocks of a page."""
    return re.findall(r"^```(\S+)(?: ([^\n]+))?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def marked(text, option):
    """Texts of the blocks that are marked with an option."""
    return [block for _, found, block in blocks(text) if found == option]


def write_files(text, folder):
    """Writes the blocks of a page that are files."""
    for _, option, block in blocks(text):
        if option.startswith("file="):
            (folder / option.removeprefix("file=")).write_text(block)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the repository with the files that the README names and a small recording."""
    folder = copy_repository(tmp_path_factory.mktemp("clone"))
    write_files(README, folder)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(90, 20, 20))
    drive = images[:, 3:8, 4:9].sum((1, 2))[:, None] * [1.0, -1.0]
    (folder / "data").mkdir()
    np.save(folder / "data" / "images.npy", images)
    np.save(folder / "data" / "responses.npy", rng.poisson(np.exp(0.2 * drive)))
    return folder


def shell(command, folder):
    """Runs a command of a page."""
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
    (command,) = marked(README, "run")
    done = shell(command, clone)
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(clone / "results" / "mine" / "tables" / "summary.csv")
    wanted = yaml.safe_load((clone / "config" / "mine.yaml").read_text())["experiments"][0]["models"]
    assert set(summary["model"]) == set(wanted)
    assert (clone / "results" / "mine" / "figures" / "recording" / "mine.svg").is_file()


@pytest.mark.slow
def test_the_program_of_the_readme_runs(tmp_path, monkeypatch):
    (program,) = [text for language, option, text in blocks(README) if (language, option) == ("python", "")]
    assert len(program.splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(program, "README.md", "exec"), names)
    assert names["model"].scores["correlation"].mean() > 0.5


@pytest.mark.slow
def test_the_tutorial_of_a_recording_plans_its_run(clone, cowley_folder):
    page = PAGES["tutorials/macaque_v4.md"]
    write_files(page, clone)
    (clone / "config" / "mirror.yaml").write_text(yaml.safe_dump({"mirror": str(cowley_folder)}))
    (check,) = marked(page, "check")
    (run,) = marked(page, "run")
    files = re.search(r'CONFIG="(.*?)"', check)[1]
    assert files in run
    # The commands of the Makefile, which would install the software first.
    done = shell(f"PYTHONPATH=workflow_scripts python -m whatwhere check {files} config/mirror.yaml", clone)
    assert done.returncode == 0, done.stderr
    assert "Neurons: 50" in done.stdout
    planned = shell(f"snakemake --dry-run --configfile {files} config/mirror.yaml", clone)
    assert planned.returncode == 0, planned.stderr
    named = re.findall(
        r"`((?:results/my_v4/)?(?:datasets|tables|figures)/\S+|results/my_v4/explore.html)`", page
    )
    assert len(named) == 4
    assert [name for name in named if name.removeprefix("results/my_v4/") not in planned.stdout] == []


EXECUTED = {
    "python.md": "python",  # tests/test_python_page.py
    "tutorials/arrays.md": "{code-cell}",  # tests/test_site.py
    "tutorials/cell_types.md": "{code-cell}",
    "tutorials/state.md": "{code-cell}",
}
"""Language of the blocks of a page that a test of its own runs."""
DIRECTIVES = {"{toctree}", "{include}", "{eval-rst}"}


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_every_block_runs_in_a_test_or_says_why_not(page):
    text = PAGES.get(page, README)
    executed = EXECUTED.get(page, "python" if page == "README.md" else None)
    untested = [
        block.splitlines()[0]
        for language, option, block in blocks(text)
        if language not in DIRECTIVES
        and not re.match(r"file=|run$|check$|no-test: \w", option)
        and (language != executed or option.startswith("no-test"))
    ]
    assert untested == []
    reasons = " ".join(option for _, option, _ in blocks(text) if option.startswith("no-test"))
    assert [name for name in re.findall(r"tests/\w+\.py", reasons) if not (REPOSITORY / name).exists()] == []


FILE = r"[\w./-]+/[\w./-]+\.(?:yaml|py|md|txt|cff|png)"


def test_every_configuration_the_readme_names_is_valid_and_every_file_exists():
    named = set(re.findall(FILE, README))
    missing = [name for name in named if not (REPOSITORY / name).exists() and "config/mine.yaml" not in name]
    assert len(named) > 5
    assert missing == []


def test_the_readme_is_read_in_five_minutes():
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("page", ["runs.md", "gallery.md", "own_recording.md", "recordings.md"])
def test_every_configuration_that_is_said_to_make_a_result_exists(page):
    named = set(re.findall(r"config/\w+\.yaml", PAGES[page])) - {"config/mine.yaml"}
    assert len(named) >= 3
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_every_rule_and_make_target_that_is_named_exists():
    table = [row.split("|")[2] for row in PAGES["runs.md"].splitlines() if row.startswith("| ")]
    named = [name for names in table for name in re.findall(r"`(\w+)`", names)]
    assert len(named) > 8
    assert set(named) <= rules()
    targets = re.findall(r"(?:`|^)make ([a-z-]+)", "\n".join([README, *PAGES.values()]), re.MULTILINE)
    makefile = (REPOSITORY / "Makefile").read_text()
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_the_glossary_has_fifteen_words_and_a_picture():
    words = re.findall(r"^\| ([\w -]+) \|", PAGES["model.md"], re.MULTILINE)[1:]
    assert len(words) == len(set(words)) == 15
    assert "gallery/model.png" in PAGES["model.md"]


def test_pictures_of_documents_are_small_and_all_are_shown():
    shown = set()
    for folder, text in [
        (REPOSITORY, README),
        *(((DOCS / page).parent, text) for page, text in PAGES.items()),
    ]:
        shown |= {(folder / name).resolve() for name in re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)}
    stored = {path for path in DOCS.rglob("*") if path.suffix in (".png", ".svg")}
    assert shown == stored
    assert [path for path in stored if path.stat().st_size > 300_000] == []
