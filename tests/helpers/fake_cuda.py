"""A CUDA device for machines without one: tensors say `cuda:0`, are computed on the CPU, and transfers are counted.

    with fake_cuda() as log:
        ...
    log.counts["sync"], log.sites

While the context is open, `Tensor.device` and all that takes a device are replaced. `fake_cuda_tensors.py` follows the
tensors. Modes belong to a thread, so `Thread.run` enters one as well.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from fake_cuda_graphs import FakeGraph, graph_context
from fake_cuda_tensors import (
    CPU,
    CUDA,
    Copy,
    DeviceMode,
    TransferLog,
    has_storage,
    is_cuda,
    is_on_either,
    is_on_gpu,
    is_pinned,
    move_to_cpu,
    move_to_gpu,
    pin,
)
from torch import Tensor
from torch._dynamo import trace_rules
from torch._subclasses.fake_tensor import FakeTensorMode

#: Functions of `torch` and methods of tensors that make tensors on a given device.
FACTORIES = (
    *("tensor", "as_tensor", "zeros", "ones", "empty", "full", "rand", "randn", "randint", "randperm", "arange"),
    *("linspace", "logspace", "eye", "empty_strided", "scalar_tensor", "normal", "bernoulli", "multinomial"),
    *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "randint_like"),
)
METHODS = ("new_tensor", "new_zeros", "new_ones", "new_empty", "new_full")
#: Functions that copy a Python value to the device.
FROM_VALUES = ("tensor", "as_tensor", "new_tensor")

_real_device = torch._C.TensorBase.device.__get__  # type: ignore[attr-defined]
_Replacements = dict[str, Any]
_num_estimates = 0  # open contexts of `FakeTensorMode`, whose tensors are all on the CPU here


@contextlib.contextmanager
def fake_cuda(*, bfloat16: bool = True, memory_gib: float = 24.0) -> Iterator[TransferLog]:
    """Pretend that the machine has one CUDA device, and yield the counts of its work.

    Args:
        bfloat16: whether its hardware supports bfloat16.
        memory_gib: its memory, in GiB.
    """
    log = TransferLog()
    mode = DeviceMode(log)
    trace_rules.get_torch_obj_rule_map()  # built on first use, from functions that must not be replaced yet
    with contextlib.ExitStack() as stack:
        for owner, replacements in (
            (torch.cuda, _cuda_functions(log, bfloat16, memory_gib)),
            (Tensor, _tensor_methods(mode)),
            (torch, {name: _factory(log, getattr(torch, name)) for name in FACTORIES} | _torch_types(log)),
            (threading.Thread, {"run": _run_with_mode(log)}),
            (FakeTensorMode, {"__enter__": _count_estimates(1), "__exit__": _count_estimates(-1)}),
        ):
            for name, value in replacements.items():
                stack.enter_context(mock.patch.object(owner, name, value))
        stack.enter_context(mode)
        yield log


@contextlib.contextmanager
def any_gpu() -> Iterator[torch.device]:
    """Yield a CUDA device: the machine's or, without one, the pretended one.

    What is computed on the CPU for comparison is best computed before: the pretended device takes the zeros that a
    custom backward pass gets from C++ for its own.
    """
    with contextlib.nullcontext() if torch.cuda.is_available() else fake_cuda():
        yield torch.device("cuda", 0)


class _Stream:
    """A stream or an event; what is put on it is done at once."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> "_Stream":
        return self

    def __exit__(self, *_: Any) -> None: ...

    def wait_stream(self, _: Any) -> None: ...

    def wait_event(self, _: Any) -> None: ...

    def wait(self, *_: Any) -> None: ...

    def record(self, *_: Any) -> None: ...

    def record_event(self, *_: Any) -> "_Stream":
        return self

    def query(self) -> bool:
        return True

    def synchronize(self) -> None: ...

    def elapsed_time(self, _: Any) -> float:
        return 1.0


def _nothing(*_: Any, **__: Any) -> None: ...


