"""The C library's memory on a processor."""

import ctypes
import sys
from contextlib import suppress
from functools import cache

# From glibc's malloc.h. 32 MiB is the most that it takes for the second.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
KEPT, FROM_SYSTEM = 2**28, 2**25


@cache
def keep_freed_memory() -> None:
    """Keep freed blocks of up to 32 MiB each, and 256 MiB of them at the end of memory, where the C library is glibc;
    threads that start from now on get no memory of their own, of which it would give more back.

    A layer's result is freed by the time that the next but one needs as much again; given back to the system in
    between, each of its pages is fetched and zeroed anew, which is up to a tenth of a frame's time.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(M_TRIM_THRESHOLD, KEPT)
            mallopt(M_MMAP_THRESHOLD, FROM_SYSTEM)
            mallopt(M_ARENA_MAX, 1)
