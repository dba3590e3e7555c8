"""Seeded damage to files and values."""

import copy
import json
import math
import random
import struct
from pathlib import Path
from typing import Any

#: What people and programs write where a number or a word belongs.
BAD_NUMBERS = ("nan", "inf", "-inf", "NaN", "1e999", "", " ", "abc", "None", "null", "1,5", "0x10", "--", "1..2", "½")
#: Numbers that some options accept and others do not.
ODD_NUMBERS = ("0", "-1", "-0.0", "1e-320", "0.5", "3.7", "-1e308", "1e308", "99999999999999999999", "2147483648", "١")
ODD_WORDS = (
    "",
    " ",
    "-",
    "--",
    ".",
    "..",
    "a\nb",
    "\udcff",
    "ü" * 200,
    "nan",
    "None",
    "../x",
    "%s",
    "{}",
    "'",
    "🐟",
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    "",
    "nan",
    "x" * 5000,
    -1,
    0,
    1,
    2**31,
    2**63,
    10**30,
    1e308,
    1e-320,
    float("nan"),
    float("inf"),
    -0.5,
    [],
    [[]],
    {},
    {"a": 1},
    ["a", 1],
    "\ud800",
    "../../x",
)


def damage(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """Return damaged bytes, and what was done to them."""
    if not data:
        return bytes(rng.randbytes(9)), "random bytes instead of none"
    size = len(data)
    kind = rng.choice(
        ("flip", "flip", "flips", "cut", "cut tail", "zeros", "swap", "insert", "repeat", "ends", "noise")
    )
    place = rng.randrange(size)
    length = rng.randint(1, max(1, size // 4))
    changed = bytearray(data)
    if kind == "flip":
        changed[place] ^= 1 << rng.randrange(8)
    elif kind == "flips":
        for _ in range(rng.randint(2, 40)):
            changed[rng.randrange(size)] = rng.randrange(256)
    elif kind == "cut":
        changed = changed[:place]
    elif kind == "cut tail":
        changed = changed[: size - rng.randint(1, min(64, size))]
    elif kind == "zeros":
        changed[place : place + length] = bytes(min(length, size - place))
        changed[place] |= changed == data  # what was zero before changes too
    elif kind == "swap":
        changed = changed[place:] + changed[:place]
    elif kind == "insert":
        changed[place:place] = rng.randbytes(length)
    elif kind == "repeat":
        changed[place:place] = changed[place : place + length]
    elif kind == "ends":
        changed = changed[rng.randint(1, min(64, size)) :]
    else:
        changed = bytearray(rng.randbytes(size))
    return bytes(changed), f"{kind} at {place} of {size}"


def damage_file(rng: random.Random, path: Path) -> str:
    """Damage a file in place; return what was done."""
    data, note = damage(rng, path.read_bytes())
    path.write_bytes(data)
    return note


def flip_bit(rng: random.Random, path: Path, first: int = 0) -> str:
    """Flip one bit of a file behind its first bytes."""
    data = bytearray(path.read_bytes())
    place, bit = rng.randrange(first, len(data)), rng.randrange(8)
    data[place] ^= 1 << bit
    path.write_bytes(data)
    return f"bit {bit} of byte {place} of {len(data)} flipped"


def paths_of(tree: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in nested lists and dictionaries."""
    found = [prefix] if prefix else []
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        found += paths_of(value, (*prefix, key))
    return found


def damage_tree(rng: random.Random, tree: Any) -> tuple[Any, str]:
    """Return a copy of JSON or YAML data with one value replaced, removed, renamed, doubled or nested."""
    tree = copy.deepcopy(tree)
    path = rng.choice(paths_of(tree))
    parent = tree
    for key in path[:-1]:
        parent = parent[key]
    key = path[-1]
    name = ".".join(map(str, path))
    kind = rng.choice(("value", "value", "value", "value", "remove", "rename", "nest", "double", "negate"))
    if kind == "remove":
        del parent[key]
    elif kind == "rename" and isinstance(parent, dict):
        parent[rng.choice(("", "unknown", "__class__", "ü", str(key).upper()))] = parent.pop(key)
    elif kind == "nest":
        parent[key] = [parent[key]] if rng.random() < 0.5 else {"value": parent[key]}
    elif kind == "double" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[key]))
    elif kind == "negate" and isinstance(parent[key], int | float):
        parent[key] = -parent[key]
    else:
        kind, value = "value", copy.copy(rng.choice(ODD_VALUES))
        parent[key] = value
        return tree, f"{name} = {str(value)[:40]!r} ({type(value).__name__})"
    return tree, f"{kind} {name}"


def has_nonfinite(tree: Any) -> bool:
    """Return whether a number anywhere in nested data is NaN or infinite."""
    if isinstance(tree, dict | list):
        return any(has_nonfinite(value) for value in (tree.values() if isinstance(tree, dict) else tree))
    return isinstance(tree, float) and not math.isfinite(tree)


def read_safetensors(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the header and the data of a safetensors file."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write_safetensors(header: dict[str, Any], data: bytes) -> bytes:
    """Return a safetensors file, valid or not."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def put_nonfinite(rng: random.Random, path: Path) -> str:
    """Replace one float32 of a safetensors file by NaN or infinity."""
    header, data = read_safetensors(path.read_bytes())
    names = sorted(name for name, entry in header.items() if name != "__metadata__" and entry["dtype"] == "F32")
    name = rng.choice(names)
    first, last = header[name]["data_offsets"]
    value = rng.choice((math.nan, math.inf, -math.inf))
    place = first + 4 * rng.randrange((last - first) // 4)
    path.write_bytes(write_safetensors(header, data[:place] + struct.pack("<f", value) + data[place + 4 :]))
    return f"{value} in {name}"
