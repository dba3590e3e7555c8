"""Interpreter of pickles that runs nothing in them.

Python's own unpickler calls any function that a pickle names. `run` interprets the instructions decoded by
`pickletools` instead: it imports nothing, and calls only the functions it is given for the names in a pickle.
"""

import io
import mmap
import pickletools
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

#: Two networks at 256² have 18,000; an instruction of one byte can take 200 bytes of memory.
MAX_INSTRUCTIONS = 5_000_000
#: Start of the names in pickles of StyleGAN and StyleGAN2 for TensorFlow.
TENSORFLOW = "dnnlib.tflib."


@dataclass(eq=False, repr=False)
class PickledObject:
    """An object of an unknown class as inert data.

    Attributes:
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


class TensorFlowPickle(UnsafePickle):
    """The pickle contains a network of TensorFlow; the text names its class."""


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
            error = TensorFlowPickle if full.startswith(TENSORFLOW) else UnsafePickle
            raise error(f"name {full[:200]}")
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
