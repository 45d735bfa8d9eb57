import os
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import CONFIGURATIONS, factorized, resolved, small_core
from recording_files import write_sensorium
from repository_copy import REPOSITORY, rules, snakemake
from tiny_run import DATASET, configuration, experiment, write_config

from whatwhere.config.load import load
from whatwhere.errors import UserError

pytestmark = pytest.mark.slow

PLANNED = ("config.yaml", "data_efficiency.yaml", "recording.yaml", "transfer.yaml")
"""Configurations that need all rules between them."""


def test_what_the_snakefile_imports_does_not_import_torch():
    imports = [
        line
        for line in (REPOSITORY / "rules" / "common.smk").read_text().splitlines()
        if line.startswith("from whatwhere")
    ]
    program = "\n".join(["import sys", *imports, "sys.exit('torch' in sys.modules)"])
    assert len(imports) > 1
    folder = REPOSITORY / "workflow_scripts"
    assert subprocess.run([sys.executable, "-c", program], cwd=folder).returncode == 0


def plan(folder, *configurations, targets=("all",)):
    """A dry run: its process, with the jobs on stdout."""
    files = map(str, configurations)
    return snakemake(
        REPOSITORY, "--dry-run", "--directory", str(folder), "--configfile", *files, "--", *targets
    )


def test_the_configs_that_differ_most_plan_every_rule(tmp_path):
    """The other configurations are planned without Snakemake in test_plan.py."""
    planned = set()
    for name in PLANNED:
        done = plan(tmp_path, *CONFIGURATIONS[name], targets=("all", "describe_datasets", "build_report"))
        assert done.returncode == 0, done.stderr
        assert f"results/{resolved(name)['run']}/tables/summary.csv" in done.stdout
        planned |= set(re.findall(r"^(\w+) +\d+$", done.stdout, re.MULTILINE))
    assert planned - {"all", "total"} == rules()


def planned(folder, config):
    return plan(folder, write_config(folder, config))


def test_figure_1_is_drawn_from_a_network_although_inference_comes_first(tmp_path):
    target = "results/data_efficiency/figures/fig1.svg"
    done = plan(tmp_path, REPOSITORY / "config" / "data_efficiency.yaml", targets=[target])
    assert done.returncode == 0, done.stderr
    assert "Evaluate factorized_two_kernels on" in done.stdout
    assert "Evaluate localized_two_kernels on" not in done.stdout


def test_names_may_look_like_parts_of_file_names_and_figure_4_finds_its_network(tmp_path):
    """The network of the figure is in the second of several experiments."""
    one, two = (factorized(cores=[small_core(channels=[n], kernels=[5])]) for n in (1, 2))
    config = configuration(
        datasets={name: DATASET for name in ("small", "none", "all")},
        models={"one": one, "two": two, "net_scores": two},
        experiments=[
            experiment(name="linear", figure="fig4", models=["ridge"]),
            experiment(name="networks", figure="fig4", models=["one", "two"]),
            experiment(name="names", datasets=["none", "all"], models=["net_scores"]),
        ],
    )
    done = planned(tmp_path, config)
    assert done.returncode == 0, done.stderr
    assert "Evaluate net_scores on none" in done.stdout
    assert "scores/networks/small/two.csv" in done.stdout.split("Draw Figure 4")[0]


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    definition = {
        "kind": "arrays",
        "images": str(tmp_path / "images.npy"),
        "responses": str(tmp_path / "responses.npy"),
        "image": {"color": "grey", "crop": None, "size": None, "normalize": "per_pixel"},
        "split": {"validation": 0.2, "test": 0.2, "folds": 1, "seed": 0},
    }
    config = configuration(datasets={"mine": definition}, experiments=[experiment(datasets=["mine"])])
    done = planned(tmp_path, config)
    assert done.returncode == 1
    expected = f"Error: datasets.mine: {tmp_path / 'images.npy'}: no such file or folder"
    assert done.stderr.strip().splitlines()[-1] == expected
    config["datasets"]["mine"]["images"] = "{x}.npy"
    with pytest.raises(UserError, match=r"datasets.mine.images: '{x}.npy' has braces"):
        load([write_config(tmp_path, config)])


def test_a_session_rewritten_in_place_is_loaded_again(tmp_path):
    """Ids of a session count, although its folders keep their times."""
    config = configuration(
        datasets={"mine": write_sensorium(tmp_path)}, experiments=[experiment(datasets=["mine"])]
    )
    path, target = write_config(tmp_path, config), f"results/{config['run']}/data/mine.nc"
    options = ("--directory", str(tmp_path), "--configfile", str(path), "--", target)
    loaded = snakemake(REPOSITORY, "--cores", "1", *options)
    assert loaded.returncode == 0, loaded.stderr
    assert "Nothing to be done" in plan(tmp_path, path, targets=[target]).stdout
    ids = tmp_path / "session/meta/trials/frame_image_id.npy"
    times = ids.parent.stat()
    np.save(ids, np.load(ids) + 1)
    os.utime(ids.parent, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "load_recording" in plan(tmp_path, path, targets=[target]).stdout
