"""Validation by type: every number of an option, an argument or a file is finite, in its interval, and no boolean.

The type is the only place that states what is valid: `Annotated[float, Interval(0, 1)]`. `Validated` dataclasses check
their fields, `check_arguments` the arguments of a function, `read_fields` and `check` values from a file.
"""

import math
import reprlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache, wraps
from inspect import signature
from numbers import Integral, Real
from operator import index
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from styleganv.errors import StyleganvError

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Interval:
    """Valid values of a number: from `low` to `high`, both included, and greater than `above`."""

    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and value > self.above

    def __str__(self) -> str:
        if self.low > -math.inf and self.high < math.inf:
            return f" from {self.low} to {self.high}"
        low = f" of at least {self.low}" if self.low > -math.inf else ""
        above = f" greater than {self.above}" if self.above > -math.inf else ""
        high = f"{' and' if low or above else ' of'} at most {self.high}" if self.high < math.inf else ""
        return low + above + high


#: Of integers without an interval of their own: what other libraries can store.
INT64 = Interval(-(2**63), 2**63 - 1)

Positive = Annotated[float, Interval(above=0)]
NonNegative = Annotated[float, Interval(0)]
Fraction = Annotated[float, Interval(0, 1)]
Count = Annotated[int, Interval(1)]
Seed = Annotated[int, Interval(0, INT64.high)]
#: Number of frames of a clip, or number of features of a network.
Size = Annotated[int, Interval(1, 65_536)]
#: Side of a frame.
Side = Annotated[int, Interval(4, 16_384)]
Layers = Annotated[int, Interval(1, 64)]
ChannelBase = Annotated[int, Interval(1, 2**24)]
#: A duration in frames.
Frames = Annotated[float, Interval(above=0, high=10**9)]
#: Frames per second.
FrameRate = Annotated[float, Interval(0.01, 1000)]
#: Of another content or a direction; networks overflow far beyond it.
Amount = Annotated[float, Interval(-1000, 1000)]
#: Truncation psi; networks overflow far beyond it.
Psi = Annotated[float, Interval(-100, 100)]


def check(name: str, value: Any, hint: Any) -> Any:
    """Return a value of this type; numbers of other libraries become Python's.

    Raises:
        StyleganvError: for another type, or a number that is not finite or out of range. `name` begins the message.
    """
    try:
        return _convert(value, hint, None)
    except _InvalidItem as error:
        hint, value = error.args
    except (ValueError, OverflowError):
        pass
    raise StyleganvError(f"{name} must be {describe_type(hint)}, got {short_repr(value)}: correct it.")


class Validated:
    """Base of dataclasses that check their fields when they are created; messages name them as options.

    Raises:
        StyleganvError: as `check`.
    """

    def __post_init__(self) -> None:
        for name, hint in _hints(type(self)).items():  # type: ignore[arg-type]
            value = getattr(self, name)
            checked = check(_option(name, hint), value, hint)
            if checked is not value:
                object.__setattr__(self, name, checked)


