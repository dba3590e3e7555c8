"""Reader of pickled official checkpoints that runs nothing in them.

Python's own unpickler calls any function that a pickle names. `run` interprets the instructions decoded by
`pickletools` instead: it imports nothing, and calls only our functions for the names in `GLOBALS`. Tensors are rebuilt
with every size checked; other classes become inert `PickledObject`s. The source code stored with networks is ignored.
"""

import io
import math
import mmap
import pickletools
import re
import struct
import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from styleganv.errors import StyleganvError, describe

#: Two networks at 256² have 18,000; an instruction of one byte can take 200 bytes of memory.
MAX_INSTRUCTIONS = 5_000_000
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


@dataclass(eq=False, repr=False)
class PickledObject:
    """An object of an unknown class as inert data.

    Attributes:
        name: name of the class.
        arguments: arguments of its constructor.
        state: its attributes (`__dict__`), usually a dictionary.
        items, elements: its contents, if it is a dictionary or list.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)


class UnsafePickle(Exception):
    """The pickle contains something that no network needs; the text names it."""


@dataclass(frozen=True)
class Global:
    """A name in the pickle, and the function that replaces it."""

    name: str
    rebuild: Callable[..., Any]


def run(
    content: io.BytesIO | mmap.mmap,
    allowed: dict[str, Callable[..., Any]],
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Interpret one pickle from the position of `content`, which advances to its end.

    Args:
        content: file or bytes.
        allowed: our functions by the names they replace.
        persistent: resolves persistent IDs; None rejects them.

    Raises:
        UnsafePickle: if the pickle contains a name that is not allowed, or an unknown or dangerous instruction.
    """
    machine = _Machine(allowed, persistent)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):  # type: ignore[arg-type]
        if count > MAX_INSTRUCTIONS:
            raise UnsafePickle(f"more than {MAX_INSTRUCTIONS:,} instructions")
        if LITERALS.fullmatch(opcode.name):
            machine.stack.append(argument)
        elif opcode.name in INSTRUCTIONS:
            INSTRUCTIONS[opcode.name](machine, argument)
        elif opcode.name not in ("PROTO", "FRAME", "STOP"):
            raise UnsafePickle(f"instruction {opcode.name}")
    (value,) = machine.stack
    return value


class _Machine:
    """The stack, its marks and the memo, with the effect of each instruction."""

    def __init__(self, allowed: dict[str, Callable[..., Any]], persistent: Callable[[Any], Any] | None) -> None:
        self.allowed, self.persistent = allowed, persistent
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        values, self.stack = self.stack, self.below.pop()
        return values

    def put(self, value: Any) -> None:
        self.stack.append(value)

    def memoize(self, number: int | None) -> None:
        self.memo[len(self.memo) if number is None else int(number)] = self.stack[-1]

    def pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def take(self, length: int) -> None:
        values = tuple(self.stack[len(self.stack) - length :])
        if len(values) != length:
            raise ValueError("the stack is too short")
        del self.stack[len(self.stack) - length :]
        self.put(values)

    def append(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, set):
            target.update(_key(value) for value in values)
        elif isinstance(target, (list, PickledObject)):
            (target.elements if isinstance(target, PickledObject) else target).extend(values)
        else:
            raise UnsafePickle(f"elements of a {type(target).__name__}")

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, (dict, PickledObject)):
            raise UnsafePickle(f"items of a {type(target).__name__}")
        (target.items if isinstance(target, PickledObject) else target).update(_pairs(values))

    def find(self, module: Any, name: Any) -> None:
        full = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "a name that is not text"
        if full not in self.allowed:
            raise UnsafePickle(f"name {full[:200]}")
        self.put(Global(full, self.allowed[full]))

    def reduce(self, _: Any = None) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise UnsafePickle("call of something that is not a function")
        self.put(function.rebuild(*arguments))

    def reduce_with_names(self, _: Any) -> None:
        if self.stack.pop():
            raise UnsafePickle("named arguments")
        self.reduce()

    def build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, PickledObject):
            target.state = state
        elif type(target) is not dict:  # attributes of an ordered dictionary are ignored: no network needs any
            raise UnsafePickle(f"attributes of a {type(target).__name__}")

    def persistent_id(self, _: Any) -> None:
        if self.persistent is None:
            raise UnsafePickle("persistent ID")
        self.put(self.persistent(self.stack.pop()))


def _key(value: Any) -> Hashable:
    """Return a key that is plain or hashed by identity: hashing deeply nested tuples would overflow the C stack."""
    flat = value if isinstance(value, tuple) else (value,)
    if not all(part is None or isinstance(part, (str, bytes, int, float, Tensor, PickledObject)) for part in flat):
        raise UnsafePickle("keys that are neither names nor numbers")
    return value


def _pairs(values: list[Any]) -> dict[Any, Any]:
    return {_key(key): value for key, value in zip(values[::2], values[1::2], strict=True)}


#: Instructions that push their argument.
LITERALS = re.compile(r"(BIN)?INT[12]?|LONG[14]?|(BIN)?FLOAT|(SHORT_)?(BIN)?(STRING|UNICODE|BYTES)8?|BYTEARRAY8")
INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": lambda m, _: m.pop_mark().clear(),
    "DUP": lambda m, _: m.put(m.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.memoize),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, number: m.put(m.memo[int(number)])),
    "NONE": lambda m, _: m.put(None),
    "NEWTRUE": lambda m, _: m.put(True),
    "NEWFALSE": lambda m, _: m.put(False),
    "EMPTY_LIST": lambda m, _: m.put([]),
    "EMPTY_DICT": lambda m, _: m.put({}),
    "EMPTY_SET": lambda m, _: m.put(set()),
    "EMPTY_TUPLE": lambda m, _: m.put(()),
    "TUPLE1": lambda m, _: m.take(1),
    "TUPLE2": lambda m, _: m.take(2),
    "TUPLE3": lambda m, _: m.take(3),
    "TUPLE": lambda m, _: m.put(tuple(m.pop_mark())),
    "LIST": lambda m, _: m.put(m.pop_mark()),
    "DICT": lambda m, _: m.put(_pairs(m.pop_mark())),
    "FROZENSET": lambda m, _: m.put(frozenset(map(_key, m.pop_mark()))),
    "APPEND": lambda m, _: m.append([m.stack.pop()]),
    "APPENDS": lambda m, _: m.append(m.pop_mark()),
    "ADDITEMS": lambda m, _: m.append(m.pop_mark()),
    "SETITEM": lambda m, _: m.set_items([m.stack.pop(), m.stack.pop()][::-1]),
    "SETITEMS": lambda m, _: m.set_items(m.pop_mark()),
    "GLOBAL": lambda m, names: m.find(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.find(*[m.stack.pop(), m.stack.pop()][::-1]),
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.reduce_with_names,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent_id,
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
            "torch.nn.modules.sparse.Embedding",
            "torch.optim.adam.Adam",
        )
    },
}
