"""`profiles/slurm` on a real cluster of two nodes with pretended GPUs, started on this machine."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter

import pytest
import yaml
from conftest import REPOSITORY
from sessions import OF_PICTURES, PICTURES, small_network
from tiny_run import RUN, command, environment, experiment, finished_files

from whatwhere.config.files import read

CLUSTER = REPOSITORY.parent / "shared" / "slurm"
TOO_LARGE = f"{RUN}/fits/wrong/pictures/too_large/nall-dall/fits.pt"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CLUSTER.is_dir(), reason=f"needs the scripts in {CLUSTER}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to start SLURM"),
]


@pytest.fixture(scope="module")
def cluster():
    """SLURM, for this module's processes too."""
    # Unix sockets want short paths.
    folder = tempfile.mkdtemp(prefix="whatwhere-slurm-", dir="/tmp")
    claims = {"SLURM_TEST_MEM": "200000", "SLURM_TEST_CPUS": "8"}
    subprocess.run(["bash", CLUSTER / "slurm-up.sh", folder], env=os.environ | claims, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", f"{folder}/etc/slurm.conf")
        patch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
        yield
    subprocess.run(["bash", CLUSTER / "slurm-down.sh", folder], check=True)
    shutil.rmtree(folder)


def jobs(folder, kind=""):
    """Jobs of a folder of which SLURM knows, oldest first, as dictionaries."""
    shown = subprocess.run(
        ["scontrol", "show", "job", "-o", "-d"], capture_output=True, text=True, check=True
    )
    found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in shown.stdout.splitlines()]
    return [
        job
        for job in found
        if job.get("WorkDir") == str(folder) and job.get("Comment", "").startswith(f"rule_{kind}")
    ]


def trainings(folder):
    """The jobs that train, oldest first, by the model that they fit."""
    found = {"factorized": [], "too_large": []}
    for job in jobs(folder, "train"):
        (model,) = (name for name in found if f"_{name}_" in job["Comment"])
        found[model].append(job)
    return found


@pytest.fixture(scope="module")
def on_cluster(sessions_run, cluster, tmp_path_factory):
    """Folder, exit code and output of a run in which one fit is cancelled and another cannot work."""
    folder = tmp_path_factory.mktemp("cluster")
    config = read(sessions_run / "mine.yaml")
    config["models"]["too_large"] = small_network(kernel=11)
    config["experiments"].append(experiment(name="wrong", datasets=["pictures"], models=["too_large"]))
    # `auto` asks for a GPU.
    (folder / "mine.yaml").write_text(yaml.safe_dump(config | {"device": "auto"}))
    process = subprocess.Popen(
        # The command of a user, but that states are polled every second and that a job is tried twice.
        command(
            folder,
            "--profile",
            str(REPOSITORY / "profiles" / "slurm"),
            "--slurm-init-seconds-before-status-checks",
            "1",
            "--retries",
            "1",
            "--",
            *PICTURES,
            TOO_LARGE,
            program=(sys.executable, str(CLUSTER / "snakemake-fastpoll")),
        ),
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    while not (folder / OF_PICTURES / "checkpoint.pt").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    subprocess.run(["scancel", trainings(folder)["factorized"][0]["JobId"]], check=True)
    output = process.communicate(timeout=1800)[0]
    return folder, process.returncode, output


def test_everything_runs_in_jobs_and_small_ones_share_them(on_cluster):
    ran = jobs(on_cluster[0])
    kinds = Counter(job["Comment"].split("_")[1] for job in ran)
    assert kinds == {"load": 1, "compute": 2, "train": 2 + 2, "evaluate": 1, "report": 1}
    assert {job["JobState"] for job in ran if "rule_train" not in job["Comment"]} == {"COMPLETED"}


def test_the_cluster_gives_the_same_bytes_as_this_machine(on_cluster, sessions_run):
    there, here = (finished_files(folder) for folder in (on_cluster[0], sessions_run))
    # The first page names all datasets of its run, and this run has one more.
    there = {name: there[name] for name in there if "/wrong/" not in name and name != "index.html"}
    assert set(PICTURES) <= {f"{RUN}/{name}" for name in there}
    assert there == {name: here[name] for name in there}


def test_training_alone_gets_a_gpu_in_the_partition_that_has_them(on_cluster):
    for job in jobs(on_cluster[0]):
        trains = job["Comment"].startswith("rule_train")
        assert job["Partition"] == ("gpu" if trains else "main")
        assert job["JOB_GRES"] == ("gpu:fake:1" if trains else "(null)")


def test_every_attempt_asks_for_more_memory_and_time(on_cluster):
    for attempts in trainings(on_cluster[0]).values():
        for number, job in enumerate(attempts):
            assert f"mem={16000 * (number + 1)}M" in job["TRES"]
            assert job["TimeLimit"] == ("08:00:00", "16:00:00")[number]


def test_a_cancelled_job_is_tried_again_and_continues(on_cluster):
    folder = on_cluster[0]
    states = [job["JobState"] for job in trainings(folder)["factorized"]]
    assert states == ["CANCELLED", "COMPLETED"]
    log = folder / OF_PICTURES.replace("/fits/", "/logs/train/")
    assert "continuing after" in log.with_suffix(".log").read_text()


def test_a_job_that_fails_is_one_line_and_others_go_on(on_cluster):
    folder, code, output = on_cluster
    assert code != 0
    assert "ERROR root: cores: a kernel of 11 px does not fit into 8 x 10 px" in output
    assert "Error in rule train" in output
    assert [job["JobState"] for job in trainings(folder)["too_large"]] == ["FAILED"] * 2
    assert not list((folder / TOO_LARGE).parent.glob("*"))