def check_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with a check of its arguments, which messages name as options.

    Raises:
        StyleganvError: as `check`.
    """
    parameters = signature(function)

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        bound, hints = parameters.bind(*args, **kwargs), _hints(function)
        for name, value in bound.arguments.items():
            if name in hints:
                bound.arguments[name] = check(_option(name, hints[name]), value, hints[name])
        return function(*bound.args, **bound.kwargs)

    return checked


def read_fields(config: type[R], values: Any, file: Path | str, group: str = "") -> R:
    """Return a dataclass with values from a file; missing ones have their defaults.

    Args:
        values: fields by name, if the file is correct.
        file, group: for messages: the file, and where in it the fields are, e.g. "training".

    Raises:
        StyleganvError: as `check`, and for unknown or missing fields.
    """
    hints = _hints(config)  # type: ignore[arg-type]
    values = check(f"{file}: {group}" if group else str(file), values, dict)
    names = {key: f"{group}.{key}" if group else str(key) for key in [*values, *hints]}
    if unknown := [names[key] for key in values if key not in hints]:
        raise StyleganvError(f"{file} has unknown settings ({', '.join(unknown)[:200]}): remove them.")
    required = [f.name for f in fields(config) if f.default is MISSING and f.default_factory is MISSING]  # type: ignore[arg-type]
    if missing := [key for key in required if key not in values]:
        raise StyleganvError(f"{file} lacks {', '.join(names[key] for key in missing)}: add them.")
    return config(**{key: check(f"{file}: {names[key]}", value, hints[key]) for key, value in values.items()})


def short_repr(value: Any) -> str:
    """Return `repr`, shortened where it is long, as a file can hold values of any length."""
    shortened = reprlib.Repr()
    shortened.maxstring = shortened.maxother = 80
    try:
        if isinstance(value, Real) and not isinstance(value, int):  # of another library, whose name is no help
            value = index(value) if isinstance(value, Integral) else float(value)
        return shortened.repr(value)
    except ValueError:  # Python refuses to write integers of thousands of digits
        return "a number of thousands of digits"


@cache
def _hints(owner: Any) -> dict[str, Any]:
    hints = get_type_hints(owner, include_extras=True)
    return {f.name: hints[f.name] for f in fields(owner)} if is_dataclass(owner) else hints


def _option(name: str, hint: Any) -> str:
    """Return the option of a field: its name, unless the type gives another."""
    names = [getattr(note, "name", None) for note in getattr(hint, "__metadata__", ())]
    return "--" + next((other for other in names if other), name.replace("_", "-"))


def _interval(hint: Any, interval: Interval | None) -> Interval | None:
    return next((note for note in hint.__metadata__ if isinstance(note, Interval)), interval)


class _InvalidItem(Exception):
    """The type and value of the wrong item of a list."""


def _convert(value: Any, hint: Any, interval: Interval | None) -> Any:
    """Return the value as this type. Raises ValueError or OverflowError if it is none."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _convert(value, arguments[0], _interval(hint, interval))
    if origin in (Union, UnionType):
        return _convert_to_first(value, arguments, interval)
    if origin is Literal:
        return _require(value, isinstance(value, str) and value in arguments)
    if origin in (Sequence, list, tuple):
        return _convert_items(value, origin, arguments)
    if hint is int:
        number = index(_require(value, isinstance(value, Integral) and not isinstance(value, bool)))
        return _require(number, number in INT64 and number in (interval or INT64))
    if hint is float:
        _require(value, isinstance(value, Real) and not isinstance(value, bool))
        value = value if isinstance(value, int) else float(value)
        return _require(value, math.isfinite(value) and value in (interval or Interval()))
    if hint is Path:
        return _require(value, isinstance(value, str | PathLike))
    kind = origin or hint
    if kind in (bool, str, dict, NoneType) or is_dataclass(kind):
        return _require(value, isinstance(value, kind))
    return value


def _require(value: Any, condition: bool) -> Any:
    if not condition:
        raise ValueError
    return value


def _convert_to_first(value: Any, hints: Iterable[Any], interval: Interval | None) -> Any:
    for hint in hints:
        try:
            return _convert(value, hint, interval)
        except (ValueError, OverflowError):
            continue
    raise ValueError


def _convert_items(value: Any, origin: Any, arguments: tuple[Any, ...]) -> Any:
    if isinstance(value, range):  # may be too long to visit
        _convert_items([value[0], value[-1]] if len(value) else [], list, arguments)
        return value
    _require(value, isinstance(value, Sequence) and not isinstance(value, str | bytes))
    hints = arguments if origin is tuple and arguments[-1] is not ... else arguments[:1] * len(value)
    items = []
    for item, hint in zip(value, hints, strict=True):
        try:
            items.append(_convert(item, hint, None))
        except (ValueError, OverflowError):
            raise _InvalidItem(hint, item) from None
    if all(new is old for new, old in zip(items, value, strict=True)) and isinstance(value, origin):
        return value
    return items if origin is list else tuple(items)


def describe_type(hint: Any, interval: Interval | None = None) -> str:
    """Return a description of a type for the user; None is not mentioned.

    Args:
        interval: of a number, unless the type states its own.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return describe_type(arguments[0], _interval(hint, interval))
    if origin in (Union, UnionType):
        return " or ".join(describe_type(one, interval) for one in arguments if one is not NoneType)
    if origin is Literal:
        return "one of " * (len(arguments) > 1) + ", ".join(map(str, arguments))
    if origin is tuple and arguments[-1] is not ...:
        return f"{len(arguments)} values ({', '.join(describe_type(one) for one in arguments)})"
    if origin in (Sequence, list, tuple):
        return f"a list, each {describe_type(arguments[0])}"
    if hint in (int, float):
        kind = "an integer" if hint is int else "a finite number"
        return f"{kind}{interval or ''}"
    kinds = {bool: "true or false", str: "text", Path: "a path", dict: "a mapping of names to values"}
    return kinds.get(origin or hint, f"a {getattr(hint, '__name__', hint)}")
