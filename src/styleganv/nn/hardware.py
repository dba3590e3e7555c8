"""The hardware that networks choose their algorithms for."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_as_gpu: ContextVar[bool] = ContextVar("as_gpu", default=False)


def uses_cpu_algorithms(device: torch.device) -> bool:
    """Return whether networks on this device use the algorithms for CPUs; layers of torch.compile do not."""
    return device.type == "cpu" and not torch.compiler.is_dynamo_compiling() and not _as_gpu.get()


@contextmanager
def gpu_algorithms() -> Iterator[None]:
    """Use the algorithms for GPUs on every device, to estimate the memory of a GPU without it."""
    token = _as_gpu.set(True)
    try:
        yield
    finally:
        _as_gpu.reset(token)