def _cuda_functions(log: TransferLog, bfloat16: bool, memory_gib: float) -> _Replacements:
    """Return what replaces functions of `torch.cuda`."""
    memory = int(memory_gib * 2**30)
    constants = {
        "is_available": True,
        "is_initialized": True,
        "device_count": 1,
        "current_device": 0,
        "get_device_name": "fake GPU",
        "get_device_capability": (8, 0) if bfloat16 else (7, 0),
        "mem_get_info": (memory, memory),
        "max_memory_allocated": 0,
    }
    ignored = ("_lazy_init", "init", "set_device", "empty_cache", "reset_peak_memory_stats", "set_rng_state")
    return {
        **{name: lambda *_, value=value: value for name, value in constants.items()},
        **{name: _nothing for name in (*ignored, "manual_seed", "manual_seed_all")},
        "is_bf16_supported": lambda including_emulation=True: bfloat16 or including_emulation,
        "synchronize": lambda *_: log.add("sync", "synchronize"),
        "get_rng_state": lambda *_: torch.zeros(0, dtype=torch.uint8),
        "CUDAGraph": FakeGraph,
        "graph": graph_context(log),
        "Stream": _Stream,
        "Event": _Stream,
        "stream": lambda stream: stream or _Stream(),
        "current_stream": _Stream,
        "default_stream": _Stream,
    }


