"""How many threads of a CPU work together, and how they wait for each other."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

#: Which any OpenMP, GNU's and Intel's read, each only once: when torch loads it.
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def wait_passively() -> None:
    """Let threads that wait for others sleep, unless the user has said how they wait or torch is loaded already.

    By default GNU's OpenMP, which torch brings along for CPUs, spins: waiting threads keep their cores busy. If
    anything else runs on the machine, a thread that has work may then get no core because others wait for it there,
    and a training step takes several times as long. The price: on an idle machine, sleeping threads of tiny networks
    take 1.5 to 1.9 times as long (docs/learning.md), so those train on one (`working_threads`).
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in WAITING):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


@contextmanager
def working_threads(count: int | None) -> Iterator[None]:
    """Meanwhile torch works with so many threads; None changes nothing."""
    import torch  # not before `wait_passively`

    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
