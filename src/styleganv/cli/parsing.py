"""Parsers of option values: seeds, resolutions, mixes, directions, time maps."""

import re
from collections.abc import Iterator

from styleganv.errors import StyleganvError
from styleganv.options import DirectionStep, StyleMix


def parse_resolution(text: str) -> tuple[int, int]:
    """Parse "64" or "144x256" as (height, width)."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise StyleganvError(f"--resolution must be a number or HEIGHTxWIDTH, got {text}: pass e.g. 64 or 144x256.")
    return int(sides[0]), int(sides[-1])


def parse_seeds(text: str, what: str = "Seeds") -> list[int]:
    """Parse "0-7,12" as `[0, 1, …, 7, 12]`; `what` names the values in the error.

    Raises:
        StyleganvError: if the text is not a list of numbers and increasing ranges.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]+)\s*(?:-\s*([0-9]+)\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise StyleganvError(f"{what} must be numbers and ranges, got {text!r}: pass e.g. 0-7,12.")
        seeds.extend(range(first, last + 1))
    return seeds


def parse_names(text: str) -> tuple[str, ...]:
    """Parse "a,b" as `("a", "b")`; an empty text gives no names."""
    return tuple(name for name in text.split(",") if name)


def parse_time_map(text: str) -> list[tuple[float, float]]:
    """Parse "0:0,2:1,3:0.5" as points (video time, motion time) in seconds."""
    points = [re.fullmatch(r"\s*([0-9]+\.?[0-9]*):([0-9]+\.?[0-9]*)\s*", point) for point in text.split(",")]
    if not all(points):
        raise StyleganvError(f"--time-map must be VIDEO:MOTION points in seconds, got {text}: pass e.g. 0:0,2:1,3:3.")
    return [(float(point[1]), float(point[2])) for point in points if point]


def parse_mixes(text: str | None) -> Iterator[StyleMix]:
    """Parse "7:4-9;8:0-2@0.5" as mixes; None gives none."""
    for part in text.split(";") if text else ():
        match = re.fullmatch(r"\s*(.+):([0-9,\-]+)(?:@([0-9]*\.?[0-9]+))?\s*", part)
        if not match:
            raise StyleganvError(f"--mix must be SEED:LAYERS, got {part}: pass e.g. 7:4-9 or 7:4-9@0.5.")
        yield StyleMix(match[1], parse_seeds(match[2], "Layers"), float(match[3] or 1))


def parse_directions(text: str | None) -> Iterator[DirectionStep]:
    """Parse "FILE:NAME=2;FILE:NAME=-1@0-3" as steps; None gives none."""
    for part in text.split(";") if text else ():
        match = re.fullmatch(r"\s*(.+):([^:=]+)=([-+]?[0-9]+\.?[0-9]*)(?:@([0-9,\-]+))?\s*", part)
        if not match:
            raise StyleganvError(
                f"--direction must be FILE:NAME=STRENGTH, got {part}: pass e.g. directions.safetensors:1=2."
            )
        layers = parse_seeds(match[4], "Layers") if match[4] else None
        yield DirectionStep(match[1], match[2], float(match[3]), layers)
