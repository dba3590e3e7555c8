"""The stack machine that a pickle is a program for, on plain data: nothing is imported, looked up or called by name.

Python's own machine calls whatever function the program names. This one replays the instructions as `pickletools`
decodes them; a name is looked for in a given table of our functions, or it is refused.
"""

import pickletools
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from io import BytesIO
from mmap import mmap
from typing import Any

from torch import Tensor

#: Two networks at 256², laid out as released, take 18,000; an instruction of one byte can take 200 bytes of memory.
MAX_INSTRUCTIONS = 5_000_000


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


class Refused(Exception):
    """The pickle asks for something that no network needs."""


@dataclass(frozen=True)
class Global:
    """A name the pickle asks for, and what stands for it: called with the arguments the pickle has for it."""

    name: str
    rebuild: Callable[..., Any]


def run(
    content: BytesIO | mmap,
    known: dict[str, Callable[..., Any]],
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Replay one pickle from where `content` stands; it then stands behind it."""
    machine = _Machine(known, persistent)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):  # type: ignore[arg-type]
        if count > MAX_INSTRUCTIONS:
            raise Refused(f"has more than {MAX_INSTRUCTIONS:,} instructions")
        if LITERALS.fullmatch(opcode.name):
            machine.stack.append(argument)
        elif opcode.name in INSTRUCTIONS:
            INSTRUCTIONS[opcode.name](machine, argument)
        elif opcode.name not in ("PROTO", "FRAME", "STOP"):
            raise Refused(f"has the instruction {opcode.name}")
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
            raise Refused(f"puts elements into a {type(target).__name__}")

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, (dict, Node)):
            raise Refused(f"puts items into a {type(target).__name__}")
        (target.items if isinstance(target, Node) else target).update(_pairs(values))

    def find(self, module: Any, name: Any) -> None:
        full = f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "a name that is no text"
        if full not in self.known:
            raise Refused(f"asks for {full[:200]}")
        self.put(Global(full, self.known[full]))

    def reduce(self, _: Any = None) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise Refused("calls something that is no function")
        self.put(function.rebuild(*arguments))

    def reduce_with_names(self, _: Any) -> None:
        if self.stack.pop():
            raise Refused("makes an object from named arguments")
        self.reduce()

    def build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Node):
            target.state = state
        elif type(target) is not dict:  # an ordered dictionary may have attributes, of which no network needs any
            raise Refused(f"sets attributes of a {type(target).__name__}")

    def persistent_id(self, _: Any) -> None:
        if self.persistent is None:
            raise Refused("refers to something outside of itself")
        self.put(self.persistent(self.stack.pop()))


def _key(value: Any) -> Hashable:
    """Keys are plain, or objects by identity: hashing deeply nested tuples would overflow the C stack."""
    flat = value if isinstance(value, tuple) else (value,)
    if not all(part is None or isinstance(part, (str, bytes, int, float, Tensor, Node)) for part in flat):
        raise Refused("has a dictionary or set whose keys are neither names nor numbers")
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
