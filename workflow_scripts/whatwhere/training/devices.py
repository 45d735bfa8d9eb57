"""Device of a job: the CPU, or a GPU that no other job has taken.

Jobs on one machine agree through locked files in the folder for temporary files: one for every GPU and every
job that it takes. A lock ends with the process that holds it, however that ends.
"""

import fcntl
import functools
import logging
import os
import tempfile
from pathlib import Path
from typing import IO

import torch

from whatwhere.errors import UserError

logger = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "cuda")


def choose_device(name: str) -> torch.device:
    """Device of a config value: ``auto`` takes a GPU if there is one.

    Raises
    ------
    UserError
        If it is none of :data:`DEVICES`, or ``cuda`` is asked for but there is none.
    """
    if name not in DEVICES:
        raise UserError(f"device: {name!r} is none of {', '.join(DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda is set but no GPU is visible: set auto or cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", _gpu_of_this_process(tuple(visible_gpus(torch.cuda.device_count()))))


def warn_of_imitation(precision: str, device: torch.device) -> None:
    """Say in the log that a processor without instructions for bfloat16 imitates it, many times slower.

    Parameters
    ----------
    precision
        A model's ``training.precision``.
    """
    if precision != "bfloat16" or device.type != "cpu":
        return
    able = torch.cpu.get_capabilities()
    if able["architecture"] == "x86_64" and not (able["avx512_bf16"] or able["amx_bf16"]):
        logger.warning(
            "this processor only imitates bfloat16, many times slower than float32: set precision: float32"
        )


@functools.cache
def _gpu_of_this_process(gpus: tuple[str, ...]) -> int:
    """Number of the GPU that this process takes once and keeps."""
    index, lock = take_gpu(gpus, Path(tempfile.gettempdir(), f"whatwhere-gpus-{os.getuid()}"))
    _KEPT.append(lock)
    # Convolutions too are computed in the precision of the configuration, as products of matrices are anyway.
    torch.backends.cudnn.allow_tf32 = False
    logger.info("training on GPU %s, number %d of %d", gpus[index], index + 1, len(gpus))
    return index


_KEPT: list[IO[str]] = []
"""Locked files, which stay open until the process ends."""


def visible_gpus(count: int) -> list[str]:
    """Names by which all jobs of a machine know the GPUs that this one may use.

    ``CUDA_VISIBLE_DEVICES`` hides and renumbers GPUs: the first that is visible is number 0 of this process
    and may be number 3 of the machine.

    Parameters
    ----------
    count
        How many are visible.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in named.split(",")] if named else [str(number) for number in range(count)]
    return names[:count]


def take_gpu(gpus: tuple[str, ...], folder: Path) -> tuple[int, IO[str]]:
    """Take the first of the GPUs that the fewest jobs have taken.

    Parameters
    ----------
    gpus
        Names of those that may be used.
    folder
        Of the locked files, made if missing.

    Returns
    -------
    Index into ``gpus``, and the file whose lock holds it until it is closed.
    """
    folder.mkdir(exist_ok=True)
    job = 0
    while True:
        for index, gpu in enumerate(gpus):
            lock = open(folder / f"{gpu}.{job}", "w")  # noqa: SIM115
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
            else:
                return index, lock
        job += 1
