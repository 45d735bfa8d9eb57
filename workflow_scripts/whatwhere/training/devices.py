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

import torch

from whatwhere.errors import UserError

logger = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "cuda")


def choose_device(name: str) -> torch.device:
    """Device of a config value: ``auto`` takes a GPU if there is one.

    UserError if the name is none of :data:`DEVICES`, or is ``cuda`` without a visible GPU.
    """
    if name not in DEVICES:
        raise UserError(f"device: {name!r} is none of {', '.join(DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda is set but no GPU is visible: set auto or cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", _gpu_of_this_process(tuple(visible_gpus(torch.cuda.device_count()))))


def warn_of_imitation(precision: str, device: torch.device) -> None:
    """Warns that a processor without instructions for bfloat16 imitates ``training.precision`` of a model."""
    if precision != "bfloat16" or device.type != "cpu":
        return
    able = torch.cpu.get_capabilities()
    if able["architecture"] == "x86_64" and not (able["avx512_bf16"] or able["amx_bf16"]):
        logger.warning("this processor imitates bfloat16, much slower than float32: set precision: float32")


@functools.cache
def _gpu_of_this_process(gpus: tuple[str, ...]) -> int:
    """Number of the GPU that this process takes once; its locked file stays open until the process ends."""
    index, _ = take_gpu(gpus, Path(tempfile.gettempdir(), f"whatwhere-gpus-{os.getuid()}"))
    # Convolutions too are computed in the precision of the configuration, as products of matrices are anyway.
    torch.backends.cudnn.allow_tf32 = False
    logger.info("training on GPU %s, number %d of %d", gpus[index], index + 1, len(gpus))
    return index


def visible_gpus(count: int) -> list[str]:
    """Names by which all jobs of a machine know the GPUs that this one may use.

    ``CUDA_VISIBLE_DEVICES`` hides and renumbers GPUs: the first that is visible is number 0 of this process
    and may be number 3 of the machine. ``count`` is the number of visible GPUs.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in named.split(",")] if named else [str(number) for number in range(count)]
    return names[:count]


def take_gpu(gpus: tuple[str, ...], folder: Path) -> tuple[int, int]:
    """Takes the first of the named GPUs that the fewest jobs have taken.

    Returns the index into ``gpus``, and the descriptor of the file in ``folder`` whose lock holds the GPU
    until the file is closed.
    """
    folder.mkdir(exist_ok=True)
    job = 0
    while True:
        for index, gpu in enumerate(gpus):
            lock = os.open(folder / f"{gpu}.{job}", os.O_CREAT | os.O_WRONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                return index, lock
        job += 1
