"""Pickles of released networks, read without running anything in them.

A pickle is a program for a small stack machine, and Python's own reader lets it call any function by name. Here the
instructions, as `pickletools` decodes them, are replayed on plain data: nothing is imported, looked up or called. A
name that the program asks for is compared with a list and stands for one of our functions, or it is refused. Classes
become `Node`s, which only keep what the pickle says; networks carry their source code as text, which is dropped.
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
from typing import IO, Any

import torch
from torch import Tensor

from styleganv.errors import StyleganvError

#: A pickle of three networks at 1024² has a hundredth of it; an instruction of one byte can take 200 bytes of memory.
MAX_INSTRUCTIONS = 5_000_000
MAX_DIMENSIONS = 8
#: Loads of `torch.storage._load_from_bytes` begin with these two numbers (PyTorch's format of before 1.6).
TORCH_MAGIC, TORCH_VERSION = 0x1950A86A20F9469CFC6C, 1001
NUMBERS = {"f8": "d", "f4": "f", "i8": "q", "i4": "i", "i2": "h", "i1": "b", "u8": "Q", "u4": "I", "u2": "H", "u1": "B"}
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
class Node:
    """An object of a class that is not here: what the pickle says about it, inert.

    Attributes:
        name: the class's name.
        arguments: it would have been made with.
        state: its attributes (`__dict__`), as a rule a dictionary.
        items, elements: what was put into it, if it is a kind of dictionary or list.
    """

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)


class _Refused(Exception):
    """The pickle asks for something that no network needs."""


@dataclass(frozen=True)
class _Global:
    """A name the pickle asks for, and what stands for it: called with the arguments the pickle has for it."""

    name: str
    rebuild: Callable[..., Any]


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
                return _run(content, GLOBALS)
    except _Refused as refusal:
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


def _run(
    content: IO[bytes] | mmap.mmap,
    known: dict[str, Callable[..., Any]],
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Replay one pickle from where `content` stands; it then stands behind it."""
    machine = _Machine(known, persistent)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):  # type: ignore[arg-type]
        if count > MAX_INSTRUCTIONS:
            raise _Refused(f"has more than {MAX_INSTRUCTIONS:,} instructions")
        if LITERALS.fullmatch(opcode.name):
            machine.stack.append(argument)
        elif opcode.name in INSTRUCTIONS:
            INSTRUCTIONS[opcode.name](machine, argument)
        elif opcode.name not in ("PROTO", "FRAME", "STOP"):
            raise _Refused(f"has the instruction {opcode.name}")
    (value,) = machine.stack
    return value


class _Machine:
    """The stack, its marks, and the memo, with what each instruction does to them."""

    def __init__(self, known: dict[str, Callable[..., Any]], persistent: Callable[[Any], Any] | None) -> None:
        self.known, self.persistent = known, persistent
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
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
            self.since_mark()

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
        elif isinstance(target, (list, Node)):
            (target.elements if isinstance(target, Node) else target).extend(values)
        else:
            raise _Refused(f"puts elements into a {type(target).__name__}")

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, (dict, Node)):
            raise _Refused(f"puts items into a {type(target).__name__}")
        (target.items if isinstance(target, Node) else target).update(_pairs(values))

    def find(self, module: Any, name: Any) -> None:
        full = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "a name that is no text"
        if full not in self.known:
            raise _Refused(f"asks for {full[:200]}")
        self.put(_Global(full, self.known[full]))

    def reduce(self, _: Any = None) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            raise _Refused("calls something that is no function")
        self.put(function.rebuild(*arguments))

    def reduce_with_names(self, _: Any) -> None:
        if self.stack.pop():
            raise _Refused("makes an object from named arguments")
        self.reduce()

    def build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Node):
            target.state = state
        elif type(target) is not dict:  # an ordered dictionary may have attributes, of which no network needs any
            raise _Refused(f"sets attributes of a {type(target).__name__}")

    def persistent_id(self, _: Any) -> None:
        if self.persistent is None:
            raise _Refused("refers to something outside of itself")
        self.put(self.persistent(self.stack.pop()))


def _key(value: Any) -> Hashable:
    """Keys are plain, or objects by identity: hashing deeply nested tuples would overflow the C stack."""
    flat = value if isinstance(value, tuple) else (value,)
    if not all(part is None or isinstance(part, (str, bytes, int, float, Tensor, Node)) for part in flat):
        raise _Refused("has a dictionary or set whose keys are neither names nor numbers")
    return value


