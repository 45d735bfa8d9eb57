"""`profiles/slurm` on a real cluster of two nodes with pretended GPUs, started on this machine."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import REPOSITORY
from sessions import two_sessions
from tiny_run import (
    RUN,
    command,
    configuration,
    environment,
    experiment,
    finished_files,
    process_of,
    snakemake,
    write_config,
)

CLUSTER = REPOSITORY.parent / "shared" / "slurm"
FIT = f"{RUN}/fits/tiny/small/factorized/nall-dall"
TRAIN_LOG = f"{RUN}/logs/train/tiny/small/factorized/nall-dall.log"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CLUSTER.is_dir(), reason=f"needs the scripts in {CLUSTER}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to start SLURM"),
]


def settings(**changes):
    """One fit of a few seconds, saved twice a second; `auto` asks for a GPU."""
    config = configuration(device="auto", checkpoint_seconds=0.5, **changes)
    config["models"]["factorized"]["training"] |= {
        "max_steps": 1500,
        "patience": 1500,
        "evaluate_every": 20,
        "n_stages": 1,
    }
    return config


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """Start SLURM, for this module's processes too; jobs are killed when they exceed their memory."""
    # Unix sockets want short paths.
    folder = tempfile.mkdtemp(prefix="whatwhere-slurm-", dir="/tmp")
    claims = {"SLURM_TEST_MEM": "200000", "SLURM_TEST_CPUS": "8", "SLURM_TEST_MEMKILL": "1"}
    subprocess.run(["bash", CLUSTER / "slurm-up.sh", folder], env=os.environ | claims, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", f"{folder}/etc/slurm.conf")
        patch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
        yield
    subprocess.run(["bash", CLUSTER / "slurm-down.sh", folder], check=True)
    shutil.rmtree(folder)


def start(folder, *arguments, config="mine.yaml"):
    """What a user types, but that states are polled every second."""
    return subprocess.Popen(
        command(
            folder,
            "--profile",
            str(REPOSITORY / "profiles" / "slurm"),
            "--slurm-init-seconds-before-status-checks",
            "1",
            *arguments,
            program=(sys.executable, str(CLUSTER / "snakemake-fastpoll")),
            config=config,
        ),
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def end(process):
    """Exit code and output."""
    output = process.communicate(timeout=1800)[0]
    return process.returncode, output


def jobs(folder, rule=""):
    """What SLURM knows of the jobs of a folder, oldest first, as dictionaries."""
    shown = subprocess.run(
        ["scontrol", "show", "job", "-o", "-d"], capture_output=True, text=True, check=True
    )
    found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in shown.stdout.splitlines()]
    return [
        job
        for job in found
        if job.get("WorkDir") == str(folder) and job.get("Comment", "").startswith(f"rule_{rule}")
    ]


def wait_for(condition, process):
    """Wait until a function returns something true, and return it."""
    while not (found := condition()):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def on_cluster(tmp_path_factory):
    """Folder in which config/test.yaml ran on the cluster; `auto` asks for GPUs."""
    folder = tmp_path_factory.mktemp("cluster")
    code, output = end(start(folder, "--config", "device=auto", config=REPOSITORY / "config" / "test.yaml"))
    assert code == 0, output
    return folder


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Folder of a run on this machine up to the training."""
    folder = tmp_path_factory.mktemp("local")
    write_config(folder, settings())
    done = snakemake(folder, "--cores", "1", "--", f"{FIT}/fits.pt")
    assert done.returncode == 0, done.stdout
    return folder


def half_done(local, folder):
    """A copy of the run in which the training is still to be done."""
    shutil.copytree(local, folder, dirs_exist_ok=True)
    shutil.rmtree(folder / FIT)
    return folder


@pytest.fixture(scope="module")
def hanging(local, tmp_path_factory):
    """A run whose training stands still, so that its minute runs out while other tests go on."""
    folder = half_done(local, tmp_path_factory.mktemp("hanging"))
    # Fast growth: on a slow machine the first minute may not even reach a checkpoint.
    more = ("--retries", "3", "--set-resources", "train:runtime=attempt**2", "train:mem_mb=4000")
    process = start(folder, *more, "--", f"{FIT}/fits.pt")
    wait_for((folder / FIT / "checkpoint.pt").exists, process)
    os.kill(process_of("train", folder), signal.SIGSTOP)
    return folder, process


def test_everything_runs_in_jobs_and_small_ones_share_them(on_cluster):
    ran = jobs(on_cluster)
    assert {job["JobState"] for job in ran} == {"COMPLETED"}
    kinds = Counter(job["Comment"].split("_")[1] for job in ran)
    assert kinds == {"simulate": 1, "compute": 2, "train": 2, "fit": 4, "evaluate": 3, "report": 1}


def test_the_cluster_gives_the_same_bytes_as_this_machine(on_cluster, finished_run):
    here, there = (finished_files(folder, "results/test") for folder in (finished_run, on_cluster))
    # What tells the configuration differs in the device, and this machine ran in a copy without a version.
    about = ("config.yaml", "tables/software.csv", "pages", "report")
    data = [name for name in here if not name.startswith(about)]
    assert {name: there.get(name) for name in data} == {name: here[name] for name in data}


def test_training_alone_gets_a_gpu_in_the_partition_that_has_them(on_cluster):
    for job in jobs(on_cluster):
        trains = job["Comment"].startswith("rule_train")
        assert job["Partition"] == ("gpu" if trains else "main")
        assert job["JOB_GRES"] == ("gpu:fake:1" if trains else "(null)")


def test_jobs_ask_for_the_memory_and_time_of_their_rules(on_cluster):
    for train in jobs(on_cluster, "train"):
        assert "mem=16000M" in train["TRES"]
        assert train["TimeLimit"] == "08:00:00"


def test_pooled_recordings_are_fitted_on_the_cluster_as_here(tmp_path):
    config, scores = two_sessions(tmp_path), f"{RUN}/scores/tiny/both/factorized.csv"
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        write_config(folder, config)
    done = snakemake(here, "--cores", "1", "--", scores)
    assert done.returncode == 0, done.stdout
    code, output = end(start(there, "--", scores))
    assert code == 0, output
    assert finished_files(there) == finished_files(here)


@pytest.mark.usefixtures("hanging")
def test_a_job_without_memory_or_cancelled_is_tried_again_and_ends_with_the_same_bytes(local, tmp_path):
    folder = half_done(local, tmp_path / "run")
    process = start(folder, "--set-resources", "train:mem_mb=250*attempt**2", "--", f"{FIT}/fits.pt")
    wait_for((folder / FIT / "checkpoint.pt").exists, process)
    assert [job["JobState"] for job in jobs(folder, "train")] == ["FAILED", "RUNNING"]
    subprocess.run(["scancel", jobs(folder, "train")[-1]["JobId"]], check=True)
    code, output = end(process)
    assert code == 0, output
    assert [job["JobState"] for job in jobs(folder, "train")] == ["FAILED", "CANCELLED", "COMPLETED"]
    assert "continuing after" in (folder / TRAIN_LOG).read_text()
    assert finished_files(folder) == finished_files(local)


@pytest.mark.usefixtures("hanging")
def test_a_job_that_fails_is_one_line_and_others_go_on(local, tmp_path):
    folder = half_done(local, tmp_path / "run")
    config = settings(experiments=[experiment(models=["factorized", "mean"])])
    config["models"]["mean"] = {"family": "mean", "grid": [{}]}
    write_config(folder, config | {"device": "cuda"})
    mean = Path(FIT.replace("factorized", "mean"), "fits.pt")
    code, output = end(start(folder, "--retries", "1", "--", f"{FIT}/fits.pt", str(mean)))
    assert code != 0
    assert "ERROR root: device: cuda is set but no GPU is visible: set auto or cpu" in output
    assert "Error in rule train" in output
    assert [job["JobState"] for job in jobs(folder, "train")] == ["FAILED", "FAILED"]
    assert (folder / mean).exists()
    assert not list((folder / FIT).glob("*"))


def test_a_job_beyond_its_time_is_tried_again_with_more_and_continues(hanging, local):
    folder, process = hanging
    code, output = end(process)
    assert code == 0, output
    train = jobs(folder, "train")
    assert [job["JobState"] for job in train] == ["TIMEOUT"] * (len(train) - 1) + ["COMPLETED"]
    assert [job["TimeLimit"] for job in train] == ["00:01:00", "00:04:00", "00:09:00", "00:16:00"][
        : len(train)
    ]
    assert len(train) > 1
    assert "continuing after" in (folder / TRAIN_LOG).read_text()
    assert finished_files(folder) == finished_files(local)
