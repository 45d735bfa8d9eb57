import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from whatwhere.errors import UserError
from whatwhere.training import devices
from whatwhere.training.devices import choose_device, take_gpu, visible_gpus, warn_of_imitation


@pytest.fixture
def pretended(monkeypatch, tmp_path):
    """A machine with three GPUs and its own folder for temporary files."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    devices._gpu_of_this_process.cache_clear()
    yield tmp_path
    devices._gpu_of_this_process.cache_clear()


@pytest.fixture
def take(tmp_path):
    """Take a GPU, for another job than before; all are given back after the test."""
    locks = []

    def another(gpus, folder=tmp_path):
        index, lock = take_gpu(gpus, folder)
        locks.append(lock)
        return index

    another.locks = locks
    yield another
    for lock in locks:
        os.close(lock)


def test_every_job_takes_a_free_gpu_and_then_the_one_with_the_fewest_jobs(take):
    assert [take(("0", "1", "2")) for _ in range(5)] == [0, 1, 2, 0, 1]
    os.close(take.locks.pop(1))
    # Only number 1 has its first place left.
    assert take(("0", "1", "2")) == 1


def test_a_single_gpu_is_shared(take):
    assert [take(("0",)) for _ in range(3)] == [0, 0, 0]


def test_jobs_that_see_other_gpus_do_not_meet(take):
    assert take(("2", "3")) == 0
    assert take(("3", "2")) == 0
    # Of these only number 4 of the machine is free.
    assert take(("2", "4")) == 1


@pytest.mark.slow
def test_the_lock_of_a_job_that_was_killed_is_free(take, tmp_path):
    source = Path(devices.__file__).parents[2]
    script = (
        f"import sys; sys.path.insert(0, {str(source)!r}); from pathlib import Path; "
        "from whatwhere.training.devices import take_gpu; "
        f"held = take_gpu(('0', '1'), Path({str(tmp_path)!r})); print(held[0], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as job:
        assert job.stdout.readline() == "0\n"
        assert take(("0", "1")) == 1
        job.kill()
        job.communicate()
    assert take(("0", "1")) == 0


def test_visible_gpus_have_the_names_of_the_machine(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus(2) == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-5ebe9f43")
    assert visible_gpus(2) == ["3", "GPU-5ebe9f43"]


def test_a_process_says_which_gpu_it_takes_and_keeps_it(pretended, take, monkeypatch, caplog):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,6,7")
    take(("5",), pretended / f"whatwhere-gpus-{os.getuid()}")
    caplog.set_level("INFO")
    assert choose_device("auto") == torch.device("cuda", 1)
    assert choose_device("cuda") == torch.device("cuda", 1)
    assert caplog.messages == ["training on GPU 6, number 2 of 3"]


def test_the_cpu_takes_no_gpu(pretended):
    assert choose_device("cpu") == torch.device("cpu")
    assert not list(pretended.iterdir())


def test_a_gpu_that_is_asked_for_must_be_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(UserError, match="no GPU is visible"):
        choose_device("cuda")
    with pytest.raises(UserError, match="device: 'tpu' is none of auto, cpu, cuda"):
        choose_device("tpu")


@pytest.mark.parametrize(
    ("has", "precision", "device", "said"),
    [
        ({}, "bfloat16", "cpu", 1),
        ({}, "float32", "cpu", 0),
        ({}, "bfloat16", "cuda", 0),
        ({"avx512_bf16": True}, "bfloat16", "cpu", 0),
        ({"amx_bf16": True}, "bfloat16", "cpu", 0),
        ({"architecture": "aarch64"}, "bfloat16", "cpu", 0),
    ],
)
def test_a_processor_that_imitates_bfloat16_is_warned_of(has, precision, device, said, monkeypatch, caplog):
    able = {"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False} | has
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    warn_of_imitation(precision, torch.device(device))
    assert sum("set precision: float32" in message for message in caplog.messages) == said


def test_every_processor_says_what_the_warning_asks():
    able = torch.cpu.get_capabilities()
    assert able["architecture"] != "x86_64" or {"avx512_bf16", "amx_bf16"} <= able.keys()