def _pairs(values: list[Any]) -> dict[Any, Any]:
    return {_key(key): value for key, value in zip(values[::2], values[1::2], strict=True)}


#: Instructions that push the value that follows them.
LITERALS = re.compile(r"(BIN)?INT[12]?|LONG[14]?|(BIN)?FLOAT|(SHORT_)?(BIN)?(STRING|UNICODE|BYTES)8?|BYTEARRAY8")
INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": lambda m, _: m.since_mark().clear(),
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
    "TUPLE": lambda m, _: m.put(tuple(m.since_mark())),
    "LIST": lambda m, _: m.put(m.since_mark()),
    "DICT": lambda m, _: m.put(_pairs(m.since_mark())),
    "FROZENSET": lambda m, _: m.put(frozenset(map(_key, m.since_mark()))),
    "APPEND": lambda m, _: m.append([m.stack.pop()]),
    "APPENDS": lambda m, _: m.append(m.since_mark()),
    "ADDITEMS": lambda m, _: m.append(m.since_mark()),
    "SETITEM": lambda m, _: m.set_items([m.stack.pop(), m.stack.pop()][::-1]),
    "SETITEMS": lambda m, _: m.set_items(m.since_mark()),
    "GLOBAL": lambda m, names: m.find(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.find(*[m.stack.pop(), m.stack.pop()][::-1]),
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.reduce_with_names,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent_id,
}


def _persistent_object(meta: Any) -> Node:
    """A network or layer that carries its source code, which is left unread."""
    if not isinstance(meta, dict) or not isinstance(meta.get("class_name"), str) or meta.get("type") != "class":
        raise _Refused("describes a network in an unknown way")
    return Node(meta["class_name"], state=meta.get("state"))


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """A view on a storage, none of whose elements lies outside (requires_grad and hooks are left out)."""
    if not isinstance(storage, Tensor) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise _Refused("has a tensor without a storage or a size")
    whole = all(type(n) is int and 0 <= n < 2**62 for n in (offset, *size, *stride))
    if not whole or len(size) != len(stride) or len(size) > MAX_DIMENSIONS:
        raise _Refused("has a tensor of an impossible size")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if offset > storage.numel() or (math.prod(size) > 0 and last >= storage.numel()):
        raise _Refused("has a tensor that reaches beyond its storage")
    return storage.as_strided(size, stride, offset)


def _parameter(data: Any, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise _Refused("has a parameter that is no tensor")
    return data


def _storage_from_bytes(content: Any) -> Tensor:
    """The one storage that `torch.save` wrote into `content`, flat.

    Five pickles (magic number, version, the machine's byte order, the storage, its key), then how many elements it
    has, then these.
    """
    if not isinstance(content, bytes):
        raise _Refused("has a storage that is not of bytes")
    file = io.BytesIO(content)
    storages: list[tuple[str, torch.dtype, int]] = []

    def storage(reference: Any) -> int:
        kind, of_type, key, _, length, *_ = reference
        if kind != "storage" or not isinstance(of_type, _Global) or type(length) is not int:
            raise _Refused("has a storage of an unknown kind")
        storages.append((str(key), of_type.rebuild(), length))
        return len(storages)

    magic, version, machine = (_run(file, {}) for _ in range(3))
    if (magic, version) != (TORCH_MAGIC, TORCH_VERSION) or machine.get("little_endian") is not True:
        raise _Refused("has a storage in an unknown format")
    if _run(file, STORAGES, storage) != 1 or len(storages) != 1:
        raise _Refused("has something else where a storage should be")
    [(key, dtype, length)] = storages
    keys, counted, start = _run(file, {}), file.read(8), file.tell()
    if keys != [key] or counted != struct.pack("<q", length) or len(content) - start != length * dtype.itemsize:
        raise _Refused("has a storage that is not as long as it says")
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
        raise _Refused("has a number of an unknown type")
    order = ">" if isinstance(dtype.state, tuple) and ">" in dtype.state else "<"
    (value,) = struct.unpack(order + NUMBERS[dtype.arguments[0]], content)
    return value


def _inert(name: str) -> Callable[..., Node]:
    return lambda *arguments: Node(name, arguments)


def _only_named(*_: Any) -> Any:
    raise _Refused("calls a type")


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
