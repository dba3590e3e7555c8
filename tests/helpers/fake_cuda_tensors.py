"""Which tensors are on the device that `fake_cuda` pretends to have, and what operations do with them.

A tensor is on the GPU if its storage is marked. In C++ all tensors stay on the CPU, so autograd, pickling, gloo and
safetensors work unchanged; a C++ device `cuda` would abort the backward pass of a process without a GPU.
"""

import sys
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

CUDA, CPU = torch.device("cuda:0"), torch.device("cpu")

_on_gpu: "weakref.WeakSet[Any]" = weakref.WeakSet()
#: Storages made by C++ in a backward pass from nothing but each other; they belong wherever they are used.
_on_either: "weakref.WeakSet[Any]" = weakref.WeakSet()
_pinned: "weakref.WeakSet[Any]" = weakref.WeakSet()

#: Operations that wait for the GPU, since the shape of their result or the next Python line depends on its values.
SYNCHRONIZING = {
    "_local_scalar_dense",
    "_unique2",
    "bincount",
    "equal",
    "is_nonzero",
    "item",
    "masked_select",
    "nonzero",
    "unique_consecutive",
    "unique_dim",
}
#: Operations that CUDA allows for tensors of both devices.
MAY_MIX_DEVICES = {
    "_has_compatible_shallow_copy_type",
    "_index_put_impl_",
    "copy_",
    "index",
    "index_put",
    "index_put_",
}


class TransferLog:
    """Counts of what a GPU would do.

    Attributes:
        counts: `ops` (operations on the GPU), `h2d` and `d2h` (copies between the CPU and the GPU that block the CPU),
            `h2d async` and `d2h async` (those of pinned memory that do not), `sync` (other waiting for the GPU),
            `generators` (random generators), `pinned` (tensors copied to pinned memory) and `compiled` (functions given
            to `torch.compile`, which returns them) and `graphs` (recorded CUDA graphs).
        sites: the same without `ops`, by kind and place in the source of styleganv.
        is_recording: whether a CUDA graph is recorded, which forbids copies and waiting.
    """

    is_recording = False

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.sites: Counter[tuple[str, str]] = Counter()

    def add(self, kind: str, detail: str = "") -> None:
        """Count an event at the current line of styleganv."""
        if self.is_recording and kind in ("sync", "h2d", "d2h"):
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({kind} {detail})")
        self.counts[kind] += 1
        if kind != "ops":
            self.sites[kind, f"{current_line()} {detail}".strip()] += 1

    def clear(self) -> None:
        """Start again from zero."""
        self.counts.clear()
        self.sites.clear()


def current_line() -> str:
    """Return file and line of the innermost call in styleganv; empty if there is none."""
    frame: Any = sys._getframe(1)
    while frame is not None and "/styleganv/" not in frame.f_code.co_filename:
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename.split('/styleganv/')[-1]}:{frame.f_lineno}"


def has_storage(x: Any) -> bool:
    """Return whether a value is a tensor with contents that can be marked, unlike a `FakeTensor` or a sparse one."""
    return isinstance(x, Tensor) and not isinstance(x, FakeTensor) and x.layout == torch.strided


def is_on_gpu(x: Any) -> bool:
    """Return whether a tensor is on the GPU."""
    return has_storage(x) and x.untyped_storage() in _on_gpu


def is_on_either(x: Any) -> bool:
    """Return whether a tensor was made in a backward pass, on a device that is not known yet."""
    return has_storage(x) and x.untyped_storage() in _on_either


def move_to_gpu(x: Any) -> Any:
    """Mark a tensor as on the GPU, and return it."""
    if has_storage(x):
        _on_gpu.add(x.untyped_storage())
    return x


def move_to_cpu(x: Tensor) -> Tensor:
    """Mark a tensor as on the CPU, and return it."""
    _on_gpu.discard(x.untyped_storage())
    return x


