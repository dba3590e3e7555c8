"""Settings that official checkpoints store beside the weights, as inert pickled objects."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from styleganv.interop.pickle_interpreter import PickledObject

#: Limits on what is read, since a file can refer to one object many times.
MAX_DEPTH, MAX_MEMBERS, MAX_NAME_LENGTH = 12, 200_000, 200
#: A setting that is another one, by its full name; omegaconf's other forms are not resolved.
INTERPOLATION = re.compile(r"\$\{(\w+(?:\.\w+)*)\}")
UNKNOWN = object()


def find_settings(network: PickledObject, pattern: str) -> dict[str, object]:
    """Return the values of a setting anywhere in a network, by dotted name; empty if it is not stored.

    An interpolation such as `${motion.distance}` counts as the value it refers to, or as not stored if there is none.

    Args:
        network: network as pickled; its modules keep their settings as attributes.
        pattern: regular expression of the name or of its last parts, e.g. `motion\\.motion_z_distance`.
    """
    name = re.compile(rf"(?:.*\.)?(?:{pattern})")
    return {
        path: value
        for path, value in islice(_walk("", network, None, MAX_DEPTH), MAX_MEMBERS)
        if isinstance(value, str | int | float | bool | None) and name.fullmatch(path)
    }


def _walk(path: str, value: Any, settings: PickledObject | None, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and value of everything in `value`, which is in `settings` if it is a setting."""
    if settings is None and isinstance(value, PickledObject) and "_content" in _attributes(value):
        settings = value
    value = _resolve(_unwrap(value), settings)
    yield path, value
    if isinstance(value, Mapping) and depth:
        for key, member in value.items():
            if isinstance(key, str) and len(key) <= MAX_NAME_LENGTH:
                yield from _walk(f"{path}.{key}" if path else key, member, settings, depth - 1)


def _resolve(value: Any, settings: PickledObject | None) -> Any:
    """Return the value that an interpolation refers to; `UNKNOWN` if there is none."""
    for _ in range(MAX_DEPTH):
        if not isinstance(value, str) or "${" not in value:
            return value
        match = INTERPOLATION.fullmatch(value)
        value = UNKNOWN if match is None else _look_up(match[1], settings)
    return UNKNOWN


def _look_up(name: str, settings: PickledObject | None) -> Any:
    """Return a setting by its full name, which starts at the outermost settings."""
    enclosing: list[Any] = []
    while isinstance(settings, PickledObject) and len(enclosing) < MAX_DEPTH:
        enclosing.append(settings)
        settings = _attributes(settings).get("_parent")
    for value in reversed(enclosing):
        for key in name.split("."):
            members = _unwrap(value)
            value = members.get(key, UNKNOWN) if isinstance(members, Mapping) else UNKNOWN
        if value is not UNKNOWN:
            return _unwrap(value)
    return UNKNOWN


def _unwrap(value: Any) -> Any:
    """Return the members of an object; omegaconf keeps a setting as `_val`, and a group of them as `_content`."""
    if not isinstance(value, PickledObject):
        return value
    attributes = _attributes(value)
    for key in ("_val", "_content"):
        if key in attributes:
            return attributes[key]
    return attributes | value.items


def _attributes(value: PickledObject) -> dict[Any, Any]:
    return value.state if isinstance(value.state, dict) else {}
