"""Memory that is freed is kept for the next step instead of being returned to the system."""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h


def keep_freed_memory(keep: bool = True) -> None:
    """Let glibc serve large arrays from its heap, which it never returns, or (False) as it does by default.

    By default every array above 32 MiB, and many smaller ones, are fetched from the system in each training
    step and cleared page by page: 15 % of the time of a step of the network of section G.2. Peak memory stays
    the same. Other C libraries are left alone.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_MAX, 0 if keep else 65536)
    libc.mallopt(_TRIM_THRESHOLD, -1 if keep else 128 * 1024)
