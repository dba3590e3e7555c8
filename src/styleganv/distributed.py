"""Distributed training under `torchrun`; in a single process, every function is trivial.

Each process takes a strided part of a batch (clips rank, rank + world size, …). The minibatch standard deviation then
has the same groups, and training the same result, for any number of processes.
"""

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from styleganv.errors import StyleganvError
from styleganv.workers import exit_with_parent

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
    """Join the process group if `torchrun` started this process; yield the device to train on.

    A process that joins exits when torchrun does.
    """
    device = local_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    joins = "RANK" in os.environ and not dist.is_initialized()
    if joins:
        # PyTorch imports this sooner or later, and its default arguments would keep the group alive, with threads that
        # may abort the process when Python exits.
        from torch.distributed.nn import functional  # noqa: F401
        from torch.distributed.rendezvous import rendezvous

        exit_with_parent()
        store, rank, world_size = next(rendezvous("env://"))
        store = dist.PrefixStore(_agree_on_name(store, rank, world_size), store)
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    try:
        yield device
    finally:
        if joins:
            dist.destroy_process_group()


def _agree_on_name(store: "dist.Store", rank: int, world_size: int) -> str:
    """Return a name that all processes share, and that none before them used.

    Torchrun keeps its store when it restarts processes, and with it the addresses of the dead ones. The name is a hash
    of one random number per process; equal names prove that each process has read the numbers of all living ones.
    """
    store.set(f"number/{rank}", uuid.uuid4().hex)
    while True:
        numbers = b"".join(store.get(f"number/{other}") for other in range(world_size))
        name = hashlib.sha256(numbers).hexdigest()
        store.set(f"name/{rank}", name)
        if all(store.get(f"name/{other}") == name.encode() for other in range(world_size)):
            return name
        time.sleep(0.05)


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


def run_on_first(action: Callable[[], None]) -> None:
    """Run an action in process 0 while the others wait; all raise its StyleganvError."""
    error = None
    if rank() == 0:
        try:
            action()
        except StyleganvError as raised:
            error = raised
    first, *_ = all_gather(error)
    if first is not None:
        raise error or first


def barrier() -> None:
    """Wait for all processes."""
    if world_size() > 1:
        any_process(False)
