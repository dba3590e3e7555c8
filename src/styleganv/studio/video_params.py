"""Requests of the page, validated: which part of a video to export (`ExportParams`).

    JSON from the page ──from_json──▶ VideoParams, Timeline ──StudioModel.frames──▶ uint8 frames ──▶ the page

Which video it is, is in the notation of `styleganv.timeline.notation`.
"""

import json
from dataclasses import dataclass
from typing import Any

from styleganv.errors import StyleganvError
from styleganv.media.writing import FORMATS

MAX_EXPORT_SECONDS = 86_400
#: Frame rates of a file.
MIN_FPS, MAX_FPS = 0.1, 1000
MAX_START_SECONDS = 1e12


def parse_object(text: str | bytes) -> dict[str, Any] | None:
    """Return the JSON object that a text is; None for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


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
        format: one of `media.writing.FORMATS`.
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
                fps=number(values["fps"], MIN_FPS, MAX_FPS),
                speed=number(values["speed"], 0.01, 8),
                format=str(values["format"]),
            )
        except (TypeError, ValueError, KeyError) as error:
            raise StyleganvError(f"Cannot export this video ({error}): change its duration or frame rate.") from error
        if export.format not in FORMATS:
            raise StyleganvError(f"Unknown format {export.format}: use {', '.join(FORMATS)}.")
        return export

    @property
    def file(self) -> str:
        """Name of the file, or of a folder of frames."""
        return f"video{FORMATS[self.format].suffix}"
