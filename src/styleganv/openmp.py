"""Number of CPU threads, and how OpenMP's threads wait for each other."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: Environment variables that GNU's or Intel's OpenMP reads once, when torch is loaded.
WAIT_VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def wait_passively() -> None:
    """Let waiting threads sleep, unless the user has set a wait policy or torch is already loaded.

    GNU's OpenMP, which comes with torch for CPUs, spins by default: waiting threads keep their cores busy. If another
    program runs on the machine, a thread with work may then find no free core, and a training step takes several times
    as long. On an idle machine, sleeping costs tiny networks a factor of 1.6 to 2.1 (docs/learning.md), so those train
    on one thread (`working_threads`).
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in WAIT_VARIABLES):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


@contextmanager
def working_threads(num_threads: int | None) -> Iterator[None]:
    """Let torch use this many CPU threads inside the context; None changes nothing."""
    import torch  # only now: `wait_passively` must come first

    before = torch.get_num_threads()
    torch.set_num_threads(before if num_threads is None else num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