def _torch_types(log: TransferLog) -> _Replacements:
    """Return what replaces `torch.Generator`, `torch.compile`, and autocast and its queries, which take a device."""
    RealGenerator, RealAutocast = torch.Generator, torch.autocast
    is_enabled, get_dtype = torch.is_autocast_enabled, torch.get_autocast_dtype

    class Generator(RealGenerator):
        def __new__(cls, device: Any = "cpu") -> Any:
            return RealGenerator.__new__(cls, "cpu")

        def __init__(self, device: Any = "cpu") -> None:
            log.add("generators")
            self._fake_device = CUDA if is_cuda(device) else CPU

        device = property(lambda self: self._fake_device)

    class Autocast(RealAutocast):
        def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
            super().__init__(_real_type(device_type), *args, **kwargs)

    def compile_(function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
        log.add("compiled")
        return function

    return {
        "Generator": Generator,
        "compile": compile_,
        "autocast": Autocast,
        "is_autocast_enabled": lambda device_type="cpu": is_enabled(_real_type(device_type)),
        "get_autocast_dtype": lambda device_type: get_dtype(_real_type(device_type)),
    }


def _real_type(device_type: str) -> str:
    return "cpu" if device_type == "cuda" else device_type


def _tensor_methods(mode: DeviceMode) -> _Replacements:
    """Return what replaces methods and properties of tensors."""
    log = mode.log
    to, numpy, array, tolist = Tensor.to, Tensor.numpy, Tensor.__array__, Tensor.tolist

    def checked(method: Callable[..., Any]) -> Callable[..., Any]:
        def convert(self: Tensor, *args: Any, **kwargs: Any) -> Any:
            if is_on_gpu(self):
                raise TypeError(
                    "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
                    "memory first."
                )
            return method(self, *args, **kwargs)

        return convert

    def fake_tolist(self: Tensor) -> Any:
        if is_on_gpu(self):
            log.add("sync", "tolist")
        return tolist(self)

    def pin_memory(self: Tensor, *_: Any) -> Tensor:
        if is_on_gpu(self):
            raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
        if _num_estimates:
            raise AssertionError("NYI: aten._pin_memory.default")
        log.add("pinned")
        return pin(self.clone())

    def device(self: Tensor) -> torch.device:
        if is_on_either(self):
            move_to_gpu(self)  # zeros that C++ passes to a custom backward pass
        return CUDA if is_on_gpu(self) and not _num_estimates else _real_device(self)

    return {
        "to": _fake_to(mode, to),
        "cpu": lambda self, *_, **__: self.to(CPU),
        "cuda": lambda self, *_, non_blocking=False, **__: self.to(CUDA, non_blocking=non_blocking),
        "numpy": checked(numpy),
        "__array__": checked(array),
        "tolist": fake_tolist,
        "pin_memory": pin_memory,
        "is_pinned": is_pinned,
        "record_stream": _nothing,
        "device": property(device),
        "is_cuda": property(is_on_gpu),
        "is_cpu": property(lambda self: not is_on_gpu(self)),
        "get_device": lambda self: 0 if is_on_gpu(self) else -1,
        **{name: _factory(log, getattr(Tensor, name), is_method=True) for name in METHODS},
    }


def _fake_to(mode: DeviceMode, real_to: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return `Tensor.to` for both devices."""

    def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        device, non_blocking, args, kwargs = _parse_to(args, kwargs)
        if device is not None and device.type not in ("cpu", "cuda"):
            return real_to(self, device, *args, **kwargs)
        x = real_to(self, *args, **kwargs) if args or kwargs else self
        if device is None or not has_storage(self) or is_cuda(device) == is_on_gpu(x):
            return x
        non_blocking = non_blocking and is_pinned(self)
        mode.count_copy(is_cuda(device), non_blocking=non_blocking, detail=str(list(self.shape)))
        return Copy.apply(x, is_cuda(device))

    return to


def _parse_to(args: Any, kwargs: Any) -> tuple[torch.device | None, bool, list[Any], _Replacements]:
    """Return device, `non_blocking`, and the other arguments of a call of `Tensor.to`."""
    rest, kwargs = list(args), dict(kwargs)
    device, non_blocking = kwargs.pop("device", None), kwargs.pop("non_blocking", False)
    if rest and isinstance(rest[0], Tensor):
        device, rest[0] = rest[0].device, rest[0].dtype
    elif rest and not isinstance(rest[0], (torch.dtype, bool)):
        device = rest.pop(0)
        if rest and rest[0] is None:  # Module.to passes (device, None, non_blocking)
            rest.pop(0)
    dtype = [rest.pop(0)] if rest and isinstance(rest[0], torch.dtype) else []
    if rest and isinstance(rest[0], bool):
        non_blocking = non_blocking or rest.pop(0)
    device = CUDA if isinstance(device, int) else device
    return None if device is None else torch.device(device), non_blocking, dtype + rest, kwargs


def _factory(log: TransferLog, make: Callable[..., Tensor], *, is_method: bool = False) -> Callable[..., Tensor]:
    """Return a function that makes tensors like `make`, on either device.

    Args:
        log: counts the copies of Python values to the GPU.
        make: function of `torch`, or a method of tensors, whose results are on their device.
        is_method: whether it is a method.
    """
    name = make.__name__

    def made(*args: Any, **kwargs: Any) -> Tensor:
        device = kwargs.pop("device", None)
        first = args[0] if args and isinstance(args[0], Tensor) else None
        if name == "as_tensor" and first is not None:
            x = make(*args, **kwargs)
            return x if device is None else x.to(device)
        like = first if is_method or name.endswith("_like") else None
        on_gpu = is_on_gpu(like) if device is None else is_cuda(device)
        _check_generator(kwargs.get("generator"), on_gpu if device is not None else None)
        pinned = kwargs.pop("pin_memory", False)
        x = make(*args, **kwargs, **({} if device is None else {"device": CPU if is_cuda(device) else device}))
        if pinned and has_storage(x):
            log.add("pinned")
            pin(x)
        if on_gpu:
            if name in FROM_VALUES:
                log.add("h2d", name)
            return move_to_gpu(x)
        return move_to_cpu(x) if is_on_gpu(like) and has_storage(x) else x

    made.__name__ = name
    return made


def _check_generator(generator: Any, on_gpu: bool | None) -> None:
    """Raise PyTorch's error if a generator is not on the device of the result; None for an unknown device."""
    if generator is not None and on_gpu is not None and is_cuda(generator.device) != on_gpu:
        expected = "cuda" if on_gpu else "cpu"
        raise RuntimeError(f"Expected a '{expected}' device type for generator but found '{generator.device.type}'")


def _run_with_mode(log: TransferLog) -> Callable[[threading.Thread], None]:
    real_run = threading.Thread.run

    def run(self: threading.Thread) -> None:
        with DeviceMode(log):
            real_run(self)

    return run


def _count_estimates(change: int) -> Callable[..., Any]:
    """Return a replacement of `FakeTensorMode.__enter__` or `__exit__` that counts the open contexts."""
    method = FakeTensorMode.__enter__ if change > 0 else FakeTensorMode.__exit__

    def counted(*args: Any) -> Any:
        global _num_estimates
        _num_estimates += change
        return method(*args)

    return counted
