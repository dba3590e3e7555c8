"""Reader of pickled official checkpoints that runs nothing in them.

It calls only our functions for the names in `GLOBALS`. Tensors are rebuilt with every size checked; other classes
become inert `PickledObject`s. The source code stored with networks is ignored.
"""

import io
import math
import mmap
import struct
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleganv.errors import StyleganvError, describe
from styleganv.interop.pickle_interpreter import Global, PickledObject, TensorFlowPickle, UnsafePickle, run

MAX_DIMENSIONS = 8
#: Start of the bytes given to `torch.storage._load_from_bytes` (PyTorch's format before 1.6).
TORCH_MAGIC, TORCH_VERSION = 0x1950A86A20F9469CFC6C, 1001
#: NumPy's name of a type → `struct`'s.
NUMBERS = {
    "f8": "d", "f4": "f", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u8": "Q", "u4": "I", "u2": "H", "u1": "B",
    "b1": "?",
}  # fmt: skip
DTYPES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}


def read_pickle(path: Path | str) -> Any:
    """Read plain values, `PickledObject`s, and tensors (read-only views of the file's content).

    Raises:
        StyleganvError: if the file cannot be read, is not a pickle, is damaged, or contains anything that official
            checkpoints do not.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            if file.read(2) == b"PK":
                raise StyleganvError(
                    f"{path} is a zip (torch.save), not a pickle of an official checkpoint: pass a "
                    "network-snapshot-*.pkl."
                )
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return run(content, GLOBALS)
    except TensorFlowPickle as reason:
        raise StyleganvError(
            f"{path} is a checkpoint for TensorFlow ({reason}), rejected without running any of it: convert it with "
            "the converter of StyleGAN2-ADA for PyTorch, and import the result."
        ) from None
    except UnsafePickle as reason:
        raise StyleganvError(
            f"Unsafe pickle {path} ({reason}), rejected without running any of it: download it again from its official "
            "source."
        ) from None
    except OSError as error:
        raise StyleganvError(f"Cannot read {path} ({error.strerror or error}): pass the .pkl file.") from error
    except StyleganvError:
        raise
    except Exception as error:  # random bytes cause errors of any kind
        raise StyleganvError(
            f"{path} is not a pickle, or is damaged ({describe(error)[:80]}): download it again."
        ) from error


def _persistent_object(meta: Any) -> PickledObject:
    """Return a network or layer that carries its source code, which is not read."""
    if not isinstance(meta, dict) or not isinstance(meta.get("class_name"), str) or meta.get("type") != "class":
        raise UnsafePickle("network in an unknown format")
    return PickledObject(meta["class_name"], state=meta.get("state"))


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """Return a view of a storage that does not exceed it (requires_grad and hooks are ignored)."""
    if not isinstance(storage, Tensor) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise UnsafePickle("tensor without a storage or a size")
    valid = all(type(n) is int and 0 <= n < 2**62 for n in (offset, *size, *stride))
    if not valid or len(size) != len(stride) or len(size) > MAX_DIMENSIONS:
        raise UnsafePickle("tensor of an impossible size")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if offset > storage.numel() or (math.prod(size) > 0 and last >= storage.numel()):
        raise UnsafePickle("tensor that reaches beyond its storage")
    return storage.as_strided(size, stride, offset)


def _parameter(data: Any, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise UnsafePickle("parameter that is not a tensor")
    return data


def _storage_from_bytes(content: Any) -> Tensor:
    """Return the one storage that `torch.save` wrote to `content`, flat.

    The layout is five pickles (magic number, version, byte order, the storage, its key), the number of elements, and
    the elements.
    """
    if not isinstance(content, bytes):
        raise UnsafePickle("storage that is not bytes")
    file = io.BytesIO(content)
    storages: list[tuple[str, torch.dtype, int]] = []

    def storage(reference: Any) -> int:
        tag, of_type, key, _, length, *_ = reference
        if tag != "storage" or not isinstance(of_type, Global) or type(length) is not int:
            raise UnsafePickle("a storage of an unknown type")
        storages.append((str(key), of_type.rebuild(), length))
        return len(storages)

    magic, version, machine = (run(file, {}) for _ in range(3))
    if (magic, version) != (TORCH_MAGIC, TORCH_VERSION) or machine.get("little_endian") is not True:
        raise UnsafePickle("storage in an unknown format")
    if run(file, STORAGES, storage) != 1 or len(storages) != 1:
        raise UnsafePickle("another object instead of a storage")
    [(key, dtype, length)] = storages
    keys, counted, start = run(file, {}), file.read(8), file.tell()
    if keys != [key] or counted != struct.pack("<q", length) or len(content) - start != length * dtype.itemsize:
        raise UnsafePickle("storage of the wrong length")
    if length == 0:
        return torch.empty(0, dtype=dtype)
    with warnings.catch_warnings():  # about read-only memory; copies would let a small file fill the memory
        warnings.simplefilter("ignore")
        return torch.frombuffer(content, dtype=dtype, offset=start)


STORAGES: dict[str, Callable[..., Any]] = {
    f"torch.{name}Storage": partial(lambda dtype: dtype, dtype) for name, dtype in DTYPES.items()
}


def _number(dtype: Any, content: Any) -> float:
    """Return a NumPy scalar as a Python number."""
    if not isinstance(dtype, PickledObject) or dtype.name != "dtype" or dtype.arguments[0] not in NUMBERS:
        raise UnsafePickle("number of an unknown type")
    order = ">" if isinstance(dtype.state, tuple) and ">" in dtype.state else "<"
    (value,) = struct.unpack(order + NUMBERS[dtype.arguments[0]], content)
    return value


def _inert(name: str) -> Callable[..., PickledObject]:
    return lambda *arguments: PickledObject(name, arguments)


def _not_callable(*_: Any) -> Any:
    raise UnsafePickle("call of a type")


#: All names that a pickle may contain, and the functions that replace them.
GLOBALS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.storage._load_from_bytes": _storage_from_bytes,
    "collections.OrderedDict": lambda: {},
    "collections.defaultdict": lambda *_: {},
    "builtins.set": _inert("set"),
    **dict.fromkeys([f"builtins.{t}" for t in ("dict", "list", "tuple", "int", "float", "str", "bool")], _not_callable),
    "typing.Any": _not_callable,
    **{
        f"numpy.{core}.multiarray.{name}": function
        for core in ("core", "_core")
        for name, function in (("scalar", _number), ("_reconstruct", _inert("ndarray")))
    },
    "numpy.ndarray": _not_callable,
    **{
        prefix + name: function
        for prefix in ("", "src.")
        for name, function in (
            ("torch_utils.persistence._reconstruct_persistent_obj", _persistent_object),
            ("dnnlib.util.EasyDict", _inert("EasyDict")),
            ("training.layers.TemporalDifferenceEncoder", _inert("TemporalDifferenceEncoder")),
        )
    },
    **{
        name: _inert(name.rsplit(".", 1)[1])
        for name in (
            "numpy.dtype",
            "omegaconf.base.ContainerMetadata",
            "omegaconf.base.Metadata",
            "omegaconf.dictconfig.DictConfig",
            "omegaconf.listconfig.ListConfig",
            "omegaconf.nodes.AnyNode",
            "torch.nn.modules.container.Sequential",
            "torch.nn.modules.rnn.LSTM",
            "torch.nn.modules.sparse.Embedding",
            "torch.optim.adam.Adam",
        )
    },
}