def pin(x: Tensor) -> Tensor:
    """Mark a tensor as in pinned memory, and return it."""
    _pinned.add(x.untyped_storage())
    return x


def is_pinned(x: Tensor, *_: Any) -> bool:
    """Return whether a tensor is in pinned memory."""
    return x.untyped_storage() in _pinned


def is_cuda(device: Any) -> bool:
    """Return whether a device, name or None means the GPU."""
    return device is not None and torch.device(device).type == "cuda"


class Copy(torch.autograd.Function):
    """Copy to the other device; its gradient is copied back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, to_gpu: bool) -> Tensor:
        ctx.to_gpu = to_gpu
        with _disable_current_modes():
            copy = x.clone()
        return move_to_gpu(copy) if to_gpu else copy

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        gradient = gradients[0]
        return (Copy.apply(gradient, not ctx.to_gpu) if is_on_gpu(gradient) == ctx.to_gpu else gradient), None


class DeviceMode(TorchDispatchMode):
    """Mode that marks the results of operations, raises where devices mix, and counts."""

    def __init__(self, log: TransferLog) -> None:
        super().__init__()
        self.log = log

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func._schema.name.split("::")[1]
        inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        wants_gpu = is_cuda(kwargs.get("device"))
        if wants_gpu:
            kwargs["device"] = CPU
        any_on_gpu = any(is_on_gpu(x) for x in inputs)
        if any_on_gpu:
            self.log.add("ops")
            _check_devices(func, name, inputs)
            self._count(name, args)
        results = func(*args, **kwargs)
        if name == "copy_" and not is_on_gpu(args[0]):
            any_on_gpu = False
        _mark_results(results, inputs, on_gpu=any_on_gpu or wants_gpu)
        return results

    def _count(self, name: str, args: Any) -> None:
        """Count the copies and the waiting that an operation causes."""
        if name in SYNCHRONIZING:
            self.log.add("sync", name)
        elif name == "copy_" and is_on_gpu(args[0]) != is_on_gpu(args[1]):
            to_gpu = is_on_gpu(args[0])
            pinned = is_pinned(args[1] if to_gpu else args[0])
            self.count_copy(to_gpu, non_blocking=pinned and len(args) > 2 and args[2], detail=name)
        elif name.startswith(("index", "_index_put")) and isinstance(args[1], (list, tuple)):
            self._count_indices(args[0], [index for index in args[1] if index is not None])

    def _count_indices(self, x: Tensor, indices: list[Tensor]) -> None:
        if not is_on_gpu(x):
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
        for index in indices:
            if index.dtype in (torch.bool, torch.uint8):
                self.log.add("sync", "index by a mask")
            elif not is_on_gpu(index):
                self.log.add("h2d", "index on the CPU")

    def count_copy(self, to_gpu: bool, *, non_blocking: bool, detail: str) -> None:
        """Count a copy between the devices."""
        self.log.add(("h2d" if to_gpu else "d2h") + (" async" if non_blocking else ""), detail)


def _check_devices(func: Callable[..., Any], name: str, inputs: list[Tensor]) -> None:
    """Raise PyTorch's error if tensors of one or more dimensions are on the CPU, in an operation on the GPU."""
    for x in inputs:
        if is_on_either(x):
            move_to_gpu(x)
        elif x.ndim and has_storage(x) and not is_on_gpu(x) and name not in MAY_MIX_DEVICES:
            raise RuntimeError(f"Expected all tensors to be on the same device, but found cuda:0 and cpu ({func}).")


def _mark_results(results: Any, inputs: list[Tensor], *, on_gpu: bool) -> None:
    in_backward_pass = torch._C._current_graph_task_id() != -1
    on_either = in_backward_pass and all(is_on_either(x) for x in inputs)
    for x in tree_leaves(results):
        if has_storage(x):
            if on_gpu:
                move_to_gpu(x)
            elif on_either:
                _on_either.add(x.untyped_storage())
