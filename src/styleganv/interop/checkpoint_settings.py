"""Settings that official checkpoints store beside the weights, as inert pickled objects."""

from collections.abc import Iterator, Mapping
from typing import Any

from styleganv.interop.pickle_interpreter import PickledObject

#: Limits on what is read, since a file can refer to one object many times.
MAX_DEPTH, MAX_SETTINGS = 12, 50_000


def find_settings(network: PickledObject, name: str) -> set[object]:
    """Return the values of a setting anywhere in a network: usually one, none if it is not stored.

    Args:
        network: network as pickled; its modules keep their settings as attributes.
        name: dotted name, or its end, such as "motion.motion_z_distance".
    """
    values: set[object] = set()
    for count, (path, value) in enumerate(_walk("", network, MAX_DEPTH)):
        if count >= MAX_SETTINGS:
            break
        if f".{path}".endswith(f".{name}") and isinstance(value, str | int | float | bool | None):
            values.add(value)
    return values


def _walk(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and value of everything below `value` that has no members."""
    value = _unwrap(value)
    if not isinstance(value, Mapping):
        yield path, value
    elif depth:
        for key, member in value.items():
            if isinstance(key, str):
                yield from _walk(f"{path}.{key}" if path else key, member, depth - 1)


def _unwrap(value: Any) -> Any:
    """Return the members of an object; omegaconf keeps a setting as `_val`, and a group of them as `_content`."""
    if not isinstance(value, PickledObject):
        return value
    state = value.state if isinstance(value.state, dict) else {}
    for key in ("_val", "_content"):
        if key in state:
            return state[key]
    return state | value.items
