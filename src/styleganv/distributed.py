"""Several processes under `torchrun`; every function does the obvious thing in a single process.

Processes take strided parts of a batch (clip numbers rank, rank + world size, …), so that the groups of the
minibatch standard deviation are those of the whole batch, and one process or many train alike.
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


_alone: ContextVar[bool] = ContextVar("alone", default=False)


def _together() -> bool:
    return dist.is_initialized() and not _alone.get()


def rank() -> int:
    return dist.get_rank() if _together() else 0


def world_size() -> int:
    return dist.get_world_size() if _together() else 1


@contextmanager
def alone() -> Iterator[None]:
    """Within it this process acts as if it were the only one."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def share(items: Sequence[T]) -> Sequence[T]:
    """This process's part of what `torchrun`'s processes do independently of each other, without talking."""
    return items[int(os.environ.get("RANK", "0")) :: int(os.environ.get("WORLD_SIZE", "1"))]


def local_device() -> torch.device:
    """The GPU of this process, or the CPU."""
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")


@contextmanager
def processes() -> Iterator[torch.device]:
    """Join the other processes if `torchrun` started this one; yields the device to train on."""
    device = local_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    together = "RANK" in os.environ and not dist.is_initialized()
    if together:
        # PyTorch imports it sooner or later, and its default arguments would keep the group alive, with threads that
        # may abort the process when Python ends.
        from torch.distributed.nn import functional  # noqa: F401

        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        if together:
            dist.destroy_process_group()


def total(x: Tensor) -> Tensor:
    """The sum of `x` over the processes."""
    if world_size() > 1:
        x = x.clone()
        dist.all_reduce(x)
    return x


def mean(x: Tensor) -> Tensor:
    """The mean of `x` over the processes."""
    return total(x) / world_size()


def average_gradients(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Replace gradients by their mean over the processes, in one transfer; returns whether all are finite.

    Parameters without a gradient are left out: they are the same ones on every process.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    if world_size() > 1:
        dist.all_reduce(flat)
        flat /= world_size()
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))
    return flat.sum().isfinite()


def gather(item: T) -> list[T]:
    """Every process's item, in the order of their ranks, on all of them."""
    if world_size() == 1:
        return [item]
    items: list[Any] = [None] * world_size()
    dist.all_gather_object(items, item)
    return items


def largest(value: float) -> float:
    """The largest of the processes' values; all of them get the same answer."""
    if world_size() == 1:
        return value
    answer = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(answer, dist.ReduceOp.MAX)
    return float(answer)


def any_process(flag: bool) -> bool:
    """Whether the flag is set on any process; all of them get the same answer."""
    return bool(largest(float(flag)))


def barrier() -> None:
    if world_size() > 1:
        any_process(False)
