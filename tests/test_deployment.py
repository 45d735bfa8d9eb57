"""The workflow used from elsewhere: as a module, deployed, or named by -s from another folder."""

import os
import shutil
import subprocess

import pytest
import yaml
from conftest import REPOSITORY
from tiny_run import SNAKEMAKE

pytestmark = pytest.mark.slow

ENTRY = REPOSITORY / "workflow" / "Snakefile"
MODULE = f'module whatwhere:\n    snakefile: "{ENTRY}"\n'
USE = "use rule * from whatwhere\n"
TEST = REPOSITORY / "config" / "test.yaml"


def planned(folder, *arguments):
    """Number of jobs of a dry run in a folder."""
    done = subprocess.run(
        [*SNAKEMAKE, "-n", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"HOME": str(folder)},
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return next(int(line.split()[1]) for line in output.splitlines() if line.startswith("total"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return planned(tmp_path_factory.mktemp("direct"), "-s", REPOSITORY / "Snakefile", "--configfile", TEST)


def test_the_entry_of_tools_plans_the_same_from_another_folder(tmp_path, expected):
    assert planned(tmp_path, "-s", ENTRY, "--configfile", TEST) == expected


def test_a_module_without_configuration_runs_the_default_one(tmp_path, expected):
    (tmp_path / "Snakefile").write_text(MODULE + USE)
    assert planned(tmp_path) > expected


def test_a_module_with_configuration_extends_the_default_one(tmp_path, expected):
    mine = yaml.safe_load(TEST.read_text())
    (tmp_path / "Snakefile").write_text(f"{MODULE}    config: {mine!r}\n{USE}")
    assert planned(tmp_path) == expected


def test_a_deployed_workflow_runs_with_its_own_copy_of_the_configuration(tmp_path, expected):
    (tmp_path / "workflow").mkdir()
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    shutil.copy(TEST, tmp_path / "config" / "config.yaml")
    deployed = f'configfile: "config/config.yaml"\n{MODULE}    config: config\n{USE}'
    (tmp_path / "workflow" / "Snakefile").write_text(deployed)
    assert planned(tmp_path) == expected
