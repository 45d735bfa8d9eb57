"""Settings of the allocator of memory."""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h


def keep_freed_memory() -> None:
    """Makes glibc serve all arrays from its heap and keep freed memory for the next step.

    Otherwise training steps return memory to the system and fetch it again, page by page: 7 % of the time of
    the network of section G.2 on an idle machine. Peak memory grows by up to a third. Other C libraries are
    left alone.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, -1)
