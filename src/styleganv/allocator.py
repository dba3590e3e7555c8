"""Settings of the C library's memory allocator."""

import ctypes
import sys
from contextlib import suppress
from functools import cache

# Parameters of glibc's malloc.h; 32 MiB is the maximum of the mmap threshold.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
TRIM_BYTES, MMAP_BYTES = 2**28, 2**25


@cache
def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next layer instead of returning it to the system.

    It keeps freed blocks of up to 32 MiB each, and up to 256 MiB at the end of the heap. Threads that start later share
    one heap, because glibc returns more of a thread's own heap. Other C libraries are left alone.

    A layer's output is usually freed just before the next but one needs as much memory again. Otherwise each of its
    pages is requested and zeroed again, which takes up to a tenth of the time per frame.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)
            mallopt(M_MMAP_THRESHOLD, MMAP_BYTES)
            mallopt(M_ARENA_MAX, 1)
