"""Distributed training under `torchrun`; in a single process, every function is trivial.

Each process takes a strided part of a batch (clips rank, rank + world size, …). The minibatch standard deviation then
has the same groups, and training the same result, for any number of processes.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")

_single: ContextVar[bool] = ContextVar("single", default=False)


def _is_distributed() -> bool:
    return dist.is_initialized() and not _single.get()


def rank() -> int:
    """Return the rank of this process, 0 to world size − 1."""
    return dist.get_rank() if _is_distributed() else 0


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if _is_distributed() else 1


@contextmanager
def single_process() -> Iterator[None]:
    """Make this process act as if it were the only one."""
    token = _single.set(True)
    try:
        yield
    finally:
        _single.reset(token)


def shard(items: Sequence[T]) -> Sequence[T]:
    """Return this process's items of work that needs no communication."""
    return items[int(os.environ.get("RANK", "0")) :: int(os.environ.get("WORLD_SIZE", "1"))]


def local_device() -> torch.device:
    """Return the GPU of this process, or the CPU."""
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")


@contextmanager
def processes() -> Iterator[torch.device]:
    """Join the process group if `torchrun` started this process; yield the device to train on."""
    device = local_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    joins = "RANK" in os.environ and not dist.is_initialized()
    if joins:
        # PyTorch imports this sooner or later, and its default arguments would keep the group alive, with threads that
        # may abort the process when Python exits.
        from torch.distributed.nn import functional  # noqa: F401

        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        if joins:
            dist.destroy_process_group()


def all_reduce_sum(x: Tensor) -> Tensor:
    """Return the sum of `x` over the processes."""
    if world_size() > 1:
        x = x.clone()
        dist.all_reduce(x)
    return x


def all_reduce_mean(x: Tensor) -> Tensor:
    """Return the mean of `x` over the processes."""
    return all_reduce_sum(x) / world_size()


def all_reduce_max(value: float) -> float:
    """Return the maximum of `value` over the processes."""
    if world_size() == 1:
        return value
    maximum = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(maximum, dist.ReduceOp.MAX)
    return float(maximum)


def any_process(flag: bool) -> bool:
    """Return whether the flag is set on any process."""
    return bool(all_reduce_max(float(flag)))


def all_gather(item: T) -> list[T]:
    """Return every process's item, in the order of their ranks."""
    if world_size() == 1:
        return [item]
    items: list[Any] = [None] * world_size()
    dist.all_gather_object(items, item)
    return items


def average_gradients(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Replace gradients by their mean over the processes, in one transfer; return whether all are finite.

    Parameters without a gradient are skipped: they are the same on every process.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    if world_size() > 1:
        dist.all_reduce(flat)
        flat /= world_size()
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))
    return flat.sum().isfinite()


def barrier() -> None:
    """Wait for all processes."""
    if world_size() > 1:
        any_process(False)
