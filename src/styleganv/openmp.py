"""How the threads of a CPU wait for each other."""

import os
import sys

#: Which any OpenMP, GNU's and Intel's read, each only once: when torch loads it.
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def wait_passively() -> None:
    """Let threads that wait for others sleep, unless the user has said how they wait or torch is loaded already.

    By default GNU's OpenMP, which torch brings along for CPUs, spins: waiting threads keep their cores busy. If
    anything else runs on the machine, a thread that has work may then get no core because others wait for it there,
    and a training step takes several times as long.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in WAITING):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
