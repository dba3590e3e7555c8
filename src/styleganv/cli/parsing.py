"""Parsers of options: models, seeds, resolutions, shards, crops, trims, mixes, directions, time maps."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from styleganv.errors import StyleganvError
from styleganv.options import Crop, DirectionStep, StyleMix, Trim, check_count
from styleganv.validation import short_repr

#: Type of the first argument of commands that use a model.
ModelPath = Annotated[
    Positional[Path],
    tyro.conf.arg(metavar="MODEL", help="Model folder, run, or name of a pretrained model, e.g. faces-64."),
]
#: A whole number; the types of the options state its range.
NUMBER = "[0-9]{1,40}"


def parse_resolution(text: str) -> tuple[int, int]:
    """Return (height, width) of "64" or "144x256"."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(re.fullmatch(NUMBER, side) for side in sides):
        raise StyleganvError(f"Cannot read --resolution {text}: pass one number, or HEIGHTxWIDTH, e.g. 144x256.")
    return int(sides[0]), int(sides[-1])


def parse_shard(text: str) -> tuple[int, int]:
    """Return number and count of "3/16"."""
    match = re.fullmatch(r"\s*([0-9]{1,6})\s*/\s*([0-9]{1,6})\s*", text)
    if not match:
        raise StyleganvError(f"Cannot read --shard {short_repr(text)}: pass NUMBER/COUNT, e.g. 3/16.")
    return int(match[1]), int(match[2])


def parse_crop(text: str) -> Crop:
    """Return left, top, width and height of "280,0,720,720"."""
    match = re.fullmatch(rf"\s*({NUMBER})\s*,\s*({NUMBER})\s*,\s*({NUMBER})\s*,\s*({NUMBER})\s*", text)
    if not match:
        raise StyleganvError(
            f"Cannot read --crop {short_repr(text)}: pass X,Y,WIDTH,HEIGHT in pixels, e.g. 280,0,720,720."
        )
    left, top, width, height = map(int, match.groups())
    return left, top, width, height


def parse_trim(text: str) -> Trim:
    """Return start and stop in seconds of "5:20", "1:05:2:10" (minutes:seconds each), "5:" or ":-3"; None where open.

    Colons also separate hours, minutes and seconds, so both times must be written alike.
    """
    parts = text.strip().split(":")
    middle = len(parts) // 2
    if parts[0] == "":
        start, stop = [], parts[1:]
    elif parts[-1] == "":
        start, stop = parts[:-1], []
    else:
        start, stop = parts[:middle], parts[middle:]
    if len(parts) < 2 or not (start or stop) or (start and stop and len(start) != len(stop)):
        start = stop = ["?"]
    try:
        return _parse_time(start), _parse_time(stop)
    except ValueError as error:
        raise StyleganvError(
            f"Cannot read --trim {short_repr(text)}: pass START:STOP in seconds, or both as h:m:s, e.g. 5:20, 5:, :-3 "
            "or 0:01:05:0:02:10."
        ) from error


def _parse_time(parts: Sequence[str]) -> float | None:
    """Return seconds of hours, minutes and seconds, of which the first may be missing; None of nothing."""
    if not parts:
        return None
    text = ":".join(parts)
    if not re.fullmatch(r"-?(?:(?:[0-9]{1,9}:)?[0-9]{1,9}:)?[0-9]{1,12}(?:\.[0-9]{0,9})?", text):
        raise ValueError(text)
    seconds = 0.0
    for part in text.lstrip("-").split(":"):
        seconds = 60 * seconds + float(part)
    return -seconds if text.startswith("-") else seconds


def parse_seeds(text: str, name: str = "--seeds") -> Sequence[int]:
    """Return the numbers of a list such as "0-7,12"; `name` appears in the error.

    Raises:
        StyleganvError: if the text is not a list of numbers and ascending ranges, or longer than `MAX_SEEDS`.
    """
    ranges = []
    for part in text.split(","):
        match = re.fullmatch(rf"\s*({NUMBER})\s*(?:-\s*({NUMBER})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise StyleganvError(
                f"Cannot read {name} from {short_repr(text)}: pass numbers and ascending ranges, e.g. 0-7,12."
            )
        ranges.append(range(first, last + 1))
    check_count(name, sum(each.stop - each.start for each in ranges))
    return ranges[0] if len(ranges) == 1 else list(chain.from_iterable(ranges))


def parse_names(text: str) -> tuple[str, ...]:
    """Return the parts of "a,b"; none for an empty text."""
    return tuple(name for name in text.split(",") if name)


def parse_time_map(text: str) -> list[tuple[float, float]]:
    """Return the points (video time, motion time) in seconds of "0:0,2:1,3:0.5"."""
    points = [re.fullmatch(r"\s*([0-9]+\.?[0-9]*):([0-9]+\.?[0-9]*)\s*", point) for point in text.split(",")]
    if not all(points):
        raise StyleganvError(f"Cannot read --time-map {text}: pass VIDEO:MOTION seconds, e.g. 0:0,2:1,3:3.")
    return [(float(point[1]), float(point[2])) for point in points if point]


def parse_mixes(text: str | None, *, latents: bool = False) -> Iterator[StyleMix]:
    """Yield the mixes of "7:4-9;8:0-2@0.5", with files instead of seeds if `latents`; none for None."""
    option, content = ("--mix-latents", "FILE") if latents else ("--mix", "SEED")
    for part in text.split(";") if text else ():
        match = re.fullmatch(r"\s*(.+):([0-9,\-]+)(?:@([0-9]*\.?[0-9]+))?\s*", part)
        if not match or not (latents or re.fullmatch(NUMBER, match[1])):
            raise StyleganvError(f"Cannot read {option} {part}: pass {content}:LAYERS or {content}:LAYERS@AMOUNT.")
        source = Path(match[1]) if latents else int(match[1])
        yield StyleMix(source, parse_seeds(match[2], "layers"), float(match[3] or 1))


def parse_directions(text: str | None) -> Iterator[DirectionStep]:
    """Yield the steps of "FILE:NAME=2;FILE:NAME=-1@0-3"; none for None."""
    for part in text.split(";") if text else ():
        match = re.fullmatch(r"\s*(.+):([^:=]+)=([-+]?[0-9]+\.?[0-9]*)(?:@([0-9,\-]+))?\s*", part)
        if not match:
            raise StyleganvError(
                f"Cannot read --direction {part}: pass FILE:NAME=STRENGTH, e.g. found.safetensors:1=2."
            )
        layers = parse_seeds(match[4], "layers") if match[4] else None
        yield DirectionStep(match[1], match[2], float(match[3]), layers)
