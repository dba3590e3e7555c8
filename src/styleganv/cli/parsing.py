"""What a user writes in one word, as values: seeds, resolutions, mixes, directions, time maps."""

import re
from collections.abc import Iterator

from styleganv.errors import StyleganvError
from styleganv.options import DirectionStep, StyleMix


def parse_resolution(text: str) -> tuple[int, int]:
    """ "64" or "144x256" as (height, width)."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise StyleganvError(f"--resolution {text} is not a size: give one number, or HEIGHTxWIDTH such as 144x256.")
    return int(sides[0]), int(sides[-1])


def parse_seeds(text: str, what: str = "Seeds") -> list[int]:
    """`"0-7,12"` → `[0, 1, …, 7, 12]`.

    Raises:
        StyleganvError: if the text is not a list of numbers and rising ranges.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]+)\s*(?:-\s*([0-9]+)\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise StyleganvError(f"{what} cannot be read from {text!r}: write numbers and ranges, such as 0-7,12.")
        seeds.extend(range(first, last + 1))
    return seeds


def parse_names(text: str) -> tuple[str, ...]:
    """ "a,b" as its parts; nothing for an empty text."""
    return tuple(name for name in text.split(",") if name)


def parse_time_map(text: str) -> list[tuple[float, float]]:
    """ "0:0,2:1,3:0.5" as points (seconds of the video, seconds of the motion)."""
    points = [re.fullmatch(r"\s*([0-9]+\.?[0-9]*):([0-9]+\.?[0-9]*)\s*", point) for point in text.split(",")]
    if not all(points):
        raise StyleganvError(f"--time-map {text} cannot be read: write points as 0:0,2:1,3:3.")
    return [(float(point[1]), float(point[2])) for point in points if point]


def parse_mixes(text: str | None) -> Iterator[StyleMix]:
    """ "7:4-9;8:0-2@0.5" as mixes; none for None."""
    for part in text.split(";") if text else ():
        found = re.fullmatch(r"\s*(.+):([0-9,\-]+)(?:@([0-9]*\.?[0-9]+))?\s*", part)
        if not found:
            raise StyleganvError(f"--mix {part} cannot be read: write SEED:LAYERS, such as 7:4-9, or 7:4-9@0.5.")
        yield StyleMix(found[1], parse_seeds(found[2], "Layers"), float(found[3] or 1))


def parse_directions(text: str | None) -> Iterator[DirectionStep]:
    """ "FILE:NAME=2;FILE:NAME=-1@0-3" as steps; none for None."""
    for part in text.split(";") if text else ():
        found = re.fullmatch(r"\s*(.+):([^:=]+)=([-+]?[0-9]+\.?[0-9]*)(?:@([0-9,\-]+))?\s*", part)
        if not found:
            raise StyleganvError(
                f"--direction {part} cannot be read: write FILE:NAME=STRENGTH, such as found.safetensors:1=2."
            )
        layers = parse_seeds(found[4], "Layers") if found[4] else None
        yield DirectionStep(found[1], found[2], float(found[3]), layers)
