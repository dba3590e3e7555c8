"""Requests of the page, validated: which video to show (`VideoParams`) and which part of it to export (`ExportParams`).

    JSON from the page ──from_json──▶ VideoParams ──StudioModel.frames──▶ uint8 frames ──▶ the page

`VideoParams` holds numbers, known words and a label only. Times, frame rate and speed belong to a request or to
`ExportParams`.
"""

import json
from dataclasses import dataclass
from typing import Any

from styleganv.errors import StyleganvError
from styleganv.media.writing import FORMATS
from styleganv.options import StyleMix

MAX_SEED = 2**31 - 1
MAX_EXPORT_SECONDS = 60
MAX_START_SECONDS = 1e12
MAX_GRID_CELLS = 24
MAX_LABEL_LENGTH = 10_000
#: Media types of the formats that are one file.
EXPORT_FORMATS = {name: each.media_type for name, each in FORMATS.items() if each.suffix}


@dataclass(frozen=True)
class VideoParams:
    """One endless video of a model.

    Attributes:
        motion_seed: motion seed; None takes the motion of the search result.
        label: class number, or text as of --label; None takes the label that the seed draws.
        mix: style mixing with a second content seed, or None.
        grid: number of rows (consecutive motion seeds) and columns (consecutive content seeds).
        directions: names ("content 1") and strengths in standard deviations, without zeros.
        search_result: number of the `SearchResult` whose content replaces that of the seed, or None.
    """

    seed: int = 0
    motion_seed: int | None = 0
    psi: float = 1.0
    label: int | str | None = None
    mix: StyleMix | None = None
    grid: tuple[int, int] = (1, 1)
    directions: tuple[tuple[str, float], ...] = ()
    search_result: int | None = None

    @classmethod
    def from_json(cls, values: Any) -> "VideoParams":
        """Return the parameters that a page sent. Raises StyleganvError if one is missing, mistyped or out of range."""
        try:
            if not isinstance(values, dict):
                raise TypeError(f"expected parameters, got {type(values).__name__}")
            mix, result, motion = values.get("mix"), values.get("search_result"), values.get("motion_seed", 0)
            directions = values.get("directions", {}).items()
            params = cls(
                seed=_integer(values.get("seed", 0)),
                motion_seed=None if motion is None and result is not None else _integer(motion),
                psi=number(values.get("psi", 1.0), -4, 4),
                label=_label(values.get("label")),
                mix=None if mix is None else _style_mix(mix),
                grid=_grid(values.get("grid", (1, 1))),
                directions=tuple((str(name), number(strength, -10, 10)) for name, strength in directions if strength),
                search_result=None if result is None else _integer(result),
            )
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise StyleganvError(f"Invalid request from the page ({error}): reload it.") from error
        if params.search_result is not None and params.grid != (1, 1):
            raise StyleganvError("A grid requires a content seed, got a search result: set the source to a seed.")
        return params


def parse_object(text: str | bytes) -> dict[str, Any] | None:
    """Return the JSON object that a text is; None for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _label(value: Any) -> int | str | None:
    if isinstance(value, str) and len(value) > MAX_LABEL_LENGTH:
        raise ValueError(f"expected a label of up to {MAX_LABEL_LENGTH} characters, got {len(value)}")
    return value if value is None or isinstance(value, str) else _integer(value)


def _style_mix(values: dict[str, Any]) -> StyleMix:
    seed, first, last = (_integer(values[name]) for name in ("seed", "first", "last"))
    if first > last:
        raise ValueError(f"the first layer must not exceed the last, got {first}-{last}")
    return StyleMix(seed, range(first, last + 1), number(values["amount"], 0, 1))


def _grid(values: Any) -> tuple[int, int]:
    rows, columns = map(_integer, values)
    if not 1 <= rows * columns <= MAX_GRID_CELLS:
        raise ValueError(f"a grid must have 1 to {MAX_GRID_CELLS} cells, got {rows} × {columns}")
    return rows, columns


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SEED:
        raise ValueError(f"expected an integer from 0 to {MAX_SEED}, got {value!r}")
    return value


def number(value: Any, low: float, high: float) -> float:
    """Return a number that a page sent. Raises ValueError unless it is one in this range."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"expected a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


@dataclass(frozen=True)
class ExportParams:
    """The part of a video to export, and how to store it.

    Attributes:
        start: start time in the endless video, in seconds.
        speed: seconds of the video per second of the file.
    """

    start: float
    seconds: float
    fps: float
    speed: float
    format: str

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "ExportParams":
        """Return the parameters that a page sent. Raises StyleganvError if a value is missing or out of range."""
        try:
            export = cls(
                start=number(values["start"], 0, MAX_START_SECONDS),
                seconds=number(values["seconds"], 0.01, MAX_EXPORT_SECONDS),
                fps=number(values["fps"], 1, 120),
                speed=number(values["speed"], 0.01, 8),
                format=str(values["format"]),
            )
        except (TypeError, ValueError, KeyError) as error:
            raise StyleganvError(
                f"Cannot export this video ({error}): choose up to {MAX_EXPORT_SECONDS} seconds."
            ) from error
        if export.format not in EXPORT_FORMATS:
            raise StyleganvError(f"Unknown format {export.format}: use {', '.join(EXPORT_FORMATS)}.")
        return export
