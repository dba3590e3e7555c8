"""Pickles of released networks, read without running anything in them.

Tensors are rebuilt with every size checked; classes become `Node`s, which only keep what the pickle says. Networks
carry their source code as text, which is dropped unread.
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

from styleganv.errors import StyleganvError
from styleganv.interop.pickle_machine import Global, Node, Refused, run

MAX_DIMENSIONS = 8
#: Loads of `torch.storage._load_from_bytes` begin with these two numbers (PyTorch's format of before 1.6).
TORCH_MAGIC, TORCH_VERSION = 0x1950A86A20F9469CFC6C, 1001
NUMBERS = {
    "f8": "d",
    "f4": "f",
    "i8": "q",
    "i4": "i",
    "i2": "h",
    "i1": "b",
    "u8": "Q",
    "u4": "I",
    "u2": "H",
    "u1": "B",
    "b1": "?",
}
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
    """What a pickle holds: plain values, `Node`s, and tensors (views on what was read, not to be written to).

    Raises:
        StyleganvError: if the file cannot be read, is no pickle or damaged, or asks for anything but what released
            networks consist of.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            if file.read(2) == b"PK":
                raise StyleganvError(
                    f"{path} is a zip, as torch.save writes, and no pickle of released networks: give a "
                    "network-snapshot-*.pkl."
                )
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return run(content, GLOBALS)
    except Refused as refusal:
        raise StyleganvError(
            f"{path} {refusal}: no network needs that, so it was refused and nothing of the file was run; get the "
            "file from where it was released."
        ) from None
    except OSError as error:
        raise StyleganvError(f"{path} cannot be read ({error.strerror or error}): give the .pkl file.") from error
    except StyleganvError:
        raise
    except Exception as error:  # random bytes are wrong in every way there is
        raise StyleganvError(
            f"{path} is no pickle, or damaged ({type(error).__name__}: {str(error)[:80]}): get it again."
        ) from error


def _persistent_object(meta: Any) -> Node:
    """A network or layer that carries its source code, which is left unread."""
    if not isinstance(meta, dict) or not isinstance(meta.get("class_name"), str) or meta.get("type") != "class":
        raise Refused("describes a network in an unknown way")
    return Node(meta["class_name"], state=meta.get("state"))


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """A view on a storage, none of whose elements lies outside (requires_grad and hooks are left out)."""
    if not isinstance(storage, Tensor) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise Refused("has a tensor without a storage or a size")
    whole = all(type(n) is int and 0 <= n < 2**62 for n in (offset, *size, *stride))
    if not whole or len(size) != len(stride) or len(size) > MAX_DIMENSIONS:
        raise Refused("has a tensor of an impossible size")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if offset > storage.numel() or (math.prod(size) > 0 and last >= storage.numel()):
        raise Refused("has a tensor that reaches beyond its storage")
    return storage.as_strided(size, stride, offset)


def _parameter(data: Any, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise Refused("has a parameter that is no tensor")
    return data


def _storage_from_bytes(content: Any) -> Tensor:
    """The one storage that `torch.save` wrote into `content`, flat.

    Five pickles (magic number, version, the machine's byte order, the storage, its key), then how many elements it
    has, then these.
    """
    if not isinstance(content, bytes):
        raise Refused("has a storage that is not of bytes")
    file = io.BytesIO(content)
    storages: list[tuple[str, torch.dtype, int]] = []

    def storage(reference: Any) -> int:
        kind, of_type, key, _, length, *_ = reference
        if kind != "storage" or not isinstance(of_type, Global) or type(length) is not int:
            raise Refused("has a storage of an unknown kind")
        storages.append((str(key), of_type.rebuild(), length))
        return len(storages)

    magic, version, machine = (run(file, {}) for _ in range(3))
    if (magic, version) != (TORCH_MAGIC, TORCH_VERSION) or machine.get("little_endian") is not True:
        raise Refused("has a storage in an unknown format")
    if run(file, STORAGES, storage) != 1 or len(storages) != 1:
        raise Refused("has something else where a storage should be")
    [(key, dtype, length)] = storages
    keys, counted, start = run(file, {}), file.read(8), file.tell()
    if keys != [key] or counted != struct.pack("<q", length) or len(content) - start != length * dtype.itemsize:
        raise Refused("has a storage that is not as long as it says")
    if length == 0:
        return torch.empty(0, dtype=dtype)
    with warnings.catch_warnings():  # that it must not be written to; a copy could be asked for again and again
        warnings.simplefilter("ignore")
        return torch.frombuffer(content, dtype=dtype, offset=start)


STORAGES: dict[str, Callable[..., Any]] = {
    f"torch.{name}Storage": partial(lambda dtype: dtype, dtype) for name, dtype in DTYPES.items()
}


def _number(dtype: Any, content: Any) -> float:
    """A numpy scalar."""
    if not isinstance(dtype, Node) or dtype.name != "dtype" or dtype.arguments[0] not in NUMBERS:
        raise Refused("has a number of an unknown type")
    order = ">" if isinstance(dtype.state, tuple) and ">" in dtype.state else "<"
    (value,) = struct.unpack(order + NUMBERS[dtype.arguments[0]], content)
    return value


def _inert(name: str) -> Callable[..., Node]:
    return lambda *arguments: Node(name, arguments)


def _only_named(*_: Any) -> Any:
    raise Refused("calls a type")


#: All names that a pickle may ask for, and what stands for them.
GLOBALS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.storage._load_from_bytes": _storage_from_bytes,
    "collections.OrderedDict": lambda: {},
    "collections.defaultdict": lambda *_: {},
    "builtins.set": _inert("set"),
    **dict.fromkeys(
        [f"builtins.{kind}" for kind in ("dict", "list", "tuple", "int", "float", "str", "bool")], _only_named
    ),
    "typing.Any": _only_named,
    **{
        f"numpy.{core}.multiarray.{name}": function
        for core in ("core", "_core")
        for name, function in (("scalar", _number), ("_reconstruct", _inert("ndarray")))
    },
    "numpy.ndarray": _only_named,
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
            "torch.nn.modules.sparse.Embedding",
            "torch.optim.adam.Adam",
        )
    },
}
